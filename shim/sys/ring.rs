// SPDX-License-Identifier: GPL-2.0-only

//! A ring that anybody may fill and one taker empties, in memory that is allocated ahead.
//!
//! A slot goes round: free, filled by a producer under the ring's lock, published by the new `tail`; the taker's until
//! `head` passes it. Slots are not created and destroyed on the way, so that what they own is kept.

use super::irq_lock::{
    new_irq_lock,
    IrqGuard,
    IrqLock, //
};
use core::cell::UnsafeCell;
use kernel::{
    alloc::KVVec,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Arc, //
    }, //
};

/// A slot that one side at a time uses.
#[repr(transparent)]
struct Slot<T>(UnsafeCell<T>);

/// The ring.
///
/// # Invariants
///
/// - The number of slots is a power of two, `tail - head` does not exceed it, and both are counted modulo 2^32.
/// - Slots from `head` up to `tail` belong to the one [`Taker`], the others to whoever holds `lock`.
/// - `tail` changes under `lock`, `head` by the taker.
#[pin_data]
pub(crate) struct Ring<T> {
    slots: KVVec<Slot<T>>,
    head: Atomic<u32>,
    tail: Atomic<u32>,
    #[pin]
    lock: IrqLock<Gatekeeper>,
}

/// What producers have in common.
///
/// # Invariants
///
/// `tail` is the ring's, and `head` was.
struct Gatekeeper {
    /// Why nothing is taken any more.
    refusal: Option<Error>,
    tail: u32,
    /// Where the taker was when somebody looked last.
    head: u32,
}

// SAFETY: By the type invariants one thread at a time uses a slot.
unsafe impl<T: Send> Send for Ring<T> {}
// SAFETY: As above.
unsafe impl<T: Send> Sync for Ring<T> {}

impl<T> Ring<T> {
    /// A ring of at least `room` slots, and its taker.
    pub(crate) fn allocate(room: u32, mut slot: impl FnMut() -> Result<T>) -> Result<Taker<T>> {
        let room = room.max(1).checked_next_power_of_two().ok_or(EINVAL)?;
        let mut slots = KVVec::with_capacity(room as usize, GFP_KERNEL)?;
        for _ in 0..room {
            slots.push(Slot(UnsafeCell::new(slot()?)), GFP_KERNEL)?;
        }
        // INVARIANT: All slots are free; a power of two by construction.
        let ring = Arc::pin_init(
            pin_init!(Self {
                slots,
                head: Atomic::new(0),
                tail: Atomic::new(0),
                lock <- new_irq_lock!(
                    Gatekeeper { refusal: None, tail: 0, head: 0 },
                    "kfi::Ring"
                ),
            }),
            GFP_KERNEL,
        )?;
        // INVARIANT: The only one; the ring is empty.
        Ok(Taker {
            ring,
            head: 0,
            tail: 0,
        })
    }

    fn slot(&self, index: u32) -> *mut T {
        let mask = self.slots.len().wrapping_sub(1);
        // SAFETY: By the type invariants the masked index is below the number of slots.
        unsafe { self.slots.get_unchecked(index as usize & mask) }
            .0
            .get()
    }

    /// Number of slots that were ever filled, modulo 2^32.
    pub(crate) fn published(&self) -> u32 {
        self.tail.load(Acquire)
    }

    /// Becomes the producer, until the result is dropped.
    #[inline]
    pub(crate) fn producer(&self) -> Producer<'_, T> {
        Producer {
            ring: self,
            keeper: self.lock.lock(),
        }
    }
}

/// The right to fill slots.
pub(crate) struct Producer<'a, T> {
    ring: &'a Ring<T>,
    keeper: IrqGuard<'a, Gatekeeper>,
}

impl<T> Producer<'_, T> {
    /// Why nothing is taken any more, if so.
    #[inline]
    pub(crate) fn refusal(&self) -> Option<Error> {
        self.keeper.refusal
    }

    /// Takes nothing from here on.
    pub(crate) fn refuse(&mut self, error: Error) {
        self.keeper.refusal = Some(error);
    }

    /// Fills the next slot and gives it to the taker; if `fill` fails the slot stays free. `ENOMEM` when all are used.
    #[inline]
    pub(crate) fn push(&mut self, fill: impl FnOnce(&mut T) -> Result) -> Result {
        let room = self.ring.slots.len();
        let tail = self.keeper.tail;
        if tail.wrapping_sub(self.keeper.head) as usize >= room {
            self.keeper.head = self.ring.head.load(Acquire);
            if tail.wrapping_sub(self.keeper.head) as usize >= room {
                return Err(ENOMEM);
            }
        }
        // SAFETY: The lock is held, and the slot at `tail` is free.
        fill(unsafe { &mut *self.ring.slot(tail) })?;
        // INVARIANT: There was room.
        self.keeper.tail = tail.wrapping_add(1);
        self.ring.tail.store(self.keeper.tail, Release);
        Ok(())
    }
}

/// The one who empties the ring.
///
/// # Invariants
///
/// There is one for each ring. `head` is the ring's, and `tail` was.
pub(crate) struct Taker<T> {
    ring: Arc<Ring<T>>,
    head: u32,
    /// How far the producers were when the taker looked last.
    tail: u32,
}

impl<T> Taker<T> {
    /// The ring, for producers.
    pub(crate) fn ring(&self) -> Arc<Ring<T>> {
        self.ring.clone()
    }

    /// Number of slots that are the taker's.
    #[inline]
    pub(crate) fn len(&mut self) -> u32 {
        self.tail = self.ring.tail.load(Acquire);
        self.tail.wrapping_sub(self.head)
    }

    /// The slot `at` places behind the oldest.
    #[inline]
    pub(crate) fn get(&mut self, at: u32) -> Option<&mut T> {
        if at >= self.tail.wrapping_sub(self.head) && at >= self.len() {
            return None;
        }
        let index = self.head.wrapping_add(at);
        // SAFETY: By the type invariants the slot is the taker's, and `self` is borrowed as long as the result.
        Some(unsafe { &mut *self.ring.slot(index) })
    }

    /// Frees the oldest slot.
    #[inline]
    pub(crate) fn retire(&mut self) {
        if self.tail != self.head || self.len() != 0 {
            self.head = self.head.wrapping_add(1);
            // INVARIANT: There was one.
            self.ring.head.store(self.head, Release);
        }
    }
}
