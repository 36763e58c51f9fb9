// SPDX-License-Identifier: GPL-2.0-only

//! Clients.

use super::{
    errno,
    prototypes,
    required, //
};
use crate::{
    bindings::kfi_client,
    registry,
    sys::client::Client, //
};
use core::ptr::NonNull;
use kernel::ffi::c_int;

prototypes!(kfi_client_register, kfi_client_unregister);

/// Documented in kfi.h.
///
/// # Safety
///
/// `client` is NULL, or valid and constant until it is unregistered.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_client_register(client: *mut kfi_client) -> c_int {
    errno(required(client).and_then(|client| {
        // SAFETY: Promised by the caller.
        registry::client_register(unsafe { Client::from_raw(client) }?)
    }))
}

/// Documented in kfi.h.
///
/// # Safety
///
/// `client` is NULL or was registered.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_client_unregister(client: *mut kfi_client) {
    if let Some(client) = NonNull::new(client) {
        registry::client_unregister(|other| other.is(client));
    }
}
