// SPDX-License-Identifier: GPL-2.0-only

//! Room for the marks that draining posts.
//!
//! `ib_drain_sq()` and `ib_drain_rq()` give up, with a warning, when there is no room for their work
//! request. A user that posts until a post fails leaves none, whatever was added for them. In the
//! error state everything that was posted completes by itself, so room comes; here it is waited for.

use super::{
    cq::{
        Cq,
        PollContext, //
    },
    qp::Qp,
};
use crate::bindings;
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Completion, //
    },
    time::{
        delay::fsleep,
        msecs_to_jiffies,
        Delta, //
    },
    types::Opaque, //
};

/// A work request without effect, behind everything else in its queue.
#[repr(C)]
#[pin_data]
struct Mark {
    cqe: Opaque<bindings::ib_cqe>,
    seen: Atomic<bool>,
    #[pin]
    done: Completion,
}

/// # Safety
///
/// Called by the polling layer with the completion of a work request whose `wr_cqe` is in a [`Mark`] that
/// waits for it.
unsafe extern "C" fn done(_cq: *mut bindings::ib_cq, wc: *mut bindings::ib_wc) {
    // SAFETY: The polling layer passes a completion that is filled in.
    let mark = unsafe { (*wc).__bindgen_anon_1.bindgen_union_field } as usize as *const Mark;
    // CAST: The completion entry is the first member.
    // SAFETY: The mark stays until `done` is completed.
    let mark = unsafe { &*mark };
    mark.seen.store(true, Release);
    // Last, as the mark may be gone afterwards.
    mark.done.complete_all();
}

/// Handles the completions of a queue that nobody handles otherwise.
pub(super) fn poll(cq: &Cq) {
    if cq.poll_context() == PollContext::Direct {
        let _ = cq.process_direct(u32::MAX);
    }
}

/// Lets a device in the error state work.
pub(super) fn pause() {
    fsleep(Delta::from_micros(100));
}

/// Waits until a mark that `post` posts has completed, and so everything before it. `post` returns what
/// the verb does.
fn pass(cq: &Cq, post: impl Fn(u64) -> c_int) {
    let poll = || poll(cq);
    pin_init::stack_pin_init!(let mark = pin_init!(Mark {
        cqe: Opaque::new(bindings::ib_cqe { done: Some(done) }),
        seen: Atomic::new(false),
        done <- Completion::new(),
    }));
    loop {
        match post(core::ptr::from_ref(&*mark) as usize as u64) {
            0 => break,
            e if e == ENOMEM.to_errno() => {
                poll();
                pause();
            }
            // Then nothing will complete the drain either, and it says so.
            _ => return,
        }
    }
    while cq.poll_context() == PollContext::Direct && !mark.seen.load(Acquire) {
        poll();
        if !mark.seen.load(Acquire) {
            pause();
        }
    }
    mark.done.wait_for_completion();
}

/// Posts a work request without effect to the send queue.
///
/// # Safety
///
/// `cqe` is the address of a completion entry that is valid until the work request has completed.
pub(super) unsafe fn post_mark(qp: &Qp, cqe: u64) -> c_int {
    let mut wr = bindings::ib_rdma_wr::default();
    wr.wr.__bindgen_anon_1.bindgen_union_field = cqe;
    wr.wr.opcode = bindings::ib_wr_opcode_IB_WR_RDMA_WRITE;
    wr.wr.send_flags = bindings::ib_send_flags_IB_SEND_SIGNALED as c_int;
    // CAST: Drivers find the rest of an RDMA work request by its first member, which this is.
    // SAFETY: One initialised work request without memory; the rest is promised by the caller.
    unsafe { qp.post_send_one((&raw const wr).cast()) }
}

/// Empties the send queue of a queue pair in the error state. Nobody posts to it.
pub(super) fn empty_sq(qp: &Qp) {
    // SAFETY: `pass()` keeps the mark until it has completed.
    pass(qp.send_cq(), |cqe| unsafe { post_mark(qp, cqe) });
}

/// As [`empty_sq`], for the receive queue.
pub(super) fn empty_rq(qp: &Qp) {
    pass(qp.recv_cq(), |cqe| {
        let mut wr = bindings::ib_recv_wr::default();
        wr.__bindgen_anon_1.bindgen_union_field = cqe;
        // SAFETY: As in `empty_sq()`.
        unsafe { qp.post_recv_one(&wr) }
    });
}

/// For how long a device may keep silent about the last shared receive, in milliseconds. Those that never tell cost as much
/// once for each queue pair.
const LAST_SHARED_MS: u32 = 5000;

/// Waits until a queue pair in the error state has taken its last receive from the shared queue, as the device tells by an
/// event that the RDMA core counts.
pub(super) fn last_shared(qp: &Qp) {
    // SAFETY: The queue pair is there. The RDMA core waits for its completion only in `ib_drain_qp()`, which is not used
    // for these; it is left completed, so that a later call does not wait for an event that comes once.
    unsafe {
        let last = &raw mut (*qp.as_raw()).srq_completion;
        bindings::wait_for_completion_timeout(last, msecs_to_jiffies(LAST_SHARED_MS));
        bindings::complete_all(last);
    }
}
