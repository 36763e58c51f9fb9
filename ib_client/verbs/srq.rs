// SPDX-License-Identifier: GPL-2.0-only

//! Shared receive queues.

use super::{
    errno,
    pd::Pd, //
};
use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    error::from_err_ptr,
    prelude::*,
    sync::Arc,
    task::might_sleep, //
};

/// A shared receive queue.
///
/// Receives that are posted when it is destroyed are gone without a completion, so there is no safe
/// way to post to it.
///
/// Wraps the kernel's C `struct ib_srq`.
///
/// # Invariants
///
/// `raw` is a basic shared receive queue of `pd`, owned by this object.
pub struct Srq {
    raw: NonNull<bindings::ib_srq>,
    pd: Arc<Pd>,
}

// SAFETY: Verbs may be called from any thread.
unsafe impl Send for Srq {}
// SAFETY: Verbs are reentrant.
unsafe impl Sync for Srq {}

impl Srq {
    /// Creates a queue for `max_wr` receives of at most `max_sge` elements.
    ///
    /// Fails with `EOPNOTSUPP` when the driver has none. Context: process, sleeps.
    pub fn new(pd: Arc<Pd>, max_wr: u32, max_sge: u32) -> Result<Arc<Self>> {
        if !pd.device().has_srq() {
            return Err(errno::eopnotsupp());
        }
        let mut attr = bindings::ib_srq_init_attr {
            srq_type: bindings::ib_srq_type_IB_SRQT_BASIC,
            attr: bindings::ib_srq_attr {
                max_wr,
                max_sge,
                srq_limit: 0,
            },
            ..Default::default()
        };
        // SAFETY: The domain keeps the device usable, the driver has shared receive queues, and
        // `attr` is initialised. A kernel object has neither `uobject` nor `udata`.
        let raw = unsafe {
            bindings::ib_create_srq_user(
                pd.as_raw(),
                &mut attr,
                core::ptr::null_mut(),
                core::ptr::null_mut(),
            )
        };
        let raw = NonNull::new(from_err_ptr(raw)?).ok_or(ENOMEM)?;
        // INVARIANT: Created just now. On failure the value is dropped, which destroys it.
        Ok(Arc::new(Self { raw, pd }, GFP_KERNEL)?)
    }

    /// The C object.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::ib_srq {
        self.raw.as_ptr()
    }

    /// The protection domain.
    pub fn pd(&self) -> &Arc<Pd> {
        &self.pd
    }

    /// Posts a chain of receives. On failure `bad_wr` is set to the first that was not posted.
    /// Context: any.
    ///
    /// # Safety
    ///
    /// - `wr` is a chain of initialised work requests, each with a valid `wr_cqe`;
    /// - each of these, and the memory that the work requests name, stays valid until its
    ///   completion, or until the queue is destroyed; the memory is mapped for the device of this
    ///   queue.
    #[inline]
    pub unsafe fn post_recv_raw(
        &self,
        wr: *const bindings::ib_recv_wr,
        bad_wr: &mut *const bindings::ib_recv_wr,
    ) -> c_int {
        let srq = self.as_raw();
        // SAFETY: By the type invariant the queue and its device are there; a driver that creates
        // shared receive queues can post to them, and the call has the meaning that the caller's
        // promises are made for.
        unsafe {
            match (*(*srq).device).ops.post_srq_recv {
                Some(post) => post(srq, wr, bad_wr),
                None => errno::EOPNOTSUPP,
            }
        }
    }
}

impl Drop for Srq {
    fn drop(&mut self) {
        might_sleep();
        // Drop order: queue pairs hold a reference to their shared receive queue, so none uses it
        // any more; the protection domain goes after it.
        // SAFETY: By the type invariant the queue is ours, and it is not used after this.
        let ret = unsafe { bindings::ib_destroy_srq_user(self.as_raw(), core::ptr::null_mut()) };
        if ret != 0 {
            pr_warn!("destruction of a shared receive queue failed: {}\n", ret);
        }
    }
}
