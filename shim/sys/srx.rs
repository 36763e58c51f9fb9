// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_srx`.

use super::{
    domain::{
        Domain,
        Parent, //
    },
    own::{
        Object,
        Own, //
    }, //
};
use crate::{
    bindings,
    observe::counts::Kind, //
};
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    types::Opaque, //
};

/// A shared receive context.
///
/// # Invariants
///
/// `domain` owns a reference, and is constant.
#[repr(transparent)]
pub(crate) struct Srx(Opaque<bindings::kfi_srx>);

// SAFETY: What this view shows is constant.
unsafe impl Send for Srx {}
// SAFETY: As above.
unsafe impl Sync for Srx {}

// SAFETY: Transparent over the C structure.
unsafe impl Object for Srx {
    type C = bindings::kfi_srx;

    unsafe fn release(this: NonNull<Self>) {
        let raw: *mut bindings::kfi_srx = this.as_ptr().cast();
        // SAFETY: The caller owns the context. By the type invariant the reference is the context's own.
        let domain = unsafe { Parent::from_raw((*raw).domain) };
        // SAFETY: As above, and nobody uses the context after this.
        if let Some(free) = unsafe { (*(*raw).ops).free } {
            // SAFETY: As above.
            unsafe { free(raw) }
        }
        if let Some(domain) = domain {
            domain.closed(Kind::Srx);
        }
    }
}

impl Srx {
    /// Allocates a context; the arguments are in range.
    pub(crate) fn alloc(domain: &Domain, max_rx: u32, max_sge: u32) -> Result<Own<Self>> {
        let raw = domain.srx_alloc(max_rx, max_sge)?;
        // SAFETY: The provider has made the context for this call, and nobody else has seen it.
        unsafe {
            Self::init(raw, domain);
            Ok(Own::from_raw(raw))
        }
    }

    /// Ties a context that the provider has made to its domain.
    ///
    /// # Safety
    ///
    /// `raw` is live and nobody else uses it.
    pub(crate) unsafe fn init(raw: NonNull<bindings::kfi_srx>, domain: &Domain) {
        // SAFETY: Promised by the caller.
        // INVARIANT: The reference is the context's.
        unsafe { (*raw.as_ptr()).domain = domain.adopt(Kind::Srx) }
    }

    /// # Safety
    ///
    /// `srx` is live for `'a`.
    pub(crate) unsafe fn from_raw<'a>(srx: NonNull<bindings::kfi_srx>) -> &'a Self {
        // SAFETY: Promised by the caller; the layouts are the same.
        unsafe { srx.cast().as_ref() }
    }

    /// Its domain.
    pub(crate) fn domain(&self) -> &Domain {
        // SAFETY: The type invariant.
        unsafe { Domain::from_raw(NonNull::new_unchecked((*self.0.get()).domain)) }
    }
}
