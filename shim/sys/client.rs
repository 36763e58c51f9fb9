// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_client`.

use super::device::Device;
use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    prelude::*,
    str::CStr, //
};

/// A registered client.
///
/// # Invariants
///
/// The structure is valid and constant, and none of its fields is NULL, until kfi_client_unregister() has returned. This
/// value is not used after that.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client(NonNull<bindings::kfi_client>);

// SAFETY: The structure is constant while it is registered.
unsafe impl Send for Client {}
// SAFETY: As above.
unsafe impl Sync for Client {}

impl Client {
    /// Takes a client that is about to be registered, if it is complete.
    ///
    /// # Safety
    ///
    /// `client` is valid, and stays so and constant until it is unregistered.
    pub(crate) unsafe fn from_raw(client: NonNull<bindings::kfi_client>) -> Result<Self> {
        // SAFETY: Promised by the caller.
        let fields = unsafe { client.as_ref() };
        if fields.name.is_null() || fields.add.is_none() || fields.remove.is_none() {
            return Err(EINVAL);
        }
        // INVARIANT: Checked above, or promised by the caller.
        Ok(Self(client))
    }

    /// Stands for a client that may or may not be registered: good for comparing only.
    pub(crate) fn is(&self, client: NonNull<bindings::kfi_client>) -> bool {
        self.0 == client
    }

    fn fields(&self) -> &bindings::kfi_client {
        // SAFETY: The type invariant.
        unsafe { self.0.as_ref() }
    }

    /// For messages.
    pub(crate) fn name(&self) -> &CStr {
        // SAFETY: The type invariant.
        unsafe { CStr::from_char_ptr(self.fields().name) }
    }

    /// Tells the client of a device.
    pub(crate) fn add(&self, device: &Device) -> Result {
        let Some(add) = self.fields().add else {
            return Err(EINVAL);
        };
        // SAFETY: The client is registered; the device is there while it is borrowed.
        to_result(unsafe { add(self.0.as_ptr(), device.as_raw()) })
    }

    /// For people who watch.
    pub(crate) fn trace_added(&self, device: &Device, outcome: &Result) {
        let status = outcome
            .as_ref()
            .map_or_else(|error| error.to_errno(), |()| 0);

        // SAFETY: As in `add`.
        unsafe { bindings::kfi_trace_client_added(self.0.as_ptr(), device.as_raw(), status) }
    }

    /// Tells the client that a device goes away.
    pub(crate) fn remove(&self, device: &Device) {
        if let Some(remove) = self.fields().remove {
            // SAFETY: As in `add`.
            unsafe { remove(self.0.as_ptr(), device.as_raw()) }
        }
    }
}
