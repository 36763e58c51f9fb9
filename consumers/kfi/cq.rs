// SPDX-License-Identifier: GPL-2.0-only

//! Completion queues.

use super::{
    consumer::Later,
    device::Domain, //
};
use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    error::from_err_ptr,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            AtomicFlag,
            Release, //
        },
        Arc, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// Who runs [`Op::done`](super::Op::done), and where.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Poll {
    /// Softirq: must not sleep.
    Softirq,
    /// A work item on the completion vector's CPU.
    Workqueue,
    /// An unbound work item.
    UnboundWorkqueue,
    /// The caller of [`Cq::poll`], in its context.
    Direct,
}

impl Poll {
    fn to_raw(self) -> bindings::kfi_poll {
        match self {
            Poll::Softirq => bindings::kfi_poll_KFI_POLL_SOFTIRQ,
            Poll::Workqueue => bindings::kfi_poll_KFI_POLL_WORKQUEUE,
            Poll::UnboundWorkqueue => bindings::kfi_poll_KFI_POLL_UNBOUND_WORKQUEUE,
            Poll::Direct => bindings::kfi_poll_KFI_POLL_DIRECT,
        }
    }
}

struct RawCq {
    cq: NonNull<bindings::kfi_cq>,
    domain: Domain,
}

// SAFETY: A completion queue may be used from any thread.
unsafe impl Send for RawCq {}
// SAFETY: As for `Send`.
unsafe impl Sync for RawCq {}

impl Drop for RawCq {
    fn drop(&mut self) {
        // SAFETY: Each endpoint holds an `Arc` of its queues until it is closed, so none uses this one any more.
        unsafe { bindings::kfi_cq_free(self.cq.as_ptr()) }
    }
}

/// A completion queue.
pub struct Cq {
    raw: Later<RawCq>,
    poll: Poll,
    /// Held by the one who runs the callbacks of a [`Poll::Direct`] queue.
    busy: AtomicFlag,
}

impl Cq {
    fn alloc(
        domain: &Domain,
        nr_cqe: u32,
        vector: Option<u16>,
        poll: Poll,
        pool: bool,
    ) -> Result<Arc<Self>> {
        let raw = Later::new(domain.handle(), || {
            let name = <crate::LocalModule as kernel::ModuleMetadata>::NAME;
            // SAFETY: The domain is valid; `name` is static in this module, which stays loaded while the handle that
            // the value will hold is counted.
            let cq = from_err_ptr(unsafe {
                bindings::__kfi_cq_alloc(
                    domain.as_ptr(),
                    core::ptr::null_mut(),
                    nr_cqe,
                    vector.map_or(-1, c_int::from),
                    poll.to_raw(),
                    pool,
                    name.as_char_ptr(),
                )
            })?;
            Ok(RawCq {
                cq: NonNull::new(cq).ok_or(ENOMEM)?,
                domain: domain.clone(),
            })
        })?;
        Ok(Arc::new(
            Self {
                raw,
                poll,
                busy: AtomicFlag::new(false),
            },
            GFP_KERNEL,
        )?)
    }

    /// Allocates a queue of its own with `nr_cqe` entries: the sum of what its endpoints may have outstanding.
    pub fn new(domain: &Domain, nr_cqe: u32, vector: Option<u16>, poll: Poll) -> Result<Arc<Self>> {
        Self::alloc(domain, nr_cqe, vector, poll, false)
    }

    /// Takes a share of a queue that the device's consumers have in common.
    pub fn shared(
        domain: &Domain,
        nr_cqe: u32,
        vector: Option<u16>,
        poll: Poll,
    ) -> Result<Arc<Self>> {
        Self::alloc(domain, nr_cqe, vector, poll, true)
    }

    /// Runs the callbacks of at most `budget` completions of a [`Poll::Direct`] queue, or of all.
    ///
    /// Any context. [`EBUSY`] while another caller does so or one of the queue's endpoints is being closed.
    pub fn poll(&self, budget: Option<u16>) -> Result<u32> {
        if self.poll != Poll::Direct {
            return Err(EINVAL);
        }
        if self.busy.xchg(true, Acquire) {
            return Err(EBUSY);
        }
        let cq = self.raw.cq.as_ptr();
        // SAFETY: The queue is valid, and every operations table starts with its data path, all of whose entries are set.
        let nr = unsafe {
            let ops = (*cq).ops.cast::<bindings::kfi_cq_data_ops>();
            (*ops).poll.unwrap_unchecked()(cq, budget.map_or(-1, c_int::from))
        };
        self.busy.store(false, Release);
        u32::try_from(nr).map_err(|_| Error::from_errno(nr))
    }

    /// Runs `f`, which drains and so runs callbacks, with nobody else polling. Sleeps.
    pub(super) fn exclusive<R>(&self, f: impl FnOnce() -> R) -> R {
        if self.poll != Poll::Direct {
            return f();
        }
        while self.busy.xchg(true, Acquire) {
            fsleep(Delta::from_micros(50));
        }
        let result = f();
        self.busy.store(false, Release);
        result
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::kfi_cq {
        self.raw.cq.as_ptr()
    }

    /// The domain it was opened on.
    pub fn domain(&self) -> &Domain {
        &self.raw.domain
    }
}

/// Lets others run, between two polls. Sleeps.
pub fn resched() {
    kernel::task::might_sleep();
    // SAFETY: Process context, as its callers promise; the task stays runnable.
    unsafe { bindings::schedule() };
}
