// SPDX-License-Identifier: GPL-2.0-only

//! What providers call.

use super::{
    errno,
    prototypes,
    required, //
};
use crate::{
    bindings::{
        kfi_cq,
        kfi_device,
        kfi_domain,
        kfi_info,
        kfi_mr,
        kfi_provider,
        kfi_srx,
        module, //
    },
    objects,
    registry,
    sys::{
        device::{
            Announced,
            Device, //
        },
        domain::Domain,
        info::Info,
        provider::Provider,
        queue::Cq,
        region::Mr,
        srx::Srx,
        Consumer, //
    }, //
};
use core::ptr::NonNull;
use kernel::{
    ffi::{
        c_char,
        c_int, //
    },
    prelude::*, //
};

prototypes!(
    kfi_cq_adopt,
    kfi_device_add,
    kfi_device_del,
    kfi_domain_adopt,
    kfi_info_adopt,
    kfi_mr_adopt,
    kfi_provider_add,
    kfi_provider_del,
    kfi_srx_adopt,
);

/// Documented in provider.h.
///
/// # Safety
///
/// `provider` is NULL, or valid and constant until kfi_provider_del() has returned.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_provider_add(provider: *mut kfi_provider) -> c_int {
    errno(required(provider).and_then(|provider| {
        // SAFETY: Promised by the caller.
        registry::provider_add(unsafe { Provider::from_raw(provider) }?)
    }))
}

/// Documented in provider.h.
///
/// # Safety
///
/// `provider` is NULL or was added.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_provider_del(provider: *mut kfi_provider) {
    if let Some(provider) = NonNull::new(provider) {
        registry::provider_del(|other| other.is(provider));
    }
}

/// Documented in provider.h.
///
/// # Safety
///
/// `device` is NULL, or valid and constant until kfi_device_del() has returned; `owner` is the module that provides it.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_device_add(
    device: *mut kfi_device,
    owner: *mut module,
) -> c_int {
    errno(required(device).and_then(|device| {
        // SAFETY: Promised by the caller.
        registry::device_add(unsafe { Announced::from_raw(device, owner) }?)
    }))
}

/// Documented in provider.h.
///
/// # Safety
///
/// `device` is NULL or was added.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_device_del(device: *mut kfi_device) {
    if let Some(device) = NonNull::new(device) {
        registry::device_del(|other| other.is(device));
    }
}

/// Documented in provider.h.
///
/// # Safety
///
/// `info` is NULL, or live, its device set, and not handed out yet.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_info_adopt(info: *mut kfi_info) -> c_int {
    errno(required(info).and_then(|info| {
        // SAFETY: Promised by the caller.
        unsafe { Info::from_raw(info) }.adopt()
    }))
}

/// Documented in provider.h.
///
/// # Safety
///
/// `domain` is live, its ops are set, and it is not handed out yet; `device` was added; `consumer` outlives the domain.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_domain_adopt(
    domain: *mut kfi_domain,
    device: *mut kfi_device,
    consumer: *const c_char,
) -> c_int {
    let adopt = || -> Result {
        let domain = required(domain)?;
        // SAFETY: Promised by the caller.
        let device = unsafe { Device::from_raw(required(device)?) };
        let (counts, owner) = objects::domain_admit(device)?;
        // SAFETY: Promised by the caller. The reference is the caller's from here on.
        unsafe {
            let consumer = Consumer::from_raw(consumer);
            let _ = Domain::into_raw(Domain::init(domain, device, owner, counts, consumer));
        }
        Ok(())
    };
    errno(adopt())
}

/// Documented in provider.h.
///
/// # Safety
///
/// `cq` is live and not handed out yet; `domain` is live.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_cq_adopt(cq: *mut kfi_cq, domain: *mut kfi_domain) {
    if let (Some(cq), Some(domain)) = (NonNull::new(cq), NonNull::new(domain)) {
        // SAFETY: Promised by the caller.
        unsafe { Cq::init(cq, Domain::from_raw(domain)) }
    }
}

/// Documented in provider.h.
///
/// # Safety
///
/// `mr` is live and not handed out yet; `domain` is live.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_mr_adopt(mr: *mut kfi_mr, domain: *mut kfi_domain) {
    if let (Some(mr), Some(domain)) = (NonNull::new(mr), NonNull::new(domain)) {
        // SAFETY: Promised by the caller.
        unsafe { Mr::init(mr, Domain::from_raw(domain)) }
    }
}

/// Documented in provider.h.
///
/// # Safety
///
/// `srx` is live and not handed out yet; `domain` is live.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_srx_adopt(srx: *mut kfi_srx, domain: *mut kfi_domain) {
    if let (Some(srx), Some(domain)) = (NonNull::new(srx), NonNull::new(domain)) {
        // SAFETY: Promised by the caller.
        unsafe { Srx::init(srx, Domain::from_raw(domain)) }
    }
}
