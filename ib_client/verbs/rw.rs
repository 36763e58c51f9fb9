// SPDX-License-Identifier: GPL-2.0-only

//! Transfers between a scatter list and the peer's memory, with whatever work requests and memory
//! regions the device needs.
//!
//! C header: [`include/rdma/rw.h`](srctree/include/rdma/rw.h)

use super::qp::Qp;
use crate::bindings;
use core::mem::MaybeUninit;
use kernel::{
    prelude::*,
    types::Opaque, //
};

/// The context of one transfer.
///
/// It lives in memory of the user's, is made by [`Ctx::init`] and must be given to
/// [`Ctx::destroy`]; there is no `Drop`, since the queue pair and the scatter list belong to
/// others.
///
/// Wraps the kernel's C `struct rdma_rw_ctx`.
#[repr(transparent)]
pub struct Ctx(Opaque<bindings::rdma_rw_ctx>);

impl Ctx {
    /// Views C memory as a context.
    ///
    /// # Safety
    ///
    /// `ptr` points to a `struct rdma_rw_ctx`, initialised or not, that nobody else uses for `'a`.
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::rdma_rw_ctx) -> &'a mut MaybeUninit<Self> {
        // CAST: `Ctx` is a transparent wrapper.
        // SAFETY: As the caller promises.
        unsafe { &mut *ptr.cast() }
    }

    /// Maps the scatter list and prepares the work requests; returns their number. Context: process
    /// or softirq; may allocate with `GFP_KERNEL` only where sleeping is allowed by the C function.
    ///
    /// # Safety
    ///
    /// - `sg` is a list of `sg_cnt` elements of memory that is there until [`Ctx::destroy`],
    ///   which must follow a success while the queue pair exists;
    /// - the queue pair was created with `max_rdma_ctxs`.
    #[allow(clippy::too_many_arguments, reason = "those of the C function")]
    pub unsafe fn init(
        ctx: &mut MaybeUninit<Self>,
        qp: &Qp,
        sg: *mut bindings::scatterlist,
        sg_cnt: u32,
        sg_offset: u32,
        remote: super::wr::Remote,
        dir: bindings::dma_data_direction,
    ) -> Result<u32> {
        // SAFETY: The queue pair is there, and the rest is as the caller promises.
        let ret = unsafe {
            bindings::rdma_rw_ctx_init(
                ctx.as_mut_ptr().cast(),
                qp.as_raw(),
                qp.id().port(),
                sg,
                sg_cnt,
                sg_offset,
                remote.addr,
                remote.rkey,
                dir,
            )
        };
        u32::try_from(ret).map_err(|_| Error::from_errno(ret))
    }

    /// The chain of work requests, followed by `chain`; with `cqe` the last one of the transfer is
    /// signaled. Context: any.
    ///
    /// # Safety
    ///
    /// The context is initialised for this queue pair, and its earlier chain is not in flight.
    pub unsafe fn wrs(
        &mut self,
        qp: &Qp,
        cqe: *mut bindings::ib_cqe,
        chain: *mut bindings::ib_send_wr,
    ) -> *mut bindings::ib_send_wr {
        // SAFETY: As the caller promises.
        unsafe { bindings::rdma_rw_ctx_wrs(self.0.get(), qp.as_raw(), qp.id().port(), cqe, chain) }
    }

    /// Undoes [`Ctx::init`]. Context: any.
    ///
    /// # Safety
    ///
    /// The context is initialised for this queue pair with these arguments, and its chain is not in
    /// flight.
    pub unsafe fn destroy(
        &mut self,
        qp: &Qp,
        sg: *mut bindings::scatterlist,
        sg_cnt: u32,
        dir: bindings::dma_data_direction,
    ) {
        // SAFETY: As the caller promises.
        unsafe {
            bindings::rdma_rw_ctx_destroy(
                self.0.get(),
                qp.as_raw(),
                qp.id().port(),
                sg,
                sg_cnt,
                dir,
            )
        };
    }
}
