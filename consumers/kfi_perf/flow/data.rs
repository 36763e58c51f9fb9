// SPDX-License-Identifier: GPL-2.0-only

//! The data path of a flow: what follows a completion, in any context.

#![deny(unsafe_code)]

use super::{
    libfabric,
    Flow,
    Use,
    GREETING,
    REGION_SEQ, //
};
use crate::{
    kfi::{
        Mailbox,
        ECANCELED, //
    },
    params::{
        Loop,
        Role, //
    },
    transport::{
        Remote,
        Transport, //
    },
    verify, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        Full,
        Relaxed, //
    }, //
};

impl<X: Transport> Flow<X> {
    pub(super) fn park(&self, mut req: X::Req) {
        let index = X::slot(&mut req).index;
        if let Some(mailbox) = self.parked.get(index) {
            self.nr_parked.fetch_add(1, Relaxed);
            drop(mailbox.put(req));
        }
    }

    pub(super) fn control(&self) -> Option<X::Req> {
        let nr = Self::nr_ops(&self.params, self.role);
        let req = self.parked.iter().skip(nr).find_map(Mailbox::take)?;
        self.nr_parked.fetch_sub(1, Relaxed);
        Some(req)
    }

    #[inline]
    fn refused(&self, (error, req): (Error, X::Req)) {
        self.stats.refused.add(1);
        self.fail(error);
        self.park(req);
    }

    #[inline]
    pub(super) fn recv(&self, post: &X::Post, mut req: X::Req) {
        X::slot(&mut req).what = Use::Recv;
        self.stats.posted.add(1);
        let len = self.size().max(GREETING);
        if let Err(refused) = X::recv(post, req, len) {
            self.refused(refused);
        }
    }

    #[inline]
    pub(super) fn send(&self, post: &X::Post, mut req: X::Req, what: Use, len: usize) {
        X::slot(&mut req).what = what;
        self.stats.posted.add(1);
        if let Err(refused) = X::send(post, req, len) {
            self.refused(refused);
        }
    }

    #[inline]
    fn rma(&self, post: &X::Post, mut req: X::Req, what: Use) {
        let slot = X::slot(&mut req);
        slot.what = what;
        let mut remote = Remote {
            addr: self.remote.0.load(Relaxed),
            key: self.remote.1.load(Relaxed),
        };
        if self.params.verify && self.params.what == Loop::Write {
            remote.addr = remote
                .addr
                .wrapping_add(slot.index.wrapping_mul(self.size()) as u64);
        }
        self.stats.posted.add(1);
        let result = match what {
            Use::Write => X::write(post, req, self.size(), remote),
            _ => X::read(post, req, self.size(), remote),
        };
        if let Err(refused) = result {
            self.refused(refused);
        }
    }

    /// Starts another iteration of the client with an idle operation, or parks it.
    #[inline]
    pub(super) fn next(&self, post: &X::Post, mut req: X::Req) {
        if self.stopping.load(Relaxed) {
            return self.park(req);
        }
        if self.params.what == Loop::Rate {
            let credits = self.credits.load(Relaxed);
            if credits <= 0 {
                return self.park(req);
            }
            self.credits.store(credits.wrapping_sub(1), Relaxed);
        }
        let seq = self.started.add(1);
        if seq >= self.params.iterations {
            return self.park(req);
        }
        if self.params.verify {
            X::slot(&mut req).seq = seq;
            let fill = if self.params.libfabric {
                libfabric::fill
            } else {
                verify::fill
            };
            if self.params.what != Loop::Read
                && X::bytes(&mut req, self.size(), |bytes| fill(seq, bytes)).is_err()
            {
                self.stats.mismatches.add(1);
            }
        }
        if self.params.latency {
            let now = self.now();
            X::slot(&mut req).since = now;
            self.ping.store(now, Relaxed);
        }
        match self.params.what {
            Loop::PingPong | Loop::Rate => self.send(post, req, Use::Send, self.size()),
            Loop::Read => self.rma(post, req, Use::Read),
            Loop::Write => self.rma(post, req, Use::Write),
        }
    }

    /// An iteration of the client is over.
    #[inline]
    pub(super) fn iteration(&self, since: i64) {
        if let Some(histogram) = &self.histogram {
            histogram.add(u64::try_from(self.now().wrapping_sub(since)).unwrap_or(0));
        }
        self.stats.ops.add(1);
        self.stats.bytes.add(self.params.size.into());
        if self.finished.add(1).wrapping_add(1) == self.params.iterations {
            self.stopping.store(true, Relaxed);
            if !self.params.libfabric {
                self.finish();
            }
        }
    }

    fn verify(&self, req: &mut X::Req, len: usize, seq: Option<u64>) {
        let found = X::bytes(req, len, |bytes| verify::check(bytes)).unwrap_or(None);
        if found.is_none() || (seq.is_some() && found != seq) {
            self.stats.mismatches.add(1);
        }
    }

    /// An operation has completed: with an error, or with the length of what was received.
    #[inline]
    pub fn complete(&self, mut req: X::Req, post: &X::Post, result: Result<usize>) {
        self.stats.completed.add(1);
        let len = match result {
            Ok(len) => len,
            Err(error) => return self.failed(req, error),
        };
        let slot = X::slot(&mut req);
        let (what, since, seq) = (slot.what, slot.since, slot.seq);
        match what {
            Use::Recv => self.received(req, post, len),
            Use::Send => match self.params.what {
                Loop::PingPong => self.recv(post, req),
                _ => {
                    self.iteration(since);
                    self.next(post, req);
                }
            },
            Use::Control if self.params.libfabric => {
                self.park(req);
                self.last_word();
            }
            Use::Control => {
                self.park(req);
                self.acknowledge(post);
            }
            Use::Read => {
                if self.params.verify {
                    self.verify(&mut req, self.size(), Some(REGION_SEQ));
                }
                self.iteration(since);
                self.next(post, req);
            }
            Use::Write => {
                if self.params.verify {
                    // So that what is read back was read.
                    let _ = X::bytes(&mut req, self.size(), |bytes| bytes.fill(0));
                    return self.rma(post, req, Use::ReadBack);
                }
                self.iteration(since);
                self.next(post, req);
            }
            Use::ReadBack => {
                self.verify(&mut req, self.size(), Some(seq));
                self.iteration(since);
                self.next(post, req);
            }
        }
    }

    fn failed(&self, req: X::Req, error: Error) {
        if error.to_errno() == ECANCELED {
            self.stats.flushed.add(1);
            // Before there is a connection this only follows from the event that tells why there will be none.
            if self.is_connecting() {
                return self.park(req);
            }
        } else {
            self.stats.errors.add(1);
        }
        self.fail(error);
        self.park(req);
    }

    #[inline]
    fn received(&self, mut req: X::Req, post: &X::Post, len: usize) {
        if self.params.libfabric {
            return self.libfabric_message(req, post, len);
        }
        if self.greetings.get() == 0 {
            return self.greeting(req, post);
        }
        match (self.params.what, self.role) {
            (Loop::PingPong, Role::Client) => {
                if self.params.verify {
                    let seq = (self.params.depth == 1).then(|| self.finished.get());
                    self.verify(&mut req, len, seq);
                }
                self.iteration(self.ping.load(Relaxed));
                self.next(post, req);
            }
            (Loop::PingPong, Role::Server) => {
                if self.params.verify {
                    self.verify(&mut req, len, None);
                }
                self.stats.ops.add(1);
                self.stats.bytes.add(len as u64);
                self.send(post, req, Use::Send, len);
            }
            (Loop::Rate, Role::Server) => {
                if self.params.verify {
                    self.verify(&mut req, len, None);
                }
                self.stats.ops.add(1);
                self.stats.bytes.add(len as u64);
                self.recv(post, req);
                self.unacked
                    .store(self.unacked.load(Relaxed).wrapping_add(1), Relaxed);
                self.acknowledge(post);
            }
            (Loop::Rate, Role::Client) => {
                self.recv(post, req);
                self.credits.store(
                    self.credits.load(Relaxed).wrapping_add(self.batch()),
                    Relaxed,
                );
                self.unpark(post);
            }
            (Loop::Read | Loop::Write, _) => self.recv(post, req),
        }
    }

    /// The client's operations that had to wait for the server.
    fn unpark(&self, post: &X::Post) {
        for mailbox in self.parked.iter().take(self.params.depth as usize) {
            if self.nr_parked.load(Relaxed) == 0 || self.credits.load(Relaxed) <= 0 {
                return;
            }
            if let Some(req) = mailbox.take() {
                self.nr_parked.fetch_sub(1, Relaxed);
                self.next(post, req);
            }
        }
    }

    /// Returns to the client the right to send, if enough has come together.
    fn acknowledge(&self, post: &X::Post) {
        let unacked = self.unacked.load(Relaxed);
        if unacked < self.batch() || self.stopping.load(Relaxed) {
            return;
        }
        // Without one, the next control message that completes leads here again.
        if let Some(req) = self.control() {
            self.unacked
                .store(unacked.wrapping_sub(self.batch()), Relaxed);
            self.send(post, req, Use::Control, GREETING);
        }
    }

    fn greeting(&self, mut req: X::Req, post: &X::Post) {
        match self.role {
            Role::Client => {
                let _ = X::bytes(&mut req, GREETING, |bytes| {
                    let Some((addr, rest)) = bytes.split_first_chunk::<8>() else {
                        return;
                    };
                    if let Some((key, _)) = rest.split_first_chunk::<4>() {
                        self.remote.0.store(u64::from_be_bytes(*addr), Relaxed);
                        self.remote.1.store(u32::from_be_bytes(*key), Relaxed);
                    }
                });
                self.recv(post, req);
                self.greetings.add(1);
                self.greeted.complete_all();
            }
            Role::Server => {
                self.recv(post, req);
                self.greetings.add(1);
                self.answer(post);
            }
        }
    }

    /// Sends the server's greeting, at the second of the two calls.
    pub(super) fn answer(&self, post: &X::Post) {
        if self.params.libfabric || self.ready.fetch_add(1, Full) != 1 {
            return;
        }
        let Some(mut req) = self.control() else {
            return;
        };
        let addr = self.remote.0.load(Relaxed).to_be_bytes();
        let key = self.remote.1.load(Relaxed).to_be_bytes();
        let _ = X::bytes(&mut req, GREETING, |bytes| {
            for (to, from) in bytes
                .iter_mut()
                .zip([&addr[..], &key[..]].into_iter().flatten())
            {
                *to = *from;
            }
        });
        self.send(post, req, Use::Control, GREETING);
    }
}
