// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_pep`, and where it listens.

use super::{
    module::ModuleRef,
    own::Object, //
};
use crate::{
    bindings,
    check::{
        self,
        Family, //
    },
    observe::counts::{
        Kind,
        TOTAL, //
    }, //
};
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    str::CStr,
    types::Opaque, //
};

/// A passive endpoint.
///
/// # Invariants
///
/// `core.owner` owns a reference to the provider's module.
#[repr(transparent)]
pub(crate) struct Pep(Opaque<bindings::kfi_pep>);

// SAFETY: All that a view allows is to end it.
unsafe impl Send for Pep {}
// SAFETY: As above.
unsafe impl Sync for Pep {}

// SAFETY: Transparent over the C structure.
unsafe impl Object for Pep {
    type C = bindings::kfi_pep;

    unsafe fn release(this: NonNull<Self>) {
        let raw: *mut bindings::kfi_pep = this.as_ptr().cast();
        // SAFETY: The caller owns the passive endpoint. By the type invariant the reference is its own.
        let (_owner, close) =
            unsafe { (ModuleRef::from_raw((*raw).core.owner), (*(*raw).ops).close) };
        // SAFETY: Only the address is used.
        unsafe { bindings::kfi_trace_pep_closed(raw.cast()) };
        if let Some(close) = close {
            // SAFETY: Nobody uses the passive endpoint after this.
            unsafe { close(raw) }
        }
        TOTAL.dec(Kind::Pep);
    }
}

impl Pep {
    /// Registers what a provider has made.
    ///
    /// # Safety
    ///
    /// `raw` is live, of the provider whose module is `owner`, and the caller's alone.
    pub(super) unsafe fn init(raw: NonNull<bindings::kfi_pep>, owner: ModuleRef) {
        TOTAL.inc(Kind::Pep);
        // SAFETY: Promised by the caller.
        // INVARIANT: The reference is the passive endpoint's.
        unsafe { (*raw.as_ptr()).core.owner = owner.into_raw() }
    }
}

/// `struct kfi_pep_attr`, checked.
pub(crate) struct PepAttr<'a>(&'a bindings::kfi_pep_attr);

impl<'a> PepAttr<'a> {
    /// # Safety
    ///
    /// `attr` is valid for `'a`, and each of its pointers is NULL or valid for `'a`.
    pub(crate) unsafe fn new(attr: NonNull<bindings::kfi_pep_attr>) -> Result<Self> {
        // SAFETY: Promised by the caller.
        let attr = unsafe { attr.as_ref() };
        check::pep(attr.flags, attr.backlog)?;
        if attr.net.is_null() || attr.event.is_none() {
            return Err(EINVAL);
        }
        let addr = NonNull::new(attr.addr.cast_mut()).ok_or(EINVAL)?;
        // SAFETY: Promised by the caller.
        Family::new(unsafe { addr.as_ref() }.sa_family)?;
        Ok(Self(attr))
    }

    pub(super) fn as_raw(&self) -> *const bindings::kfi_pep_attr {
        self.0
    }

    /// The only provider to use.
    pub(crate) fn provider(&self) -> Option<&CStr> {
        let name = NonNull::new(self.0.provider.cast_mut())?;
        // SAFETY: Promised to `new`.
        Some(unsafe { CStr::from_char_ptr(name.as_ptr()) })
    }
}
