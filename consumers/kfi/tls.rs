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
    /// Serial number of a pre-shared key; 0: certificates, those of the handshake agent's configuration.
    pub psk: i32,
}

/// For C, as long as the strings live.
pub(super) struct Raw<'a>(Option<bindings::kfi_tls>, PhantomData<&'a CStr>);

impl<'a> Raw<'a> {
    pub(super) fn new(tls: Option<Tls<'a>>) -> Self {
        let raw = tls.map(|tls| bindings::kfi_tls {
            peername: tls.peername.map_or(core::ptr::null(), CStr::as_char_ptr),
            psk: tls.psk,
            ..Default::default()
        });
        Self(raw, PhantomData)
    }

    pub(super) fn as_ptr(&self) -> *const bindings::kfi_tls {
        self.0
            .as_ref()
            .map_or(core::ptr::null(), core::ptr::from_ref)
    }
}
