// SPDX-License-Identifier: GPL-2.0-only

//! Public structures in the objects of this provider.

/// A public structure at the head of an object, or in it.
macro_rules! head {
    ($(#[$doc:meta])* $name:ident, $public:ty, $init:expr) => {
        $(#[$doc])*
        #[repr(transparent)]
        pub(crate) struct $name(kernel::types::Opaque<$public>);

        // SAFETY: The structure is the consumer's and kfi.ko's, which order their accesses themselves.
        unsafe impl Send for $name {}
        // SAFETY: As above.
        unsafe impl Sync for $name {}

        impl $name {
            /// As the provider hands it out.
            pub(crate) fn new() -> Self {
                Self(kernel::types::Opaque::new($init))
            }

            #[allow(dead_code, reason = "not every object is asked for it")]
            pub(super) fn as_ptr(&self) -> *mut $public {
                self.0.get()
            }
        }
    };
}
pub(super) use head;
