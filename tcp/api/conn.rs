// SPDX-License-Identifier: GPL-2.0-only

//! Heads of connections, and callbacks of the consumer.

use super::{
    bindings,
    device,
    info,
    object::{
        self,
        head, //
    }, //
};
use crate::{
    sys::{
        addr::{
            Addr,
            Net, //
        },
        errno, //
    },
    tcp::{
        conn::Conn,
        listen::Pep, //
    },
};
use core::ptr;
use kernel::{
    error::to_result,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    sync::{
        Arc,
        SetOnce, //
    },
    types::Opaque, //
};

head! {
    /// The public endpoint.
    EpHead, bindings::kfi_ep, bindings::kfi_ep::default()
}

/// The public info, and the private data that it points to.
///
/// # Invariants
///
/// Written only before the consumer may read it.
#[repr(C)]
pub(crate) struct InfoHead {
    public: Opaque<bindings::kfi_info>,
    request: SetOnce<KVec<u8>>,
}

// SAFETY: The public part is the consumer's and kfi.ko's; the rest follows the type invariants.
unsafe impl Send for InfoHead {}
// SAFETY: As above.
unsafe impl Sync for InfoHead {}

impl InfoHead {
    /// An info without addresses.
    pub(crate) fn new(net: &Net) -> Self {
        Self {
            public: Opaque::new(bindings::kfi_info {
                net: net.as_raw(),
                ops: info::OPS.as_ptr(),
                device: device::device(),
                port: 1,
                ..Default::default()
            }),
            request: SetOnce::new(),
        }
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::kfi_info {
        self.public.get()
    }

    /// Both addresses. Called before the consumer hears of the info.
    pub(crate) fn set_addrs(&self, local: &Addr, peer: &Addr) {
        // SAFETY: The consumer does not know the info yet.
        unsafe {
            (*self.as_ptr()).src = local.to_storage();
            (*self.as_ptr()).dst = peer.to_storage();
        }
    }

    /// What a peer asks for. Called before the consumer hears of the info.
    pub(crate) fn set_request(&self, private: KVec<u8>, ird: u8, ord: u8) {
        if !self.request.populate(private) {
            return;
        }
        // SAFETY: The consumer does not know the info yet.
        let public = unsafe { &mut *self.as_ptr() };
        if let Some(request) = self.request.as_ref().filter(|request| !request.is_empty()) {
            public.private_data = request.as_ptr().cast();
            // Not more than a connection message carries.
            public.private_data_len = request.len() as u32;
        }
        public.ird = ird;
        public.ord = ord;
    }

    fn announce(&self) -> Result {
        // SAFETY: The info is filled in, and part of a connection that the caller holds.
        to_result(unsafe { bindings::kfi_info_adopt(self.as_ptr()) })
    }
}

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
    pub(crate) fn call(&self, info: &InfoHead, status: c_int) {
        // SAFETY: The callback is the consumer's, for the info of the same resolution, in process context.
        unsafe { (self.done)(info.as_ptr(), status, self.private) };
    }
}

/// `kfi_ep_attr.event`.
#[derive(Clone, Copy)]
pub(crate) struct EventFn(unsafe extern "C" fn(*mut bindings::kfi_ep, *const bindings::kfi_event));

impl EventFn {
    /// The callback, if there is one.
    pub(super) fn new(
        event: Option<unsafe extern "C" fn(*mut bindings::kfi_ep, *const bindings::kfi_event)>,
    ) -> Option<Self> {
        event.map(Self)
    }

    /// Calls it.
    pub(crate) fn call(&self, ep: &EpHead, notice: &Notice<'_>) {
        let event = notice.to_raw();
        // SAFETY: The callback is the consumer's, for its own endpoint, in process context.
        unsafe { (self.0)(ep.as_ptr(), &event) };
    }
}

/// An event, as the consumer hears of it.
#[derive(Clone, Copy)]
pub(crate) struct Notice<'a> {
    kind: bindings::kfi_event_type,
    status: c_int,
    private_data: &'a [u8],
    ird: u8,
    ord: u8,
}

impl<'a> Notice<'a> {
    fn new(kind: bindings::kfi_event_type, status: c_int) -> Self {
        Self {
            kind,
            status,
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
    pub(crate) fn rejected() -> Self {
        let status = errno::econnrefused().to_errno();
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

    /// With private data of the peer's.
    pub(crate) fn data(self, private_data: &'a [u8]) -> Self {
        Self {
            private_data,
            ..self
        }
    }

    /// With the numbers of reads that the peer may have outstanding at us, and we at the peer.
    pub(crate) fn reads(self, ird: u8, ord: u8) -> Self {
        Self { ird, ord, ..self }
    }

    fn to_raw(self) -> bindings::kfi_event {
        bindings::kfi_event {
            type_: self.kind,
            status: self.status,
            prov_status: self.status,
            private_data: if self.private_data.is_empty() {
                ptr::null()
            } else {
                self.private_data.as_ptr().cast()
            },
            // Not more than a connection message carries.
            private_data_len: self.private_data.len() as u32,
            ird: self.ird,
            ord: self.ord,
            info: ptr::null_mut(),
        }
    }
}

/// Hands a request to the consumer; returns whether it has it now.
pub(crate) fn deliver_request(pep: &Arc<Pep>, conn: &Arc<Conn>) -> bool {
    let mut delivered = false;
    pep.in_callback(|| {
        if conn.info.announce().is_err() {
            return;
        }
        delivered = true;
        // The consumer's from here on; it may give it up before its callback returns.
        let event = bindings::kfi_event {
            type_: bindings::kfi_event_type_KFI_EVENT_CONNREQ,
            info: object::give::<bindings::kfi_info, _>(conn.clone()),
            ..Default::default()
        };
        conn.in_callback(|| pep.head.notify(&event));
    });
    delivered
}
