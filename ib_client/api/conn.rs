// SPDX-License-Identifier: GPL-2.0-only

//! Callbacks of the consumer, and what only C knows of a queue pair.

use super::{
    bindings,
    event::{
        EventFn,
        Notice, //
    },
    hot::{
        Hot,
        Limits, //
    }, //
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

impl Hot {
    /// Calls the consumer back.
    pub(crate) fn notify(&self, event: EventFn, notice: &Notice<'_>) {
        // SAFETY: The callback is of this endpoint, and called in process context.
        unsafe { event.call(self.public(), notice) };
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
        unsafe { CmId::notify_established(id) };
    }
}
