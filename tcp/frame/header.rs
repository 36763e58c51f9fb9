// SPDX-License-Identifier: GPL-2.0-only

//! The data header: in front of every operation, response and acknowledgement.

#![deny(unsafe_code)]

use super::{
    crc_of,
    cursor::{Partial, Reader, Writer},
    error::Report,
    Fault,
    Features,
    Format,
    Order,
    VERSION, //
};

/// Bytes that every header has.
pub(crate) const BASE: usize = 16;
/// Longest header: 4 elements and every word that an operation with elements can have.
pub(crate) const MAX: usize = 136;
/// Remote memory elements in one operation.
pub(crate) const ELEMENTS: usize = 4;
/// Bytes of a payload's CRC32C.
pub(crate) const TRAILER: usize = 4;

/// A word of CQ data follows.
const CQ_DATA: u16 = 0x0001;
/// Acknowledge when the payload is in place.
const DELIVERY: u16 = 0x0004;
/// Acknowledge when the payload is durable.
const COMMIT: u16 = 0x0008;
/// A word with a key to invalidate follows.
const INVALIDATE: u16 = 0x0100;
/// A word with a credit limit follows.
const CREDIT: u16 = 0x0200;
/// A word with the header's CRC32C ends it.
const DIGEST: u16 = 0x0400;
/// Operation byte 0 with this in its own byte is an acknowledgement.
const OP_DATA_ACK: u8 = 2;

/// What a header is in front of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Message into a receive.
    Message,
    /// Answer to a message or write that asked for one.
    Ack,
    /// RMA read.
    ReadRequest,
    /// Its data.
    ReadResponse,
    /// RMA write.
    Write,
    /// Nothing but a credit limit.
    Credit,
    /// Why the sender is about to close.
    Error,
}

impl Op {
    const fn code(self) -> u8 {
        match self {
            Op::Message | Op::Ack => 0,
            Op::ReadRequest => 2,
            Op::ReadResponse => 3,
            Op::Write => 4,
            Op::Credit => 0x80,
            Op::Error => 0x81,
        }
    }

    fn from_code(code: u8, op_data: u8) -> Result<Op, Fault> {
        match (code, op_data) {
            (0, 0) => Ok(Op::Message),
            (0, OP_DATA_ACK) => Ok(Op::Ack),
            (0, _) => Err(Fault::OpData),
            (2, _) => Ok(Op::ReadRequest),
            (3, _) => Ok(Op::ReadResponse),
            (4, _) => Ok(Op::Write),
            (0x80, _) => Ok(Op::Credit),
            (0x81, _) => Ok(Op::Error),
            _ => Err(Fault::Op),
        }
    }

    /// What must have been agreed on before it is used.
    const fn needs(self) -> Features {
        match self {
            Op::Credit => Features::CREDITS,
            Op::Error => Features::ERRORS,
            _ => Features::NONE,
        }
    }

    const fn has_elements(self) -> bool {
        matches!(self, Op::ReadRequest | Op::Write)
    }

    const fn has_payload(self) -> bool {
        matches!(self, Op::Message | Op::ReadResponse | Op::Write)
    }

    /// The flags that may be set, and those that must be.
    fn flags(self, features: Features) -> (u16, u16) {
        let digest = if features.has(Features::CRC32C) {
            DIGEST
        } else {
            0
        };
        let credit = if features.has(Features::CREDITS) {
            CREDIT
        } else {
            0
        };
        let invalidate = if features.has(Features::SEND_INV) {
            INVALIDATE
        } else {
            0
        };
        let (may, must) = match self {
            Op::Message => (CQ_DATA | DELIVERY | COMMIT | invalidate | credit, 0),
            Op::Write => (CQ_DATA | DELIVERY | COMMIT | credit, 0),
            // The two levels of completion mean nothing here; a peer may repeat them.
            Op::ReadRequest | Op::ReadResponse => (DELIVERY | COMMIT | credit, 0),
            Op::Ack => (credit, 0),
            Op::Credit => (CREDIT, CREDIT),
            Op::Error => (0, 0),
        };
        (may | digest, must | digest)
    }
}

/// A piece of the receiver's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    /// Address as the owner of the memory gave it out.
    pub(crate) addr: u64,
    /// Bytes.
    pub(crate) len: u64,
    /// Key of the region.
    pub(crate) key: u64,
}

/// The remote memory of an operation: up to [`ELEMENTS`] pieces.
///
/// # Invariants
///
/// `count <= ELEMENTS`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Elements {
    list: [Element; ELEMENTS],
    count: usize,
}

impl PartialEq for Elements {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Elements {}

impl Elements {
    /// No memory.
    pub(crate) const NONE: Elements = Elements {
        list: [Element {
            addr: 0,
            len: 0,
            key: 0,
        }; ELEMENTS],
        count: 0,
    };

    /// Adds a piece; [`Fault::Count`] when it is full.
    pub(crate) fn push(&mut self, element: Element) -> Result<(), Fault> {
        *self.list.get_mut(self.count).ok_or(Fault::Count)? = element;
        // INVARIANT: `get_mut` has found a place at `count`, so `count` was below ELEMENTS.
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// Forgets them.
    fn clear(&mut self) {
        self.count = 0;
    }

    /// The pieces.
    pub(crate) fn get(&self) -> &[Element] {
        self.list.get(..self.count).unwrap_or(&[])
    }

    /// Bytes of all pieces; [`Fault::Size`] when the sum overflows.
    pub(crate) fn bytes(&self) -> Result<u64, Fault> {
        self.get()
            .iter()
            .try_fold(0u64, |sum, e| sum.checked_add(e.len))
            .ok_or(Fault::Size)
    }
}

/// A data header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// What it is in front of.
    pub(crate) op: Op,
    /// Acknowledge when the payload is in place.
    pub(crate) delivery: bool,
    /// Acknowledge when the payload is durable.
    pub(crate) commit: bool,
    /// Data for the target's completion queue.
    pub(crate) cq_data: Option<u64>,
    /// Key of the receiver to invalidate.
    pub(crate) invalidate: Option<u32>,
    /// Number, modulo 2^32, of the first message that the receiver of this may not send yet.
    pub(crate) credit: Option<u32>,
    /// Of [`Op::Error`] only.
    pub(crate) report: Option<Report>,
    /// The receiver's memory.
    pub(crate) elements: Elements,
    /// Bytes that follow the header, without their CRC32C.
    pub(crate) payload: u64,
}

impl Header {
    /// A header of operation `op` with `payload` bytes behind it and nothing else.
    pub(crate) const fn new(op: Op, payload: u64) -> Header {
        Header {
            op,
            delivery: false,
            commit: false,
            cq_data: None,
            invalidate: None,
            credit: None,
            report: None,
            elements: Elements::NONE,
            payload,
        }
    }

    /// Becomes [`Header::new`], without touching memory for elements that it has not.
    pub(crate) fn reset(&mut self, op: Op, payload: u64) {
        self.op = op;
        self.delivery = false;
        self.commit = false;
        self.cq_data = None;
        self.invalidate = None;
        self.credit = None;
        self.report = None;
        self.elements.clear();
        self.payload = payload;
    }

    /// Whether the receiver has to acknowledge it.
    pub(crate) const fn wants_ack(&self) -> bool {
        matches!(self.op, Op::Message | Op::Write) && (self.delivery || self.commit)
    }

    fn wire_flags(&self, features: Features) -> u16 {
        let mut flags = 0;
        for (set, flag) in [
            (self.cq_data.is_some(), CQ_DATA),
            (self.delivery, DELIVERY),
            (self.commit, COMMIT),
            (self.invalidate.is_some(), INVALIDATE),
            (self.credit.is_some(), CREDIT),
            (features.has(Features::CRC32C), DIGEST),
        ] {
            if set {
                flags |= flag;
            }
        }
        flags
    }

    /// Writes the header with sequence number `seq`, and returns its length.
    ///
    /// Refuses what [`Collector::push`] of the peer would refuse, and what is longer than `out`.
    pub(crate) fn encode(&self, format: &Format, seq: u8, out: &mut [u8]) -> Result<usize, Fault> {
        let flags = self.wire_flags(format.features);
        let base = Base {
            op: self.op,
            flags,
            count: self.elements.get().len(),
        };
        base.check(format.features)?;
        if self.report.is_some() != (self.op == Op::Error) {
            return Err(Fault::Op);
        }
        self.check_payload()?;

        let len = base.header_len();
        let size = u64::try_from(len)
            .ok()
            .and_then(|len| len.checked_add(self.payload))
            .ok_or(Fault::Size)?;
        let mut w = Writer::new(out, format.order);
        let [flags0, flags1] = format.order.u16(flags);
        w.bytes(&[
            VERSION,
            self.op.code(),
            flags0,
            flags1,
            if self.op == Op::Ack { OP_DATA_ACK } else { 0 },
            u8::try_from(base.count).map_err(|_| Fault::Count)?,
            u8::try_from(len).map_err(|_| Fault::HeaderLength)?,
            seq,
        ]);
        w.u64(size);
        if let Some(data) = self.cq_data {
            w.u64(data);
        }
        if let Some(key) = self.invalidate {
            w.u64(u64::from(key));
        }
        if let Some(limit) = self.credit {
            w.u64(u64::from(limit));
        }
        if let Some(report) = self.report {
            w.u64(report.to_word());
        }
        for e in self.elements.get() {
            w.u64(e.addr);
            w.u64(e.len);
            w.u64(e.key);
        }
        if !w.complete() {
            return Err(Fault::HeaderLength);
        }
        if flags & DIGEST != 0 {
            let covered = len.saturating_sub(8);
            let (head, rest) = out
                .split_at_mut_checked(covered)
                .ok_or(Fault::HeaderLength)?;
            let mut w = Writer::new(rest, format.order);
            w.u64(u64::from(crc_of(format.crc, head)));
            if !w.complete() {
                return Err(Fault::HeaderLength);
            }
        }
        Ok(len)
    }

    fn check_payload(&self) -> Result<(), Fault> {
        let elements = self.elements.bytes()?;
        if self.op == Op::Write && elements != self.payload {
            return Err(Fault::Size);
        }
        if !self.op.has_payload() && self.payload != 0 {
            return Err(Fault::Size);
        }
        Ok(())
    }
}

/// The part of a header that decides how long it is.
struct Base {
    op: Op,
    flags: u16,
    count: usize,
}

impl Base {
    fn check(&self, features: Features) -> Result<(), Fault> {
        if !features.has(self.op.needs()) {
            return Err(Fault::Op);
        }
        let (may, must) = self.op.flags(features);
        if self.flags & !may != 0 || self.flags & must != must {
            return Err(Fault::Flags);
        }
        if self.op.has_elements() != (1..=ELEMENTS).contains(&self.count) {
            return Err(Fault::Count);
        }
        Ok(())
    }

    fn header_len(&self) -> usize {
        let words = [
            self.flags & CQ_DATA != 0,
            self.flags & INVALIDATE != 0,
            self.flags & CREDIT != 0,
            self.flags & DIGEST != 0,
            self.op == Op::Error,
        ]
        .iter()
        .filter(|&&there| there)
        .count();
        let words = words.saturating_add(self.count.saturating_mul(3));
        BASE.saturating_add(words.saturating_mul(8))
    }
}

/// The fixed part, checked as far as it can be without the rest.
fn parse_base(r: &mut Reader<'_>, features: Features) -> Option<Result<(Base, u64), Fault>> {
    if r.u8()? != VERSION {
        return Some(Err(Fault::Version));
    }
    let code = r.u8()?;
    let flags = r.u16()?;
    let op_data = r.u8()?;
    let count = r.u8()?;
    let header_len = r.u8()?;
    // Release builds of libfabric send anything here.
    let _seq = r.u8()?;
    let size = r.u64()?;

    let op = match Op::from_code(code, op_data) {
        Ok(op) => op,
        Err(fault) => return Some(Err(fault)),
    };
    let base = Base {
        op,
        flags,
        // In the other operations the byte is left over from something else.
        count: if op.has_elements() {
            usize::from(count)
        } else {
            0
        },
    };
    if let Err(fault) = base.check(features) {
        return Some(Err(fault));
    }
    if usize::from(header_len) != base.header_len() {
        return Some(Err(Fault::HeaderLength));
    }
    Some(match size.checked_sub(u64::from(header_len)) {
        Some(payload) if payload == 0 || op.has_payload() => Ok((base, payload)),
        _ => Err(Fault::Size),
    })
}

/// The extension words; `None` when there are too few bytes.
fn parse_words(
    r: &mut Reader<'_>,
    base: &Base,
    payload: u64,
    header: &mut Header,
) -> Option<Result<(), Fault>> {
    header.reset(base.op, payload);
    header.delivery = base.flags & DELIVERY != 0;
    header.commit = base.flags & COMMIT != 0;
    if base.flags & CQ_DATA != 0 {
        header.cq_data = Some(r.u64()?);
    }
    if base.flags & INVALIDATE != 0 {
        match u32::try_from(r.u64()?) {
            Ok(key) => header.invalidate = Some(key),
            Err(_) => return Some(Err(Fault::Key)),
        }
    }
    if base.flags & CREDIT != 0 {
        match u32::try_from(r.u64()?) {
            Ok(limit) => header.credit = Some(limit),
            Err(_) => return Some(Err(Fault::Credits)),
        }
    }
    if base.op == Op::Error {
        header.report = Some(Report::from_word(r.u64()?));
    }
    for _ in 0..base.count {
        let element = Element {
            addr: r.u64()?,
            len: r.u64()?,
            key: r.u64()?,
        };
        if let Err(fault) = header.elements.push(element) {
            return Some(Err(fault));
        }
    }
    Some(header.check_payload())
}

/// Collects a header from pieces of any size, and checks it.
pub(crate) struct Collector {
    bytes: Partial<MAX>,
    /// Bytes of the header, as far as it is known.
    want: usize,
    header: Header,
}

impl Collector {
    /// One that has nothing yet.
    pub(crate) const fn new() -> Self {
        Collector {
            bytes: Partial::new(),
            want: BASE,
            header: Header::new(Op::Message, 0),
        }
    }

    /// The last header that was whole.
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// Bytes that it takes next: the fixed part, then the rest.
    pub(crate) fn missing(&self) -> usize {
        self.want.saturating_sub(self.bytes.len())
    }

    /// Whether no header has begun.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.len() == 0
    }

    /// Takes the rest of one header from the front of `input`.
    ///
    /// Returns the header once it is whole, and is then empty again.
    pub(crate) fn push(
        &mut self,
        format: &Format,
        input: &mut &[u8],
    ) -> Result<Option<&Header>, Fault> {
        loop {
            let before = self.bytes.len();
            self.bytes.fill(self.want, input);
            let count = self.bytes.len().saturating_sub(before);
            if self.filled(format, 0)? {
                return Ok(Some(&self.header));
            }
            if count == 0 || input.is_empty() {
                return Ok(None);
            }
        }
    }

    /// The place of the bytes that it takes next; see [`Self::filled`].
    pub(crate) fn space(&mut self) -> &mut [u8] {
        self.bytes.space(self.want)
    }

    /// Takes so many bytes that were written to [`Self::space`]. The fixed part is checked as soon as it is there.
    ///
    /// Returns whether the header is whole; then the collector is empty again.
    pub(crate) fn filled(&mut self, format: &Format, count: usize) -> Result<bool, Fault> {
        self.bytes.filled(count);
        if self.bytes.len() < self.want {
            return Ok(false);
        }
        let mut r = Reader::new(self.bytes.get(), format.order);
        let (base, payload) = parse_base(&mut r, format.features).ok_or(Fault::Truncated)??;
        let len = base.header_len();
        self.want = len;
        if self.bytes.len() < len {
            return Ok(false);
        }
        let whole = self.bytes.get();
        if base.flags & DIGEST != 0 {
            check_digest(format, whole, len)?;
        }
        let words = whole.get(BASE..).ok_or(Fault::Truncated)?;
        let mut r = Reader::new(words, format.order);
        parse_words(&mut r, &base, payload, &mut self.header).ok_or(Fault::Truncated)??;
        self.bytes.clear();
        self.want = BASE;
        Ok(true)
    }
}

fn check_digest(format: &Format, whole: &[u8], len: usize) -> Result<(), Fault> {
    let (head, word) = whole
        .split_at_checked(len.saturating_sub(8))
        .ok_or(Fault::Truncated)?;
    let word = Reader::new(word, format.order)
        .u64()
        .ok_or(Fault::Truncated)?;
    if word == u64::from(crc_of(format.crc, head)) {
        Ok(())
    } else {
        Err(Fault::Digest)
    }
}

impl Format {
    /// Bytes that follow a payload of `payload` bytes: its CRC32C, or nothing.
    pub(crate) fn trailer(&self, payload: u64) -> usize {
        if payload != 0 && self.features.has(Features::CRC32C) {
            TRAILER
        } else {
            0
        }
    }

    /// A payload's CRC32C as it travels; `crc` started from all ones and went over the payload.
    pub(crate) fn trailer_bytes(&self, crc: u32) -> [u8; TRAILER] {
        match self.order {
            Order::Little => (!crc).to_le_bytes(),
            Order::Big => (!crc).to_be_bytes(),
        }
    }
}
