// SPDX-License-Identifier: GPL-2.0-only

//! How a connection ends: what is outstanding comes back, callbacks end, then the socket goes.

#![deny(unsafe_code)]

use super::{
    Conn,
    Phase, //
};
use crate::{
    sys::{
        errno,
        workq, //
    },
    tcp::{
        control_queue,
        queue::{
            Direction,
            Poll,
            Queue, //
        }, //
    },
};
use kernel::{
    sync::Arc,
    workqueue::WorkItem, //
};

impl WorkItem<2> for Conn {
    type Pointer = Arc<Conn>;

    fn run(this: Arc<Conn>) {
        this.tear_down();
        let deferred = this.control.lock().deferred.take();
        drop(deferred);
    }
}

impl Conn {
    /// Its owner gives it up: close, put, reject; for a connection without consumer whoever has it.
    ///
    /// No callback runs after this has returned, unless it is called in one.
    pub(crate) fn release(self: Arc<Self>) {
        {
            let mut control = self.control.lock();
            if control.closed {
                return;
            }
            control.closed = true;
            if self.is_own_callback() {
                // Teardown waits for the callback, so the callback cannot wait for teardown.
                control.deferred = Some(self.clone());
            }
        }
        if self.is_own_callback() {
            if let Some(queue) = control_queue() {
                let _ = queue.enqueue::<Arc<Conn>, 2>(self);
            }
            return;
        }
        self.tear_down();
    }

    /// Gives up a connection whose request has not come, so that nobody has heard of it. One whose request is here is its
    /// consumer's, and stays.
    pub(crate) fn release_unclaimed(self: &Arc<Self>) {
        {
            let mut control = self.control.lock();
            if control.closed || control.phase != Phase::Request || control.pep.is_some() {
                return;
            }
            control.closed = true;
        }
        self.tear_down();
    }

    fn tear_down(self: &Arc<Self>) {
        if let Some(ep) = self.endpoint() {
            ep.tx.producer().refuse(errno::eshutdown());
            if let Some(rx) = &ep.rx {
                rx.producer().refuse(errno::eshutdown());
            }
        }
        self.enter_error();
        self.calls.wait_all();
        workq::cancel::<Conn, 3>(self);
        {
            let mut control = self.control.lock();
            control.phase = Phase::Ended;
        }
        let socket = workq::without_io(|| {
            let mut engine = self.engine.lock();
            engine.say_goodbye(self);
            engine.flush(self, true, true);
            engine.cancel_handshake(self);
            engine.take_socket()
        });
        drop(socket);
        if let Some(ep) = self.endpoint() {
            if let Some(srx) = &ep.srx {
                srx.leave(self);
            }
            self.settle(Direction::Tx, &ep.tx_cq);
            self.settle(Direction::Rx, &ep.rx_cq);
        }
        self.callbacks.wait_all();
        self.handshakes.wait_all();

        let (reserved, port, pep) = {
            let mut control = self.control.lock();
            (
                control.reserved.take(),
                control.port.take(),
                control.pep.take(),
            )
        };
        if let (Some(ep), Some((tx, rx))) = (self.endpoint(), reserved) {
            ep.tx_cq.unreserve(tx);
            ep.rx_cq.unreserve(rx);
        }
        if let Some(port) = port {
            port.forget(self);
        }
        if let Some(pep) = pep {
            pep.decided();
        }
    }

    /// Waits until the consumer has heard of everything in one direction.
    pub(super) fn settle(&self, direction: Direction, cq: &Arc<Queue>) {
        cq.kick();
        if cq.poll() != Poll::Direct {
            self.pending(direction).wait_all();
            return;
        }
        // The consumer polls by calling us. Somebody else may be polling the same queue just now.
        loop {
            cq.run_some(usize::MAX);
            if self.pending(direction).wait(1) {
                return;
            }
        }
    }
}
