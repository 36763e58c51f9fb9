// SPDX-License-Identifier: GPL-2.0-only

//! What a connection takes: headers, and payload straight into the memory that it is for.
//!
//! A frame is finished before the next one is looked at. The reader stops in front of a message that finds no receive, and
//! in front of any header while too much waits to be sent; what follows stays in the socket.

#![deny(unsafe_code)]

use super::{
    api::comp::{
        COMP_IMM,
        COMP_INV,
        OP_RECV,
        OP_RECV_WRITE_IMM, //
    },
    conn::{
        Conn,
        Endpoint, //
    },
    deque::Deque,
    engine::{
        Link,
        Receives,
        Stop, //
    },
    op::Outcome,
    pieces::Pieces,
    queue::{
        Direction,
        Hand, //
    },
    region::Scatter,
    tx::Tx,
    wire::{
        frame::{
            cursor::Partial,
            header::{
                Collector,
                TRAILER, //
            },
            Fault, //
        },
        keys::{
            Access,
            Id, //
        },
        state::session::Incoming, //
    }, //
};
use crate::sys::{
    errno,
    socket::{
        Received,
        Sink,
        Socket, //
    }, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::Full,
        Arc, //
    }, //
};

/// Where a payload goes.
enum Target {
    /// Into the current receive.
    Receive,
    /// Into regions.
    Regions(Scatter),
    /// Into the memory of the read operation of that number.
    Read(u32),
}

/// What comes next.
enum State {
    /// A header.
    Header,
    /// A message is here and no receive.
    Blocked,
    /// Payload of the frame whose header has come last.
    Payload,
    /// Its digest.
    Trailer(Partial<TRAILER>),
}

/// A read request of the peer's.
struct Response {
    memory: Scatter,
    bytes: u64,
}

/// The receiving side of an established connection.
pub(crate) struct Rx {
    /// Collects headers, and has that of the frame which is being taken. It stays in its place, as it is large.
    header: Collector,
    state: State,
    /// Where the payload of the frame goes. Between frames it holds no region.
    target: Target,
    /// Bytes taken of it.
    done: u64,
    crc: u32,
    responses: Deque<Response>,
    /// A frame for the oldest response has been put together.
    responding: bool,
}

impl Rx {
    /// For up to `reads` read requests of the peer's at once.
    pub(super) fn new(reads: usize) -> Result<Self> {
        Ok(Self {
            header: Collector::new(),
            state: State::Header,
            target: Target::Receive,
            done: 0,
            crc: !0,
            // One more: that which is being sent is not counted as waiting any more.
            responses: Deque::new(reads.saturating_add(1), GFP_KERNEL)?,
            responding: false,
        })
    }

    /// Whether a message waits for a receive.
    pub(super) fn is_blocked(&self) -> bool {
        matches!(self.state, State::Blocked)
    }

    /// Whether everything so far were whole frames.
    pub(super) fn at_boundary(&self) -> bool {
        matches!(self.state, State::Header) && self.header.is_empty()
    }

    /// Bytes of the oldest read request, if no frame answers it yet.
    pub(super) fn next_response(&self) -> Option<u64> {
        if self.responding {
            return None;
        }
        self.responses.get(0).map(|response| response.bytes)
    }

    /// A frame answers it.
    pub(super) fn response_started(&mut self) {
        self.responding = true;
    }

    /// The frame is with the socket.
    pub(super) fn response_sent(&mut self) {
        self.responding = false;
        self.responses.pop();
    }

    /// Memory of the oldest read request from byte `skip` on.
    pub(super) fn response_pieces(&self, skip: u64, want: u64, to: &mut Pieces) {
        if let Some(response) = self.responses.get(0) {
            response.memory.pieces(skip, want, to);
        }
    }

    /// Whether something under way uses that region.
    pub(super) fn touches(&self, id: Id) -> bool {
        let frame = match &self.target {
            Target::Regions(memory) => memory.touches(id),
            Target::Receive | Target::Read(_) => false,
        };
        frame
            || (0..self.responses.len()).any(|at| {
                self.responses
                    .get(at)
                    .is_some_and(|response| response.memory.touches(id))
            })
    }
}

impl Link {
    /// Takes what has come; returns whether that was everything.
    pub(super) fn receive(
        &mut self,
        conn: &Arc<Conn>,
        socket: &Socket<Conn>,
        tx: &mut Tx,
        receives: &mut Receives,
        hand: &mut Hand,
    ) -> Result<bool, Stop> {
        let Some(ep) = conn.endpoint() else {
            return Ok(true);
        };
        let mut reader = Reader {
            link: self,
            conn,
            socket,
            ep,
            tx,
            receives,
            hand,
            whole: true,
            stop: None,
        };
        // A message that has waited for a receive may be without payload, and the last one.
        let mut result = reader.unblock();
        if result.is_ok() && !reader.link.rx.is_blocked() {
            if !socket.read(&mut reader)? {
                reader.whole = false;
            }
            if let Some(fault) = reader.stop {
                result = Err(fault);
            }
        }
        let whole = reader.whole && !self.rx.is_blocked();
        result?;
        Ok(whole)
    }
}

/// Takes bytes of an established connection.
struct Reader<'a> {
    link: &'a mut Link,
    conn: &'a Arc<Conn>,
    socket: &'a Socket<Conn>,
    ep: &'a Endpoint,
    tx: &'a mut Tx,
    receives: &'a mut Receives,
    hand: &'a mut Hand,
    /// Nothing was left in the socket.
    whole: bool,
    stop: Option<Fault>,
}

impl Sink for Reader<'_> {
    fn take(&mut self, data: &Received<'_>) -> usize {
        let mut taken = 0;
        while taken < data.len() && self.stop.is_none() {
            match self.step(data, taken) {
                Ok(0) => break,
                Ok(step) => taken = taken.saturating_add(step),
                Err(fault) => self.stop = Some(fault),
            }
        }
        if taken < data.len() {
            self.whole = false;
        }
        taken
    }
}

impl Reader<'_> {
    /// Takes some bytes from `at` on; 0 when none can be taken now.
    fn step(&mut self, data: &Received<'_>, at: usize) -> Result<usize, Fault> {
        let left = data.len().saturating_sub(at);
        let Link { session, rx } = &mut *self.link;
        match &mut rx.state {
            State::Header => {
                if session.stalled() {
                    return Ok(0);
                }
                let space = rx.header.space();
                let size = space.len().min(left);
                let bytes = space.get_mut(..size).ok_or(Fault::Size)?;
                if !data.copy(at, bytes) {
                    return Err(Fault::Truncated);
                }
                if rx.header.filled(session.format(), size)? {
                    self.begin()?;
                }
                Ok(size)
            }
            State::Blocked => {
                self.unblock()?;
                // Whatever follows is for the next step; without progress this ends here.
                if self.link.rx.is_blocked() {
                    return Ok(0);
                }
                self.step(data, at)
            }
            State::Payload => self.payload(data, at, left),
            State::Trailer(partial) => {
                let mut buf = [0; TRAILER];
                let size = TRAILER.saturating_sub(partial.len()).min(left);
                let bytes = buf.get_mut(..size).ok_or(Fault::Size)?;
                if !data.copy(at, bytes) {
                    return Err(Fault::Truncated);
                }
                let mut rest: &[u8] = bytes;
                if partial.fill(TRAILER, &mut rest) {
                    self.trailer()?;
                }
                Ok(size)
            }
        }
    }

    /// A header is here.
    fn begin(&mut self) -> Result<(), Fault> {
        let Link { session, rx } = &mut *self.link;
        let header = rx.header.header();
        let incoming = session.received(header)?;
        let takes_receive = match incoming {
            Incoming::Message => true,
            Incoming::Write => header.cq_data.is_some(),
            Incoming::ReadRequest => {
                let memory = Scatter::new(self.conn, header.elements.get(), Access::READ)?;
                let bytes = header.elements.bytes()?;
                rx.responses
                    .push(Response { memory, bytes })
                    .map_err(|_| Fault::Limit)?;
                session.placed(header);
                return Ok(());
            }
            Incoming::ReadResponse => {
                let number = self.tx.reader()?;
                return self.start(Target::Read(number));
            }
            Incoming::Ack => {
                self.tx.acknowledged(self.socket)?;
                session.placed(header);
                return Ok(());
            }
            Incoming::Credit => return Ok(()),
            Incoming::Error(report) => {
                self.tx.blame(&report);
                return Err(Fault::Reported);
            }
        };
        if takes_receive && !self.take_receive() {
            self.link.rx.state = State::Blocked;
            return Ok(());
        }
        self.deliver()
    }

    /// Tries again to find a receive for the message that waits.
    fn unblock(&mut self) -> Result<(), Fault> {
        if !self.link.rx.is_blocked() || !self.take_receive() {
            return Ok(());
        }
        self.deliver()
    }

    /// Takes a receive; if there is none, posting one wakes the work item.
    fn take_receive(&mut self) -> bool {
        let receives = &mut *self.receives;
        let Some(own) = &mut receives.own else {
            let taken = self
                .ep
                .srx
                .as_ref()
                .is_some_and(|srx| srx.take(self.conn, &mut receives.current));
            if taken {
                self.conn.admit_shared();
                receives.taken = true;
            }
            return taken;
        };
        if own.get(0).is_none() {
            self.conn.starving.xchg(true, Full);
            // One may have been posted just before.
            if own.get(0).is_none() {
                return false;
            }
            self.conn.starving.xchg(false, Full);
        }
        let Some(op) = own.get(0) else {
            return false;
        };
        core::mem::swap(op, &mut receives.current);
        own.retire();
        receives.taken = true;
        true
    }

    /// There is a receive if one is needed: finds the memory for a message or write.
    fn deliver(&mut self) -> Result<(), Fault> {
        let header = self.link.rx.header.header();
        if header.elements.get().is_empty() {
            if header.payload > self.receives.current.len {
                let outcome = Outcome {
                    status: errno::emsgsize().to_errno(),
                    ..Outcome::default()
                };
                self.receives
                    .complete(self.conn, self.ep, self.hand, outcome);
                return Err(Fault::TooLong);
            }
            return self.start(Target::Receive);
        }
        let memory = Scatter::new(self.conn, header.elements.get(), Access::WRITE)?;
        self.start(Target::Regions(memory))
    }

    #[inline]
    fn start(&mut self, target: Target) -> Result<(), Fault> {
        let rx = &mut self.link.rx;
        rx.target = target;
        rx.done = 0;
        rx.crc = !0;
        if rx.header.header().payload == 0 {
            return self.finish();
        }
        rx.state = State::Payload;
        Ok(())
    }

    /// Takes payload.
    fn payload(&mut self, data: &Received<'_>, at: usize, left: usize) -> Result<usize, Fault> {
        let digest = self.link.session.format().trailer(1) != 0;
        let frame = &mut self.link.rx;
        let payload = frame.header.header().payload;
        let missing = payload.saturating_sub(frame.done);
        let want = missing.min(left as u64);
        let mut pieces = Pieces::new();
        match &frame.target {
            Target::Receive => self
                .receives
                .pieces(self.conn, frame.done, want, &mut pieces)?,
            Target::Regions(memory) => memory.pieces(frame.done, want, &mut pieces),
            Target::Read(number) => {
                self.tx
                    .read_pieces(self.conn, *number, frame.done, want, &mut pieces)?
            }
        }
        if pieces.bytes() == 0 || !data.place(at, pieces.get()) {
            return Err(Fault::Truncated);
        }
        if digest {
            for piece in pieces.get() {
                frame.crc = piece.crc32c(frame.crc);
            }
        }
        let step = pieces.bytes();
        frame.done = frame.done.saturating_add(step);
        if frame.done == payload {
            if digest {
                frame.state = State::Trailer(Partial::new());
            } else {
                self.finish()?;
            }
        }
        usize::try_from(step).map_err(|_| Fault::Size)
    }

    fn trailer(&mut self) -> Result<(), Fault> {
        let Link { session, rx } = &mut *self.link;
        let State::Trailer(bytes) = &rx.state else {
            return Ok(());
        };
        if bytes.get() != session.format().trailer_bytes(rx.crc) {
            return Err(Fault::Digest);
        }
        self.finish()
    }

    /// Everything of a frame is in place.
    fn finish(&mut self) -> Result<(), Fault> {
        let Link { session, rx } = &mut *self.link;
        let header = rx.header.header();

        rx.state = State::Header;
        if let Target::Read(number) = rx.target {
            self.tx.read_done(number);
            session.placed(header);
            return Ok(());
        }
        // Lets go of regions.
        rx.target = Target::Receive;
        session.placed(header);
        if !header.elements.get().is_empty() && header.cq_data.is_none() {
            return Ok(());
        }
        let mut outcome = Outcome {
            opcode: if header.elements.get().is_empty() {
                OP_RECV
            } else {
                OP_RECV_WRITE_IMM
            },
            // A longer message does not fit into a receive.
            len: u32::try_from(header.payload).unwrap_or(u32::MAX),
            ..Outcome::default()
        };
        if let Some(data) = header.cq_data {
            outcome.flags |= COMP_IMM;
            // CAST: the lower half, as documented.
            outcome.data = data as u32;
        }
        if let Some(key) = header.invalidate {
            let id = self.ep.domain.invalidate(self.conn.id, key)?;
            Tx::fence(self.link, id)?;
            outcome.flags |= COMP_INV;
            outcome.data = key;
        }
        self.receives
            .complete(self.conn, self.ep, self.hand, outcome);
        Ok(())
    }
}

impl Receives {
    /// Memory of the current receive. If there is none at that place, the receive is at fault.
    fn pieces(&mut self, conn: &Conn, skip: u64, want: u64, to: &mut Pieces) -> Result<(), Fault> {
        self.current
            .memory
            .pieces(conn, Access::FILL, skip, want, to)
            .map_err(|_| {
                self.at_fault = true;
                Fault::Local
            })
    }

    /// Tells the consumer of the current receive.
    fn complete(&mut self, conn: &Arc<Conn>, ep: &Endpoint, hand: &mut Hand, outcome: Outcome) {
        self.current.memory.clear();
        self.taken = false;
        match self.current.ctx.take() {
            Some(ctx) => hand.put(conn, ep, Direction::Rx, ctx, outcome),
            None => {
                conn.room(Direction::Rx);
                conn.settled(Direction::Rx);
            }
        }
    }

    /// Completes everything with -ECANCELED. What is in a shared context stays there.
    pub(super) fn flush(&mut self, conn: &Arc<Conn>, ep: &Endpoint) {
        let mut hand = Hand::full();
        let canceled = Outcome {
            status: errno::ecanceled().to_errno(),
            ..Outcome::default()
        };
        if self.taken {
            let outcome = Outcome {
                status: if self.at_fault {
                    EFAULT.to_errno()
                } else {
                    canceled.status
                },
                ..canceled
            };
            self.complete(conn, ep, &mut hand, outcome);
        }
        loop {
            let Some(own) = &mut self.own else {
                return;
            };
            let Some(op) = own.get(0) else {
                return;
            };
            core::mem::swap(op, &mut self.current);
            own.retire();
            self.complete(conn, ep, &mut hand, canceled);
        }
    }
}
