// SPDX-License-Identifier: GPL-2.0-only

//! Connections: one object for each rdma_cm identifier, from its first day to its last.
//!
//! A connection starts as a `struct kfi_info`, resolved by us or requested by a peer. [`Conn::open`] turns it into a
//! `struct kfi_ep` in place. States, references and teardown are those of Documentation/kfi/lifetimes.rst:
//!
//! - [`resolve`]: from an address to a route;
//! - [`connect`]: what the consumer asks for: open, connect, accept, shutdown, abort, drain;
//! - [`events`]: what rdma_cm tells;
//! - [`teardown`]: the one way in which a connection ends.

#![deny(unsafe_code)]

pub(crate) mod connect;
mod events;
pub(crate) mod resolve;
pub(crate) mod teardown;

use crate::{
    api::{
        conn::CmRaw,
        event::{
            EventFn,
            ResolveFn, //
        },
        half::Halves,
        hot::Hot,
        info::InfoHead,
        sys, //
    },
    client::Attachment,
    roster::Ticket,
    verbs::{
        addr::SockAddr,
        cm::CmId,
        device::DeviceGuard,
        gate::{
            Gate,
            GateGuard, //
        },
        qp::Qp, //
    }, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Arc,
        Completion,
        Mutex, //
    },
    workqueue::Work, //
};
use teardown::Cause;

/// What the consumer was told so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Address or route is looked up.
    Resolving,
    /// The resolve callback ran with success.
    Resolved,
    /// A peer asks.
    Request,
    /// The resolve callback ran with an error.
    Failed,
    /// The endpoint is open.
    Idle,
    /// A connect request or its answer is on its way.
    Connecting,
    /// `KFI_EVENT_ESTABLISHED` was delivered.
    Connected,
    /// The last event was delivered.
    Ended,
}

/// Who has asked for the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    /// We do.
    Active,
    /// The peer does.
    Passive,
}

/// A connection.
#[pin_data]
pub(crate) struct Conn {
    /// `struct kfi_ep` and what the data path needs.
    pub(crate) hot: Hot,
    /// `struct kfi_info`.
    pub(crate) info: InfoHead,
    /// For events of the queue pair, which come in any context.
    pub(crate) cm_id: CmRaw,
    side: Side,
    #[pin]
    inner: Mutex<Inner>,
    /// Control calls that run.
    #[pin]
    calls: Gate,
    /// Transfers of rdma_rw, which need the queue pair until they are ended.
    #[pin]
    transfers: Gate,
    /// Transfers that the device has taken in part.
    #[pin]
    halves: Halves,
    /// Teardown has drained the queue pair, or there was none.
    #[pin]
    drained: Completion,
    /// Teardown is over.
    #[pin]
    torn: Completion,
    #[pin]
    work: Work<Conn>,
    /// Ends the connection after a failed operation.
    #[pin]
    failure_work: Work<Conn, { events::FAILURE_WORK }>,
    /// `failure_work` was queued.
    ending: Atomic<bool>,
    /// Status of the first operation that failed, or 0.
    failure: Atomic<i32>,
    /// The task that runs the consumer's callback, or 0.
    callback: Atomic<usize>,
}

struct Inner {
    phase: Phase,
    /// Why teardown was asked for.
    cause: Option<Cause>,
    /// The consumer has closed it: no more callbacks.
    closed: bool,
    /// Teardown is over.
    torn: bool,
    /// The consumer's reference, when it was given up in a callback of its own.
    deferred: Option<Arc<Conn>>,
    /// The device, once there is one.
    bound: Option<Bound>,
    id: Option<Arc<CmId>>,
    qp: Option<Arc<Qp>>,
    resolve: Option<ResolveFn>,
    event: Option<EventFn>,
    /// For each step of the resolution.
    timeout_ms: u32,
    /// Reads that the peer may have outstanding at us, as sent or asked for.
    ird: u8,
    /// Reads that we may have outstanding at the peer, as sent or asked for.
    ord: u8,
}

/// Both ends of a connection.
#[derive(Clone, Copy)]
pub(crate) struct Addrs {
    /// Ours.
    pub(crate) local: SockAddr,
    /// The peer's.
    pub(crate) peer: SockAddr,
}

impl Addrs {
    /// The addresses of an identifier. iWARP knows the local port only when the connection is there.
    fn of(id: &CmId) -> Self {
        Self {
            local: id.local_addr(),
            peer: id.peer_addr(),
        }
    }
}

/// A connection's hold of its device.
struct Bound {
    /// Memory only; stays after teardown.
    home: Arc<Attachment>,
    /// Given up by teardown.
    guard: Option<(DeviceGuard, Ticket)>,
}

impl Conn {
    /// A connection without identifier.
    fn new(side: Side, phase: Phase, info: InfoHead) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                hot: Hot::new(),
                info,
                cm_id: CmRaw::new(),
                side,
                inner <- new_mutex!(
                    Inner {
                        phase,
                        cause: None,
                        closed: false,
                        torn: false,
                        deferred: None,
                        bound: None,
                        id: None,
                        qp: None,
                        resolve: None,
                        event: None,
                        timeout_ms: 0,
                        ird: 0,
                        ord: 0,
                    },
                    "kfi::Conn"
                ),
                calls <- Gate::new(),
                transfers <- Gate::new(),
                halves <- Halves::new(),
                drained <- Completion::new(),
                torn <- Completion::new(),
                work <- kernel::new_work!("kfi::Conn::work"),
                failure_work <- kernel::new_work!("kfi::Conn::failure_work"),
                ending: Atomic::new(false),
                failure: Atomic::new(0),
                callback: Atomic::new(0),
            }),
            GFP_KERNEL,
        )
    }

    /// Enters a control call; the error says why there is none any more.
    fn call(&self) -> Result<GateGuard<'_>> {
        self.calls.enter().map_err(|_| self.hot.refusal())
    }

    /// A place for a transfer of rdma_rw, which keeps the queue pair.
    pub(crate) fn rma_place(&self) -> Result<GateGuard<'_>> {
        self.transfers.enter().map_err(|_| self.hot.refusal())
    }

    /// Transfers that the device has taken in part.
    pub(crate) fn halves(&self) -> &Halves {
        &self.halves
    }

    /// Runs a callback of the consumer's. Callbacks of one connection do not overlap.
    fn in_callback<R>(&self, f: impl FnOnce() -> R) -> R {
        self.callback.store(sys::current(), Release);
        let ret = f();
        self.callback.store(0, Release);
        ret
    }

    /// Whether the caller is a callback of this connection.
    fn is_own_callback(&self) -> bool {
        self.callback.load(Acquire) == sys::current()
    }

    /// Takes hold of the device that the identifier was bound to; `ENODEV` when it is going away.
    fn bind(self: &Arc<Self>, home: Arc<Attachment>, guard: DeviceGuard) -> Result {
        self.info.set_device(&home.data().head);
        // The lock of the roster goes before ours. From here on the removal of the device asks for teardown.
        let ticket = home.data().conns.add(self.clone())?;
        let mut inner = self.inner.lock();
        if inner.cause.is_some() {
            drop(inner);
            home.data().conns.remove(ticket);
            return Err(ENODEV);
        }
        inner.bound = Some(Bound {
            home,
            guard: Some((guard, ticket)),
        });
        Ok(())
    }

    /// The identifier; the error says why there is none any more.
    fn id(&self) -> Result<Arc<CmId>> {
        self.inner
            .lock()
            .id
            .clone()
            .ok_or_else(|| self.hot.refusal())
    }

    /// The queue pair; the error says why there is none.
    fn qp(&self) -> Result<Arc<Qp>> {
        self.inner
            .lock()
            .qp
            .clone()
            .ok_or_else(|| self.hot.refusal())
    }

    /// Both addresses.
    pub(crate) fn addrs(&self) -> Result<Addrs> {
        let _call = self.call()?;
        Ok(Addrs::of(&*self.id()?))
    }
}
