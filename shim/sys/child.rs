// SPDX-License-Identifier: GPL-2.0-only

//! Objects that a domain has: each holds a reference to it, which goes with the object.

/// A view of such an object, whose provider frees it.
macro_rules! child {
    ($(#[$doc:meta])* $name:ident, $c:ident, $kind:ident) => {
        $(#[$doc])*
        ///
        /// # Invariants
        ///
        /// `domain` owns a reference, and is constant.
        #[repr(transparent)]
        pub(crate) struct $name(kernel::types::Opaque<crate::bindings::$c>);

        // SAFETY: What this view shows is constant, or whoever makes a view promises to be alone.
        unsafe impl Send for $name {}
        // SAFETY: As above.
        unsafe impl Sync for $name {}

        // SAFETY: Transparent over the C structure.
        unsafe impl crate::sys::own::Object for $name {
            type C = crate::bindings::$c;

            unsafe fn release(this: core::ptr::NonNull<Self>) {
                let raw: *mut Self::C = this.as_ptr().cast();
                // SAFETY: The caller owns the object. By the type invariant the reference is the object's own.
                let domain = unsafe { crate::sys::domain::Parent::from_raw((*raw).domain) };
                // SAFETY: As above, and nobody uses the object after this.
                if let Some(free) = unsafe { (*(*raw).ops).free } {
                    // SAFETY: As above.
                    unsafe { free(raw) }
                }
                if let Some(domain) = domain {
                    domain.closed(crate::observe::counts::Kind::$kind);
                }
            }
        }

        impl $name {
            /// Ties an object that the provider has made to its domain.
            ///
            /// # Safety
            ///
            /// `raw` is live and nobody else uses it.
            pub(crate) unsafe fn init(
                raw: core::ptr::NonNull<crate::bindings::$c>,
                domain: &crate::sys::domain::Domain,
            ) {
                // SAFETY: Promised by the caller.
                // INVARIANT: The reference is the object's.
                unsafe {
                    (*raw.as_ptr()).domain = domain.adopt(crate::observe::counts::Kind::$kind);
                }
            }
        }
    };
}
pub(super) use child;
