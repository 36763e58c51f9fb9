// SPDX-License-Identifier: GPL-2.0-only

//! Frames that are about to be sent, and what goes into one call of the socket's.

#![deny(unsafe_code)]

use super::super::wire::frame::header::TRAILER;
use crate::sys::{
    few::Few,
    memory::Piece,
    socket::Outgoing, //
};
use kernel::prelude::*;

/// Frames that are put together ahead, and go into one call.
const FRAMES: usize = 8;
/// The longest header that this side sends: one element, and every other word.
const HEAD: usize = 72;
/// Pieces of memory in one call: header, digest and memory of each frame, or more memory of fewer frames.
const PIECES: usize = 40;

/// Whose frame it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The operation of that number.
    Op(u32),
    /// The oldest read request of the peer's that has none yet.
    Response,
    /// Nobody's.
    Control,
}

/// A frame that is sent, or about to be.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) owner: Owner,
    pub(super) head: [u8; HEAD],
    pub(super) head_len: usize,
    pub(super) payload: u64,
    pub(super) trailer: [u8; TRAILER],
    pub(super) trailer_len: usize,
    /// Digest of the payload that was sent.
    pub(super) crc: u32,
    /// `trailer` is that of the whole payload.
    pub(super) sealed: bool,
    /// Bytes that the socket has taken.
    pub(super) sent: u64,
}

impl Frame {
    const EMPTY: Frame = Frame {
        owner: Owner::Control,
        head: [0; HEAD],
        head_len: 0,
        payload: 0,
        trailer: [0; TRAILER],
        trailer_len: 0,
        crc: !0,
        sealed: false,
        sent: 0,
    };

    pub(super) fn len(&self) -> u64 {
        (self.head_len as u64)
            .saturating_add(self.payload)
            .saturating_add(self.trailer_len as u64)
    }

    /// What is left of the header.
    pub(super) fn head_left(&self) -> &[u8] {
        self.head
            .get(..self.head_len)
            .and_then(|head| head.get(usize::try_from(self.sent).ok()?..))
            .unwrap_or(&[])
    }

    /// Bytes of the payload that have been sent.
    pub(super) fn payload_sent(&self) -> u64 {
        self.sent
            .saturating_sub(self.head_len as u64)
            .min(self.payload)
    }

    /// What is left of the digest.
    pub(super) fn trailer_left(&self) -> &[u8] {
        let before = (self.head_len as u64).saturating_add(self.payload);
        let skip = usize::try_from(self.sent.saturating_sub(before)).unwrap_or(usize::MAX);
        self.trailer
            .get(..self.trailer_len)
            .and_then(|trailer| trailer.get(skip..))
            .unwrap_or(&[])
    }
}

/// What one call of the socket's gets.
pub(super) struct Batch<'a> {
    list: Few<Outgoing<'a>, PIECES>,
    bytes: u64,
    /// The socket keeps the pages instead of copying them.
    pub(super) lent: bool,
    /// The next call follows at once.
    pub(super) more: bool,
}

impl<'a> Batch<'a> {
    pub(super) fn new() -> Self {
        Self {
            list: Few::new(),
            bytes: 0,
            lent: false,
            more: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Bytes of all pieces.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Pieces that still fit.
    pub(super) fn room(&self) -> usize {
        self.list.room()
    }

    pub(super) fn get_mut(&mut self) -> &mut [Outgoing<'a>] {
        self.list.get_mut()
    }

    fn push(&mut self, piece: Outgoing<'a>) -> bool {
        let len = piece.len() as u64;
        let fits = self.list.push(piece);
        if fits {
            self.bytes = self.bytes.saturating_add(len);
        }
        fits
    }

    /// Adds bytes of a frame; returns whether they fitted.
    pub(super) fn push_bytes(&mut self, bytes: &'a [u8]) -> bool {
        bytes.is_empty() || self.push(Outgoing::bytes(bytes))
    }

    /// Adds memory of an operation; returns whether all of it fitted, and nothing if not.
    pub(super) fn push_pieces(&mut self, pieces: &[Piece]) -> bool {
        pieces.len() <= self.room()
            && pieces
                .iter()
                .all(|piece| self.push(Outgoing::piece(*piece)))
    }
}

/// Frames in the order in which they are sent. They are put together in place, as they are large.
///
/// # Invariants
///
/// `first <= end`, and `end` does not exceed the length of the list.
pub(super) struct Frames {
    list: KVec<Frame>,
    first: usize,
    end: usize,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            list: KVec::new(),
            first: 0,
            end: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first == self.end
    }

    /// Makes room.
    pub(super) fn prepare(&mut self) -> Result {
        if self.list.is_empty() {
            self.list.resize(FRAMES, Frame::EMPTY, GFP_KERNEL)?;
        }
        Ok(())
    }

    /// The place of the next frame, if there is one; see [`Self::push`].
    pub(super) fn next(&mut self) -> Option<&mut Frame> {
        self.list.get_mut(self.end)
    }

    /// Adds the frame that [`Self::next`] has given.
    pub(super) fn push(&mut self) {
        // INVARIANT: At most the length.
        self.end = self.end.saturating_add(1).min(self.list.len());
    }

    pub(super) fn waiting(&self) -> &[Frame] {
        self.list.get(self.first..self.end).unwrap_or(&[])
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut Frame> {
        self.list.get_mut(self.first..self.end)?.get_mut(at)
    }

    pub(super) fn oldest(&mut self) -> Option<&mut Frame> {
        self.list.get_mut(self.first..self.end)?.first_mut()
    }

    pub(super) fn pop(&mut self) {
        // INVARIANT: At most `end`.
        self.first = self.first.saturating_add(1).min(self.end);
        if self.is_empty() {
            self.clear();
        }
    }

    pub(super) fn clear(&mut self) {
        // INVARIANT: Equal.
        self.first = 0;
        self.end = 0;
    }
}
