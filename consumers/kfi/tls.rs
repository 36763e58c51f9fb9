// SPDX-License-Identifier: GPL-2.0-only

//! Connections that TLS protects.

use crate::bindings;
use core::marker::PhantomData;
use kernel::{
    prelude::*,
    str::CStr, //
};

/// The keys of a connection over TCP that TLS protects; `struct kfi_tls` has the details.
#[derive(Clone, Copy)]
pub struct Tls<'a> {
    /// Active side: the name that the peer's certificate has to have; without it, that of its address.
    pub peername: Option<&'a CStr>,
    /// Serial number of the keyring where the handshake agent finds the keys below; 0: where it looks anyway.
    pub keyring: i32,
    /// Serial number of our certificate; 0: that of the agent's configuration.
    pub cert: i32,
    /// Serial number of our private key; 0: as above.
    pub privkey: i32,
    /// Serial number of a pre-shared key; 0: certificates.
    pub psk: i32,
}

/// For C, as long as the strings live.
pub(super) struct Raw<'a>(Option<bindings::kfi_tls>, PhantomData<&'a CStr>);

impl<'a> Raw<'a> {
    pub(super) fn new(tls: Option<Tls<'a>>) -> Self {
        let raw = tls.map(|tls| bindings::kfi_tls {
            peername: tls.peername.map_or(core::ptr::null(), CStr::as_char_ptr),
            keyring: tls.keyring,
            cert: tls.cert,
            privkey: tls.privkey,
            psk: tls.psk,
        });
        Self(raw, PhantomData)
    }

    pub(super) fn as_ptr(&self) -> *const bindings::kfi_tls {
        self.0
            .as_ref()
            .map_or(core::ptr::null(), core::ptr::from_ref)
    }
}
