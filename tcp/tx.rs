// SPDX-License-Identifier: GPL-2.0-only

//! What a connection sends: operations in the order in which they were posted, acknowledgements, read responses.
//!
//! A frame is put together when it is its turn, and is then sent in as many pieces as the socket takes. Several frames go
//! into one call of the socket's. Operations complete in order: one that is over waits for those before it.

#![deny(unsafe_code)]

use super::{
    conn::{
        Conn,
        Endpoint, //
    },
    engine::{
        Link,
        Stop, //
    },
    op::{
        Kind,
        Outcome,
        Progress,
        TxOp, //
    },
    pieces::Pieces,
    queue::{
        Direction,
        Hand, //
    },
    wire::{
        frame::{
            error::{
                Code,
                Report, //
            },
            header::{
                Element,
                Header,
                Op, //
            },
            Fault,
            Features, //
        },
        keys::Id, //
    }, //
};
use crate::sys::{
    errno,
    memory::Piece,
    ring::Taker,
    socket::Socket, //
};
use frames::{
    Batch,
    Frame,
    Frames,
    Owner, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    }, //
};

mod frames;

/// Payload from which on memory is lent to the socket: below that copying costs less than another call.
const LEND_MIN: u64 = 16 << 10;
/// Bytes of a payload that are left when its digest is finished.
const SEAL_MAX: u64 = 64 << 10;

/// Bytes that were lent so far.
static LENT: Atomic<u64> = Atomic::new(0);

/// Bytes of consumers' memory that went to TCP by reference, on all connections.
pub(crate) fn lent_bytes() -> u64 {
    LENT.load(Relaxed)
}

/// The sending side of an endpoint.
pub(crate) struct Tx {
    ops: Taker<TxOp>,
    /// Number of the oldest operation in `ops`, modulo 2^32.
    base: u32,
    /// Operations of `ops` that have begun.
    started: u32,
    /// Number that the next operation gets which the peer counts.
    ordinal: u32,
    frames: Frames,
    /// Where in the stream the last memory ends that the socket keeps, until the peer has acknowledged its operation.
    lent_end: Option<u32>,
}

impl Tx {
    /// For operations from `ops`.
    pub(super) fn new(ops: Taker<TxOp>) -> Self {
        Self {
            ops,
            base: 0,
            started: 0,
            ordinal: 0,
            frames: Frames::new(),
            lent_end: None,
        }
    }

    /// Makes room for frames, once the connection is established.
    pub(super) fn prepare(&mut self) -> Result {
        self.frames.prepare()
    }

    /// Whether no frame is half sent.
    pub(super) fn between_frames(&self) -> bool {
        let oldest = self.frames.waiting().first();
        oldest.is_none_or(|frame| frame.sent == 0)
    }

    /// Sends what may be sent, until there is nothing more or the socket is full.
    pub(super) fn transmit(
        &mut self,
        conn: &Arc<Conn>,
        socket: &Socket<Conn>,
        link: &mut Link,
        hand: &mut Hand,
    ) -> Result<(), Stop> {
        while !(self.frames.is_empty() && self.is_idle(link)) {
            self.fill(conn, link)?;
            if !self.push(conn, socket, link)? {
                break;
            }
        }
        if let Some(ep) = conn.endpoint() {
            self.retire(conn, ep, hand);
        }
        Ok(())
    }

    /// Puts frames together: acknowledgements first, then responses, then operations, and what receives there are when no
    /// other frame tells it.
    fn fill(&mut self, conn: &Arc<Conn>, link: &mut Link) -> Result<(), Stop> {
        let mut header = Header::new(Op::Ack, 0);
        while self.frames.next().is_some() {
            let owner = if link.session.acks_owed() != 0 {
                header.reset(Op::Ack, 0);
                Owner::Control
            } else if let Some(bytes) = link.rx.next_response() {
                header.reset(Op::ReadResponse, bytes);
                Owner::Response
            } else if let Some(number) = self.next_op(conn, link, &mut header)? {
                Owner::Op(number)
            } else if link.session.credits_due() {
                header.reset(Op::Credit, 0);
                Owner::Control
            } else {
                break;
            };
            self.frame(link, &mut header, owner)?;
            if owner == Owner::Response {
                link.rx.response_started();
            }
        }
        Ok(())
    }

    /// Whether [`Self::fill`] would find nothing.
    fn is_idle(&mut self, link: &Link) -> bool {
        link.session.acks_owed() == 0
            && link.rx.next_response().is_none()
            && self.ops.get(self.started).is_none()
            && !link.session.credits_due()
    }

    /// Puts the next frame together.
    fn frame(&mut self, link: &mut Link, header: &mut Header, owner: Owner) -> Result<(), Stop> {
        if link.session.credits_due() {
            header.credit = link.session.tell_credits();
        }
        let seq = link.session.sending(header)?;
        let format = link.session.format();
        let trailer_len = format.trailer(header.payload);
        // The caller has looked for room.
        let frame = self.frames.next().ok_or(Fault::Limit)?;
        frame.owner = owner;
        frame.head_len = header.encode(format, seq, &mut frame.head)?;
        frame.payload = header.payload;
        frame.trailer_len = trailer_len;
        frame.crc = !0;
        frame.sealed = trailer_len == 0;
        frame.sent = 0;
        self.frames.push();
        Ok(())
    }

    /// Goes on with the digest of a payload, from byte `from` to byte `to`.
    fn digest(
        &mut self,
        conn: &Arc<Conn>,
        link: &Link,
        owner: Owner,
        from: u64,
        to: u64,
        mut crc: u32,
    ) -> Result<u32, Stop> {
        let mut done = from;
        while done < to {
            let mut pieces = Pieces::new();
            self.memory(
                conn,
                link,
                owner,
                done,
                to.saturating_sub(done),
                &mut pieces,
            )?;
            for piece in pieces.get() {
                crc = piece.crc32c(crc);
            }
            if pieces.bytes() == 0 {
                return Err(Fault::Size.into());
            }
            done = done.saturating_add(pieces.bytes());
        }
        Ok(crc)
    }

    /// Finishes the digests of frames that are about to be sent.
    ///
    /// What a peer reads may be written by the peer before the socket has taken all of it, so a digest is one of the bytes as
    /// they were when they were taken. Of a large payload the end has to be near.
    fn seal(&mut self, conn: &Arc<Conn>, link: &Link) -> Result<(), Stop> {
        for at in 0..self.frames.waiting().len() {
            let Some(frame) = self.frames.waiting().get(at) else {
                break;
            };
            let (owner, from, to, crc) =
                (frame.owner, frame.payload_sent(), frame.payload, frame.crc);
            if frame.trailer_len == 0 {
                continue;
            }
            let near = to.saturating_sub(from) <= SEAL_MAX;
            let crc = if near {
                self.digest(conn, link, owner, from, to, crc)?
            } else {
                crc
            };
            if let Some(frame) = self.frames.get_mut(at) {
                frame.sealed = near;
                frame.trailer = link.session.format().trailer_bytes(crc);
            }
            if !near {
                break;
            }
        }
        Ok(())
    }

    /// The payload of a frame from byte `skip` on.
    fn memory(
        &mut self,
        conn: &Arc<Conn>,
        link: &Link,
        owner: Owner,
        skip: u64,
        want: u64,
        to: &mut Pieces,
    ) -> Result<(), Stop> {
        match owner {
            Owner::Op(number) => {
                let at = number.wrapping_sub(self.base);
                if let Some(op) = self.ops.get(at) {
                    op.pieces(conn, skip, want, to)?;
                }
            }
            Owner::Response => link.rx.response_pieces(skip, want, to),
            Owner::Control => {}
        }
        Ok(())
    }

    /// Starts operations up to one that needs a frame, and returns its number. Fills in the header.
    fn next_op(
        &mut self,
        conn: &Arc<Conn>,
        link: &mut Link,
        header: &mut Header,
    ) -> Result<Option<u32>, Stop> {
        loop {
            let number = self.base.wrapping_add(self.started);
            let Some(op) = self.ops.get(self.started) else {
                return Ok(None);
            };
            let acks = op.signaled;
            let framed = match op.kind {
                Kind::Send => {
                    if op.invalidate.is_some()
                        && !link.session.format().features.has(Features::SEND_INV)
                    {
                        // Posting refuses it; this one was posted before the connection was made.
                        op.status = errno::eopnotsupp().to_errno();
                        return Err(Stop::Ended(errno::eopnotsupp().to_errno()));
                    }
                    header.reset(Op::Message, op.len);
                    header.cq_data = op.imm.map(u64::from);
                    header.invalidate = op.invalidate;
                    true
                }
                Kind::Write => {
                    header.reset(Op::Write, op.len);
                    header.cq_data = op.imm.map(u64::from);
                    // So that a completion says what it says over verbs: the peer has the data.
                    header.delivery = acks;
                    true
                }
                Kind::Read => {
                    header.reset(Op::ReadRequest, 0);
                    true
                }
                Kind::Nop | Kind::Register | Kind::Invalidate => false,
            };
            if !framed {
                if op.fence && link.session.reads_outstanding() != 0 {
                    return Ok(None);
                }
                // Those before it may be in the region that it ends.
                if op.kind == Kind::Invalidate && !self.frames.is_empty() {
                    return Ok(None);
                }
                let result = Self::local(conn, link, op);
                op.progress = Progress::Done;
                self.started = self.started.saturating_add(1);
                if let Err(fault) = result {
                    op.status = EFAULT.to_errno();
                    pr_debug!("tcp: connection {}: local {:?}\n", conn.id, fault);
                    return Err(Fault::Local.into());
                }
                continue;
            }
            if matches!(op.kind, Kind::Write | Kind::Read) {
                header.elements.push(Element {
                    addr: op.raddr,
                    len: op.len,
                    key: op.rkey.into(),
                })?;
            }
            if link.session.may_send(header, op.fence).is_err() {
                return Ok(None);
            }
            // A local key that is wrong is found before anything is sent.
            if let Err(fault) = op.check(conn) {
                op.status = EFAULT.to_errno();
                op.progress = Progress::Done;
                self.started = self.started.saturating_add(1);
                pr_debug!("tcp: connection {}: local {:?}\n", conn.id, fault);
                return Err(Fault::Local.into());
            }
            op.progress = Progress::Sending;
            op.acked = header.wants_ack();
            op.ordinal = self.ordinal;
            self.ordinal = self.ordinal.wrapping_add(1);
            self.started = self.started.saturating_add(1);
            return Ok(Some(number));
        }
    }

    /// Does what needs no frame.
    fn local(conn: &Arc<Conn>, link: &mut Link, op: &mut TxOp) -> Result<(), Fault> {
        match op.kind {
            Kind::Register => {
                let region = op.region.take().ok_or(Fault::Key)?;
                region.register(conn.id, op.rkey, op.access)
            }
            Kind::Invalidate => {
                let ep = conn.endpoint().ok_or(Fault::Key)?;
                let id = ep
                    .domain
                    .retire(conn.id, op.invalidate.unwrap_or_default())?;
                Self::fence(link, id)
            }
            _ => Ok(()),
        }
    }

    /// After this nobody touches the memory of a region that was invalidated.
    pub(super) fn fence(link: &Link, id: Id) -> Result<(), Fault> {
        // What is under way cannot be called back, so the connection goes.
        if link.rx.touches(id) {
            Err(Fault::Key)
        } else {
            Ok(())
        }
    }

    /// Gives frames to the socket; returns whether it has taken all of them, and there may be more.
    fn push(
        &mut self,
        conn: &Arc<Conn>,
        socket: &Socket<Conn>,
        link: &mut Link,
    ) -> Result<bool, Stop> {
        if self.frames.is_empty() {
            return Ok(false);
        }
        self.seal(conn, link)?;
        let mut batch = Batch::new();
        for frame in self.frames.waiting() {
            // A frame of which only a part fits goes last.
            if !Self::gather(
                conn,
                &mut self.ops,
                self.base,
                link,
                frame,
                !socket.is_secure(),
                &mut batch,
            )? {
                break;
            }
            // The memory of one response is known at a time.
            if frame.owner == Owner::Response {
                break;
            }
        }
        if batch.is_empty() {
            return Ok(false);
        }
        let whole = batch.bytes();
        let result = match (batch.lent, batch.more) {
            (true, _) => socket.lend(batch.get_mut()),
            (_, true) => socket.send_more(batch.get_mut()),
            _ => socket.send(batch.get_mut()),
        };
        let taken = match result {
            Ok(taken) => taken as u64,
            Err(EAGAIN) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        if batch.lent {
            self.note_lent(socket);
            LENT.fetch_add(taken, Relaxed);
        }
        self.advance(conn, link, taken)?;
        Ok(taken == whole)
    }

    /// Adds what is left of a frame to the batch; returns whether all of it fitted.
    ///
    /// `lend` allows the socket to keep the memory instead of copying it. What is lent has a batch of its own.
    fn gather<'a>(
        conn: &Arc<Conn>,
        ops: &mut Taker<TxOp>,
        base: u32,
        link: &Link,
        frame: &'a Frame,
        lend: bool,
        batch: &mut Batch<'a>,
    ) -> Result<bool, Stop> {
        if !batch.push_bytes(frame.head_left()) {
            return Ok(false);
        }
        let mut done = frame.payload_sent();
        while done < frame.payload {
            let mut pieces = Pieces::new();
            let want = frame.payload.saturating_sub(done);
            let mut lend = lend && frame.payload >= LEND_MIN;
            match frame.owner {
                Owner::Op(number) => {
                    if let Some(op) = ops.get(number.wrapping_sub(base)) {
                        op.pieces(conn, done, want, &mut pieces)?;
                        lend = lend && op.may_lend();
                    }
                }
                Owner::Response => {
                    link.rx.response_pieces(done, want, &mut pieces);
                    lend = false;
                }
                Owner::Control => {}
            }
            if pieces.bytes() == 0 {
                return Err(Fault::Size.into());
            }
            if lend && pieces.get().iter().all(Piece::may_lend) {
                if !batch.lent && !batch.is_empty() {
                    batch.more = true;
                    return Ok(false);
                }
                if !batch.push_pieces(pieces.get()) {
                    return Ok(false);
                }
                batch.lent = true;
                done = done.saturating_add(pieces.bytes());
                continue;
            }
            if batch.lent {
                return Ok(false);
            }
            // The digest has to fit too.
            if pieces.get().len() >= batch.room() || !batch.push_pieces(pieces.get()) {
                return Ok(false);
            }
            done = done.saturating_add(pieces.bytes());
        }
        if !frame.sealed {
            batch.more = true;
            return Ok(false);
        }
        Ok(!batch.lent && batch.push_bytes(frame.trailer_left()))
    }

    /// Notes that the socket keeps memory of the operation whose frame is the oldest.
    fn note_lent(&mut self, socket: &Socket<Conn>) {
        if let Some(Owner::Op(number)) = self.frames.waiting().first().map(|frame| frame.owner) {
            if let Some(op) = self.ops.get(number.wrapping_sub(self.base)) {
                op.lent = Some(socket.written());
                self.lent_end = op.lent;
            }
        }
    }

    /// Whether the socket still has memory of operations.
    pub(super) fn has_lent(&self, socket: &Socket<Conn>) -> bool {
        self.lent_end.is_some_and(|end| !socket.acked(end))
    }

    /// Notes that the socket has taken so many bytes.
    fn advance(&mut self, conn: &Arc<Conn>, link: &mut Link, mut taken: u64) -> Result<(), Stop> {
        while let Some(frame) = self.frames.oldest() {
            let left = frame.len().saturating_sub(frame.sent);
            if taken < left {
                let (owner, from, crc) = (frame.owner, frame.payload_sent(), frame.crc);
                frame.sent = frame.sent.saturating_add(taken);
                if frame.trailer_len != 0 {
                    let to = frame.payload_sent();
                    let crc = self.digest(conn, link, owner, from, to, crc)?;
                    if let Some(frame) = self.frames.oldest() {
                        frame.crc = crc;
                    }
                }
                return Ok(());
            }
            taken = taken.saturating_sub(left);
            let owner = frame.owner;
            self.frames.pop();
            match owner {
                Owner::Op(number) => self.sent(number),
                Owner::Response => link.rx.response_sent(),
                Owner::Control => {}
            }
        }
        Ok(())
    }

    /// Notes that an operation's frame is with the socket.
    fn sent(&mut self, number: u32) {
        if let Some(op) = self.ops.get(number.wrapping_sub(self.base)) {
            op.progress = match op.kind {
                Kind::Read => Progress::AwaitsData,
                _ if op.acked => Progress::AwaitsAck,
                _ => Progress::Done,
            };
        }
    }

    /// The oldest operation that waits for the peer in that way.
    fn waiting(&mut self, progress: Progress) -> Option<u32> {
        for at in 0..self.started {
            let op = self.ops.get(at)?;
            if op.progress == progress {
                return Some(at);
            }
        }
        None
    }

    /// An acknowledgement has come.
    pub(super) fn acknowledged(&mut self, socket: &Socket<Conn>) -> Result<(), Fault> {
        // One that has not left yet cannot be meant.
        let at = self.waiting(Progress::AwaitsAck).ok_or(Fault::Ack)?;
        if let Some(op) = self.ops.get(at) {
            if let Some(end) = op.lent {
                // Memory that our TCP has not sent, or not for the last time, is not the consumer's, whatever the peer says.
                if !socket.acked(end) {
                    return Err(Fault::Ack);
                }
                if self.lent_end == op.lent {
                    self.lent_end = None;
                }
            }
            op.progress = Progress::Done;
        }
        Ok(())
    }

    /// The number of the operation that read data is for.
    pub(super) fn reader(&mut self) -> Result<u32, Fault> {
        let at = self.waiting(Progress::AwaitsData).ok_or(Fault::Response)?;
        Ok(self.base.wrapping_add(at))
    }

    /// The memory of such an operation.
    pub(super) fn read_pieces(
        &mut self,
        conn: &Conn,
        number: u32,
        skip: u64,
        want: u64,
        to: &mut Pieces,
    ) -> Result<(), Fault> {
        match self.ops.get(number.wrapping_sub(self.base)) {
            Some(op) => op.pieces(conn, skip, want, to),
            None => Err(Fault::Response),
        }
    }

    /// All its data has come.
    pub(super) fn read_done(&mut self, number: u32) {
        if let Some(op) = self.ops.get(number.wrapping_sub(self.base)) {
            op.progress = Progress::Done;
        }
    }

    /// The peer says which operation of ours it does not execute.
    pub(super) fn blame(&mut self, report: &Report) {
        for at in 0..self.started {
            let Some(op) = self.ops.get(at) else {
                return;
            };
            let counted = matches!(op.kind, Kind::Send | Kind::Write | Kind::Read);
            if counted && op.progress != Progress::Done && op.ordinal == report.ordinal {
                op.status = match report.code {
                    // Too long for the peer's receive.
                    Code::Range if matches!(op.kind, Kind::Send) => errno::eremoteio().to_errno(),
                    Code::Key | Code::Range | Code::Access => EACCES.to_errno(),
                    Code::Digest => EIO.to_errno(),
                    _ => errno::eremoteio().to_errno(),
                };
                op.progress = Progress::Done;
                return;
            }
        }
    }

    /// Completes operations that are over, up to one that is not.
    fn retire(&mut self, conn: &Arc<Conn>, ep: &Endpoint, hand: &mut Hand) {
        while self.started != 0 {
            match self.ops.get(0) {
                Some(op) if op.progress == Progress::Done => {
                    complete(conn, ep, hand, op);
                }
                _ => return,
            }
            self.ops.retire();
            self.base = self.base.wrapping_add(1);
            self.started = self.started.saturating_sub(1);
        }
    }

    /// Completes everything; what is not over with -ECANCELED. If something is lent, the socket has been emptied.
    pub(super) fn flush(&mut self, conn: &Arc<Conn>, ep: &Endpoint) {
        self.frames.clear();
        self.lent_end = None;
        let mut hand = Hand::full();
        while let Some(op) = self.ops.get(0) {
            if op.progress != Progress::Done && op.status == 0 {
                op.status = errno::ecanceled().to_errno();
            }
            complete(conn, ep, &mut hand, op);
            self.ops.retire();
            self.base = self.base.wrapping_add(1);
            self.started = self.started.saturating_sub(1);
        }
    }

    /// Sends the frames that are put together, and acknowledgements; returns whether the socket has taken them.
    pub(super) fn finish(
        &mut self,
        conn: &Arc<Conn>,
        socket: &Socket<Conn>,
        link: &mut Link,
    ) -> bool {
        loop {
            while self.frames.next().is_some() && link.session.acks_owed() != 0 {
                let mut header = Header::new(Op::Ack, 0);
                if self.frame(link, &mut header, Owner::Control).is_err() {
                    return false;
                }
            }
            if self.frames.is_empty() || !matches!(self.push(conn, socket, link), Ok(true)) {
                break;
            }
        }
        self.between_frames()
    }
}

/// Tells the consumer of an operation, if it wants to hear of it.
fn complete(conn: &Arc<Conn>, ep: &Endpoint, hand: &mut Hand, op: &mut TxOp) {
    op.memory.clear();
    // Not the last reference: the consumer has one.
    op.region = None;
    let ctx = op.ctx.take();
    match ctx {
        Some(ctx) if op.signaled || op.status != 0 => {
            let outcome = Outcome {
                status: op.status,
                opcode: op.opcode,
                ..Outcome::default()
            };
            hand.put(conn, ep, Direction::Tx, ctx, outcome);
        }
        _ => {
            conn.room(Direction::Tx);
            conn.settled(Direction::Tx);
        }
    }
}
