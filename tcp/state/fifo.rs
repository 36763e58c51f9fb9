// SPDX-License-Identifier: GPL-2.0-only

//! A queue of numbers in storage that the caller brings.

#![deny(unsafe_code)]

/// First in, first out.
///
/// # Invariants
///
/// `head < capacity` unless the capacity is 0, and `len <= capacity`.
pub(crate) struct Fifo<B> {
    slots: B,
    head: usize,
    len: usize,
}

impl<B: AsRef<[u64]> + AsMut<[u64]>> Fifo<B> {
    /// An empty queue of as many places as `slots` has.
    pub(crate) fn new(slots: B) -> Self {
        Fifo {
            slots,
            head: 0,
            len: 0,
        }
    }

    /// Number of places.
    pub(crate) fn capacity(&self) -> usize {
        self.slots.as_ref().len()
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The place `distance` behind the head; `distance <= capacity`.
    fn place(&self, distance: usize) -> usize {
        let at = self.head.saturating_add(distance);
        match at.checked_sub(self.capacity()) {
            Some(wrapped) => wrapped,
            None => at,
        }
    }

    /// Appends; returns whether there was room.
    #[must_use]
    pub(crate) fn push(&mut self, value: u64) -> bool {
        if self.len >= self.capacity() {
            return false;
        }
        let place = self.place(self.len);
        match self.slots.as_mut().get_mut(place) {
            Some(slot) => {
                *slot = value;
                // INVARIANT: there was room.
                self.len = self.len.saturating_add(1);
                true
            }
            None => false,
        }
    }

    /// The oldest entry.
    pub(crate) fn front(&self) -> Option<u64> {
        if self.len == 0 {
            return None;
        }
        self.slots.as_ref().get(self.head).copied()
    }

    /// Takes the oldest entry.
    pub(crate) fn pop(&mut self) -> Option<u64> {
        let value = self.front()?;
        // INVARIANT: `place` wraps around.
        self.head = self.place(1);
        self.len = self.len.saturating_sub(1);
        Some(value)
    }
}
