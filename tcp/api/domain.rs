// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_domain`.

use super::{
    bindings,
    cq,
    head::head,
    mr,
    object::{
        self,
        Table, //
    },
    srx, //
};
use crate::{
    sys::memory::LOCAL_KEY,
    tcp::domain::Domain, //
};
use kernel::{
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*, //
};

head! {
    /// The public domain.
    DomainHead, bindings::kfi_domain, bindings::kfi_domain {
        ops: OPS.as_ptr(),
        local_dma_lkey: LOCAL_KEY,
        ..Default::default()
    }
}

/// # Safety
///
/// `domain` is of this provider and not used any more.
unsafe extern "C" fn free(domain: *mut bindings::kfi_domain) {
    // SAFETY: By the function's contract.
    drop(unsafe { object::take::<_, Domain>(domain) });
}

/// # Safety
///
/// `ptr` is kernel memory, for as long as it is mapped.
unsafe extern "C" fn dma_map_single(
    _domain: *mut bindings::kfi_domain,
    ptr: *mut c_void,
    _size: usize,
    _dir: bindings::dma_data_direction,
) -> u64 {
    ptr as u64
}

/// # Safety
///
/// None.
unsafe extern "C" fn dma_unmap_single(
    _domain: *mut bindings::kfi_domain,
    _addr: u64,
    _size: usize,
    _dir: bindings::dma_data_direction,
) {
}

/// # Safety
///
/// None.
unsafe extern "C" fn dma_mapping_error(_domain: *mut bindings::kfi_domain, addr: u64) -> c_int {
    if addr == 0 {
        ENOMEM.to_errno()
    } else {
        0
    }
}

/// # Safety
///
/// `sg` has `nents` elements.
unsafe extern "C" fn dma_map_sg(
    _domain: *mut bindings::kfi_domain,
    sg: *mut bindings::scatterlist,
    nents: c_int,
    _dir: bindings::dma_data_direction,
) -> c_int {
    let mut at = sg;
    for _ in 0..nents {
        if at.is_null() {
            return EINVAL.to_errno();
        }
        // SAFETY: By the function's contract `at` is an element.
        at = unsafe {
            bindings::kfi_sg_map_virt(at);
            bindings::kfi_sg_next(at)
        };
    }
    nents
}

/// # Safety
///
/// None.
unsafe extern "C" fn dma_unmap_sg(
    _domain: *mut bindings::kfi_domain,
    _sg: *mut bindings::scatterlist,
    _nents: c_int,
    _dir: bindings::dma_data_direction,
) {
}

/// # Safety
///
/// None.
unsafe extern "C" fn dma_sync_single(
    _domain: *mut bindings::kfi_domain,
    _addr: u64,
    _size: usize,
    _dir: bindings::dma_data_direction,
    _for_cpu: bool,
) {
}

object::object!(Domain, head, bindings::kfi_domain);

/// The table of domains.
pub(super) static OPS: Table<bindings::kfi_domain_ops> = Table(bindings::kfi_domain_ops {
    free: Some(free),
    cq_alloc: Some(cq::alloc),
    mr_alloc: Some(mr::alloc),
    srx_alloc: Some(srx::alloc),
    dma_map_single: Some(dma_map_single),
    dma_unmap_single: Some(dma_unmap_single),
    dma_mapping_error: Some(dma_mapping_error),
    dma_map_sg: Some(dma_map_sg),
    dma_unmap_sg: Some(dma_unmap_sg),
    dma_sync_single: Some(dma_sync_single),
});
