// SPDX-License-Identifier: GPL-2.0-only

//! A count that somebody may wait for.

use crate::bindings;
use kernel::{
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
    task::might_sleep, //
};

/// A number of things under way.
pub(crate) struct Count(Atomic<i32>);

impl Count {
    /// None.
    pub(crate) const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// One.
    pub(crate) const fn one() -> Self {
        Self(Atomic::new(1))
    }

    fn as_raw(&self) -> *mut bindings::atomic_t {
        // CAST: `Atomic<i32>` has the layout of the integer, and so has `atomic_t`.
        core::ptr::from_ref(&self.0).cast_mut().cast()
    }

    /// One more.
    #[inline]
    pub(crate) fn inc(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// One less. The count may be gone when this returns, if it was the last one.
    #[inline]
    pub(crate) fn dec(&self) {
        // SAFETY: The counter is valid; the wake-up uses its address only.
        unsafe { bindings::kfi_count_dec(self.as_raw()) };
    }

    /// Waits until there are none, at most so many jiffies; returns whether there are none.
    pub(crate) fn wait(&self, jiffies: usize) -> bool {
        might_sleep();
        // SAFETY: The counter is valid while it is borrowed.
        unsafe { bindings::kfi_count_wait(self.as_raw(), jiffies) }
    }

    /// Waits until there are none.
    pub(crate) fn wait_all(&self) {
        while !self.wait(usize::MAX >> 2) {}
    }
}
