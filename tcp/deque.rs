// SPDX-License-Identifier: GPL-2.0-only

//! A queue in memory that is allocated ahead.

#![deny(unsafe_code)]

use kernel::{
    alloc::KVVec,
    prelude::*, //
};

/// First in, first out, of a number of entries that changes only by [`Deque::grow`].
///
/// # Invariants
///
/// `len` does not exceed the number of slots, and `head` is below it unless there are none.
pub(crate) struct Deque<T> {
    slots: KVVec<Option<T>>,
    head: usize,
    len: usize,
}

impl<T> Deque<T> {
    /// One without room.
    pub(crate) const fn empty() -> Self {
        Self {
            slots: KVVec::new(),
            head: 0,
            len: 0,
        }
    }

    /// One with room for `room` entries.
    pub(crate) fn new(room: usize, flags: kernel::alloc::Flags) -> Result<Self> {
        let mut slots = KVVec::with_capacity(room, flags)?;
        for _ in 0..room {
            slots.push(None, flags)?;
        }
        Ok(Self {
            slots,
            head: 0,
            len: 0,
        })
    }

    /// Entries that it has room for.
    pub(crate) fn room(&self) -> usize {
        self.slots.len()
    }

    /// Entries in it.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Moves everything into `larger`, which is empty, and returns what is left without use.
    pub(crate) fn grow(&mut self, mut larger: Self) -> Self {
        if larger.room() > self.room() {
            while let Some(entry) = self.pop() {
                // There is more room than before.
                let _ = larger.push(entry);
            }
            core::mem::swap(self, &mut larger);
        }
        larger
    }

    fn place(&self, distance: usize) -> usize {
        let at = self.head.saturating_add(distance);
        at.checked_sub(self.slots.len()).unwrap_or(at)
    }

    /// Appends; without room the entry comes back.
    pub(crate) fn push(&mut self, entry: T) -> Result<(), T> {
        let place = self.place(self.len);
        if self.len >= self.slots.len() {
            return Err(entry);
        }
        match self.slots.get_mut(place) {
            Some(slot) => {
                *slot = Some(entry);
                // INVARIANT: There was room.
                self.len = self.len.saturating_add(1);
                Ok(())
            }
            None => Err(entry),
        }
    }

    /// The entry `at` places behind the oldest.
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        if at >= self.len {
            return None;
        }
        self.slots.get(self.place(at))?.as_ref()
    }

    /// Takes the oldest entry.
    pub(crate) fn pop(&mut self) -> Option<T> {
        if self.len == 0 {
            return None;
        }
        let entry = self.slots.get_mut(self.head).and_then(Option::take);
        // INVARIANT: `place` wraps around.
        self.head = self.place(1);
        self.len = self.len.saturating_sub(1);
        if self.len == 0 {
            // So that a queue that is short all the time stays in few cache lines.
            self.head = 0;
        }
        entry
    }
}
