// SPDX-License-Identifier: GPL-2.0-only

//! Bulk data.

use super::{
    errno,
    prototypes,
    required, //
};
use crate::{
    bindings::{
        dma_data_direction,
        kfi_ctx,
        kfi_ep,
        kfi_op,
        kfi_pi_attr,
        kfi_pi_fault,
        kfi_rma,
        scatterlist, //
    },
    objects,
    sys::{
        endpoint::Ep,
        rma::{
            Metadata,
            Rma,
            Transfer, //
        }, //
    }, //
};
use core::ptr::NonNull;
use kernel::{
    ffi::c_int,
    prelude::*, //
};

prototypes!(
    kfi_rma_fini,
    kfi_rma_fini_pi,
    kfi_rma_init,
    kfi_rma_init_pi,
    kfi_rma_op,
    kfi_rma_pi_status,
);

/// Documented in kfi.h.
///
/// # Safety
///
/// `rma` is NULL or not in use, `ep` is NULL or live, `sg` is NULL or has `nents` elements and stays valid until
/// kfi_rma_fini().
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_rma_init(
    rma: *mut kfi_rma,
    ep: *mut kfi_ep,
    sg: *mut scatterlist,
    nents: u32,
    offset: u32,
    raddr: u64,
    rkey: u32,
    dir: dma_data_direction,
) -> c_int {
    let init = || -> Result {
        let (rma, ep) = (required(rma)?, required(ep)?);
        // SAFETY: Promised by the caller.
        let (rma, ep, transfer) = unsafe {
            (
                Rma::from_raw(rma),
                Ep::from_raw(ep),
                Transfer::new(sg, nents, offset, raddr, rkey, dir)?,
            )
        };
        objects::rma_init(rma, ep, &transfer)
    };
    errno(init())
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `rma` is zeroed, or kfi_rma_init() was called for it and the other arguments are as there.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_rma_fini(
    rma: *mut kfi_rma,
    sg: *mut scatterlist,
    nents: u32,
    dir: dma_data_direction,
) {
    // SAFETY: Promised by the caller.
    unsafe { Rma::from_raw(NonNull::new_unchecked(rma)).fini(sg, nents, dir) }
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `rma` is in use; `ctx` and `chain` are NULL or valid until the operation has completed.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_rma_op(
    rma: *mut kfi_rma,
    ctx: *mut kfi_ctx,
    chain: *mut kfi_op,
) -> *mut kfi_op {
    // SAFETY: Promised by the caller.
    unsafe { Rma::from_raw(NonNull::new_unchecked(rma)).op(ctx, chain) }
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `rma` is NULL or not in use, `ep` is NULL or live, the lists are NULL or have that many elements and stay valid until
/// kfi_rma_fini_pi(), `attr` is NULL or valid.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_rma_init_pi(
    rma: *mut kfi_rma,
    ep: *mut kfi_ep,
    data: *mut scatterlist,
    nr_data: u32,
    meta: *mut scatterlist,
    nr_meta: u32,
    attr: *const kfi_pi_attr,
    raddr: u64,
    rkey: u32,
    dir: dma_data_direction,
) -> c_int {
    let init = || -> Result {
        let (rma, ep) = (required(rma)?, required(ep)?);
        // SAFETY: Promised by the caller.
        let (rma, ep, transfer, meta) = unsafe {
            (
                Rma::from_raw(rma),
                Ep::from_raw(ep),
                Transfer::new(data, nr_data, 0, raddr, rkey, dir)?,
                Metadata::new(meta, nr_meta, attr)?,
            )
        };
        objects::rma_init_pi(rma, ep, &transfer, &meta)
    };
    errno(init())
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `rma` is zeroed, or kfi_rma_init_pi() was called for it and the other arguments are as there.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_rma_fini_pi(
    rma: *mut kfi_rma,
    data: *mut scatterlist,
    nr_data: u32,
    meta: *mut scatterlist,
    nr_meta: u32,
    dir: dma_data_direction,
) {
    // SAFETY: Promised by the caller.
    unsafe { Rma::from_raw(NonNull::new_unchecked(rma)).fini_pi(data, nr_data, meta, nr_meta, dir) }
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `rma` is NULL, zeroed, or kfi_rma_init_pi() was called for it; `fault` is NULL or may be written.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_rma_pi_status(
    rma: *mut kfi_rma,
    fault: *mut kfi_pi_fault,
) -> c_int {
    let (Some(rma), Some(mut fault)) = (NonNull::new(rma), NonNull::new(fault)) else {
        return EINVAL.to_errno();
    };
    // SAFETY: Promised by the caller.
    unsafe { Rma::from_raw(rma).pi_status(fault.as_mut()) }
}
