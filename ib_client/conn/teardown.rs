// SPDX-License-Identifier: GPL-2.0-only

//! How a connection ends.
//!
//! Whoever wants it to end asks for teardown and may wait. The work item runs once and does everything, in the order that
//! Documentation/kfi/lifetimes.rst gives.

#![deny(unsafe_code)]

use super::{
    Conn,
    Phase,
    Side, //
};
use crate::{
    api::{
        event::Notice,
        hot::DataState,
        sys, //
    },
    verbs::{
        cm::CmId,
        qp::Qp, //
    }, //
};
use kernel::{
    impl_has_work,
    prelude::*,
    sync::Arc,
    workqueue::WorkItem, //
};

/// Why a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cause {
    /// The consumer does not want it any more.
    Closed,
    /// The device goes away.
    Gone,
}

impl_has_work! {
    impl HasWork<Self> for Conn { self.work }
}

impl WorkItem for Conn {
    type Pointer = Arc<Conn>;

    fn run(this: Arc<Conn>) {
        this.tear_down();
    }
}

impl Conn {
    /// Asks for teardown; the first cause counts.
    pub(crate) fn ask_teardown(self: &Arc<Self>, cause: Cause) {
        let mut inner = self.inner.lock();
        if inner.cause.is_some() {
            return;
        }
        inner.cause = Some(cause);
        self.hot.advance(match cause {
            Cause::Closed => DataState::Shut,
            Cause::Gone => DataState::Gone,
        });
        // Queued once in its life, so it is never queued already.
        let _ = sys::teardown_queue().enqueue::<_, 0>(self.clone());
    }

    /// Waits until teardown, which was asked for, is over.
    pub(crate) fn wait_teardown(&self) {
        self.torn.wait_for_completion();
    }

    /// The consumer gives its reference up: close, put, reject.
    ///
    /// No callback runs after this has returned, unless it is called in one.
    pub(crate) fn release(self: Arc<Self>) {
        self.ask_teardown(Cause::Closed);
        let mut inner = self.inner.lock();
        inner.closed = true;
        if self.is_own_callback() {
            // Teardown waits for the callback, so the callback cannot wait for teardown. Never torn already: the last
            // callback returns before that.
            inner.deferred = Some(self.clone());
            return;
        }
        drop(inner);
        self.wait_teardown();
    }

    fn tear_down(&self) {
        // Control calls end, and with them every way to get at the identifier and the queue pair but the handlers.
        self.calls.close_and_wait();
        // Posts end.
        sys::synchronize_rcu();

        let id = self.inner.lock().id.clone();
        if let Some(id) = &id {
            // A handler that runs ends; later ones see the cause and do nothing.
            id.with_lock(|_| ());
            self.say_goodbye(id);
        }

        // What the consumer has in the queue pair comes back, then it is destroyed.
        let qp = self.inner.lock().qp.take();
        if let Some(qp) = &qp {
            self.finish_halves_by(qp);
            qp.drain();
        }
        self.drained.complete_all();
        // The handlers have seen the cause and are silent, so nothing comes behind this one.
        self.last_notice();
        // Whoever has waited for the drain, or hears now, ends its transfers: that needs the queue pair.
        self.transfers.close_and_wait();
        drop(qp);
        // This and the one in `inner` are the last references, so the identifier is destroyed here.
        self.inner.lock().id = None;
        drop(id);

        let guard = {
            let mut inner = self.inner.lock();
            inner
                .bound
                .as_mut()
                .and_then(|bound| Some((bound.home.clone(), bound.guard.take()?)))
        };
        if let Some((home, (guard, ticket))) = guard {
            home.data().conns.remove(ticket);
            drop(guard);
        }

        let deferred = {
            let mut inner = self.inner.lock();
            inner.torn = true;
            inner.deferred.take()
        };
        self.torn.complete_all();
        // Not the last reference: the work item has one.
        drop(deferred);
    }

    /// Has the transfers complete that the device has taken in part, by a drain, which follows. Nobody posts.
    pub(super) fn finish_halves_by(&self, qp: &Qp) {
        if self.halves.is_empty() || qp.set_error().is_err() {
            return;
        }
        while !self.halves.post_marks(qp) {
            qp.await_room(true);
        }
    }

    /// Ends a connection: what is outstanding is flushed, the peer is told.
    ///
    /// The error state comes first. The orderly way of iWARP drivers is to wait for the send queue, and siw forgets what it
    /// finds there when the connection breaks meanwhile.
    pub(super) fn disconnect(id: &CmId, qp: Option<&Qp>) -> Result {
        let flushed = qp.map_or(Ok(()), Qp::set_error);
        id.disconnect().and(flushed)
    }

    /// Tells the peer.
    fn say_goodbye(&self, id: &CmId) {
        let (phase, qp) = {
            let inner = self.inner.lock();
            (inner.phase, inner.qp.clone())
        };
        // Failure means that the peer knows or cannot be told.
        let _ = match (phase, self.side) {
            (Phase::Request, _) | (Phase::Idle, Side::Passive) => id.reject(&[]),
            (Phase::Connected, _) | (Phase::Connecting, Side::Passive) => {
                Self::disconnect(id, qp.as_deref())
            }
            // The destruction of the identifier takes back a connect request.
            _ => Ok(()),
        };
    }

    /// The event or callback that says that the device went away, if anything is left to be said.
    fn last_notice(&self) {
        let (phase, event, resolve) = {
            let mut inner = self.inner.lock();
            if inner.closed || inner.cause != Some(Cause::Gone) {
                return;
            }
            let phase = inner.phase;
            inner.phase = match phase {
                Phase::Resolving => Phase::Failed,
                Phase::Idle | Phase::Connecting | Phase::Connected => Phase::Ended,
                other => other,
            };
            (phase, inner.event, inner.resolve)
        };
        let status = ENODEV.to_errno();
        match phase {
            Phase::Resolving => {
                if let Some(resolve) = resolve {
                    self.in_callback(|| self.info.resolved(resolve, status));
                }
            }
            Phase::Idle | Phase::Connecting => self.notify(event, &Notice::error(status)),
            Phase::Connected => self.notify(event, &Notice::disconnected(status)),
            _ => {}
        }
    }
}
