// SPDX-License-Identifier: GPL-2.0-only

//! Callbacks of the consumer, and what it hears in them. A part of each provider.

use super::bindings;
use core::ptr;
use kernel::ffi::{
    c_int,
    c_void, //
};

/// `kfi_resolve_attr.done` and its argument.
#[derive(Clone, Copy)]
pub(crate) struct ResolveFn {
    done: unsafe extern "C" fn(*mut bindings::kfi_info, c_int, *mut c_void),
    private: *mut c_void,
}

// SAFETY: The argument is the consumer's, which wants it back in a callback in whatever task.
unsafe impl Send for ResolveFn {}

impl ResolveFn {
    /// The callback of `attr`.
    pub(super) fn new(attr: &bindings::kfi_resolve_attr) -> Option<Self> {
        Some(Self {
            done: attr.done?,
            private: attr.priv_,
        })
    }

    /// Calls it.
    ///
    /// # Safety
    ///
    /// `info` is of the resolution that the callback was given for, this is process context, and it was not called before.
    pub(super) unsafe fn call(self, info: *mut bindings::kfi_info, status: c_int) {
        // SAFETY: By the function's contract.
        unsafe { (self.done)(info, status, self.private) };
    }
}

/// `kfi_ep_attr.event`.
#[derive(Clone, Copy)]
pub(crate) struct EventFn(unsafe extern "C" fn(*mut bindings::kfi_ep, *const bindings::kfi_event));

impl EventFn {
    /// The callback of `attr`, if there is one.
    pub(super) fn new(attr: &bindings::kfi_ep_attr) -> Option<Self> {
        attr.event.map(Self)
    }

    /// Calls it.
    ///
    /// # Safety
    ///
    /// `ep` is the endpoint that the callback was given for, and this is process context.
    pub(super) unsafe fn call(self, ep: *mut bindings::kfi_ep, notice: &Notice<'_>) {
        let event = notice.to_raw();
        // SAFETY: By the function's contract.
        unsafe { (self.0)(ep, &event) };
    }
}

/// `kfi_pep_attr.event`.
#[derive(Clone, Copy)]
pub(super) struct PepEventFn(
    unsafe extern "C" fn(*mut bindings::kfi_pep, *const bindings::kfi_event),
);

impl PepEventFn {
    /// The callback of `attr`, if there is one.
    pub(super) fn new(attr: &bindings::kfi_pep_attr) -> Option<Self> {
        attr.event.map(Self)
    }

    /// Calls it.
    ///
    /// # Safety
    ///
    /// `pep` is the passive endpoint that the callback was given for, and this is process context.
    pub(super) unsafe fn call(self, pep: *mut bindings::kfi_pep, event: &bindings::kfi_event) {
        // SAFETY: By the function's contract.
        unsafe { (self.0)(pep, event) };
    }
}

/// A connect request, which becomes the consumer's with its delivery.
pub(super) fn request(info: *mut bindings::kfi_info) -> bindings::kfi_event {
    bindings::kfi_event {
        type_: bindings::kfi_event_type_KFI_EVENT_CONNREQ,
        info,
        ..Default::default()
    }
}

/// An event, as the consumer hears of it.
#[derive(Clone, Copy)]
pub(crate) struct Notice<'a> {
    kind: bindings::kfi_event_type,
    status: c_int,
    prov_status: c_int,
    private_data: &'a [u8],
    ird: u8,
    ord: u8,
}

#[allow(dead_code, reason = "not every provider has all events")]
impl<'a> Notice<'a> {
    fn new(kind: bindings::kfi_event_type, status: c_int) -> Self {
        Self {
            kind,
            status,
            prov_status: status,
            private_data: &[],
            ird: 0,
            ord: 0,
        }
    }

    /// Connected.
    pub(crate) fn established() -> Self {
        Self::new(bindings::kfi_event_type_KFI_EVENT_ESTABLISHED, 0)
    }

    /// The peer refused.
    pub(crate) fn rejected(status: c_int) -> Self {
        Self::new(bindings::kfi_event_type_KFI_EVENT_REJECTED, status)
    }

    /// Connecting failed.
    pub(crate) fn error(status: c_int) -> Self {
        Self::new(bindings::kfi_event_type_KFI_EVENT_ERROR, status)
    }

    /// The connection ended.
    pub(crate) fn disconnected(status: c_int) -> Self {
        Self::new(bindings::kfi_event_type_KFI_EVENT_DISCONNECTED, status)
    }

    /// The address moved.
    pub(crate) fn addr_change() -> Self {
        Self::new(bindings::kfi_event_type_KFI_EVENT_ADDR_CHANGE, 0)
    }

    /// With private data of the peer's.
    pub(crate) fn data(self, private_data: &'a [u8]) -> Self {
        Self {
            private_data,
            ..self
        }
    }

    /// With the provider's own code.
    pub(crate) fn code(self, prov_status: c_int) -> Self {
        Self {
            prov_status,
            ..self
        }
    }

    /// With the numbers of reads that the peer may have outstanding at us, and we at the peer.
    pub(crate) fn reads(self, ird: u8, ord: u8) -> Self {
        Self { ird, ord, ..self }
    }

    /// The C form; it points to the private data.
    pub(super) fn to_raw(self) -> bindings::kfi_event {
        bindings::kfi_event {
            type_: self.kind,
            status: self.status,
            prov_status: self.prov_status,
            private_data: if self.private_data.is_empty() {
                ptr::null()
            } else {
                self.private_data.as_ptr().cast()
            },
            // Not more than a connect request or its answer carries.
            private_data_len: self.private_data.len() as u32,
            ird: self.ird,
            ord: self.ord,
            info: ptr::null_mut(),
        }
    }
}
