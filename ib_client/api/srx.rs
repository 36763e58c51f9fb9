// SPDX-License-Identifier: GPL-2.0-only

//! Shared receive contexts: posting and the table.

use super::{
    bindings,
    comp,
    object::{
        self,
        Table, //
    },
    post, //
};
use crate::{
    errno::EOPNOTSUPP,
    srx::Srx,
    verbs::srq::Srq, //
};
use core::{
    mem::offset_of,
    ptr, //
};
// The kernel's atomics are calls out of line, which the data path does not want for a load.
use core::sync::atomic::{
    AtomicU32,
    Ordering, //
};
use kernel::{
    prelude::*,
    sync::rcu,
    types::Opaque, //
};

/// The public context and what posting needs.
///
/// # Invariants
///
/// While `alive` is not 0, and until one RCU grace period later, `native` exists.
#[repr(C)]
pub(crate) struct SrxHead {
    public: Opaque<bindings::kfi_srx>,
    native: *mut bindings::ib_srq,
    max_sge: u32,
    alive: AtomicU32,
}

const _: () = assert!(offset_of!(SrxHead, public) == 0);

// SAFETY: The public part is the consumer's; the rest follows the type invariants.
unsafe impl Send for SrxHead {}
// SAFETY: As above.
unsafe impl Sync for SrxHead {}

impl SrxHead {
    /// The head of a context that keeps `srq` until one RCU grace period after [`SrxHead::kill`].
    pub(crate) fn of(srq: &Srq, max_sge: u32) -> Self {
        let public = bindings::kfi_srx {
            ops: SRX_OPS.as_ptr(),
            ..Default::default()
        };
        // INVARIANT: `crate::srx::Srx` keeps the queue.
        Self {
            public: Opaque::new(public),
            native: srq.as_raw(),
            max_sge,
            alive: AtomicU32::new(1),
        }
    }

    /// Ends posting. RCU readers that have begun may go on.
    pub(crate) fn kill(&self) {
        self.alive.store(0, Ordering::Release);
    }
}

/// # Safety
///
/// `srx` is a context of this provider, the chain is valid, `bad` is null or valid.
unsafe extern "C" fn recv(
    srx: *mut bindings::kfi_srx,
    first: *mut bindings::kfi_rx,
    bad: *mut *mut bindings::kfi_rx,
) -> c_int {
    // SAFETY: By the function's contract. CAST: the public part is at the head.
    let head = unsafe { &*srx.cast_const().cast::<SrxHead>() };
    let rcu = rcu::read_lock();
    if head.alive.load(Ordering::Acquire) == 0 {
        rcu.unlock();
        if !bad.is_null() {
            // SAFETY: By the function's contract.
            unsafe { *bad = first };
        }
        return ENODEV.to_errno();
    }
    // SAFETY: The queue exists as long as the RCU read-side section lasts, and the chain is the caller's.
    let ret = unsafe {
        let native = head.native;
        post::recv(
            ptr::null_mut(),
            comp::srx_done,
            head.max_sge,
            first,
            bad,
            |wr, bad_wr| match (*(*native).device).ops.post_srq_recv {
                Some(post) => post(native, wr, bad_wr),
                None => EOPNOTSUPP.to_errno(),
            },
        )
    };
    rcu.unlock();
    ret
}

/// # Safety
///
/// `srx` is a context of this provider that the consumer does not use any more.
unsafe extern "C" fn free(srx: *mut bindings::kfi_srx) {
    // SAFETY: By the function's contract.
    unsafe { object::take::<_, Srx>(srx) }.free();
}

object::object!(Srx, head, bindings::kfi_srx);

/// The table of shared receive contexts.
pub(super) static SRX_OPS: Table<bindings::kfi_srx_ops> = Table(bindings::kfi_srx_ops {
    data: bindings::kfi_srx_data_ops { recv: Some(recv) },
    free: Some(free),
});
