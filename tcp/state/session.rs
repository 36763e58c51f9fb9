// SPDX-License-Identifier: GPL-2.0-only

//! An established connection: sequence, acknowledgements, responses, credits and limits.
//!
//! Sending: ask [`Session::may_send`], then call [`Session::sending`] in the order in which headers go to the socket.
//! Receiving: read a header only while [`Session::stalled`] says no, give it to [`Session::received`], and call
//! [`Session::placed`] when its payload is where it belongs. Responses and acknowledgements that this leaves to be
//! sent are counted here and forgotten by [`Session::sending`].

#![deny(unsafe_code)]

use super::{
    super::frame::{
        error::Report,
        header::{Header, Op},
        Fault,
        Features,
        Format, //
    },
    fifo::Fifo,
    handshake::Agreement, //
};

/// Half of the numbers of a 32-bit counter: how far a limit may be ahead.
const AHEAD: u32 = 1 << 31;

/// What a connection may have pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Read requests of the peer that wait for their response.
    pub(crate) reads_queued: u32,
    /// Bytes of these responses; one response may be larger.
    pub(crate) bytes_queued: u64,
    /// Acknowledgements that wait to be sent.
    pub(crate) acks_owed: u32,
    /// Acknowledgements we wait for.
    pub(crate) acks_awaited: u32,
}

/// Why an operation cannot be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The peer has announced no receive.
    Credits,
    /// Too many reads are outstanding, or one is and the operation has a fence.
    Reads,
    /// Too many acknowledgements are outstanding.
    Acks,
    /// We have said that we send no more.
    Ended,
}

/// What the peer's header asks for. Payload comes next where there is some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// A message: fill a receive.
    Message,
    /// Send the elements of the header.
    ReadRequest,
    /// Data of the oldest read outstanding.
    ReadResponse,
    /// Fill the elements of the header.
    Write,
    /// The oldest operation that waits for one is acknowledged.
    Ack,
    /// Nothing but a credit limit, which has been noted.
    Credit,
    /// The peer is about to close.
    Error(Report),
}

/// The state of an established connection.
///
/// # Invariants
///
/// `acks_awaited`, `reads_queued` and `acks_owed` do not exceed their limits.
pub(crate) struct Session<B> {
    format: Format,
    limits: Limits,
    seq: u8,
    fin_sent: bool,
    fin_received: bool,
    // What we do to the peer.
    reads: Fifo<B>,
    ord: usize,
    acks_awaited: u32,
    sent: u32,
    may_send_until: u32,
    // What the peer does to us.
    received: u32,
    told: u32,
    granted: u32,
    reads_queued: u32,
    bytes_queued: u64,
    acks_owed: u32,
    ordinal: u32,
}

impl<B: AsRef<[u64]> + AsMut<[u64]>> Session<B> {
    /// The session that follows a handshake. `reads` has a place for each read that we want to have outstanding,
    /// `granted` is the number of credits that our connection message announced.
    pub(crate) fn new(
        agreement: &Agreement,
        format: Format,
        limits: Limits,
        granted: u16,
        reads: B,
    ) -> Self {
        let reads = Fifo::new(reads);
        let ord = agreement.ord.map_or(reads.capacity(), |ord| {
            reads.capacity().min(usize::from(ord))
        });
        Session {
            format,
            limits,
            seq: 0,
            fin_sent: false,
            fin_received: false,
            reads,
            ord,
            acks_awaited: 0,
            sent: 0,
            may_send_until: u32::from(agreement.credits),
            received: 0,
            told: u32::from(granted),
            granted: u32::from(granted),
            reads_queued: 0,
            bytes_queued: 0,
            acks_owed: 0,
            ordinal: 0,
        }
    }

    /// How headers are written.
    pub(crate) fn format(&self) -> &Format {
        &self.format
    }

    /// Whether peers hear of receives.
    pub(crate) fn credits(&self) -> bool {
        self.format.features.has(Features::CREDITS)
    }

    // A message takes a receive, and so does a write that shows up in the target's completion queue.
    fn takes_receive(header: &Header) -> bool {
        header.op == Op::Message || (header.op == Op::Write && header.cq_data.is_some())
    }

    /// Whether `header` may go out now; `fence` says that it must wait for all reads.
    pub(crate) fn may_send(&self, header: &Header, fence: bool) -> Result<(), Wait> {
        if self.fin_sent {
            return Err(Wait::Ended);
        }
        if fence && self.reads.len() != 0 {
            return Err(Wait::Reads);
        }
        if header.op == Op::ReadRequest && self.reads.len() >= self.ord {
            return Err(Wait::Reads);
        }
        if header.wants_ack() && self.acks_awaited >= self.limits.acks_awaited {
            return Err(Wait::Acks);
        }
        if self.credits() && Self::takes_receive(header) && !ahead(self.may_send_until, self.sent) {
            return Err(Wait::Credits);
        }
        Ok(())
    }

    /// Notes that `header` goes out, behind all before it, and returns its sequence number.
    ///
    /// Refuses what [`Session::may_send`] does not allow, and responses and acknowledgements that nobody asked for.
    pub(crate) fn sending(&mut self, header: &Header) -> Result<u8, Fault> {
        self.may_send(header, false).map_err(|wait| match wait {
            Wait::Ended => Fault::Phase,
            _ => Fault::Limit,
        })?;
        match header.op {
            Op::ReadRequest => {
                if !self.reads.push(header.elements.bytes()?) {
                    return Err(Fault::Limit);
                }
            }
            Op::ReadResponse => {
                self.reads_queued = self.reads_queued.checked_sub(1).ok_or(Fault::Response)?;
                self.bytes_queued = self.bytes_queued.saturating_sub(header.payload);
            }
            Op::Ack => self.acks_owed = self.acks_owed.checked_sub(1).ok_or(Fault::Ack)?,
            Op::Message | Op::Write | Op::Credit | Op::Error => {}
        }
        if header.wants_ack() {
            // INVARIANT: `may_send` has compared it with the limit.
            self.acks_awaited = self.acks_awaited.saturating_add(1);
        }
        if Self::takes_receive(header) {
            self.sent = self.sent.wrapping_add(1);
        }
        let seq = self.seq;
        self.seq = seq.wrapping_add(1);
        Ok(seq)
    }

    /// Whether no header must be read now, because too much waits to be sent to this peer.
    pub(crate) fn stalled(&self) -> bool {
        self.reads_queued >= self.limits.reads_queued
            || self.bytes_queued >= self.limits.bytes_queued
            || self.acks_owed >= self.limits.acks_owed
    }

    /// Judges a header of the peer.
    pub(crate) fn received(&mut self, header: &Header) -> Result<Incoming, Fault> {
        if self.fin_received {
            return Err(Fault::Phase);
        }
        if self.stalled() {
            return Err(Fault::Limit);
        }
        if let Some(limit) = header.credit {
            self.raise_limit(limit)?;
        }
        if Self::takes_receive(header) {
            if self.credits() && !ahead(self.told, self.received) {
                return Err(Fault::Credits);
            }
            self.received = self.received.wrapping_add(1);
        }
        match header.op {
            Op::Message => Ok(Incoming::Message),
            Op::Write => Ok(Incoming::Write),
            Op::ReadRequest => {
                // INVARIANT: not stalled, so below the limit.
                self.reads_queued = self.reads_queued.saturating_add(1);
                self.bytes_queued = self.bytes_queued.saturating_add(header.elements.bytes()?);
                Ok(Incoming::ReadRequest)
            }
            Op::ReadResponse => match self.reads.front() {
                Some(len) if len == header.payload => Ok(Incoming::ReadResponse),
                _ => Err(Fault::Response),
            },
            Op::Ack => {
                self.acks_awaited = self.acks_awaited.checked_sub(1).ok_or(Fault::Ack)?;
                Ok(Incoming::Ack)
            }
            Op::Credit => Ok(Incoming::Credit),
            Op::Error => Ok(Incoming::Error(header.report.ok_or(Fault::Op)?)),
        }
    }

    fn raise_limit(&mut self, limit: u32) -> Result<(), Fault> {
        // A limit only grows. One that is too far ahead cannot be told from one that has shrunk.
        if limit.wrapping_sub(self.may_send_until) >= AHEAD
            || limit.wrapping_sub(self.sent) >= AHEAD
        {
            return Err(Fault::Credits);
        }
        self.may_send_until = limit;
        Ok(())
    }

    /// Notes that everything `header` brought is in place.
    pub(crate) fn placed(&mut self, header: &Header) {
        if header.op == Op::ReadResponse {
            self.reads.pop();
        }
        if matches!(header.op, Op::Message | Op::ReadRequest | Op::Write) {
            self.ordinal = self.ordinal.wrapping_add(1);
        }
        if header.wants_ack() {
            // INVARIANT: `received` was not stalled, and nothing has been placed since.
            self.acks_owed = self.acks_owed.saturating_add(1).min(self.limits.acks_owed);
        }
    }

    /// Number of the operation that is at fault when one is, for [`Report::ordinal`].
    pub(crate) fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// Acknowledgements to be sent.
    pub(crate) fn acks_owed(&self) -> u32 {
        self.acks_owed
    }

    /// Read responses to be sent.
    pub(crate) fn reads_queued(&self) -> u32 {
        self.reads_queued
    }

    /// Reads of ours whose data has not come.
    pub(crate) fn reads_outstanding(&self) -> usize {
        self.reads.len()
    }

    /// Acknowledgements we wait for.
    pub(crate) fn acks_awaited(&self) -> u32 {
        self.acks_awaited
    }

    /// Notes that the consumer has posted `count` more receives.
    pub(crate) fn receives_posted(&mut self, count: u32) {
        self.granted = self.granted.wrapping_add(count);
    }

    /// Receives that the consumer has posted, modulo 2^32.
    pub(crate) fn credits_granted(&self) -> u32 {
        self.granted
    }

    /// Receives that the peer does not know of.
    pub(crate) fn credits_untold(&self) -> u32 {
        if self.credits() {
            self.granted.wrapping_sub(self.told)
        } else {
            0
        }
    }

    /// Receives that the peer knows of and has not used.
    pub(crate) fn credits_told(&self) -> u32 {
        self.told.wrapping_sub(self.received)
    }

    /// Whether the peer should hear of receives: it knows of fewer than it does not know of. So not every header has the word that
    /// tells it, and the peer need not wait for it.
    pub(crate) fn credits_due(&self) -> bool {
        let untold = self.credits_untold();
        untold > self.credits_told()
    }

    /// Whether the peer knows of no receive, and there is none to tell it of.
    pub(crate) fn peer_waits_for_receive(&self) -> bool {
        self.credits() && self.told == self.received && self.granted == self.told
    }

    /// The credit limit to put into the next header; `None` when there is nothing new to tell.
    pub(crate) fn tell_credits(&mut self) -> Option<u32> {
        if self.credits_untold() == 0 {
            return None;
        }
        self.told = self.granted;
        Some(self.told)
    }

    /// Notes that we send no more.
    pub(crate) fn end(&mut self) {
        self.fin_sent = true;
    }

    /// Judges the end of the peer's stream; `boundary` says that it is not in the middle of a header or payload.
    pub(crate) fn ended(&mut self, boundary: bool) -> Result<(), Fault> {
        self.fin_received = true;
        if boundary {
            Ok(())
        } else {
            Err(Fault::Truncated)
        }
    }
}

// Whether a limit leaves room behind `count` numbers.
fn ahead(limit: u32, count: u32) -> bool {
    (1..AHEAD).contains(&limit.wrapping_sub(count))
}
