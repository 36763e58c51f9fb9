// SPDX-License-Identifier: GPL-2.0-only

//! Transfers between memory and the peer's memory, with whatever work requests and memory regions
//! the device needs for them.
//!
//! C header: [`include/rdma/rw.h`](srctree/include/rdma/rw.h)

use super::{
    device::Device,
    qp::Qp,
    wc::{
        Wc,
        WcError, //
    },
    wr::{
        impl_has_cqe,
        Cqe,
        CqeHandler,
        HasCqe as _,
        Remote, //
    },
};
use crate::bindings;
use kernel::{
    dma::DataDirection,
    prelude::*,
    sync::Arc,
    task::might_sleep,
    types::Opaque, //
};

/// Which way a transfer goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// To the peer.
    Write,
    /// From the peer.
    Read,
}

impl Way {
    fn to_raw(self) -> bindings::dma_data_direction {
        match self {
            Self::Write => DataDirection::ToDevice,
            Self::Read => DataDirection::FromDevice,
        }
        .into()
    }
}

/// Places of [`super::qp::Cap::max_rdma_ctxs`] that a transfer of `pages` pages takes; 1 for none.
/// Context: any.
pub fn places_for(device: &Device, port: u32, pages: u32) -> u32 {
    let limit = device.attrs().max_sge_rd;
    if pages == 0 || limit == 0 {
        return 1;
    }
    // SAFETY: The device is there; its limit, by which this may divide, is not 0.
    unsafe { bindings::rdma_rw_mr_factor(device.as_raw(), port, pages) }.max(1)
}

/// What happens when a transfer is over.
pub trait Done: Send + 'static {
    /// Called once for each transfer that was started. After a failed read the memory holds
    /// anything.
    ///
    /// Context: that of the completion queue, see [`super::cq::PollContext`]; it may be any.
    fn done(self, mem: KVec<u8>, result: core::result::Result<(), WcError>);
}

/// A transfer that was not started; the memory comes back.
pub struct Refused<D> {
    /// Why.
    pub error: Error,
    /// The memory, unless the device has got hold of a part of it.
    pub mem: Option<KVec<u8>>,
    /// What would have been called.
    pub done: D,
}

/// A transfer under way.
///
/// # Invariants
///
/// Once [`start`] has made it, `ctx` is initialised for `qp` and the list `sg` that covers `mem`.
/// It points into itself, so it does not move before it is destroyed.
struct Transfer<D: Done> {
    cqe: Cqe<Transfer<D>>,
    ctx: Opaque<bindings::rdma_rw_ctx>,
    sg: Opaque<bindings::scatterlist>,
    mem: KVec<u8>,
    way: Way,
    qp: Arc<Qp>,
    done: D,
}

impl_has_cqe! { impl{D: Done} HasCqe<Self> for Transfer<D> { self.cqe } }

// SAFETY: The list and the context point to memory of the transfer's own, or of its queue pair.
unsafe impl<D: Done> Send for Transfer<D> {}

impl<D: Done> Transfer<D> {
    /// Undoes the initialisation of the context and hands the parts out. Context: any.
    fn take_apart(this: KBox<Self>) -> (KVec<u8>, D, Arc<Qp>) {
        // SAFETY: By the type invariant the context is initialised with these arguments; nothing of
        // it is in flight, as the transfer has an owner.
        unsafe {
            bindings::rdma_rw_ctx_destroy(
                this.ctx.get(),
                this.qp.as_raw(),
                this.qp.id().port(),
                this.sg.get(),
                1,
                this.way.to_raw(),
            )
        };
        let this = KBox::into_inner(this);
        (this.mem, this.done, this.qp)
    }
}

impl<D: Done> CqeHandler for Transfer<D> {
    fn done(this: KBox<Self>, wc: Wc<'_>) {
        let result = wc.ok().map(|_| ());
        let (mem, done, _qp) = Self::take_apart(this);
        done.done(mem, result);
    }
}

/// Starts a transfer between `mem` and the peer's memory.
///
/// The memory is moved into the transfer and handed to `done` when it is over. The transfer holds a
/// reference to the queue pair; its owner calls [`Qp::drain`] before it drops its own, so that the
/// last one is not dropped by a completion.
///
/// Fails with `EINVAL` when `mem` is empty or the queue pair was created without
/// [`super::qp::Cap::max_rdma_ctxs`], with `EAGAIN` when all memory regions of the queue pair are
/// in use, with `ENOMEM`, or with the error of the post. Context: process, sleeps.
pub fn start<D: Done>(
    qp: &Arc<Qp>,
    mem: KVec<u8>,
    remote: Remote,
    way: Way,
    done: D,
) -> core::result::Result<(), Refused<D>> {
    might_sleep();
    let refuse = |error, mem, done| {
        let mem = Some(mem);
        Err(Refused { error, mem, done })
    };
    let len = match u32::try_from(mem.len()) {
        Ok(len) if len != 0 && qp.cap().max_rdma_ctxs != 0 => len,
        _ => return refuse(EINVAL, mem, done),
    };
    let Ok(memory) = KBox::<Transfer<D>>::new_uninit(GFP_KERNEL) else {
        return refuse(ENOMEM, mem, done);
    };
    let mut op = memory.write(Transfer {
        cqe: Cqe::new(),
        ctx: Opaque::zeroed(),
        sg: Opaque::zeroed(),
        mem,
        way,
        qp: qp.clone(),
        done,
    });
    // SAFETY: The element is ours; the memory is in the linear map, as it is of `kmalloc()`.
    unsafe { bindings::sg_init_one(op.sg.get(), op.mem.as_mut_ptr().cast(), len) };
    // SAFETY: The queue pair is there and has what contexts need. The list has one element, for
    // memory that stays where it is until the context is destroyed.
    let ret = unsafe {
        bindings::rdma_rw_ctx_init(
            op.ctx.get(),
            qp.as_raw(),
            qp.id().port(),
            op.sg.get(),
            1,
            0,
            remote.addr,
            remote.rkey,
            way.to_raw(),
        )
    };
    if ret < 0 {
        let op = KBox::into_inner(op);
        return refuse(Error::from_errno(ret), op.mem, op.done);
    }

    // INVARIANT: Initialised just now.
    let op = KBox::into_raw(op);
    // CAST: `Cqe` is a transparent wrapper of `ib_cqe`.
    // SAFETY: `op` points to a transfer.
    let cqe = unsafe { Transfer::<D>::raw_get_cqe(op) }.cast();
    // SAFETY: The context is initialised for this queue pair and nothing of it is in flight.
    let first = unsafe {
        bindings::rdma_rw_ctx_wrs(
            (*op).ctx.get(),
            qp.as_raw(),
            qp.id().port(),
            cqe,
            core::ptr::null_mut(),
        )
    };
    let mut bad = core::ptr::null();
    // SAFETY: A chain of initialised work requests, the last of which is signaled and leads to the
    // handler of the transfer. What they name is owned by the transfer, which is leaked until then.
    let ret = unsafe { qp.post_send_raw(first, &mut bad) };
    if bad.is_null() {
        // Also after an error, see there.
        return Ok(());
    }
    let error = Error::from_errno(ret);
    if core::ptr::eq(bad, first) {
        // SAFETY: Nothing was posted, so the box is still ours.
        let (mem, done, _qp) = Transfer::take_apart(unsafe { KBox::from_raw(op) });
        return refuse(error, mem, done);
    }
    // A part of the chain was posted, but not the end, so nobody will tell when the device has let
    // go of the memory. It stays leaked, with the context; the rest is taken out.
    pr_warn!("a transfer was posted in part; {} bytes are lost\n", len);
    // SAFETY: There is no completion, so nobody else uses these fields, and the box is not dropped.
    let (done, _qp) = unsafe { ((&raw const (*op).done).read(), (&raw const (*op).qp).read()) };
    Err(Refused {
        error,
        mem: None,
        done,
    })
}
