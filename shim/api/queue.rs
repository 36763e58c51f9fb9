// SPDX-License-Identifier: GPL-2.0-only

//! Completion queues and shared receive contexts.

use super::{
    end,
    object,
    prototypes,
    required, //
};
use crate::{
    bindings::{
        kfi_cq,
        kfi_domain,
        kfi_poll,
        kfi_srx, //
    },
    objects,
    sys::{
        domain::Domain,
        queue::Cq,
        srx::Srx,
        Consumer, //
    }, //
};
use kernel::ffi::{
    c_char,
    c_int,
    c_void, //
};

prototypes!(
    __kfi_cq_alloc,
    kfi_cq_free,
    kfi_srx_alloc,
    kfi_srx_free, //
);

/// Documented in kfi.h.
///
/// # Safety
///
/// `domain` is NULL or live; `owner` outlives the queue.
#[no_mangle]
pub(crate) unsafe extern "C" fn __kfi_cq_alloc(
    domain: *mut kfi_domain,
    private: *mut c_void,
    nr_cqe: u32,
    vector: c_int,
    poll: kfi_poll,
    pool: bool,
    owner: *const c_char,
) -> *mut kfi_cq {
    object(required(domain).and_then(|domain| {
        // SAFETY: Promised by the caller.
        let (domain, consumer) = unsafe { (Domain::from_raw(domain), Consumer::from_raw(owner)) };
        objects::cq_alloc(domain, private, nr_cqe, vector, poll, pool, consumer)
    }))
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `cq` is NULL, an ERR_PTR, or the caller's, and no endpoint uses it.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_cq_free(cq: *mut kfi_cq) {
    // SAFETY: Promised by the caller.
    unsafe { end::<Cq>(cq) }
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `domain` is NULL or live.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_srx_alloc(
    domain: *mut kfi_domain,
    max_rx: u32,
    max_sge: u32,
) -> *mut kfi_srx {
    object(required(domain).and_then(|domain| {
        // SAFETY: Promised by the caller.
        objects::srx_alloc(unsafe { Domain::from_raw(domain) }, max_rx, max_sge)
    }))
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `srx` is NULL, an ERR_PTR, or the caller's, and no endpoint uses it.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_srx_free(srx: *mut kfi_srx) {
    // SAFETY: Promised by the caller.
    unsafe { end::<Srx>(srx) }
}
