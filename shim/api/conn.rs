// SPDX-License-Identifier: GPL-2.0-only

//! Connections: resolution, infos, endpoints, passive endpoints.

use super::{
    end,
    errno,
    object,
    prototypes,
    required, //
};
use crate::{
    bindings::{
        __kernel_sockaddr_storage, //
        kfi_conn_param,
        kfi_domain,
        kfi_ep,
        kfi_ep_attr,
        kfi_info,
        kfi_pep,
        kfi_pep_attr,
        kfi_resolve_attr,
    },
    check,
    objects,
    resolve,
    sys::{
        domain::Domain,
        endpoint::{
            ConnParam,
            Ep,
            EpAttr, //
        },
        info::Info,
        own::Own,
        pep::{
            Pep,
            PepAttr, //
        },
        resolve::ResolveAttr,
        Consumer, //
    }, //
};
use core::ptr::NonNull;
use kernel::{
    ffi::{
        c_char,
        c_int,
        c_void, //
    },
    prelude::*, //
};

prototypes!(
    __kfi_pep_open,
    __kfi_resolve,
    kfi_ep_abort,
    kfi_ep_accept,
    kfi_ep_addr,
    kfi_ep_close,
    kfi_ep_connect,
    kfi_ep_drain,
    kfi_ep_open,
    kfi_ep_shutdown,
    kfi_info_put,
    kfi_info_reject,
    kfi_pep_close,
);

/// A view of the endpoint that a consumer passes.
///
/// # Safety
///
/// `ep` is NULL or live for `'a`.
unsafe fn view<'a>(ep: *mut kfi_ep) -> Result<&'a Ep> {
    // SAFETY: Promised by the caller.
    Ok(unsafe { Ep::from_raw(required(ep)?) })
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `attr` is NULL, or valid and its pointers NULL or valid; `owner` outlives the connection.
#[no_mangle]
pub(crate) unsafe extern "C" fn __kfi_resolve(
    attr: *const kfi_resolve_attr,
    owner: *const c_char,
) -> *mut kfi_info {
    object(required(attr).and_then(|attr| {
        // SAFETY: Promised by the caller.
        let (attr, consumer) = unsafe { (ResolveAttr::new(attr)?, Consumer::from_raw(owner)) };
        resolve::start(&attr, consumer)
    }))
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `info` is NULL, an ERR_PTR, or the caller's.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_info_put(info: *mut kfi_info) {
    // SAFETY: Promised by the caller.
    unsafe { end::<Info>(info) }
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `info` is NULL or the caller's; `private_data` is NULL or valid for `len` bytes.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_info_reject(
    info: *mut kfi_info,
    private_data: *const c_void,
    len: u32,
) -> c_int {
    let reject = || -> Result {
        let info = required(info)?;
        // SAFETY: Promised by the caller.
        let limits = unsafe { Info::from_raw(info) }.request_limits()?;
        check::private_data(&limits, private_data.is_null(), len)?;
        let data = match NonNull::new(private_data.cast_mut()) {
            // SAFETY: Promised by the caller.
            Some(data) => unsafe {
                core::slice::from_raw_parts(data.as_ptr().cast::<u8>(), len as usize)
            },
            None => &[],
        };
        // SAFETY: Promised by the caller.
        Info::reject(unsafe { Own::from_raw(info) }, data)
    };
    errno(reject())
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `info` is NULL or the caller's; `domain` is NULL or live; `attr` is NULL, or valid and its pointers NULL or live.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_ep_open(
    info: *mut kfi_info,
    domain: *mut kfi_domain,
    attr: *mut kfi_ep_attr,
) -> *mut kfi_ep {
    let open = || {
        let (info, domain, attr) = (required(info)?, required(domain)?, required(attr)?);
        // SAFETY: Promised by the caller.
        let (info, domain, mut attr) = unsafe {
            (
                Own::<Info>::from_raw(info),
                Domain::from_raw(domain),
                EpAttr::from_raw(attr),
            )
        };
        objects::ep_open(info, domain, &mut attr).map_err(|(error, info)| {
            // It stays the caller's.
            let _ = info.into_raw();
            error
        })
    };
    object(open())
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `ep` is NULL, an ERR_PTR, or the caller's.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_ep_close(ep: *mut kfi_ep) {
    // SAFETY: Promised by the caller.
    unsafe { end::<Ep>(ep) }
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `ep` is NULL or live; `param` is NULL, or valid and so is its private data.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_ep_connect(
    ep: *mut kfi_ep,
    param: *const kfi_conn_param,
) -> c_int {
    let connect = || -> Result {
        // SAFETY: Promised by the caller.
        let ep = unsafe { view(ep) }?;
        // SAFETY: Promised by the caller.
        ep.connect(&unsafe { ConnParam::new(required(param)?, &ep.domain().device().limits()) }?)
    };
    errno(connect())
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `ep` is NULL or live; `param` is NULL, or valid and so is its private data.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_ep_accept(
    ep: *mut kfi_ep,
    param: *const kfi_conn_param,
) -> c_int {
    let accept = || -> Result {
        // SAFETY: Promised by the caller.
        let ep = unsafe { view(ep) }?;
        // SAFETY: Promised by the caller.
        ep.accept(&unsafe { ConnParam::new(required(param)?, &ep.domain().device().limits()) }?)
    };
    errno(accept())
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `ep` is NULL or live.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_ep_shutdown(ep: *mut kfi_ep) -> c_int {
    // SAFETY: Promised by the caller.
    errno(unsafe { view(ep) }.and_then(Ep::shutdown))
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `ep` is NULL or live.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_ep_abort(ep: *mut kfi_ep) -> c_int {
    // SAFETY: Promised by the caller.
    errno(unsafe { view(ep) }.and_then(Ep::abort))
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `ep` is NULL or live.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_ep_drain(ep: *mut kfi_ep, which: u32) {
    // SAFETY: Promised by the caller.
    if let Ok(ep) = unsafe { view(ep) } {
        objects::ep_drain(ep, which);
    }
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `ep` is NULL or live; `addr` is NULL or valid for writes.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_ep_addr(
    ep: *mut kfi_ep,
    peer: bool,
    addr: *mut __kernel_sockaddr_storage,
) -> c_int {
    // SAFETY: Promised by the caller.
    errno(unsafe { view(ep) }.and_then(|ep| {
        // SAFETY: Promised by the caller.
        unsafe { ep.addr(peer, required(addr)?) }
    }))
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `attr` is NULL, or valid and its pointers NULL or valid; `owner` outlives the passive endpoint.
#[no_mangle]
pub(crate) unsafe extern "C" fn __kfi_pep_open(
    attr: *const kfi_pep_attr,
    owner: *const c_char,
) -> *mut kfi_pep {
    object(required(attr).and_then(|attr| {
        // SAFETY: Promised by the caller.
        let (attr, consumer) = unsafe { (PepAttr::new(attr)?, Consumer::from_raw(owner)) };
        resolve::pep_open(&attr, consumer)
    }))
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `pep` is NULL, an ERR_PTR, or the caller's.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_pep_close(pep: *mut kfi_pep) {
    // SAFETY: Promised by the caller.
    unsafe { end::<Pep>(pep) }
}
