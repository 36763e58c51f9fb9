// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_rma`.

use super::{
    endpoint::Ep,
    errno, //
};
use crate::{
    bindings,
    check::Way, //
};
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    dma::DataDirection,
    error::to_result,
    prelude::*,
    types::Opaque, //
};

/// The transfer of a scatter list.
///
/// # Invariants
///
/// `ep` is NULL while the transfer is not in use, and a live endpoint otherwise.
#[repr(transparent)]
pub(crate) struct Rma(Opaque<bindings::kfi_rma>);

/// What a transfer is made of.
pub(crate) struct Transfer {
    sg: *mut bindings::scatterlist,
    pub(crate) nents: u32,
    offset: u32,
    raddr: u64,
    rkey: u32,
    dir: bindings::dma_data_direction,
}

impl Transfer {
    /// # Safety
    ///
    /// `sg` is NULL, or a scatter list of `nents` elements that stays as it is until the transfer has ended.
    pub(crate) unsafe fn new(
        sg: *mut bindings::scatterlist,
        nents: u32,
        offset: u32,
        raddr: u64,
        rkey: u32,
        dir: bindings::dma_data_direction,
    ) -> Result<Self> {
        if sg.is_null() {
            return Err(EINVAL);
        }
        // Providers skip the offset without looking for the end of the list.
        let (mut element, mut skip) = (sg, offset);
        for left in (0..nents).rev() {
            // SAFETY: The caller promises `nents` elements, of which this is one.
            let length = unsafe { (*element).length };
            if skip < length {
                break;
            }
            if left == 0 {
                return Err(EINVAL);
            }
            skip -= length;
            // SAFETY: As above; it is not the last one.
            element = unsafe { bindings::sg_next(element) };
        }
        Ok(Self {
            sg,
            nents,
            offset,
            raddr,
            rkey,
            dir,
        })
    }

    /// Which way the bytes go. The constants come from the kernel crate: bindgen gives the C enum another form in each
    /// kernel series.
    pub(crate) fn way(&self) -> Way {
        if self.dir == DataDirection::ToDevice.into() {
            Way::Write
        } else if self.dir == DataDirection::FromDevice.into() {
            Way::Read
        } else {
            Way::Other
        }
    }
}

/// The protection information of a transfer.
pub(crate) struct Metadata {
    sg: *mut bindings::scatterlist,
    pub(crate) nents: u32,
    attr: *const bindings::kfi_pi_attr,
}

impl Metadata {
    /// # Safety
    ///
    /// `sg` is NULL, or a scatter list of `nents` elements that stays as it is until the transfer has ended; `attr` is NULL
    /// or valid.
    pub(crate) unsafe fn new(
        sg: *mut bindings::scatterlist,
        nents: u32,
        attr: *const bindings::kfi_pi_attr,
    ) -> Result<Self> {
        if attr.is_null() || (sg.is_null() && nents != 0) {
            return Err(EINVAL);
        }
        Ok(Self { sg, nents, attr })
    }
}

impl Rma {
    /// # Safety
    ///
    /// `rma` is valid for `'a` and only the caller uses it. Unless it is given to [`Self::init`], it is zeroed or was.
    pub(crate) unsafe fn from_raw<'a>(rma: NonNull<bindings::kfi_rma>) -> &'a Self {
        // SAFETY: Promised by the caller; the layouts are the same.
        unsafe { rma.cast().as_ref() }
    }

    fn as_raw(&self) -> *mut bindings::kfi_rma {
        self.0.get()
    }

    fn ep(&self) -> Option<&Ep> {
        // SAFETY: The type invariant.
        unsafe { NonNull::new((*self.as_raw()).ep).map(|ep| Ep::from_raw(ep)) }
    }

    fn set_ep(&self, ep: *mut bindings::kfi_ep) {
        // SAFETY: Promised to `from_raw`.
        unsafe { (*self.as_raw()).ep = ep }
    }

    /// Takes it into use on `ep`, when `init` succeeds, which is called with both of them.
    fn begin(
        &self,
        ep: &Ep,
        init: impl FnOnce(*mut bindings::kfi_rma, *mut bindings::kfi_ep) -> c_int,
    ) -> Result {
        // INVARIANT: Not in use.
        self.set_ep(ptr::null_mut());
        to_result(init(self.as_raw(), ep.as_raw()))?;
        // INVARIANT: The consumer ends the transfer before it closes the endpoint.
        self.set_ep(ep.as_raw());
        Ok(())
    }

    /// Prepares a transfer. The arguments are in range.
    pub(crate) fn init(&self, ep: &Ep, transfer: &Transfer) -> Result {
        let init = ep.ops().rma_init.ok_or(EINVAL)?;
        // SAFETY: The endpoint is live while it is borrowed, the memory by the promise to `Transfer::new`.
        self.begin(ep, |rma, ep| unsafe {
            init(
                rma,
                ep,
                transfer.sg,
                transfer.nents,
                transfer.offset,
                transfer.raddr,
                transfer.rkey,
                transfer.dir,
            )
        })
    }

    /// Ends a transfer.
    ///
    /// # Safety
    ///
    /// The arguments are those that it was prepared with.
    pub(crate) unsafe fn fini(
        &self,
        sg: *mut bindings::scatterlist,
        nents: u32,
        dir: bindings::dma_data_direction,
    ) {
        let Some(fini) = self.ep().and_then(|ep| ep.ops().rma_fini) else {
            return;
        };
        // SAFETY: Prepared before; the rest is promised by the caller.
        unsafe { fini(self.as_raw(), sg, nents, dir) };
        // INVARIANT: Not in use.
        self.set_ep(ptr::null_mut());
    }

    /// Prepares a transfer with protection information. The arguments are in range.
    pub(crate) fn init_pi(&self, ep: &Ep, transfer: &Transfer, meta: &Metadata) -> Result {
        let init = ep.ops().rma_init_pi.ok_or_else(errno::eopnotsupp)?;
        // SAFETY: The endpoint is live while it is borrowed, the memory by the promises to `Transfer::new` and
        // `Metadata::new`.
        self.begin(ep, |rma, ep| unsafe {
            init(
                rma,
                ep,
                transfer.sg,
                transfer.nents,
                meta.sg,
                meta.nents,
                meta.attr,
                transfer.raddr,
                transfer.rkey,
                transfer.dir,
            )
        })
    }

    /// Ends a transfer with protection information.
    ///
    /// # Safety
    ///
    /// The arguments are those that it was prepared with.
    pub(crate) unsafe fn fini_pi(
        &self,
        data: *mut bindings::scatterlist,
        nr_data: u32,
        meta: *mut bindings::scatterlist,
        nr_meta: u32,
        dir: bindings::dma_data_direction,
    ) {
        let Some(fini) = self.ep().and_then(|ep| ep.ops().rma_fini_pi) else {
            return;
        };
        // SAFETY: Prepared before; the rest is promised by the caller.
        unsafe { fini(self.as_raw(), data, nr_data, meta, nr_meta, dir) };
        // INVARIANT: Not in use.
        self.set_ep(ptr::null_mut());
    }

    /// kfi_rma_pi_status()
    pub(crate) fn pi_status(&self, fault: &mut bindings::kfi_pi_fault) -> c_int {
        let Some(ep) = self.ep() else {
            return EINVAL.to_errno();
        };
        match ep.ops().rma_pi_status {
            // SAFETY: Prepared before.
            Some(status) => unsafe { status(self.as_raw(), fault) },
            None => errno::eopnotsupp().to_errno(),
        }
    }

    /// The operation to post.
    ///
    /// # Safety
    ///
    /// `ctx` and `chain` are NULL or valid until the operation has completed.
    pub(crate) unsafe fn op(
        &self,
        ctx: *mut bindings::kfi_ctx,
        chain: *mut bindings::kfi_op,
    ) -> *mut bindings::kfi_op {
        match self.ep().and_then(|ep| ep.ops().rma_op) {
            // SAFETY: Prepared before; the rest is promised by the caller.
            Some(op) => unsafe { op(self.as_raw(), ctx, chain) },
            None => ptr::null_mut(),
        }
    }
}
