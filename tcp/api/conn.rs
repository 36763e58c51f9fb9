// SPDX-License-Identifier: GPL-2.0-only

//! Heads of connections, and callbacks of the consumer.

use super::{
    bindings,
    device,
    event::{
        self,
        EventFn,
        Notice,
        ResolveFn, //
    },
    head::head,
    info,
    object, //
};
use crate::{
    sys::addr::{
        Addr,
        Net, //
    },
    tcp::{
        conn::Conn,
        listen::Pep, //
    },
};
use kernel::{
    error::to_result,
    ffi::c_int,
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

impl EpHead {
    /// Calls the consumer back.
    pub(crate) fn notify(&self, event: EventFn, notice: &Notice<'_>) {
        // SAFETY: The callback is of this endpoint, and called in a work item.
        unsafe { event.call(self.as_ptr(), notice) };
    }
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

    /// Calls the consumer back: it is resolved, or will not be.
    pub(crate) fn resolved(&self, done: ResolveFn, status: c_int) {
        // SAFETY: The callback is of this resolution, and called once, in a work item.
        unsafe { done.call(self.as_ptr(), status) };
    }

    fn announce(&self) -> Result {
        // SAFETY: The info is filled in, and part of a connection that the caller holds.
        to_result(unsafe { bindings::kfi_info_adopt(self.as_ptr()) })
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
        let event = event::request(object::give(conn.clone()));
        conn.in_callback(|| pep.head.notify(&event));
    });
    delivered
}
