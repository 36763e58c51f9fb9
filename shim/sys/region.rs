// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_mr`.

use super::{
    child::child,
    domain::Domain,
    errno,
    own::Own, //
};
use crate::bindings;
use core::ptr::NonNull;
use kernel::prelude::*;

child! {
    /// A memory region.
    Mr, kfi_mr, Mr
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
