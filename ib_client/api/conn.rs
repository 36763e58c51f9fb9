// SPDX-License-Identifier: GPL-2.0-only

//! Callbacks of the consumer, and what only C knows of a queue pair.

use super::{
    bindings,
    hot::{
        Hot,
        Limits, //
    },
    info::InfoHead, //
};
use crate::{
    conn::Conn,
    verbs::{
        addr::SockAddr,
        cm::CmId,
        qp::{
            Config,
            Hooks,
            Qp, //
        }, //
    }, //
};
use core::{
    mem::{
        offset_of,
        size_of, //
    },
    ptr,
    sync::atomic::{
        AtomicPtr,
        Ordering, //
    }, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

const _: () = assert!(size_of::<SockAddr>() == size_of::<bindings::__kernel_sockaddr_storage>());

/// Copies an address.
///
/// # Safety
///
/// `to` is valid for writes.
pub(super) unsafe fn copy_addr(from: &SockAddr, to: *mut bindings::__kernel_sockaddr_storage) {
    // SAFETY: By the function's contract. CAST: both are the bytes of an address, of the same size.
    unsafe { to.cast::<SockAddr>().write_unaligned(*from) };
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
    pub(crate) fn call(&self, ep: &Hot, notice: &Notice<'_>) {
        let event = notice.to_raw();
        // SAFETY: The callback is the consumer's, for its own endpoint, in process context.
        unsafe { (self.0)(ep.public(), &event) };
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

    /// With the code of rdma_cm.
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
            // Private data of rdma_cm has a length of 8 bits.
            private_data_len: self.private_data.len() as u32,
            ird: self.ird,
            ord: self.ord,
            info: ptr::null_mut(),
        }
    }
}

/// The rdma_cm identifier, for events of the queue pair.
pub(crate) struct CmRaw(AtomicPtr<bindings::rdma_cm_id>);

impl CmRaw {
    /// None yet.
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Set before the queue pair is created.
    fn set(&self, id: &CmId) {
        self.0.store(id.as_raw(), Ordering::Release);
    }
}

/// Creates the queue pair of a connection. Its context is the public endpoint, for shared receives.
pub(crate) fn create_qp(conn: &Conn, id: Arc<CmId>, config: Config) -> Result<Arc<Qp>> {
    let hooks = Hooks {
        context: conn.hot.public().cast(),
        event_handler: Some(qp_event),
    };
    conn.cm_id.set(&id);
    // SAFETY: The connection outlives its queue pair: teardown destroys that while it holds a reference.
    unsafe { Qp::with_hooks(id, config, hooks) }
}

/// Makes a connection an endpoint.
pub(crate) fn open_hot(hot: &Hot, qp: &Qp, limits: &Limits) -> Result {
    // SAFETY: Teardown destroys the queue pair, after a grace period that follows its change of the state.
    unsafe { hot.open(qp.as_raw(), limits) }
}

/// An asynchronous event of a queue pair, in any context.
///
/// # Safety
///
/// Called by the RDMA core with the context that [`create_qp`] gave, while the queue pair exists.
unsafe extern "C" fn qp_event(event: *mut bindings::ib_event, context: *mut c_void) {
    // SAFETY: By the function's contract.
    if unsafe { (*event).event } != bindings::ib_event_type_IB_EVENT_COMM_EST {
        return;
    }
    // SAFETY: The connection outlives its queue pair. CAST: the context is the public endpoint.
    let conn = unsafe {
        &*context
            .cast_const()
            .byte_sub(offset_of!(Conn, hot))
            .cast::<Conn>()
    };
    let id = conn.cm_id.0.load(Ordering::Acquire);
    if !id.is_null() {
        // A message has overtaken the last step of the connection's set-up. Failure means that it is known already.
        // SAFETY: The identifier outlives the queue pair.
        unsafe { bindings::rdma_notify(id, bindings::ib_event_type_IB_EVENT_COMM_EST) };
    }
}
