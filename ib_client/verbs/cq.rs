// SPDX-License-Identifier: GPL-2.0-only

//! Completion queues.

use super::{
    device::{
        Device,
        DeviceGuard, //
    },
    pd::Caller, //
};
use crate::bindings;
use core::ptr::NonNull;
// The kernel's atomics are calls out of line, which polling does not want.
use core::sync::atomic::{
    AtomicBool,
    Ordering, //
};
use kernel::{
    error::from_err_ptr,
    prelude::*,
    sync::Arc,
    task::might_sleep,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

/// Where completion handlers run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PollContext {
    /// When the owner calls [`Cq::process_direct`], in its context.
    Direct,
    /// In softirq context.
    Softirq,
    /// In a workqueue, on the CPU of the interrupt.
    Workqueue,
    /// In a workqueue, on any CPU.
    UnboundWorkqueue,
}

impl PollContext {
    fn to_raw(self) -> bindings::ib_poll_context {
        match self {
            Self::Direct => bindings::ib_poll_context_IB_POLL_DIRECT,
            Self::Softirq => bindings::ib_poll_context_IB_POLL_SOFTIRQ,
            Self::Workqueue => bindings::ib_poll_context_IB_POLL_WORKQUEUE,
            Self::UnboundWorkqueue => bindings::ib_poll_context_IB_POLL_UNBOUND_WORKQUEUE,
        }
    }
}

/// How a queue was come by.
enum Source {
    /// Allocated for its owner alone.
    Own,
    /// So many entries of a queue that the device shares among its users.
    Pool(u32),
}

/// Who handles the completions of a [`PollContext::Direct`] queue: one at a time.
pub struct Poller(AtomicBool);

impl Poller {
    /// Runs `f`, which handles completions, unless somebody else does so. Context: any.
    #[inline]
    pub fn try_run<R>(&self, f: impl FnOnce() -> R) -> Option<R> {
        if self.0.swap(true, Ordering::Acquire) {
            return None;
        }
        let ret = f();
        self.0.store(false, Ordering::Release);
        Some(ret)
    }
}

/// A completion queue, or a share of one.
///
/// Wraps the kernel's C `struct ib_cq`.
///
/// # Invariants
///
/// `raw` is a completion queue of `guard`'s device that came from where `source` says. It was made
/// by the subsystem's own polling layer, so every completion on it leads through `wr_cqe`.
pub struct Cq {
    raw: NonNull<bindings::ib_cq>,
    source: Source,
    poll: PollContext,
    poller: Poller,
    guard: DeviceGuard,
}

// SAFETY: Verbs may be called from any thread.
unsafe impl Send for Cq {}
// SAFETY: Verbs are reentrant.
unsafe impl Sync for Cq {}

impl Cq {
    /// Allocates a queue with room for `nr_cqe` completions on completion vector `vector`.
    ///
    /// The room must include one completion more for each direction of each queue pair that uses
    /// the queue: draining needs it. Context: process, sleeps.
    pub fn new(
        guard: DeviceGuard,
        nr_cqe: u32,
        vector: u32,
        poll: PollContext,
        caller: Caller,
    ) -> Result<Arc<Self>> {
        let nr = c_int::try_from(nr_cqe).map_err(|_| EINVAL)?;
        if nr == 0 || vector >= guard.num_comp_vectors().max(1) {
            return Err(EINVAL);
        }
        let vector = c_int::try_from(vector).map_err(|_| EINVAL)?;
        // SAFETY: The guard keeps the device usable, the arguments are in range, and the name lives
        // long enough by the invariant of `Caller`.
        let raw = unsafe {
            bindings::__ib_alloc_cq(
                guard.as_raw(),
                core::ptr::null_mut(),
                nr,
                vector,
                poll.to_raw(),
                caller.as_ptr(),
            )
        };
        Self::wrap(raw, Source::Own, poll, guard)
    }

    /// Takes a share of `nr_cqe` completions of a queue that the device keeps for all its users.
    ///
    /// Without `vector` the vectors are used in turn. Fails with `EINVAL` for
    /// [`PollContext::Direct`]. Context: process, sleeps.
    pub fn from_pool(
        guard: DeviceGuard,
        nr_cqe: u32,
        vector: Option<u32>,
        poll: PollContext,
    ) -> Result<Arc<Self>> {
        if nr_cqe == 0 || poll == PollContext::Direct || guard.num_comp_vectors() == 0 {
            return Err(EINVAL);
        }
        let hint = match vector {
            Some(v) => c_int::try_from(v).map_err(|_| EINVAL)?,
            None => -1,
        };
        // SAFETY: The guard keeps the device usable, it has a vector, and the kind of queue is one
        // that pools have.
        let raw = unsafe { bindings::ib_cq_pool_get(guard.as_raw(), nr_cqe, hint, poll.to_raw()) };
        Self::wrap(raw, Source::Pool(nr_cqe), poll, guard)
    }

    fn wrap(
        raw: *mut bindings::ib_cq,
        source: Source,
        poll: PollContext,
        guard: DeviceGuard,
    ) -> Result<Arc<Self>> {
        let raw = NonNull::new(from_err_ptr(raw)?).ok_or(ENOMEM)?;
        // INVARIANT: Both callers pass what they have just got from the guard's device. If there is
        // no memory for the `Arc`, the value is dropped, which gives the queue back.
        Ok(Arc::new(
            Self {
                raw,
                source,
                poll,
                poller: Poller(AtomicBool::new(false)),
                guard,
            },
            GFP_KERNEL,
        )?)
    }

    /// The C object.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::ib_cq {
        self.raw.as_ptr()
    }

    /// The device.
    pub fn device(&self) -> &Device {
        self.guard.device()
    }

    /// Where completion handlers run.
    pub fn poll_context(&self) -> PollContext {
        self.poll
    }

    /// Who handles completions.
    pub fn poller(&self) -> &Poller {
        &self.poller
    }

    /// Runs `f`, which may handle completions, while nobody else does so by [`Cq::process_direct`]. Context: process, sleeps.
    pub(super) fn alone(&self, mut f: impl FnMut()) {
        if self.poll != PollContext::Direct {
            return f();
        }
        while self.poller.try_run(&mut f).is_none() {
            fsleep(Delta::from_micros(50));
        }
    }

    /// Handles up to `budget` completions and returns how many there were; none while somebody else does so.
    ///
    /// Fails with `EINVAL` unless the queue is [`PollContext::Direct`]. Context: any; handlers run
    /// in it.
    #[inline]
    pub fn process_direct(&self, budget: u32) -> Result<u32> {
        if self.poll != PollContext::Direct {
            return Err(EINVAL);
        }
        let budget = c_int::try_from(budget).unwrap_or(c_int::MAX);
        let nr = self
            .poller
            // SAFETY: By the type invariant the queue is there, and it is a direct one.
            .try_run(|| unsafe { bindings::ib_process_cq_direct(self.as_raw(), budget) })
            .unwrap_or(0);
        u32::try_from(nr).map_err(|_| EIO)
    }
}

impl Drop for Cq {
    fn drop(&mut self) {
        might_sleep();
        // Drop order: queue pairs hold a reference to their completion queues, so none uses this
        // one any more.
        match self.source {
            // SAFETY: By the type invariant the queue is ours, and it is not used after this.
            Source::Own => unsafe { bindings::ib_free_cq(self.as_raw()) },
            // SAFETY: By the type invariant these entries of the queue are ours.
            Source::Pool(nr) => unsafe { bindings::ib_cq_pool_put(self.as_raw(), nr) },
        }
    }
}
