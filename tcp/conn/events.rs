// SPDX-License-Identifier: GPL-2.0-only

//! What the consumer hears.
//!
//! Whatever happens is noted under the lock and delivered by a work item, one notice after the other. So no callback runs
//! in the work item of a socket, which a callback may have to wait for.

#![deny(unsafe_code)]

use super::{
    Conn,
    Control,
    Phase, //
};
use crate::{
    sys::{
        errno,
        workq, //
    },
    tcp::{
        api::{
            conn::deliver_request,
            event::Notice, //
        },
        control_queue, //
    },
};
use kernel::{
    prelude::*,
    sync::{
        atomic::Release,
        Arc, //
    },
    workqueue::WorkItem, //
};

/// How a connection ends, as the consumer hears of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// It was not made: the peer's consumer refused.
    Rejected,
    /// It was not made.
    Failed(i32),
    /// It was, and ended.
    Disconnected(i32),
}

/// What the consumer has not heard yet.
pub(super) struct Notices {
    /// The outcome of the resolution.
    resolved: bool,
    /// A request, for the passive endpoint.
    request: bool,
    /// The numbers of reads.
    established: Option<(u8, u8)>,
    end: Option<End>,
    /// Private data of the peer's answer.
    private: KVec<u8>,
}

enum Next {
    Resolved,
    Request,
    Established(u8, u8, KVec<u8>),
    End(End, KVec<u8>),
}

impl Notices {
    pub(super) fn new() -> Self {
        Self {
            resolved: false,
            request: false,
            established: None,
            end: None,
            private: KVec::new(),
        }
    }

    fn next(&mut self) -> Option<Next> {
        if core::mem::take(&mut self.resolved) {
            return Some(Next::Resolved);
        }
        if core::mem::take(&mut self.request) {
            return Some(Next::Request);
        }
        if let Some((ird, ord)) = self.established.take() {
            return Some(Next::Established(
                ird,
                ord,
                core::mem::take(&mut self.private),
            ));
        }
        let end = self.end.take()?;
        Some(Next::End(end, core::mem::take(&mut self.private)))
    }
}

impl Conn {
    fn queue_events(self: &Arc<Self>) {
        if let Some(queue) = control_queue() {
            // Queued already is fine too.
            let _ = queue.enqueue::<Arc<Conn>, 1>(self.clone());
        }
    }

    /// The address is known to be one of ours to reach.
    pub(super) fn note_resolved(self: &Arc<Self>) {
        self.control.lock().notices.resolved = true;
        self.queue_events();
    }

    /// A peer's request is complete.
    pub(crate) fn note_request(self: &Arc<Self>) {
        self.control.lock().notices.request = true;
        self.queue_events();
    }

    /// The connection is made.
    pub(crate) fn note_established(self: &Arc<Self>, ird: u8, ord: u8, private: KVec<u8>) {
        {
            let mut control = self.control.lock();
            if control.phase == Phase::Ended {
                return;
            }
            control.phase = Phase::Connected;
            control.notices.established = Some((ird, ord));
            control.notices.private = private;
        }
        self.activate();
        self.queue_events();
    }

    /// The connection has ended, or is not made.
    pub(crate) fn note_end(self: &Arc<Self>, status: i32, rejected: Option<KVec<u8>>) {
        self.enter_error();
        {
            let mut control = self.control.lock();
            let end = match (control.phase, rejected) {
                (Phase::Connected, _) => End::Disconnected(status),
                (Phase::Connecting, Some(private)) => {
                    control.notices.private = private;
                    End::Rejected
                }
                (Phase::Connecting, None) => End::Failed(status),
                // There is no endpoint that could be told; accepting finds the connection gone.
                _ => return,
            };
            control.phase = Phase::Ended;
            control.notices.end = Some(end);
        }
        self.queue_events();
    }

    /// The next notice, and with it the right to run a callback.
    fn next_notice(&self) -> Option<Next> {
        let mut control = self.control.lock();
        if control.closed {
            return None;
        }
        let next = control.notices.next()?;
        self.callbacks.inc();
        Some(next)
    }

    /// Runs a callback of the consumer's. Callbacks of one connection do not overlap.
    pub(crate) fn in_callback<R>(&self, f: impl FnOnce() -> R) -> R {
        self.callback_task.store(workq::current(), Release);
        let result = f();
        self.callback_task.store(0, Release);
        result
    }

    fn deliver(self: &Arc<Self>, next: Next) {
        match next {
            Next::Resolved => {
                let resolve = {
                    let mut control = self.control.lock();
                    control.phase = Phase::Resolved;
                    control.resolve.take()
                };
                if let Some(resolve) = resolve {
                    self.in_callback(|| self.info.resolved(resolve, 0));
                }
            }
            Next::Request => self.deliver_request(),
            Next::Established(ird, ord, private) => {
                self.tell(&Notice::established().data(&private).reads(ird, ord));
            }
            Next::End(End::Rejected, private) => {
                self.tell(&Notice::rejected(errno::econnrefused().to_errno()).data(&private))
            }
            Next::End(End::Failed(status), _) => self.tell(&Notice::error(status)),
            Next::End(End::Disconnected(status), _) => self.tell(&Notice::disconnected(status)),
        }
    }

    fn tell(&self, notice: &Notice<'_>) {
        if let Some(endpoint) = self.endpoint() {
            self.in_callback(|| self.ep.notify(endpoint.event, notice));
        }
    }

    fn deliver_request(self: &Arc<Self>) {
        let pep = self.control.lock().pep.clone();
        let delivered = pep.is_some_and(|pep| deliver_request(&pep, self));
        if !delivered {
            // Nobody listens any more. Not here: the end of the connection waits for this work item.
            self.abandon();
        }
    }
}

impl WorkItem<1> for Conn {
    type Pointer = Arc<Conn>;

    fn run(this: Arc<Conn>) {
        while let Some(next) = this.next_notice() {
            this.deliver(next);
            this.callbacks.dec();
        }
    }
}

impl Control {
    /// Whether the consumer has given it up.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }
}
