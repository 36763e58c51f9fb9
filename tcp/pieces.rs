// SPDX-License-Identifier: GPL-2.0-only

//! A short list of memory, made anew for each call of the socket's.

#![deny(unsafe_code)]

use crate::sys::memory::Piece;

/// Pieces that one call moves.
const MAX: usize = 16;

/// The memory of a part of an operation.
pub(crate) struct Pieces {
    list: [Piece; MAX],
    count: usize,
    bytes: u64,
}

impl Pieces {
    /// None.
    pub(crate) const fn new() -> Self {
        Self {
            list: [Piece::EMPTY; MAX],
            count: 0,
            bytes: 0,
        }
    }

    /// Adds the part of `piece` that is left behind `skip` bytes, at most `want` bytes in the list; both are counted down.
    ///
    /// Returns whether more may be added.
    pub(crate) fn add(&mut self, piece: &Piece, skip: &mut u64, want: u64) -> bool {
        let len = piece.len() as u64;
        if *skip >= len {
            *skip = skip.saturating_sub(len);
            return true;
        }
        let room = want.saturating_sub(self.bytes);
        let part = piece.part(*skip as usize, usize::try_from(room).unwrap_or(usize::MAX));
        *skip = 0;
        if part.len() == 0 {
            return false;
        }
        let Some(slot) = self.list.get_mut(self.count) else {
            return false;
        };
        *slot = part;
        self.count = self.count.saturating_add(1);
        self.bytes = self.bytes.saturating_add(part.len() as u64);
        self.bytes < want && self.count < MAX
    }

    /// The list.
    pub(crate) fn get(&self) -> &[Piece] {
        self.list.get(..self.count).unwrap_or(&[])
    }

    /// Bytes of it.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}
