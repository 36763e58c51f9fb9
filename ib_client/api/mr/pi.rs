// SPDX-License-Identifier: GPL-2.0-only

//! Regions with protection information.

use super::MrHead;
use crate::{
    api::bindings,
    errno::EILSEQ, //
};
use kernel::{
    prelude::*,
    sync::rcu, //
};

/// One side in the terms of the RDMA core.
fn domain(pi: &bindings::kfi_pi_domain) -> bindings::ib_sig_domain {
    let mut domain = bindings::ib_sig_domain {
        sig_type: bindings::ib_signature_type_IB_SIG_TYPE_NONE,
        ..Default::default()
    };
    if pi.type_ == bindings::kfi_pi_type_KFI_PI_T10_DIF {
        domain.sig_type = bindings::ib_signature_type_IB_SIG_TYPE_T10_DIF;
        let dif = bindings::ib_t10_dif_domain {
            bg_type: match pi.guard {
                bindings::kfi_pi_guard_KFI_PI_GUARD_CSUM => {
                    bindings::ib_t10_dif_bg_type_IB_T10DIF_CSUM
                }
                _ => bindings::ib_t10_dif_bg_type_IB_T10DIF_CRC,
            },
            pi_interval: pi.interval,
            bg: pi.guard_seed,
            app_tag: pi.app_tag,
            ref_tag: pi.ref_tag,
            ref_remap: pi.ref_remap,
            app_escape: pi.app_escape,
            ref_escape: pi.ref_escape,
            apptag_check_mask: pi.app_check_mask,
        };
        // SAFETY: CAST: the union has this one form.
        unsafe {
            (&raw mut domain.sig)
                .cast::<bindings::ib_t10_dif_domain>()
                .write(dif)
        };
    }
    domain
}

/// What is to be checked, in the terms of the RDMA core.
///
/// # Safety
///
/// `attr` is valid.
pub(in crate::api) unsafe fn sig_attrs(
    attr: *const bindings::kfi_pi_attr,
) -> bindings::ib_sig_attrs {
    // SAFETY: By the function's contract.
    let attr = unsafe { &*attr };
    bindings::ib_sig_attrs {
        check_mask: attr.check_mask,
        mem: domain(&attr.mem),
        wire: domain(&attr.wire),
        meta_length: 0,
    }
}

/// Asks whether the protection information of a region was as it should be.
///
/// # Safety
///
/// `native` is a region for protection information that exists, and `fault` may be written.
pub(in crate::api) unsafe fn status_of(
    native: *mut bindings::ib_mr,
    fault: *mut bindings::kfi_pi_fault,
) -> c_int {
    const CHECK: u32 = bindings::ib_mr_status_check_IB_MR_CHECK_SIG_STATUS;

    let mut status = bindings::ib_mr_status::default();
    // SAFETY: By the function's contract.
    unsafe {
        match bindings::ib_check_mr_status(native, CHECK, &mut status) {
            0 if status.fail_status & CHECK != 0 => {
                *fault = found(&status.sig_err);
                EILSEQ.to_errno()
            }
            ret => ret,
        }
    }
}

/// The verbs region behind a public one, if it is for protection information.
///
/// # Safety
///
/// As for [`MrHead::native`].
unsafe fn native(mr: *mut bindings::kfi_mr) -> core::result::Result<*mut bindings::ib_mr, c_int> {
    // SAFETY: By the function's contract.
    let native = unsafe { MrHead::native(mr) }?;
    // SAFETY: It exists as long as the caller's RCU read-side section; its type does not change.
    if unsafe { (*native).type_ } != bindings::ib_mr_type_IB_MR_TYPE_INTEGRITY {
        return Err(EINVAL.to_errno());
    }
    Ok(native)
}

/// `kfi_mr_ops.map_sg_pi`.
///
/// # Safety
///
/// `mr` is a region of this provider that is not registered; the lists have that many elements, which are mapped; `attr`
/// is valid.
pub(super) unsafe extern "C" fn map_sg_pi(
    mr: *mut bindings::kfi_mr,
    data: *mut bindings::scatterlist,
    nr_data: c_int,
    meta: *mut bindings::scatterlist,
    nr_meta: c_int,
    page_size: u32,
    attr: *const bindings::kfi_pi_attr,
) -> c_int {
    let rcu = rcu::read_lock();
    // SAFETY: By the function's contract, inside of an RCU read-side section.
    let ret = match unsafe { native(mr) } {
        // SAFETY: As above; `native` exists until the end of the section, and has attributes because of its type.
        Ok(native) => unsafe {
            let ret = bindings::ib_map_mr_sg_pi(
                native,
                data,
                nr_data,
                core::ptr::null_mut(),
                meta,
                nr_meta,
                core::ptr::null_mut(),
                page_size,
            );
            if ret == 0 {
                // After the mapping, as rdma_rw does it: drivers leave notes there while they map.
                *(*native).sig_attrs = sig_attrs(attr);
                (*mr).iova = (*native).iova;
                (*mr).length = (*native).length;
            }
            match ret {
                // So many elements have fitted.
                1.. => EINVAL.to_errno(),
                ret => ret,
            }
        },
        Err(e) => e,
    };
    rcu.unlock();
    ret
}

/// `kfi_mr_ops.pi_status`.
///
/// # Safety
///
/// `mr` is a region of this provider, and `fault` may be written.
pub(super) unsafe extern "C" fn pi_status(
    mr: *mut bindings::kfi_mr,
    fault: *mut bindings::kfi_pi_fault,
) -> c_int {
    let rcu = rcu::read_lock();
    // SAFETY: By the function's contract, inside of an RCU read-side section.
    let ret = match unsafe { native(mr) } {
        // SAFETY: As above; `native` exists until the end of the section.
        Ok(native) => unsafe { status_of(native, fault) },
        Err(e) => e,
    };
    rcu.unlock();
    ret
}

/// What the RDMA core has found, in the terms of kfi.
fn found(err: &bindings::ib_sig_err) -> bindings::kfi_pi_fault {
    bindings::kfi_pi_fault {
        what: match err.err_type {
            bindings::ib_sig_err_type_IB_SIG_BAD_GUARD => bindings::KFI_PI_CHECK_GUARD,
            bindings::ib_sig_err_type_IB_SIG_BAD_REFTAG => bindings::KFI_PI_CHECK_REF,
            _ => bindings::KFI_PI_CHECK_APP,
        },
        expected: err.expected,
        actual: err.actual,
        offset: err.sig_err_offset,
    }
}
