// SPDX-License-Identifier: GPL-2.0-only

//! A place for one owned thing, in any context.

use core::marker::PhantomData;
use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Full, //
    },
    types::ForeignOwnable, //
};

/// Holds one `P` or nothing; what idle operations are kept in. Neither locks nor allocates.
///
/// # Invariants
///
/// Null, or a `P` given away by `into_foreign()`.
pub struct Mailbox<P: ForeignOwnable + Send>(Atomic<*mut c_void>, PhantomData<P>);

// SAFETY: It owns a `P`, which is `Send`.
unsafe impl<P: ForeignOwnable + Send> Send for Mailbox<P> {}
// SAFETY: A shared reference only moves a `P` in or out as a whole.
unsafe impl<P: ForeignOwnable + Send> Sync for Mailbox<P> {}

impl<P: ForeignOwnable + Send> Mailbox<P> {
    /// An empty one.
    pub fn new() -> Self {
        Self(Atomic::new(core::ptr::null_mut()), PhantomData)
    }

    /// Puts `value` in, and returns what was there.
    pub fn put(&self, value: P) -> Option<P> {
        self.swap(value.into_foreign())
    }

    /// Takes out what is there.
    pub fn take(&self) -> Option<P> {
        self.swap(core::ptr::null_mut())
    }

    fn swap(&self, new: *mut c_void) -> Option<P> {
        // INVARIANT: Both callers have given `new` away.
        let old = self.0.xchg(new, Full);
        // SAFETY: By the invariants it is null or was given away, and the exchange made it ours alone.
        unsafe { P::try_from_foreign(old) }
    }
}

impl<P: ForeignOwnable + Send> Default for Mailbox<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: ForeignOwnable + Send> Drop for Mailbox<P> {
    fn drop(&mut self) {
        drop(self.take());
    }
}
