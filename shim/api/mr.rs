// SPDX-License-Identifier: GPL-2.0-only

//! Memory regions and pools of them.

use super::{
    end,
    errno,
    object,
    prototypes,
    required, //
};
use crate::{
    bindings::{
        kfi_domain,
        kfi_mr,
        kfi_mr_pool,
        kfi_mr_type,
        kfi_pi_attr,
        kfi_pi_fault,
        scatterlist, //
    },
    mr_pool,
    objects,
    sys::{
        domain::Domain,
        pool::Pool,
        region::Mr, //
    }, //
};
use core::ptr::NonNull;
use kernel::{
    ffi::c_int,
    prelude::*, //
};

prototypes!(
    kfi_mr_alloc,
    kfi_mr_free,
    kfi_mr_map_sg_pi,
    kfi_mr_pi_status,
    kfi_mr_pool_destroy,
    kfi_mr_pool_get,
    kfi_mr_pool_init,
    kfi_mr_pool_put,
    kfi_mr_remote_inv,
);

/// Documented in kfi.h.
///
/// # Safety
///
/// `domain` is NULL or live.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_mr_alloc(
    domain: *mut kfi_domain,
    kind: kfi_mr_type,
    max_sg: u32,
) -> *mut kfi_mr {
    object(required(domain).and_then(|domain| {
        // SAFETY: Promised by the caller.
        objects::mr_alloc(unsafe { Domain::from_raw(domain) }, kind, max_sg)
    }))
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `mr` is NULL, an ERR_PTR, or the caller's, and fenced.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_mr_free(mr: *mut kfi_mr) {
    // SAFETY: Promised by the caller.
    unsafe { end::<Mr>(mr) }
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `mr` is live and only the caller uses it.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_mr_remote_inv(mr: *mut kfi_mr, key: u32) -> c_int {
    // SAFETY: Promised by the caller.
    let mr = unsafe { Mr::from_raw(NonNull::new_unchecked(mr)) };
    errno(objects::mr_remote_inv(mr, key))
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `mr` is NULL, or live and only the caller uses it; `data` and `meta` are NULL or have that many elements; `attr` is
/// NULL or valid.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_mr_map_sg_pi(
    mr: *mut kfi_mr,
    data: *mut scatterlist,
    nr_data: c_int,
    meta: *mut scatterlist,
    nr_meta: c_int,
    page_size: u32,
    attr: *const kfi_pi_attr,
) -> c_int {
    let Some(mr) = NonNull::new(mr) else {
        return EINVAL.to_errno();
    };
    if data.is_null()
        || nr_data <= 0
        || nr_meta < 0
        || (meta.is_null() && nr_meta != 0)
        || !page_size.is_power_of_two()
        || attr.is_null()
    {
        return EINVAL.to_errno();
    }
    // SAFETY: Promised by the caller.
    unsafe { Mr::from_raw(mr).map_sg_pi(data, nr_data, meta, nr_meta, page_size, attr) }
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `mr` is NULL, or live and only the caller uses it; `fault` is NULL or may be written.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_mr_pi_status(
    mr: *mut kfi_mr,
    fault: *mut kfi_pi_fault,
) -> c_int {
    let (Some(mr), Some(mut fault)) = (NonNull::new(mr), NonNull::new(fault)) else {
        return EINVAL.to_errno();
    };
    // SAFETY: Promised by the caller.
    unsafe { Mr::from_raw(mr).pi_status(fault.as_mut()) }
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `pool` is NULL, or not in use and does not move until it is destroyed; `domain` is NULL or live.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_mr_pool_init(
    pool: *mut kfi_mr_pool,
    domain: *mut kfi_domain,
    nr: u32,
    kind: kfi_mr_type,
    max_sg: u32,
) -> c_int {
    errno(required(pool).and_then(|pool| {
        let domain = required(domain)?;
        // SAFETY: Promised by the caller.
        let (pool, domain) = unsafe { (Pool::from_raw(pool), Domain::from_raw(domain)) };
        mr_pool::init(pool, domain, nr, kind, max_sg)
    }))
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `pool` is NULL, zeroed, or was filled; its regions are fenced.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_mr_pool_destroy(pool: *mut kfi_mr_pool) {
    if let Some(pool) = NonNull::new(pool) {
        // SAFETY: Promised by the caller.
        mr_pool::destroy(unsafe { Pool::from_raw(pool) });
    }
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `pool` was filled.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_mr_pool_get(pool: *mut kfi_mr_pool) -> *mut kfi_mr {
    // SAFETY: Promised by the caller.
    unsafe { Pool::from_raw(NonNull::new_unchecked(pool)) }.pop()
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `pool` was filled, and `mr` taken from it.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_mr_pool_put(pool: *mut kfi_mr_pool, mr: *mut kfi_mr) {
    // SAFETY: Promised by the caller.
    unsafe {
        Pool::from_raw(NonNull::new_unchecked(pool)).push(Mr::from_raw(NonNull::new_unchecked(mr)))
    }
}
