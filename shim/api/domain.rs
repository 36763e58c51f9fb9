// SPDX-License-Identifier: GPL-2.0-only

//! Domains and DMA mapping.
//!
//! The mapping functions run for each operation of a consumer, so they check no more than C would.

use super::{
    errno,
    pointer,
    prototypes,
    required, //
};
use crate::{
    bindings::{
        dma_data_direction,
        kfi_device,
        kfi_domain,
        scatterlist, //
    },
    objects,
    sys::{
        device::Device,
        domain::Domain,
        Consumer, //
    }, //
};
use core::ptr::NonNull;
use kernel::{
    error::from_err_ptr,
    ffi::{
        c_char,
        c_int,
        c_void, //
    },
    prelude::*, //
};

prototypes!(
    __kfi_dma_map_single,
    __kfi_dma_mapping_error,
    __kfi_dma_sync_single_for_cpu,
    __kfi_dma_sync_single_for_device,
    __kfi_dma_unmap_single,
    __kfi_domain_open,
    kfi_device_port_id,
    kfi_dma_map_sg,
    kfi_dma_unmap_sg,
    kfi_domain_get,
    kfi_domain_put,
);

/// Documented in kfi.h.
///
/// # Safety
///
/// `device` is NULL, or a device that the caller may use; `id` is NULL or has room for KFI_PORT_ID_SIZE bytes.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_device_port_id(
    device: *mut kfi_device,
    port: u32,
    id: *mut u8,
) -> c_int {
    errno(required(device).and_then(|device| {
        let id = required(id)?;
        // SAFETY: Promised by the caller.
        unsafe { objects::port_id(Device::from_raw(device), port, id.cast().as_mut()) }
    }))
}

/// A view of the domain that a consumer passes.
///
/// # Safety
///
/// `domain` is live for `'a`.
#[inline(always)]
unsafe fn view<'a>(domain: *mut kfi_domain) -> &'a Domain {
    // SAFETY: Promised by the caller.
    unsafe { Domain::from_raw(NonNull::new_unchecked(domain)) }
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `device` is NULL, or a device that the caller may use; `owner` outlives the domain.
#[no_mangle]
pub(crate) unsafe extern "C" fn __kfi_domain_open(
    device: *mut kfi_device,
    flags: u32,
    owner: *const c_char,
) -> *mut kfi_domain {
    pointer(required(device).and_then(|device| {
        // SAFETY: Promised by the caller.
        let (device, consumer) = unsafe { (Device::from_raw(device), Consumer::from_raw(owner)) };
        objects::domain_open(device, flags, consumer).map(Domain::into_raw)
    }))
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `domain` is live.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_domain_get(domain: *mut kfi_domain) -> *mut kfi_domain {
    // SAFETY: Promised by the caller.
    Domain::into_raw(unsafe { view(domain) }.into())
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `domain` is NULL, an ERR_PTR, or the caller owns a reference to it.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_domain_put(domain: *mut kfi_domain) {
    if let Some(domain) = from_err_ptr(domain).ok().and_then(NonNull::new) {
        // SAFETY: Promised by the caller.
        drop(unsafe { Domain::own(domain) });
    }
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `domain` is live, `ptr` is valid for `size` bytes until it is unmapped.
#[no_mangle]
pub(crate) unsafe extern "C" fn __kfi_dma_map_single(
    domain: *mut kfi_domain,
    ptr: *mut c_void,
    size: usize,
    dir: dma_data_direction,
) -> u64 {
    // SAFETY: Promised by the caller.
    unsafe { view(domain).dma_map_single(ptr, size, dir) }
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `domain` is live, the rest is what was mapped.
#[no_mangle]
pub(crate) unsafe extern "C" fn __kfi_dma_unmap_single(
    domain: *mut kfi_domain,
    addr: u64,
    size: usize,
    dir: dma_data_direction,
) {
    // SAFETY: Promised by the caller.
    unsafe { view(domain).dma_unmap_single(addr, size, dir) }
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `domain` is live.
#[no_mangle]
pub(crate) unsafe extern "C" fn __kfi_dma_mapping_error(
    domain: *mut kfi_domain,
    addr: u64,
) -> c_int {
    // SAFETY: Promised by the caller.
    unsafe { view(domain) }.dma_mapping_error(addr)
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `domain` is live; `sg` is NULL, or has `nents` elements and stays valid until it is unmapped.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_dma_map_sg(
    domain: *mut kfi_domain,
    sg: *mut scatterlist,
    nents: c_int,
    dir: dma_data_direction,
) -> c_int {
    if sg.is_null() || nents <= 0 {
        return EINVAL.to_errno();
    }
    // SAFETY: Promised by the caller.
    unsafe { view(domain).dma_map_sg(sg, nents, dir) }
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `domain` is live, the rest is what was mapped.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_dma_unmap_sg(
    domain: *mut kfi_domain,
    sg: *mut scatterlist,
    nents: c_int,
    dir: dma_data_direction,
) {
    // SAFETY: Promised by the caller.
    unsafe { view(domain).dma_unmap_sg(sg, nents, dir) }
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `domain` is live, the rest is within what was mapped.
#[no_mangle]
pub(crate) unsafe extern "C" fn __kfi_dma_sync_single_for_cpu(
    domain: *mut kfi_domain,
    addr: u64,
    size: usize,
    dir: dma_data_direction,
) {
    // SAFETY: Promised by the caller.
    unsafe { view(domain).dma_sync_single(addr, size, dir, true) }
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `domain` is live, the rest is within what was mapped.
#[no_mangle]
pub(crate) unsafe extern "C" fn __kfi_dma_sync_single_for_device(
    domain: *mut kfi_domain,
    addr: u64,
    size: usize,
    dir: dma_data_direction,
) {
    // SAFETY: Promised by the caller.
    unsafe { view(domain).dma_sync_single(addr, size, dir, false) }
}
