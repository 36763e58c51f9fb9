// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_cq`.

use super::{
    bindings,
    head::head,
    object::{
        self,
        Table, //
    }, //
};
use crate::{
    sys::workq::Cpu,
    tcp::queue::{
        Poll,
        Queue, //
    }, //
};
use kernel::{
    ffi::{
        c_char,
        c_int, //
    },
    prelude::*, //
};

head! {
    /// The public completion queue.
    CqHead, bindings::kfi_cq, bindings::kfi_cq {
        ops: OPS.as_ptr(),
        ..Default::default()
    }
}

/// # Safety
///
/// None: kfi.ko has checked the arguments.
pub(super) unsafe extern "C" fn alloc(
    _domain: *mut bindings::kfi_domain,
    _nr_cqe: u32,
    vector: c_int,
    poll: bindings::kfi_poll,
    _pool: bool,
    _owner: *const c_char,
) -> *mut bindings::kfi_cq {
    let poll = match poll {
        bindings::kfi_poll_KFI_POLL_SOFTIRQ => Poll::Softirq,
        bindings::kfi_poll_KFI_POLL_WORKQUEUE => Poll::Workqueue,
        bindings::kfi_poll_KFI_POLL_UNBOUND_WORKQUEUE => Poll::Unbound,
        _ => Poll::Direct,
    };
    // Endpoints make the room that they need when they are opened.
    object::into_ptr(Queue::new(poll, Cpu::of_vector(vector)).map(object::give))
}

/// # Safety
///
/// `cq` is of this provider.
unsafe extern "C" fn poll(cq: *mut bindings::kfi_cq, budget: c_int) -> c_int {
    // SAFETY: By the function's contract.
    let queue = unsafe { object::borrow::<_, Queue>(cq) };
    if queue.poll() != Poll::Direct {
        return EINVAL.to_errno();
    }
    let done = queue.run_some(usize::try_from(budget).unwrap_or(usize::MAX));
    c_int::try_from(done).unwrap_or(c_int::MAX)
}

/// # Safety
///
/// `cq` is of this provider and not used any more.
unsafe extern "C" fn free(cq: *mut bindings::kfi_cq) {
    // SAFETY: By the function's contract.
    unsafe { object::take::<_, Queue>(cq) }.finish();
}

object::object!(Queue, head, bindings::kfi_cq);

static OPS: Table<bindings::kfi_cq_ops> = Table(bindings::kfi_cq_ops {
    data: bindings::kfi_cq_data_ops { poll: Some(poll) },
    free: Some(free),
});

/// Whether a completion queue is of this provider.
///
/// # Safety
///
/// `cq` is valid.
pub(super) unsafe fn is_ours(cq: *const bindings::kfi_cq) -> bool {
    // SAFETY: By the function's contract.
    unsafe { (*cq).ops == OPS.as_ptr() }
}
