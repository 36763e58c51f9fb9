// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_mr`.

use super::{
    domain::{
        Domain,
        Parent, //
    },
    errno,
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
    ffi::c_int,
    prelude::*,
    types::Opaque, //
};

/// A memory region.
///
/// # Invariants
///
/// `domain` owns a reference, and is constant.
#[repr(transparent)]
pub(crate) struct Mr(Opaque<bindings::kfi_mr>);

// SAFETY: Whoever makes a view promises to be alone.
unsafe impl Send for Mr {}
// SAFETY: As above.
unsafe impl Sync for Mr {}

// SAFETY: Transparent over the C structure.
unsafe impl Object for Mr {
    type C = bindings::kfi_mr;

    unsafe fn release(this: NonNull<Self>) {
        let raw: *mut bindings::kfi_mr = this.as_ptr().cast();
        // SAFETY: The caller owns the region. By the type invariant the reference is the region's own.
        let domain = unsafe { Parent::from_raw((*raw).domain) };
        // SAFETY: As above, and nobody uses the region after this.
        if let Some(free) = unsafe { (*(*raw).ops).free } {
            // SAFETY: As above.
            unsafe { free(raw) }
        }
        if let Some(domain) = domain {
            domain.closed(Kind::Mr);
        }
    }
}

impl Mr {
    /// Allocates a region; the arguments are in range.
    pub(crate) fn alloc(
        domain: &Domain,
        kind: bindings::kfi_mr_type,
        max_sg: u32,
    ) -> Result<Own<Self>> {
        let raw = domain.mr_alloc(kind, max_sg)?;
        // SAFETY: The provider has made the region for this call, and nobody else has seen it.
        unsafe {
            Self::init(raw, domain);
            Ok(Own::from_raw(raw))
        }
    }

    /// Ties a region that the provider has made to its domain.
    ///
    /// # Safety
    ///
    /// `raw` is live and nobody else uses it.
    pub(crate) unsafe fn init(raw: NonNull<bindings::kfi_mr>, domain: &Domain) {
        // SAFETY: Promised by the caller.
        // INVARIANT: The reference is the region's.
        unsafe { (*raw.as_ptr()).domain = domain.adopt(Kind::Mr) }
    }

    /// # Safety
    ///
    /// `mr` is live for `'a`, and the caller alone uses its keys.
    pub(crate) unsafe fn from_raw<'a>(mr: NonNull<bindings::kfi_mr>) -> &'a Self {
        // SAFETY: Promised by the caller; the layouts are the same.
        unsafe { mr.cast().as_ref() }
    }

    pub(super) fn as_raw(&self) -> *mut bindings::kfi_mr {
        self.0.get()
    }

    /// kfi_mr_map_sg_pi()
    ///
    /// # Safety
    ///
    /// The lists have that many elements, and `attr` is valid.
    pub(crate) unsafe fn map_sg_pi(
        &self,
        data: *mut bindings::scatterlist,
        nr_data: c_int,
        meta: *mut bindings::scatterlist,
        nr_meta: c_int,
        page_size: u32,
        attr: *const bindings::kfi_pi_attr,
    ) -> c_int {
        // SAFETY: Providers do not hand out a region without ops.
        match unsafe { (*(*self.as_raw()).ops).map_sg_pi } {
            // SAFETY: Promised by the caller.
            Some(map) => unsafe {
                map(self.as_raw(), data, nr_data, meta, nr_meta, page_size, attr)
            },
            None => errno::eopnotsupp().to_errno(),
        }
    }

    /// kfi_mr_pi_status()
    pub(crate) fn pi_status(&self, fault: &mut bindings::kfi_pi_fault) -> c_int {
        // SAFETY: Providers do not hand out a region without ops.
        match unsafe { (*(*self.as_raw()).ops).pi_status } {
            // SAFETY: The region is live, and `fault` may be written.
            Some(status) => unsafe { status(self.as_raw(), fault) },
            None => errno::eopnotsupp().to_errno(),
        }
    }

    /// The remote key.
    #[inline]
    pub(crate) fn rkey(&self) -> u32 {
        // SAFETY: The caller of `from_raw` promised to be alone.
        unsafe { (*self.0.get()).rkey }
    }

    /// The peer has invalidated the key.
    #[inline]
    pub(crate) fn invalidated(&self) {
        // SAFETY: As above.
        unsafe { (*self.0.get()).need_inval = false }
    }
}
