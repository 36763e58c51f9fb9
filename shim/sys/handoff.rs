// SPDX-License-Identifier: GPL-2.0-only

//! Work that a worker goes on with at once, while what it needs is still in the processor's cache.
//!
//! It is a hint. The work is queued as any other, so that others run it should the worker sleep or end; the worker takes it
//! back from the queue, and if that fails somebody else has it.

use super::workq;
use core::ptr;
use kernel::{
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed,
            Release, //
        },
        Arc,
        ArcBorrow, //
    }, //
};

/// Workers that may have one at the same time. They are found by a hash, so that some may find no place.
const BITS: u32 = 6;
const PLACES: usize = 1 << BITS;

/// No task's.
const FREE: usize = 0;
/// Its worker takes no more. No task either.
const ENDS: usize = 1;

/// One worker's.
///
/// # Invariants
///
/// `next` is NULL, or owns a reference. With an owner it changes only in that task, and in what interrupts it.
#[repr(align(64))]
struct Place<T> {
    /// The task, [`FREE`] or [`ENDS`].
    owner: Atomic<usize>,
    next: Atomic<*mut T>,
}

/// For the work of one type.
pub(crate) struct Places<T>([Place<T>; PLACES]);

impl<T> Places<T> {
    /// All of them free.
    pub(crate) const fn new() -> Self {
        // INVARIANT: NULL.
        Self(
            [const {
                Place {
                    owner: Atomic::new(FREE),
                    next: Atomic::new(ptr::null_mut()),
                }
            }; PLACES],
        )
    }

    fn of(&self, task: usize) -> Option<&Place<T>> {
        // As hash_64() does.
        let hash = (task as u64).wrapping_mul(0x61C8_8646_80B5_83EB) >> (u64::BITS - BITS);
        self.0.get(hash as usize)
    }

    /// The calling worker begins. Without a place it hears of nothing.
    pub(crate) fn begin(&self) -> Worker<'_, T> {
        let task = workq::current();
        Worker(
            self.of(task)
                .filter(|place| place.owner.cmpxchg(FREE, task, Full).is_ok()),
        )
    }

    /// Tells the worker that calls, or that is interrupted by the caller, of what was queued. Any context.
    #[inline]
    pub(crate) fn offer(&self, work: ArcBorrow<'_, T>) {
        let task = workq::current();
        let Some(place) = self.of(task) else {
            return;
        };
        if place.owner.load(Relaxed) != task || !place.next.load(Relaxed).is_null() {
            return;
        }
        let new = Arc::into_raw(work.into()).cast_mut();
        // INVARIANT: The task is the owner, and waits for us if we have interrupted it.
        if place.next.cmpxchg(ptr::null_mut(), new, Release).is_err() {
            // SAFETY: From `into_raw` above, and not given away.
            drop(unsafe { Arc::from_raw(new) });
        }
    }
}

/// A worker that hears of work.
pub(crate) struct Worker<'a, T>(Option<&'a Place<T>>);

impl<T> Worker<'_, T> {
    fn hint(&self) -> Option<Arc<T>> {
        let place = self.0?;
        let next = place.next.xchg(ptr::null_mut(), Acquire);
        // SAFETY: By the invariant it owns a reference, which is ours now.
        (!next.is_null()).then(|| unsafe { Arc::from_raw(next) })
    }

    /// What it was told of first since it has asked last, if `take` gets the work back. The caller does it.
    pub(crate) fn next(&self, take: impl FnOnce(&Arc<T>) -> Option<Arc<T>>) -> Option<Arc<T>> {
        take(&self.hint()?)
    }
}

impl<T> Drop for Worker<'_, T> {
    fn drop(&mut self) {
        if let Some(place) = self.0 {
            // First, so that no interrupt leaves something behind.
            place.owner.store(ENDS, Relaxed);
            drop(self.hint());
            place.owner.store(FREE, Release);
        }
    }
}
