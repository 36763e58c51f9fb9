// SPDX-License-Identifier: GPL-2.0-only

//! Small pieces of the kernel that the kernel crate does not wrap.

use kernel::{
    bindings,
    prelude::*,
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

/// A workqueue of our own, which makes progress when memory is short.
///
/// # Invariants
///
/// The pointer is a workqueue that nobody else owns.
pub(crate) struct OwnQueue(*mut bindings::workqueue_struct);

// SAFETY: Workqueues may be used from any thread.
unsafe impl Send for OwnQueue {}
// SAFETY: As above.
unsafe impl Sync for OwnQueue {}

impl OwnQueue {
    /// Allocates an unbound queue.
    pub(crate) fn new(name: &'static CStr) -> Result<Self> {
        let flags = bindings::wq_flags_WQ_UNBOUND | bindings::wq_flags_WQ_MEM_RECLAIM;
        // SAFETY: The name has no format directives.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(name.to_bytes_with_nul().as_ptr().cast(), flags, 0)
        };
        if queue.is_null() {
            return Err(ENOMEM);
        }
        // INVARIANT: Allocated just now.
        Ok(Self(queue))
    }
}

impl core::ops::Deref for OwnQueue {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        // SAFETY: By the type invariant the queue lives as long as `self`.
        unsafe { Queue::from_raw(self.0) }
    }
}

impl Drop for OwnQueue {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the queue is ours. Runs what is queued before it returns.
        unsafe { bindings::destroy_workqueue(self.0) };
    }
}
