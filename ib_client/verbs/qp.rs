// SPDX-License-Identifier: GPL-2.0-only

//! Queue pairs.
//!
//! C header: [`include/rdma/ib_verbs.h`](srctree/include/rdma/ib_verbs.h)

use super::{
    cm::CmId,
    cq::Cq,
    device::Device,
    drain, errno,
    pd::Pd,
    srq::Srq,
    wr::{
        hand_over,
        CqeHandler,
        PostError,
        RecvWr,
        SendWr, //
    },
};
use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    prelude::*,
    sync::Arc,
    task::might_sleep, //
};

/// Limits of a queue pair.
#[derive(Clone, Copy, Default, Debug)]
pub struct Cap {
    /// Work requests outstanding on the send queue.
    pub max_send_wr: u32,
    /// Work requests outstanding on the receive queue; of no meaning with a shared one.
    pub max_recv_wr: u32,
    /// Elements of a work request for the send queue.
    pub max_send_sge: u32,
    /// Elements of a work request for the receive queue.
    pub max_recv_sge: u32,
    /// [`super::rw`] contexts outstanding. Their work requests and memory regions are added.
    pub max_rdma_ctxs: u32,
}

/// What a queue pair is made of.
pub struct Config {
    /// The protection domain.
    pub pd: Arc<Pd>,
    /// Where work requests of the send queue complete.
    pub send_cq: Arc<Cq>,
    /// Where receives complete.
    pub recv_cq: Arc<Cq>,
    /// The shared receive queue, if there is to be one.
    pub srq: Option<Arc<Srq>>,
    /// Limits. Room for the work requests that draining needs is added.
    pub cap: Cap,
    /// Whether memory regions with protection information are used; the device can do that.
    pub integrity: bool,
}

/// The C-side hooks of a queue pair, for users that have code in C.
pub struct Hooks {
    /// Put into `qp_context`; handed to `event_handler`.
    pub context: *mut c_void,
    /// Called for asynchronous events, in any context.
    pub event_handler: Option<unsafe extern "C" fn(*mut bindings::ib_event, *mut c_void)>,
}

/// A reliable connected queue pair on an identifier, which moves it through its states.
///
/// Wraps the kernel's C `struct ib_qp`.
///
/// # Invariants
///
/// - `raw` is a queue pair made by [`CmId::create_qp`] of `id`, of `pd`, `send_cq`, `recv_cq` and
///   `srq`; it is destroyed by `drop()` and by nothing else.
/// - `device` is the device of all of these, `lkey` the local key of `pd` for mapped memory.
pub struct Qp {
    raw: NonNull<bindings::ib_qp>,
    lkey: u32,
    cap: Cap,
    granted: Cap,
    // Drop order: the queue pair itself goes in `drop()`, before all of these.
    send_cq: Arc<Cq>,
    recv_cq: Arc<Cq>,
    srq: Option<Arc<Srq>>,
    pd: Arc<Pd>,
    // Last, as the identifier must outlive its queue pair.
    id: Arc<CmId>,
}

// SAFETY: Verbs may be called from any thread.
unsafe impl Send for Qp {}
// SAFETY: Verbs are reentrant.
unsafe impl Sync for Qp {}

impl Qp {
    /// Creates a queue pair on an identifier that has a device.
    ///
    /// Fails with `EINVAL` when the identifier has no device or another one than the rest, with
    /// `EBUSY` when it has a queue pair already. Context: process, sleeps.
    pub fn new(id: Arc<CmId>, config: Config) -> Result<Arc<Self>> {
        let none = Hooks {
            context: core::ptr::null_mut(),
            event_handler: None,
        };
        // SAFETY: Without a handler nothing is called.
        unsafe { Self::with_hooks(id, config, none) }
    }

    /// Creates a queue pair with hooks for C code.
    ///
    /// # Safety
    ///
    /// `hooks.event_handler` may be called with `hooks.context` from now on until the queue pair is
    /// destroyed.
    pub unsafe fn with_hooks(id: Arc<CmId>, config: Config, hooks: Hooks) -> Result<Arc<Self>> {
        let Config {
            pd,
            send_cq,
            recv_cq,
            srq,
            cap,
            integrity,
        } = config;
        let device = pd.device();
        let same = |d: &Device| d.is_same(device);
        if !same(send_cq.device())
            || !same(recv_cq.device())
            || !srq.as_ref().is_none_or(|s| same(s.pd().device()))
            || !id.device().is_some_and(same)
        {
            return Err(EINVAL);
        }
        // Before the queue pair, so that there is nothing to undo if memory is short.
        let memory = kernel::sync::UniqueArc::<Self>::new_uninit(GFP_KERNEL)?;
        let slot = id.claim_qp()?;
        let mut attr = bindings::ib_qp_init_attr {
            event_handler: hooks.event_handler,
            qp_context: hooks.context,
            send_cq: send_cq.as_raw(),
            recv_cq: recv_cq.as_raw(),
            srq: srq.as_ref().map_or(core::ptr::null_mut(), |s| s.as_raw()),
            cap: bindings::ib_qp_cap {
                max_send_wr: cap.max_send_wr.checked_add(1).ok_or(EINVAL)?,
                max_recv_wr: match srq {
                    Some(_) => 0,
                    None => cap.max_recv_wr.checked_add(1).ok_or(EINVAL)?,
                },
                max_send_sge: cap.max_send_sge,
                max_recv_sge: match srq {
                    Some(_) => 0,
                    None => cap.max_recv_sge,
                },
                max_inline_data: 0,
                max_rdma_ctxs: cap.max_rdma_ctxs,
            },
            sq_sig_type: bindings::ib_sig_type_IB_SIGNAL_REQ_WR,
            qp_type: bindings::ib_qp_type_IB_QPT_RC,
            create_flags: if integrity {
                bindings::ib_qp_create_flags_IB_QP_CREATE_INTEGRITY_EN as u32
            } else {
                0
            },
            ..Default::default()
        };
        // SAFETY: The identifier has a device and is claimed for this queue pair; everything in
        // `attr` belongs to that device and is kept alive below; the hooks are as the caller
        // promises.
        unsafe { id.create_qp(pd.as_raw(), &mut attr) }?;
        // SAFETY: Creation was successful, so the identifier points to its queue pair.
        let raw = NonNull::new(unsafe { (*id.as_raw()).qp }).ok_or(EINVAL)?;
        slot.keep();
        let lkey = pd.local_dma_lkey();
        // A context takes two work requests more where it has a memory region.
        // SAFETY: The queue pair is there, and nobody else uses it yet.
        let per_ctx = if unsafe { has_regions(raw.as_ptr()) } {
            3
        } else {
            1
        };
        let wanted = cap
            .max_send_wr
            .saturating_add(cap.max_rdma_ctxs.saturating_mul(per_ctx));
        // Less what draining needs, and what the driver has rounded up by.
        let granted = Cap {
            max_send_wr: attr.cap.max_send_wr.saturating_sub(1).min(wanted),
            max_recv_wr: attr.cap.max_recv_wr.saturating_sub(1),
            ..cap
        };
        // INVARIANT: Created just now, of these objects, which were found to be of one device.
        Ok(memory
            .write(Self {
                raw,
                lkey,
                cap,
                granted,
                send_cq,
                recv_cq,
                srq,
                pd,
                id,
            })
            .into())
    }

    /// The C object.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::ib_qp {
        self.raw.as_ptr()
    }

    /// The device.
    #[inline]
    pub fn device(&self) -> &Device {
        self.pd.device()
    }

    /// The protection domain.
    pub fn pd(&self) -> &Arc<Pd> {
        &self.pd
    }

    /// Where work requests of the send queue complete.
    pub fn send_cq(&self) -> &Arc<Cq> {
        &self.send_cq
    }

    /// Where receives complete.
    pub fn recv_cq(&self) -> &Arc<Cq> {
        &self.recv_cq
    }

    /// The identifier that the queue pair belongs to.
    pub fn id(&self) -> &Arc<CmId> {
        &self.id
    }

    /// The limits that were asked for.
    pub fn cap(&self) -> Cap {
        self.cap
    }

    /// The limits that were granted: the work requests that were asked for, and those that the contexts of [`super::rw`]
    /// need.
    pub fn granted(&self) -> Cap {
        self.granted
    }

    /// The number of the queue pair.
    pub fn qp_num(&self) -> u32 {
        // SAFETY: By the type invariant the queue pair is there; its number does not change.
        unsafe { (*self.as_raw()).qp_num }
    }

    /// Posts an operation to the send queue.
    ///
    /// `build` makes the work request of the operation; what it names belongs to the operation. The
    /// operation is handed back by [`CqeHandler::done`], or with the error. Neither allocates nor
    /// sleeps. Context: any.
    #[inline]
    pub fn post_send<T, const ID: u64, const N: usize>(
        &self,
        op: KBox<T>,
        build: impl for<'a> FnOnce(&'a mut T) -> Result<SendWr<'a, N>>,
    ) -> core::result::Result<(), PostError<T>>
    where
        T: CqeHandler<ID>,
    {
        let op = KBox::into_raw(op);
        // SAFETY: The operation is ours, and nothing else refers to it. The reference is not used
        // any more when `build` has returned: the work request only remembers that what it names is
        // owned by the operation.
        let wr = build(unsafe { &mut *op });
        // SAFETY: The box that was taken apart above.
        let op = unsafe { KBox::from_raw(op) };
        let wr = match wr {
            Ok(wr) => wr,
            Err(error) => return Err(PostError { error, op }),
        };
        let post = |cqe| {
            wr.with_raw(self.device(), self.lkey, cqe, |wr| {
                // SAFETY: One initialised work request. Its memory is mapped for this device and
                // owned by the operation, which is leaked until its completion; its `wr_cqe` leads
                // to the handler of the operation.
                to_result(unsafe { self.post_send_one(wr) })
            })
        };
        // SAFETY: The work request completes through the queue, once and signaled, if and only if
        // the post succeeds.
        unsafe { hand_over(op, post) }
    }

    /// Posts an operation to the receive queue.
    ///
    /// As [`Qp::post_send`]. Fails with `EINVAL` when the queue pair has a shared receive queue.
    /// Context: any.
    #[inline]
    pub fn post_recv<T, const ID: u64, const N: usize>(
        &self,
        op: KBox<T>,
        build: impl for<'a> FnOnce(&'a mut T) -> Result<RecvWr<'a, N>>,
    ) -> core::result::Result<(), PostError<T>>
    where
        T: CqeHandler<ID>,
    {
        if self.srq.is_some() {
            return Err(PostError { error: EINVAL, op });
        }
        let op = KBox::into_raw(op);
        // SAFETY: The operation is ours, and nothing else refers to it. The reference is not used
        // any more when `build` has returned: the work request only remembers that what it names is
        // owned by the operation.
        let wr = build(unsafe { &mut *op });
        // SAFETY: The box that was taken apart above.
        let op = unsafe { KBox::from_raw(op) };
        let wr = match wr {
            Ok(wr) => wr,
            Err(error) => return Err(PostError { error, op }),
        };
        let post = |cqe| {
            wr.with_raw(self.device(), self.lkey, cqe, |wr| {
                // SAFETY: One initialised work request. Its memory is mapped for this device and
                // owned by the operation, which is leaked until its completion; its `wr_cqe` leads
                // to the handler of the operation.
                to_result(unsafe { self.post_recv_one(wr) })
            })
        };
        // SAFETY: The work request completes through the queue, once and signaled, if and only if
        // the post succeeds.
        unsafe { hand_over(op, post) }
    }

    /// Posts a chain of work requests to the send queue. On failure `bad_wr` is set to the first
    /// that was not posted; if it is not set, all were posted and will complete: siw has queued
    /// them and could not start the first. Context: any.
    ///
    /// # Safety
    ///
    /// - `wr` is a chain of initialised work requests, each of the type that its opcode requires;
    /// - each valid `wr_cqe`, and the memory that the work requests name, stays valid until the
    ///   completion of the work request, or of a later one if it is not signaled; the memory is
    ///   mapped for, or registered with, this device.
    #[inline]
    pub unsafe fn post_send_raw(
        &self,
        wr: *const bindings::ib_send_wr,
        bad_wr: &mut *const bindings::ib_send_wr,
    ) -> c_int {
        let qp = self.as_raw();
        // SAFETY: By the type invariant the queue pair and its device are there; every driver can
        // post, and the call has the meaning that the caller's promises are made for.
        unsafe {
            match (*(*qp).device).ops.post_send {
                Some(post) => post(qp, wr, bad_wr),
                None => {
                    *bad_wr = wr;
                    errno::EOPNOTSUPP
                }
            }
        }
    }

    /// Posts one work request to the send queue. After an error it is not posted. Context: any.
    ///
    /// # Safety
    ///
    /// As for [`Qp::post_send_raw`].
    #[inline]
    pub(super) unsafe fn post_send_one(&self, wr: *const bindings::ib_send_wr) -> c_int {
        let mut bad = core::ptr::null();
        // SAFETY: By the function's contract.
        match unsafe { self.post_send_raw(wr, &mut bad) } {
            _ if bad.is_null() => 0,
            ret => ret,
        }
    }

    /// As [`Qp::post_send_one`], for a receive.
    ///
    /// # Safety
    ///
    /// As for [`Qp::post_recv_raw`].
    #[inline]
    pub(super) unsafe fn post_recv_one(&self, wr: *const bindings::ib_recv_wr) -> c_int {
        let mut bad = core::ptr::null();
        // SAFETY: By the function's contract.
        match unsafe { self.post_recv_raw(wr, &mut bad) } {
            _ if bad.is_null() => 0,
            ret => ret,
        }
    }

    /// Posts a chain of receives. On failure `bad_wr` is set as by [`Qp::post_send_raw`]. Context:
    /// any.
    ///
    /// # Safety
    ///
    /// - `wr` is a chain of initialised work requests, each with a valid `wr_cqe`;
    /// - each of these, and the memory that the work requests name, stays valid until its
    ///   completion; the memory is mapped for this device.
    #[inline]
    pub unsafe fn post_recv_raw(
        &self,
        wr: *const bindings::ib_recv_wr,
        bad_wr: &mut *const bindings::ib_recv_wr,
    ) -> c_int {
        let qp = self.as_raw();
        // SAFETY: By the type invariant the queue pair and its device are there; every driver can
        // post, and the call has the meaning that the caller's promises are made for.
        unsafe {
            match (*(*qp).device).ops.post_recv {
                Some(post) => post(qp, wr, bad_wr),
                None => {
                    *bad_wr = wr;
                    errno::EOPNOTSUPP
                }
            }
        }
    }

    /// Posts a signaled operation without effect to the send queue: 0, or a negative errno and it is not posted. Context:
    /// any.
    ///
    /// # Safety
    ///
    /// `cqe` is valid until the completion.
    pub(crate) unsafe fn post_mark(&self, cqe: *mut bindings::ib_cqe) -> c_int {
        // SAFETY: By the function's contract.
        unsafe { drain::post_mark(self, cqe as usize as u64) }
    }

    /// Waits a little for a place in the send queue, in the error state. With `poll` the completions of a
    /// [`super::cq::PollContext::Direct`] queue, which may be what holds it up, are handled here. Context: process, sleeps.
    pub(crate) fn await_room(&self, poll: bool) {
        if poll {
            drain::poll(&self.send_cq);
        }
        drain::pause();
    }

    /// Enters the error state: what is outstanding and all later posts are flushed. Context:
    /// process, sleeps.
    pub fn set_error(&self) -> Result {
        let mut attr = bindings::ib_qp_attr {
            qp_state: bindings::ib_qp_state_IB_QPS_ERR,
            ..Default::default()
        };
        // SAFETY: By the type invariant the queue pair is there, and the mask names what `attr`
        // holds.
        to_result(unsafe {
            bindings::ib_modify_qp(
                self.as_raw(),
                &mut attr,
                bindings::ib_qp_attr_mask_IB_QP_STATE as c_int,
            )
        })
    }

    /// Enters the error state and waits until everything that was posted has completed.
    ///
    /// Posts that run at the same time may be missed, so the caller stops them before; dropping the
    /// queue pair drains it again when nobody else can post. On a
    /// [`super::cq::PollContext::Direct`] queue this handles completions itself. Context: process,
    /// sleeps; not from a completion handler.
    pub fn drain(&self) {
        if self.srq.is_some() {
            // What it has taken from there completes in front of the mark of the send queue, if both have one completion
            // queue.
            self.drain_rq();
        }
        self.drain_sq();
        if self.srq.is_none() {
            self.drain_rq();
        }
    }

    /// As [`Qp::drain`], for the send queue only.
    pub fn drain_sq(&self) {
        might_sleep();
        if self.set_error().is_ok() {
            drain::empty_sq(self);
        }
        self.send_cq
            // SAFETY: By the type invariant the queue pair is there, and there is room for the mark of
            // the drain.
            .alone(|| unsafe { bindings::ib_drain_sq(self.as_raw()) });
    }

    /// As [`Qp::drain`], for the receive queue only. With a shared one it waits until the device has taken the last
    /// receive from it for this queue pair; that may still be in the completion queue.
    pub fn drain_rq(&self) {
        might_sleep();
        let in_error = self.set_error().is_ok();
        if self.srq.is_some() {
            if in_error {
                drain::last_shared(self);
            }
        } else {
            if in_error {
                drain::empty_rq(self);
            }
            self.recv_cq
                // SAFETY: As in `drain_sq()`.
                .alone(|| unsafe { bindings::ib_drain_rq(self.as_raw()) });
        }
    }
}

/// Whether contexts of [`super::rw`] have memory regions.
///
/// # Safety
///
/// `qp` was created just now.
unsafe fn has_regions(qp: *mut bindings::ib_qp) -> bool {
    // SAFETY: By the function's contract; the list is initialised in any case.
    unsafe {
        let regions = &raw mut (*qp).rdma_mrs;
        !core::ptr::eq((*regions).next, regions)
    }
}

impl Drop for Qp {
    fn drop(&mut self) {
        // `&mut self`: nobody can post concurrently, as draining requires. Completion handlers may
        // try to post and then have no queue pair to do it on.
        self.drain();
        // Drop order: drained, so every operation has been handed back; then the queue pair, with
        // the memory regions of `max_rdma_ctxs`; then, by the fields, what it was made of; the
        // identifier last.
        // SAFETY: By the type invariant the queue pair is the one of the identifier, and nothing
        // but this destroys it.
        unsafe { self.id.destroy_qp() };
        self.id.release_qp();
    }
}
