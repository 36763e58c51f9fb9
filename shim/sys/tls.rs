// SPDX-License-Identifier: GPL-2.0-only

//! What is needed for TLS on a socket. [`Socket`](super::socket::Socket) has the rest.

use crate::bindings;
use kernel::{
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    str::CStr,
    sync::{
        Arc,
        ArcBorrow, //
    }, //
};

/// First byte of a peer that starts with TLS: the record type of a handshake.
pub(crate) const HANDSHAKE: u8 = 22;

/// `TLS_NO_PEERID`
const NO_PEER: i32 = 0;

/// Largest name of a peer.
const NAME_MAX: usize = 253;

/// A copy of `struct kfi_tls`.
///
/// # Invariants
///
/// `raw.peername` is NULL or the string in `name`.
pub(crate) struct Tls {
    raw: bindings::kfi_tls,
    name: KVec<u8>,
}

// SAFETY: The pointer leads to a string that the type owns and does not change.
unsafe impl Send for Tls {}
// SAFETY: As above.
unsafe impl Sync for Tls {}

impl Tls {
    /// Copies what the consumer asks for; `None` for NULL. [`EINVAL`] when the name is too long.
    ///
    /// # Safety
    ///
    /// `tls` is NULL or valid, and so is its name.
    pub(crate) unsafe fn from_raw(tls: *const bindings::kfi_tls) -> Result<Option<Self>> {
        // SAFETY: Promised by the caller.
        let Some(tls) = (unsafe { tls.as_ref() }) else {
            return Ok(None);
        };
        let mut name = KVec::new();
        if !tls.peername.is_null() {
            // SAFETY: Promised by the caller.
            let text = unsafe { CStr::from_char_ptr(tls.peername) };
            if text.to_bytes().len() > NAME_MAX {
                return Err(EINVAL);
            }
            name.extend_from_slice(text.to_bytes_with_nul(), GFP_KERNEL)?;
        }
        let raw = bindings::kfi_tls {
            // The memory stays where it is when the vector moves.
            peername: if name.is_empty() {
                core::ptr::null()
            } else {
                name.as_ptr().cast()
            },
            keyring: tls.keyring,
            cert: tls.cert,
            privkey: tls.privkey,
            psk: tls.psk,
        };
        // INVARIANT: Set just now, or NULL as the consumer's.
        Ok(Some(Self { raw, name }))
    }

    /// For C, as long as this lives.
    pub(crate) fn as_raw(&self) -> *const bindings::kfi_tls {
        &self.raw
    }

    /// Whether it admits a peer whose handshake the agent has let pass: one with a certificate, or with the pre-shared key
    /// that was asked for. `peer` is the key that the agent names: it lets clients pass that show none, or another one.
    pub(crate) fn admits(&self, peer: i32) -> bool {
        if self.raw.psk != 0 {
            peer == self.raw.psk
        } else {
            peer != NO_PEER
        }
    }

    /// Whether both ask for the same.
    pub(crate) fn same(&self, other: &Self) -> bool {
        let keys = |tls: &bindings::kfi_tls| (tls.keyring, tls.cert, tls.privkey, tls.psk);
        keys(&self.raw) == keys(&other.raw) && self.name[..] == other.name[..]
    }
}

/// Wants to know how a handshake has ended.
pub(crate) trait Secured: Send + Sync + 'static {
    /// It has: 0 or an error, and the key that the agent names for the peer. Process context, in a task of the agent's.
    fn secured(this: ArcBorrow<'_, Self>, status: i32, peer: i32);
}

/// What the agent's answer leads to.
///
/// # Safety
///
/// `data` is a reference to `W`, given away to the handshake.
pub(super) unsafe extern "C" fn done<W: Secured>(data: *mut c_void, status: c_int, peer: i32) {
    // SAFETY: By the function's contract.
    let this = unsafe { Arc::from_raw(data.cast::<W>()) };
    W::secured(this.as_arc_borrow(), status, peer);
}
