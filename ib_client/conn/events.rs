// SPDX-License-Identifier: GPL-2.0-only

//! What rdma_cm tells, and what the consumer hears of it.
//!
//! Handlers run with the handler mutex of the identifier held, so they do not overlap. They only borrow the connection.

#![deny(unsafe_code)]

use super::{
    teardown::Cause,
    Conn,
    Phase,
    Side, //
};
use crate::{
    api::{
        event::{
            EventFn,
            Notice, //
        },
        hot::DataState,
        sys, //
    },
    bindings,
    errno::{
        ECANCELED,
        ECONNREFUSED,
        ECONNRESET,
        EHOSTUNREACH, //
    },
    verbs::cm::{
        Event,
        Granted,
        Handler,
        Locked, //
    }, //
};
use kernel::{
    impl_has_work,
    prelude::*,
    sync::{
        atomic::Relaxed,
        Arc,
        ArcBorrow, //
    },
    workqueue::WorkItem, //
};

/// The number of the work item that ends a connection after a failed operation.
pub(super) const FAILURE_WORK: u64 = 1;

impl_has_work! {
    impl HasWork<Self, FAILURE_WORK> for Conn { self.failure_work }
}

impl WorkItem<FAILURE_WORK> for Conn {
    type Pointer = Arc<Conn>;

    fn run(this: Arc<Conn>) {
        // An error means that the connection has ended meanwhile.
        let _ = this.shutdown();
        this.finish_halves();
    }
}

impl Handler for Conn {
    fn event(this: ArcBorrow<'_, Self>, id: Locked<'_>, event: &Event<'_>) {
        let conn: Arc<Conn> = this.into();
        match event {
            Event::AddrResolved => conn.addr_resolved(&id),
            Event::RouteResolved => conn.route_resolved(),
            Event::AddrError(e) | Event::RouteError(e) => conn.resolve_error(*e),
            Event::Established(granted) => conn.established(&id, granted),
            Event::Rejected {
                reason,
                by_consumer: _,
                private_data,
            } => conn.ended(|phase| match phase {
                Phase::Connecting => Some(
                    Notice::rejected(ECONNREFUSED.to_errno())
                        .code(*reason)
                        .data(private_data),
                ),
                Phase::Connected => Some(Notice::disconnected(ECONNRESET.to_errno())),
                _ => None,
            }),
            Event::Unreachable(e) => conn.ended(|phase| match phase {
                Phase::Connecting => Some(Notice::error(match *e {
                    ETIMEDOUT => ETIMEDOUT.to_errno(),
                    _ => EHOSTUNREACH.to_errno(),
                })),
                // The neighbour has changed under an established connection.
                Phase::Connected => Some(Notice::disconnected(EHOSTUNREACH.to_errno())),
                _ => None,
            }),
            Event::ConnectError(e) => conn.ended(|phase| match phase {
                Phase::Connecting => Some(Notice::error(ECONNRESET.to_errno()).code(e.to_errno())),
                _ => None,
            }),
            Event::Disconnected(result) => conn.ended(|phase| match phase {
                Phase::Connecting => Some(Notice::error(ECONNRESET.to_errno())),
                Phase::Connected => Some(conn.disconnected(*result)),
                _ => None,
            }),
            Event::AddrChange => conn.addr_change(),
            // DISCONNECTED has come before it.
            Event::TimewaitExit => {}
            // What has passed the device's gate was torn down before this. What resolves from a given source address has
            // the device, and holds up rdma_cm, before ADDR_RESOLVED.
            Event::DeviceRemoval => conn.ask_teardown(Cause::Gone),
            Event::Other(_) => {}
        }
    }
}

impl Conn {
    /// Delivers an event to the consumer.
    pub(super) fn notify(&self, event: Option<EventFn>, notice: &Notice<'_>) {
        if let Some(event) = event {
            self.in_callback(|| self.hot.notify(event, notice));
        }
    }

    /// How an established connection ended. An operation that failed tells more than rdma_cm.
    fn disconnected(&self, result: Result) -> Notice<'static> {
        let code = result.map_or_else(|e| e.to_errno(), |()| 0);
        let status = match (self.failure.load(Relaxed), result) {
            (0, Ok(())) => 0,
            // The peer has not answered.
            (0, Err(e)) if e == ETIMEDOUT => e.to_errno(),
            (0, Err(_)) => ECONNRESET.to_errno(),
            (failure, _) => failure,
        };
        Notice::disconnected(status).code(code)
    }

    /// An operation has failed, or was flushed. Context: any.
    ///
    /// The queue pair is in the error state then. The drivers of iWARP end the connection, which rdma_cm reports; where
    /// nobody does, we end it, so that both ends hear of it.
    pub(crate) fn operation_failed(self: ArcBorrow<'_, Self>, status: Error) {
        if status != ECANCELED.err() {
            // The first failure counts.
            let _ = self.failure.cmpxchg(0, status.to_errno(), Relaxed);
        }
        if self.hot.is_connected()
            && !self.hot.has_caps(bindings::KFI_CAP_READ_NEEDS_RKEY)
            && !self.ending.xchg(true, Relaxed)
        {
            // Queued once in its life, so it is never queued already.
            let _ = sys::teardown_queue().enqueue::<_, FAILURE_WORK>(Arc::from(self));
        }
    }

    /// The device has taken a part of a transfer and refused the rest. Context: any.
    pub(crate) fn taken_in_part(self: ArcBorrow<'_, Self>, status: Error) {
        let _ = self.failure.cmpxchg(0, status.to_errno(), Relaxed);
        self.ending.store(true, Relaxed);
        // If it is queued already it has not begun.
        let _ = sys::teardown_queue().enqueue::<_, FAILURE_WORK>(Arc::from(self));
    }

    /// Has the transfers complete that the device has taken in part. Teardown does it, when it has begun.
    fn finish_halves(&self) {
        while !self.halves.is_empty() {
            let Ok(_call) = self.call() else {
                return;
            };
            let Ok(qp) = self.qp() else {
                return;
            };
            self.hot.advance(DataState::Err);
            if qp.set_error().is_err() || self.halves.post_marks(&qp) {
                return;
            }
            qp.await_room(false);
        }
    }

    fn established(&self, id: &Locked<'_>, granted: &Granted<'_>) {
        // On the active side InfiniBand and RoCE report both numbers as seen from here, iWARP the other way round. On the
        // passive side they are what was sent with the accept.
        let iwarp = id.device().is_some_and(|d| d.is_iwarp(1));
        let (event, ird, ord) = {
            let mut inner = self.inner.lock();
            if inner.cause.is_some() || inner.phase != Phase::Connecting {
                return;
            }
            inner.phase = Phase::Connected;
            if self.side == Side::Active {
                (inner.ird, inner.ord) = if iwarp {
                    (granted.initiator_depth, granted.responder_resources)
                } else {
                    (granted.responder_resources, granted.initiator_depth)
                };
            }
            (inner.event, inner.ird, inner.ord)
        };
        // Posting is legal in the callback. Does nothing when the consumer has aborted meanwhile.
        self.hot.advance(DataState::Active);
        self.notify(
            event,
            &Notice::established()
                .data(granted.private_data)
                .reads(ird, ord),
        );
        if self.ending.load(Relaxed) {
            // An operation has failed before there was a connection to end. An error means that the consumer has closed it.
            let _ = self.shutdown();
        }
    }

    /// The connection is no more, or was never made; `notice` says what the consumer hears in which phase.
    fn ended<'a>(&self, notice: impl FnOnce(Phase) -> Option<Notice<'a>>) {
        let (notice, event, id, qp) = {
            let mut inner = self.inner.lock();
            if inner.cause.is_some() {
                return;
            }
            let Some(notice) = notice(inner.phase) else {
                return;
            };
            inner.phase = Phase::Ended;
            (notice, inner.event, inner.id.clone(), inner.qp.clone())
        };
        self.hot.advance(DataState::Err);
        if let Some(id) = id {
            // Answers the peer and flushes the queue pair. Failure means that both has happened.
            let _ = Self::disconnect(&id, qp.as_deref());
        }
        // Teardown waits for this handler before it drops its own references.
        drop(qp);
        self.notify(event, &notice);
    }

    fn addr_change(&self) {
        let event = {
            let inner = self.inner.lock();
            match inner.phase {
                Phase::Idle | Phase::Connecting | Phase::Connected if inner.cause.is_none() => {
                    inner.event
                }
                _ => return,
            }
        };
        self.notify(event, &Notice::addr_change());
    }
}
