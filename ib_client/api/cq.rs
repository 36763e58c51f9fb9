// SPDX-License-Identifier: GPL-2.0-only

//! Completion queues: polling and the table.

use super::{
    bindings,
    import::UlpCq,
    object::{
        self,
        Table, //
    }, //
};
use crate::{
    cq::Queue,
    verbs::{
        cq::{
            Cq,
            PollContext,
            Poller, //
        },
        gate::Gate, //
    }, //
};
use core::mem::offset_of;
use kernel::{
    prelude::*,
    types::Opaque, //
};

/// The public queue and what polling needs.
///
/// Polling runs the consumer's code, which may sleep, so it is not done under RCU: pollers are counted.
///
/// # Invariants
///
/// `native`, and what `poller` points to unless it is null, exist while `pollers` is open or has users.
#[repr(C)]
#[pin_data]
pub(crate) struct CqHead {
    public: Opaque<bindings::kfi_cq>,
    native: *mut bindings::ib_cq,
    direct: bool,
    /// Shared with drains; null for a queue on an imported domain, which kfi does not drain.
    poller: *const Poller,
    #[pin]
    pollers: Gate,
}

const _: () = assert!(offset_of!(CqHead, public) == 0);

// SAFETY: The public part is the consumer's; the rest follows the type invariants.
unsafe impl Send for CqHead {}
// SAFETY: As above.
unsafe impl Sync for CqHead {}

impl CqHead {
    /// The head of a queue that keeps `cq` until [`CqHead::wait_pollers`] has returned.
    pub(crate) fn of(cq: &Cq) -> impl PinInit<Self> {
        // INVARIANT: `crate::cq::Queue` keeps the queue.
        Self::with_native(
            cq.as_raw(),
            cq.poll_context() == PollContext::Direct,
            cq.poller(),
        )
    }

    /// The same for a queue on an imported domain.
    pub(crate) fn of_ulp(cq: &UlpCq) -> impl PinInit<Self> {
        // INVARIANT: `crate::cq::Queue` keeps the queue.
        Self::with_native(cq.as_raw(), cq.is_direct(), core::ptr::null())
    }

    fn with_native(
        native: *mut bindings::ib_cq,
        direct: bool,
        poller: *const Poller,
    ) -> impl PinInit<Self> {
        let public = bindings::kfi_cq {
            ops: CQ_OPS.as_ptr(),
            ..Default::default()
        };
        pin_init!(Self {
            public: Opaque::new(public),
            native,
            direct,
            poller,
            pollers <- Gate::new(),
        })
    }

    /// Lets no new poller in.
    pub(crate) fn kill(&self) {
        self.pollers.close();
    }

    /// Waits for the pollers, after [`CqHead::kill`].
    pub(crate) fn wait_pollers(&self) {
        self.pollers.wait();
    }

    /// The verbs queue, for `kfi_cq_native()`; null when the device has gone.
    pub(super) fn native(&self) -> *mut bindings::ib_cq {
        if self.pollers.is_closed() {
            core::ptr::null_mut()
        } else {
            self.native
        }
    }
}

/// # Safety
///
/// `cq` is a queue of this provider.
unsafe extern "C" fn poll(cq: *mut bindings::kfi_cq, budget: c_int) -> c_int {
    // SAFETY: By the function's contract. CAST: the public part is at the head.
    let head = unsafe { &*cq.cast_const().cast::<CqHead>() };
    if !head.direct {
        return EINVAL.to_errno();
    }
    let Ok(_guard) = head.pollers.enter() else {
        return ENODEV.to_errno();
    };
    // SAFETY: The guard keeps the queue, and it is a direct one.
    let process = || unsafe { bindings::ib_process_cq_direct(head.native, budget) };
    // SAFETY: The guard keeps it.
    match unsafe { head.poller.as_ref() } {
        // A drain runs the callbacks meanwhile.
        Some(poller) => poller.try_run(process).unwrap_or(0),
        None => process(),
    }
}

/// # Safety
///
/// `cq` is a queue of this provider that the consumer does not use any more.
unsafe extern "C" fn free(cq: *mut bindings::kfi_cq) {
    // SAFETY: By the function's contract.
    unsafe { object::take::<_, Queue>(cq) }.free();
}

object::object!(Queue, head, bindings::kfi_cq);

/// The table of queues.
pub(super) static CQ_OPS: Table<bindings::kfi_cq_ops> = Table(bindings::kfi_cq_ops {
    data: bindings::kfi_cq_data_ops { poll: Some(poll) },
    free: Some(free),
});
