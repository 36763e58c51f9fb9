// SPDX-License-Identifier: GPL-2.0-only

//! Small pieces of the kernel that the kernel crate does not wrap.

use core::ptr;
use kernel::{
    bindings,
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Release, //
    },
    task::might_sleep,
    workqueue::Queue, //
};

/// Waits until every RCU read-side section that runs now is over. Context: process, sleeps.
pub(crate) fn synchronize_rcu() {
    might_sleep();
    // SAFETY: Process context.
    unsafe { bindings::synchronize_rcu() }
}

/// A number that tells tasks apart while they run.
pub(crate) fn current() -> usize {
    // SAFETY: Only the address is used.
    unsafe { bindings::get_current() as usize }
}

/// The workqueue on which connections end. It makes progress when memory is short.
static TEARDOWN: Atomic<*mut bindings::workqueue_struct> = Atomic::new(ptr::null_mut());

/// The workqueue as long as it exists: from before the first connection to after the last one.
///
/// # Invariants
///
/// `TEARDOWN` is the workqueue, which this owns.
pub(crate) struct TeardownQueue(());

impl TeardownQueue {
    /// Allocates the queue. Called once, by module initialisation.
    pub(crate) fn new() -> Result<Self> {
        let flags = bindings::wq_flags_WQ_UNBOUND | bindings::wq_flags_WQ_MEM_RECLAIM;
        // SAFETY: The name has no format directives.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(
                c"kfi-teardown".to_bytes_with_nul().as_ptr().cast(),
                flags,
                0,
            )
        };
        if queue.is_null() {
            return Err(ENOMEM);
        }
        TEARDOWN.store(queue, Release);
        // INVARIANT: Stored just now.
        Ok(Self(()))
    }
}

impl Drop for TeardownQueue {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the queue is ours. Runs what is queued before it returns; nobody queues more, as
        // provider and client are unregistered.
        unsafe { bindings::destroy_workqueue(TEARDOWN.load(Acquire)) };
    }
}

/// The workqueue on which connections end.
pub(crate) fn teardown_queue() -> &'static Queue {
    // SAFETY: Connections are made by the provider and the client only, which are registered after the queue was allocated
    // and unregistered before it is destroyed; and a connection that is left then is on the queue already.
    unsafe { Queue::from_raw(TEARDOWN.load(Acquire)) }
}
