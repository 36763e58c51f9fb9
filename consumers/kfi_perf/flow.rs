// SPDX-License-Identifier: GPL-2.0-only

//! The loops: what is posted when, on one connection.
//!
//! Everything here that follows a completion runs in the context of the completion queue. A connection has one queue for
//! everything, so that never happens twice at once for one flow; the atomics below need no order of their own.
//!
//! Both sides begin with receives posted. The client sends a greeting, the server answers with the address and key of its
//! region, and the loop starts.
//!
//! - Ping-pong: a receive that is used up is sent as the answer, and a send that is done is posted as a receive.
//! - Rate: the client may send as many messages as the server has receives. The server returns that right by a message for
//!   each [`Flow::batch`] messages, so that the loop works where a missing receive ends the connection.
//! - Read and write: the client repeats each operation when it completes; the server's processor does nothing.

#![deny(unsafe_code)]

mod data;
mod libfabric;

use super::{
    params::{
        Loop,
        Params,
        Role, //
    },
    stats::{
        Counter,
        Histogram,
        Stats, //
    },
    transport::Transport,
    verify, //
};
use crate::kfi::Mailbox;
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc,
        Completion, //
    },
    time::{
        Instant,
        Monotonic, //
    },
};

/// Bytes of the messages that both sides begin with; receives have room for one.
pub const GREETING: usize = 32;

/// What the region holds that clients read.
const REGION_SEQ: u64 = 0x6b66_6921;

/// What a region of any device can hold.
const REGION_MAX: usize = 1 << 20;

/// Receives beyond those that a loop needs at any moment.
const SPARE: usize = 8;

/// What an operation is used for at the moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Waits for a message.
    Recv,
    /// A message of the loop.
    Send,
    /// A greeting, or messages acknowledged.
    Control,
    /// Reads the peer's memory.
    Read,
    /// Writes the peer's memory.
    Write,
    /// Reads back what was written.
    ReadBack,
}

/// What every operation carries.
pub struct Slot<X: Transport> {
    /// Leads to the flow.
    pub link: X::Link,
    index: usize,
    what: Use,
    seq: u64,
    since: i64,
}

impl<X: Transport> Slot<X> {
    /// For operation number `index` of a flow.
    pub fn new(link: X::Link, index: usize) -> Self {
        Self {
            link,
            index,
            what: Use::Recv,
            seq: 0,
            since: 0,
        }
    }
}

/// One connection's share of a run.
#[pin_data]
pub struct Flow<X: Transport> {
    params: Params,
    role: Role,
    stats: Arc<Stats>,
    histogram: Option<Arc<Histogram>>,
    base: Instant<Monotonic>,
    /// Connected or not, see the constants.
    state: Atomic<i32>,
    #[pin]
    connected: Completion,
    #[pin]
    greeted: Completion,
    #[pin]
    done: Completion,
    is_done: Atomic<bool>,
    greetings: Counter,
    /// Of the server: the client has greeted, and the region is there.
    ready: Atomic<i32>,
    remote: (Atomic<u64>, Atomic<u32>),
    error: Atomic<i32>,
    stopping: Atomic<bool>,
    started: Counter,
    finished: Counter,
    begin: Atomic<i64>,
    ping: Atomic<i64>,
    credits: Atomic<i32>,
    unacked: Atomic<i32>,
    nr_parked: Atomic<i32>,
    /// Idle operations, each in the place of its number.
    parked: KVec<Mailbox<X::Req>>,
}

const CONNECTING: i32 = 0;
const CONNECTED: i32 = 1;
const ENDED: i32 = 2;

impl<X: Transport> Flow<X> {
    /// A flow that is not connected yet.
    pub fn new(
        params: &Params,
        role: Role,
        stats: Arc<Stats>,
        histogram: Option<Arc<Histogram>>,
    ) -> Result<Arc<Self>> {
        let nr = Self::nr_ops(params, role) + Self::NR_CONTROL;
        let mut parked = KVec::with_capacity(nr, GFP_KERNEL)?;
        for _ in 0..nr {
            parked.push(Mailbox::new(), GFP_KERNEL)?;
        }
        let params = params.clone();
        Arc::pin_init(
            pin_init!(Self {
                params,
                role,
                stats,
                histogram,
                base: Instant::now(),
                state: Atomic::new(CONNECTING),
                connected <- Completion::new(),
                greeted <- Completion::new(),
                done <- Completion::new(),
                is_done: Atomic::new(false),
                greetings: Counter::default(),
                ready: Atomic::new(0),
                remote: (Atomic::new(0), Atomic::new(0)),
                error: Atomic::new(0),
                stopping: Atomic::new(false),
                started: Counter::default(),
                finished: Counter::default(),
                begin: Atomic::new(0),
                ping: Atomic::new(0),
                credits: Atomic::new(0),
                unacked: Atomic::new(0),
                nr_parked: Atomic::new(0),
                parked,
            }),
            GFP_KERNEL,
        )
    }

    /// Operations for greetings and acknowledgements; they have the highest numbers.
    const NR_CONTROL: usize = 4;

    fn nr_ops(params: &Params, role: Role) -> usize {
        let depth = params.depth as usize;
        match (params.what, role) {
            (Loop::PingPong, _) => 2 * depth + SPARE,
            (Loop::Rate, Role::Server) => 2 * depth + SPARE,
            (_, Role::Client) => depth + SPARE,
            (_, Role::Server) => SPARE,
        }
    }

    /// Messages that the server acknowledges by one.
    fn batch(&self) -> i32 {
        self.params.depth as i32
    }

    fn size(&self) -> usize {
        self.params.size as usize
    }

    /// Operations of the client's loop. Writes that are verified must not hit each other, and regions are small.
    fn lanes(&self) -> usize {
        let depth = self.params.depth as usize;
        if self.params.what == Loop::Write && self.params.verify {
            depth.min(REGION_MAX.checked_div(self.size()).unwrap_or(1).max(1))
        } else {
            depth
        }
    }

    fn now(&self) -> i64 {
        self.base.elapsed().as_nanos()
    }

    /// Bytes of the region that the server exposes.
    fn region_len(&self) -> Option<usize> {
        match self.params.what {
            Loop::Read => Some(self.size()),
            Loop::Write if self.params.verify => Some(self.size().saturating_mul(self.lanes())),
            Loop::Write => Some(self.size()),
            Loop::PingPong | Loop::Rate => None,
        }
    }

    // Preparation, in process context.

    /// Makes the operations and posts the receives. The connection is not established yet.
    pub fn prepare(&self, conn: &X::Conn) -> Result {
        let len = self.size().max(GREETING);
        let depth = self.params.depth as usize;
        let nr = Self::nr_ops(&self.params, self.role);
        let sends = match (self.params.what, self.role) {
            (Loop::PingPong | Loop::Rate, Role::Client) => depth,
            _ => 0,
        };
        let first_recv = match (self.params.what, self.role) {
            (Loop::Read | Loop::Write, Role::Client) => depth,
            _ => sends,
        };
        for index in 0..sends {
            self.park(X::request(conn, index, len)?);
        }
        for index in first_recv..nr {
            let req = X::request(conn, index, len)?;
            self.recv(X::post(conn)?, req);
        }
        for index in nr..nr + Self::NR_CONTROL {
            self.park(X::request(conn, index, GREETING)?);
        }
        Ok(())
    }

    /// Exposes the server's region. Operations may be posted.
    pub fn expose(&self, conn: &X::Conn) -> Result<Option<X::Region>> {
        let region = match self.region_len() {
            None => None,
            Some(len) => {
                let fill = |bytes: &mut [u8]| verify::fill(REGION_SEQ, bytes);
                let (region, remote) = X::expose(conn, len, self.size(), fill)?;
                self.remote.0.store(remote.addr, Relaxed);
                self.remote.1.store(remote.key, Relaxed);
                Some(region)
            }
        };
        self.answer(X::post(conn)?);
        Ok(region)
    }

    /// Waits for the outcome of connecting.
    pub fn wait_connected(&self) -> Result {
        self.connected.wait_for_completion();
        self.result()
    }

    /// Sends the client's greeting.
    pub fn greet(&self, conn: &X::Conn) -> Result {
        if self.params.libfabric {
            return Ok(());
        }
        let req = self.control().ok_or(EBUSY)?;
        self.send(X::post(conn)?, req, Use::Control, GREETING);
        Ok(())
    }

    /// Waits for the server's greeting.
    pub fn wait_greeted(&self, conn: &X::Conn) -> Result {
        if self.params.libfabric {
            return self.result();
        }
        self.wait(&self.greeted, conn, || self.greetings.get() != 0);
        self.result()
    }

    /// Starts the client's loop.
    pub fn start(&self, conn: &X::Conn) -> Result {
        let lanes = self.lanes();
        let post = X::post(conn)?;
        self.credits.store(2 * self.batch(), Relaxed);
        if matches!(self.params.what, Loop::Read | Loop::Write) {
            for index in 0..lanes {
                let mut req = if self.params.what == Loop::Read || self.params.verify {
                    X::sink(conn, index, self.size())?
                } else {
                    X::request(conn, index, self.size())?
                };
                X::slot(&mut req).what = Use::Control;
                self.park(req);
            }
        }
        self.begin.store(self.now(), Relaxed);
        for mailbox in self.parked.iter().take(lanes) {
            if let Some(req) = mailbox.take() {
                self.nr_parked.fetch_sub(1, Relaxed);
                self.next(post, req);
            }
        }
        Ok(())
    }

    /// Waits for the end of the client's loop.
    pub fn wait_done(&self, conn: &X::Conn) -> Result {
        self.wait(&self.done, conn, || self.is_done.load(Acquire));
        self.result()
    }

    fn wait(&self, completion: &Completion, conn: &X::Conn, done: impl Fn() -> bool) {
        if self.params.poll == crate::kfi::Poll::Direct {
            while !done() && self.error.load(Relaxed) == 0 {
                X::poll(conn);
                crate::kfi::resched();
            }
        } else {
            completion.wait_for_completion();
        }
    }

    /// Ends the loop at the next opportunity.
    pub fn stop(&self, error: Error) {
        self.fail(error);
    }

    /// Frees the idle operations. The connection is closed, so that is all of them.
    pub fn clear(&self) {
        for mailbox in &self.parked {
            drop(mailbox.take());
        }
    }

    /// Whether something has failed.
    pub fn result(&self) -> Result {
        match self.error.load(Acquire) {
            0 => Ok(()),
            errno => Err(Error::from_errno(errno)),
        }
    }

    // Events, in process context.

    /// The connection is there.
    pub fn established(&self) {
        if self.state.xchg(CONNECTED, Relaxed) == CONNECTING {
            self.stats.connected.add(1);
        }
        self.connected.complete_all();
    }

    /// There is no connection, or no longer.
    pub fn ended(&self, error: Error) {
        match self.state.xchg(ENDED, Relaxed) {
            CONNECTING => {
                self.stats.connect_errors.add(1);
            }
            CONNECTED => {
                self.stats.disconnected.add(1);
            }
            _ => {}
        }
        if error == ENODEV {
            self.stats.nodev.add(1);
        }
        self.fail(error);
    }

    fn is_connecting(&self) -> bool {
        self.state.load(Relaxed) == CONNECTING
    }

    /// Whether the connection has ended.
    pub fn has_ended(&self) -> bool {
        self.state.load(Relaxed) == ENDED
    }

    fn fail(&self, error: Error) {
        // The peer goes when it has our last word. That can be noticed before its own is looked at.
        if self.libfabric_over() {
            return self.finish();
        }
        let _ = self.error.cmpxchg(0, error.to_errno(), Release);
        self.stopping.store(true, Relaxed);
        self.finish();
        self.connected.complete_all();
        self.greeted.complete_all();
    }

    fn finish(&self) {
        if !self.is_done.xchg(true, Release) && self.role == Role::Client {
            let begin = self.begin.load(Relaxed);
            if begin != 0 {
                self.stats
                    .ns
                    .add(u64::try_from(self.now().wrapping_sub(begin)).unwrap_or(0));
            }
        }
        self.done.complete_all();
    }
}
