// SPDX-License-Identifier: GPL-2.0-only

//! A short list of memory, made anew for each call of the socket's.

#![deny(unsafe_code)]

use crate::sys::{
    few::Few,
    memory::Piece, //
};

/// Pieces that one call moves.
const MAX: usize = 16;

/// The memory of a part of an operation.
pub(crate) struct Pieces {
    list: Few<Piece, MAX>,
    bytes: u64,
}

impl Pieces {
    /// None.
    pub(crate) const fn new() -> Self {
        Self {
            list: Few::new(),
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
        if !self.list.push(part) {
            return false;
        }
        self.bytes = self.bytes.saturating_add(part.len() as u64);
        self.bytes < want && self.list.room() != 0
    }

    /// The list.
    pub(crate) fn get(&self) -> &[Piece] {
        self.list.get()
    }

    /// Bytes of it.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}
