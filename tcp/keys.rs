// SPDX-License-Identifier: GPL-2.0-only

//! Remote keys: which memory a peer may touch.
//!
//! A domain has one [`Table`]. A region takes a slot of it when it is allocated, gets a new key before each
//! registration, and belongs from the registration to the invalidation to one connection: a key that another
//! connection presents is refused as if it did not exist.
//!
//! A key is the slot's index and a generation, 20 and 12 bits, sent through a permutation that only the table knows.
//! So every key in use is different, a slot comes back to an old key only after 4095 others, and a peer that has seen
//! some keys cannot compute another one by adding to them. What protects memory is that a key is good for one
//! connection, and that the first wrong one ends it.
//!
//! Pure logic: the caller brings storage, random numbers and the lock.

#![deny(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use super::frame::Fault;

const INDEX_BITS: u32 = 20;
/// Largest table.
pub(crate) const MAX_SLOTS: usize = 1 << INDEX_BITS;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;
/// End of the list of free slots.
const NONE: u32 = u32::MAX;
/// A key that is never given out.
pub(crate) const NO_KEY: u32 = 0;

/// What a region lets the peer and its own consumer do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    /// RMA read.
    pub(crate) read: bool,
    /// RMA write.
    pub(crate) write: bool,
    /// What the consumer receives and reads may go there; where it sends from, it may always.
    pub(crate) fill: bool,
}

impl Access {
    /// What the consumer sends.
    pub(crate) const NONE: Self = Self {
        read: false,
        write: false,
        fill: false,
    };
    /// RMA read.
    pub(crate) const READ: Self = Self {
        read: true,
        ..Self::NONE
    };
    /// RMA write.
    pub(crate) const WRITE: Self = Self {
        write: true,
        ..Self::NONE
    };
    /// What the consumer receives or reads.
    pub(crate) const FILL: Self = Self {
        fill: true,
        ..Self::NONE
    };

    fn grants(self, wanted: Access) -> bool {
        (self.read || !wanted.read) && (self.write || !wanted.write) && (self.fill || !wanted.fill)
    }
}

/// A place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(u32);

impl Id {
    /// Index of the place in the storage.
    pub(crate) fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Free,
    /// Belongs to a region that no peer can reach.
    Idle,
    /// Reachable by connection `owner`.
    Live,
}

/// One place of the storage that the caller brings; made by [`Slot::new`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    state: State,
    access: Access,
    generation: u32,
    key: u32,
    /// Key of a registration that making the next key has ended, until the consumer's operation says so too.
    ended: u32,
    next: u32,
    owner: u64,
    base: u64,
    len: u64,
}

impl Slot {
    /// An unused place.
    pub(crate) const fn new() -> Slot {
        Slot {
            state: State::Free,
            access: Access::NONE,
            generation: 0,
            key: NO_KEY,
            ended: NO_KEY,
            next: NONE,
            owner: 0,
            base: 0,
            len: 0,
        }
    }

    fn end(&mut self) {
        if self.state == State::Live {
            self.ended = self.key;
            self.state = State::Idle;
        }
    }
}

/// What a good key leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    /// The slot.
    pub(crate) id: Id,
    /// Where in the region the access starts. `offset + len` does not exceed the region's length.
    pub(crate) offset: u64,
}

/// A region's memory as it is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// The connection it is for.
    pub(crate) owner: u64,
    /// What that connection's ends may do.
    pub(crate) access: Access,
    /// Address of the first byte.
    pub(crate) base: u64,
    /// Bytes.
    pub(crate) len: u64,
}

/// A permutation of 32-bit numbers: a Feistel network.
#[derive(Clone, Copy)]
struct Permutation {
    rounds: [u32; 6],
}

impl Permutation {
    fn mix(half: u32, key: u32) -> u32 {
        let mut x = (half ^ key).wrapping_mul(0x9e37_79b1);
        x ^= x >> 15;
        x = x.wrapping_add(key).wrapping_mul(0x85eb_ca77);
        x ^= x >> 13;
        x & 0xffff
    }

    fn apply(&self, value: u32) -> u32 {
        let (mut left, mut right) = (value >> 16, value & 0xffff);
        for &key in &self.rounds {
            (left, right) = (right, left ^ Self::mix(right, key));
        }
        (left << 16) | right
    }

    fn invert(&self, value: u32) -> u32 {
        let (mut left, mut right) = (value >> 16, value & 0xffff);
        for &key in self.rounds.iter().rev() {
            (left, right) = (right ^ Self::mix(left, key), left);
        }
        (left << 16) | right
    }
}

/// The keys of a domain.
///
/// # Invariants
///
/// A slot is on the list from `first` to `last` if and only if its state is `Free`.
pub(crate) struct Table<S> {
    slots: S,
    first: u32,
    last: u32,
    permutation: Permutation,
}

impl<S: AsRef<[Slot]> + AsMut<[Slot]>> Table<S> {
    /// A table of as many places as `slots` has, at most [`MAX_SLOTS`]; `secret` is random.
    pub(crate) fn new(slots: S, secret: [u32; 6]) -> Self {
        let mut table = Table {
            slots,
            first: NONE,
            last: NONE,
            permutation: Permutation { rounds: secret },
        };
        table.free_from(0);
        table
    }

    /// Number of places.
    pub(crate) fn capacity(&self) -> usize {
        self.slots.as_ref().len().min(MAX_SLOTS)
    }

    /// Moves into larger storage, and returns the old one; returns the new one when it is not larger.
    pub(crate) fn grow(&mut self, mut slots: S) -> S {
        let old = self.capacity();
        if slots.as_ref().len().min(MAX_SLOTS) <= old {
            return slots;
        }
        for (to, from) in slots.as_mut().iter_mut().zip(self.slots.as_ref()) {
            *to = *from;
        }
        let retired = core::mem::replace(&mut self.slots, slots);
        self.free_from(old);
        retired
    }

    // Puts the slots from `start` on into the free list.
    fn free_from(&mut self, start: usize) {
        for index in start..self.capacity() {
            if let Ok(index) = u32::try_from(index) {
                if let Some(slot) = self.slot_mut(Id(index)) {
                    *slot = Slot::new();
                }
                self.push_free(index);
            }
        }
    }

    fn slot(&self, id: Id) -> Option<&Slot> {
        self.slots.as_ref().get(id.index())
    }

    fn slot_mut(&mut self, id: Id) -> Option<&mut Slot> {
        self.slots.as_mut().get_mut(id.index())
    }

    // Free slots are taken in the order in which they came, so that one rests as long as it can.
    fn push_free(&mut self, index: u32) {
        let last = core::mem::replace(&mut self.last, index);
        match self.slot_mut(Id(last)) {
            Some(slot) => slot.next = index,
            None => self.first = index,
        }
    }

    /// Takes a place; `None` when the table is full.
    pub(crate) fn alloc(&mut self) -> Option<Id> {
        let id = Id(self.first);
        let slot = self.slot_mut(id)?;
        slot.state = State::Idle;
        slot.key = NO_KEY;
        slot.ended = NO_KEY;
        let next = core::mem::replace(&mut slot.next, NONE);
        self.first = next;
        if next == NONE {
            self.last = NONE;
        }
        Some(id)
    }

    /// Gives a place back. Its region cannot be reached any more.
    pub(crate) fn free(&mut self, id: Id) {
        match self.slot_mut(id) {
            Some(slot) if slot.state != State::Free => {
                slot.state = State::Free;
                slot.next = NONE;
                self.push_free(id.0);
            }
            _ => {}
        }
    }

    /// Ends what was registered, without making a key. The consumer's operation may still say so too.
    pub(crate) fn end(&mut self, id: Id) {
        if let Some(slot) = self.slot_mut(id) {
            slot.end();
        }
    }

    /// Ends what was registered, and makes the key for the next registration.
    pub(crate) fn next_key(&mut self, id: Id) -> u32 {
        let permutation = self.permutation;
        let Some(slot) = self.slot_mut(id) else {
            return NO_KEY;
        };
        if slot.state == State::Free {
            return NO_KEY;
        }
        slot.end();
        loop {
            slot.generation = slot.generation.wrapping_add(1);
            slot.key = permutation.apply((slot.generation << INDEX_BITS) | (id.0 & INDEX_MASK));
            // One number of all is NO_KEY, so the second try succeeds.
            if slot.key != NO_KEY {
                return slot.key;
            }
        }
    }

    /// Makes a region reachable under `key`, which is the latest of [`Table::next_key`].
    ///
    /// [`Fault::Key`] if it is not, or the region is reachable already; [`Fault::Range`] if the memory wraps around.
    pub(crate) fn register(&mut self, id: Id, key: u32, grant: &Grant) -> Result<(), Fault> {
        grant.base.checked_add(grant.len).ok_or(Fault::Range)?;
        let slot = self.slot_mut(id).ok_or(Fault::Key)?;
        if slot.state != State::Idle || slot.key != key || key == NO_KEY {
            return Err(Fault::Key);
        }
        slot.state = State::Live;
        slot.owner = grant.owner;
        slot.access = grant.access;
        slot.base = grant.base;
        slot.len = grant.len;
        Ok(())
    }

    fn find(&self, owner: u64, key: u64) -> Result<(Id, &Slot), Fault> {
        let key = u32::try_from(key).map_err(|_| Fault::Key)?;
        let id = Id(self.permutation.invert(key) & INDEX_MASK);
        match self.slot(id) {
            Some(slot) if slot.state == State::Live && slot.key == key && slot.owner == owner => {
                Ok((id, slot))
            }
            _ => Err(Fault::Key),
        }
    }

    /// Finds the memory that connection `owner`'s peer names.
    ///
    /// Say `len` = 0 only for what transfers nothing; it needs a good key and an address in the region all the same.
    pub(crate) fn check(
        &self,
        owner: u64,
        key: u64,
        addr: u64,
        len: u64,
        wanted: Access,
    ) -> Result<Hit, Fault> {
        let (id, slot) = self.find(owner, key)?;
        if !slot.access.grants(wanted) {
            return Err(Fault::Access);
        }
        let offset = addr.checked_sub(slot.base).ok_or(Fault::Range)?;
        let room = slot.len.checked_sub(offset).ok_or(Fault::Range)?;
        if len > room {
            return Err(Fault::Range);
        }
        Ok(Hit { id, offset })
    }

    /// Ends the registration under `key`, for the peer's send with invalidate.
    pub(crate) fn invalidate(&mut self, owner: u64, key: u32) -> Result<Id, Fault> {
        let (id, _) = self.find(owner, u64::from(key))?;
        self.revoke(id);
        Ok(id)
    }

    /// The same for the consumer's operation. A consumer that posts it in front of the next registration has made the
    /// key for that before, which has ended this one.
    pub(crate) fn retire(&mut self, owner: u64, key: u32) -> Result<Id, Fault> {
        // What can be reached comes first: keys repeat, if only after thousands.
        let live = self.invalidate(owner, key);
        let id = Id(self.permutation.invert(key) & INDEX_MASK);
        match self.slot_mut(id) {
            Some(slot)
                if live.is_err() && key != NO_KEY && slot.ended == key && slot.owner == owner =>
            {
                slot.ended = NO_KEY;
                Ok(id)
            }
            _ => live,
        }
    }

    /// Ends a region's registration, if there is one.
    pub(crate) fn revoke(&mut self, id: Id) {
        if let Some(slot) = self.slot_mut(id) {
            if slot.state == State::Live {
                slot.state = State::Idle;
            }
        }
    }
}
