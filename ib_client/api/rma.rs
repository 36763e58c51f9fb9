// SPDX-License-Identifier: GPL-2.0-only

//! Transfers of scatter lists, by rdma_rw.
//!
//! `kfi_rma.priv` holds the `struct rdma_rw_ctx`, and behind it what [`Extra`] says. An endpoint counts its transfers, and
//! teardown waits until the last one was ended: rdma_rw needs the queue pair for that.

use super::{
    bindings,
    comp,
    half,
    hot::Hot,
    mr::pi,
    object, //
};
use crate::{
    conn::Conn,
    verbs::gate::GateGuard, //
};
use core::{
    mem::{
        offset_of,
        size_of, //
    },
    ptr, //
};
use kernel::{
    dma::DataDirection,
    prelude::*, //
};

/// What follows the `struct rdma_rw_ctx` in `kfi_rma.priv`.
#[repr(C)]
struct Extra {
    /// The place among the endpoint's transfers; `None` for an imported endpoint.
    place: Option<GateGuard<'static>>,
    port: u32,
    dir: bindings::dma_data_direction,
}

const EXTRA: usize = size_of::<bindings::rdma_rw_ctx>();
const _: () = {
    assert!(
        EXTRA + size_of::<Extra>()
            <= size_of::<bindings::kfi_rma>() - offset_of!(bindings::kfi_rma, priv_)
    );
    assert!(EXTRA % align_of::<Extra>() == 0);
    assert!(align_of::<bindings::rdma_rw_ctx>() <= align_of::<u64>());
};

/// # Safety
///
/// `rma` is valid.
unsafe fn ctx_of(rma: *mut bindings::kfi_rma) -> *mut bindings::rdma_rw_ctx {
    // SAFETY: By the function's contract. CAST: size and alignment are asserted above.
    unsafe { (&raw mut (*rma).priv_).cast() }
}

/// # Safety
///
/// `rma` is valid.
unsafe fn extra_of(rma: *mut bindings::kfi_rma) -> *mut Extra {
    // SAFETY: By the function's contract. CAST: size and alignment are asserted above.
    unsafe { (&raw mut (*rma).priv_).cast::<Extra>().byte_add(EXTRA) }
}

/// The arguments of `kfi_rma_init()`; those of `kfi_rma_init_pi()` have no offset.
struct Args {
    sg: *mut bindings::scatterlist,
    nents: u32,
    offset: u32,
    raddr: u64,
    rkey: u32,
    dir: bindings::dma_data_direction,
}

/// The protection information of a transfer.
struct Meta {
    sg: *mut bindings::scatterlist,
    nents: u32,
    attr: *const bindings::kfi_pi_attr,
}

/// Prepares a transfer on a queue pair.
///
/// # Safety
///
/// `rma` is valid and not in use; `ep` is an endpoint of this provider whose queue pair stays until the transfer is ended,
/// of which `place` takes care; `args.sg` has `args.nents` elements, and what `meta` names is valid.
unsafe fn init(
    rma: *mut bindings::kfi_rma,
    ep: *mut bindings::kfi_ep,
    place: Option<GateGuard<'static>>,
    args: &Args,
    meta: Option<&Meta>,
) -> Result {
    // SAFETY: By the function's contract. CAST: the public part is at the head.
    unsafe {
        let hot = &*ep.cast_const().cast::<Hot>();
        let qp = hot.qp();
        if qp.is_null() {
            return Err(hot.refusal());
        }
        // rdma_rw divides by it.
        let max_sge = if args.dir == DataDirection::FromDevice.into() {
            (*qp).max_read_sge
        } else {
            (*qp).max_write_sge
        };
        if max_sge == 0 {
            return Err(EINVAL);
        }
        // Only drivers of InfiniBand and RoCE are told the port; iWARP devices have one.
        let port = (*qp).port.max(1);
        let ret = match meta {
            None => bindings::rdma_rw_ctx_init(
                ctx_of(rma),
                qp,
                port,
                args.sg,
                args.nents,
                args.offset,
                args.raddr,
                args.rkey,
                args.dir,
            ),
            Some(meta) => bindings::rdma_rw_ctx_signature_init(
                ctx_of(rma),
                qp,
                port,
                args.sg,
                args.nents,
                meta.sg,
                meta.nents,
                &mut pi::sig_attrs(meta.attr),
                args.raddr,
                args.rkey,
                args.dir,
            ),
        };
        let nr = u32::try_from(ret).map_err(|_| Error::from_errno(ret))?;
        extra_of(rma).write(Extra {
            place,
            port,
            dir: args.dir,
        });
        (*rma).nr_ops = nr;
        (*rma).ep = ep;
    }
    Ok(())
}

/// # Safety
///
/// `rma` is valid and not in use, `ep` is the endpoint of a [`Conn`], and `sg` has `nents` elements.
#[allow(clippy::too_many_arguments, reason = "those of kfi_rma_init()")]
pub(super) unsafe extern "C" fn rma_init(
    rma: *mut bindings::kfi_rma,
    ep: *mut bindings::kfi_ep,
    sg: *mut bindings::scatterlist,
    nents: u32,
    offset: u32,
    raddr: u64,
    rkey: u32,
    dir: bindings::dma_data_direction,
) -> c_int {
    let args = Args {
        sg,
        nents,
        offset,
        raddr,
        rkey,
        dir,
    };
    // SAFETY: By the function's contract.
    object::into_ret(unsafe { init_on_conn(rma, ep, &args, None) })
}

/// Prepares a transfer on an endpoint of a [`Conn`].
///
/// # Safety
///
/// As for [`init`]; `ep` is the endpoint of a [`Conn`].
#[inline(always)]
unsafe fn init_on_conn(
    rma: *mut bindings::kfi_rma,
    ep: *mut bindings::kfi_ep,
    args: &Args,
    meta: Option<&Meta>,
) -> Result {
    // SAFETY: By the function's contract.
    let conn = unsafe { object::borrow::<_, Conn>(ep) };
    let place = conn.rma_place()?;
    // SAFETY: The consumer holds the endpoint until after it has ended all of its transfers, and teardown waits for the
    // place before it frees anything.
    let place = unsafe { core::mem::transmute::<GateGuard<'_>, GateGuard<'static>>(place) };
    // SAFETY: By the function's contract; the place keeps the queue pair.
    unsafe { init(rma, ep, Some(place), args, meta) }
}

/// # Safety
///
/// `rma` is valid and not in use, `ep` is the endpoint of a [`Conn`], the lists have that many elements, and `attr` is
/// valid.
#[allow(clippy::too_many_arguments, reason = "those of kfi_rma_init_pi()")]
pub(super) unsafe extern "C" fn rma_init_pi(
    rma: *mut bindings::kfi_rma,
    ep: *mut bindings::kfi_ep,
    sg: *mut bindings::scatterlist,
    nents: u32,
    meta: *mut bindings::scatterlist,
    nr_meta: u32,
    attr: *const bindings::kfi_pi_attr,
    raddr: u64,
    rkey: u32,
    dir: bindings::dma_data_direction,
) -> c_int {
    let args = Args {
        sg,
        nents,
        offset: 0,
        raddr,
        rkey,
        dir,
    };
    let meta = Meta {
        sg: meta,
        nents: nr_meta,
        attr,
    };
    // SAFETY: By the function's contract.
    object::into_ret(unsafe { init_on_conn(rma, ep, &args, Some(&meta)) })
}

/// # Safety
///
/// `rma` is valid and not in use, `ep` is an imported endpoint, and `sg` has `nents` elements.
#[allow(clippy::too_many_arguments, reason = "those of kfi_rma_init()")]
pub(super) unsafe extern "C" fn imported_rma_init(
    rma: *mut bindings::kfi_rma,
    ep: *mut bindings::kfi_ep,
    sg: *mut bindings::scatterlist,
    nents: u32,
    offset: u32,
    raddr: u64,
    rkey: u32,
    dir: bindings::dma_data_direction,
) -> c_int {
    let args = Args {
        sg,
        nents,
        offset,
        raddr,
        rkey,
        dir,
    };
    // SAFETY: By the function's contract; the queue pair is the ULP's, which keeps it.
    object::into_ret(unsafe { init(rma, ep, None, &args, None) })
}

/// Ends a transfer by `destroy`, which gets its context, its queue pair and the port.
///
/// # Safety
///
/// `rma` was prepared by this file, and is not in flight.
#[inline(always)]
unsafe fn fini(
    rma: *mut bindings::kfi_rma,
    destroy: impl FnOnce(*mut bindings::rdma_rw_ctx, *mut bindings::ib_qp, u32),
) {
    // SAFETY: By the function's contract; the place, which ends with `extra`, keeps the queue pair. CAST: the public part of
    // an endpoint is at the head.
    unsafe {
        let extra = extra_of(rma).read();
        let qp = (*(*rma).ep.cast_const().cast::<Hot>()).qp_always();
        destroy(ctx_of(rma), qp, extra.port);
        (*rma).ep = ptr::null_mut();
        drop(extra);
    }
}

/// # Safety
///
/// `rma` was prepared by this file with these arguments, and is not in flight.
pub(super) unsafe extern "C" fn rma_fini(
    rma: *mut bindings::kfi_rma,
    sg: *mut bindings::scatterlist,
    nents: u32,
    dir: bindings::dma_data_direction,
) {
    // SAFETY: By the function's contract; `fini` passes what the transfer was prepared with.
    unsafe {
        fini(rma, |ctx, qp, port| {
            bindings::rdma_rw_ctx_destroy(ctx, qp, port, sg, nents, dir);
        });
    }
}

/// # Safety
///
/// `rma` was prepared by [`rma_init_pi`] with these arguments, and is not in flight.
pub(super) unsafe extern "C" fn rma_fini_pi(
    rma: *mut bindings::kfi_rma,
    sg: *mut bindings::scatterlist,
    nents: u32,
    meta: *mut bindings::scatterlist,
    nr_meta: u32,
    dir: bindings::dma_data_direction,
) {
    // SAFETY: As in `rma_fini()`.
    unsafe {
        fini(rma, |ctx, qp, port| {
            bindings::rdma_rw_ctx_destroy_signature(ctx, qp, port, sg, nents, meta, nr_meta, dir);
        });
    }
}

/// # Safety
///
/// `rma` was prepared by [`rma_init_pi`] and is not in flight; `fault` may be written.
pub(super) unsafe extern "C" fn rma_pi_status(
    rma: *mut bindings::kfi_rma,
    fault: *mut bindings::kfi_pi_fault,
) -> c_int {
    type Reg = bindings::rdma_rw_ctx__bindgen_ty_1_rdma_rw_reg_ctx;

    // SAFETY: By the function's contract: a transfer with protection information has one region, in this form of the union,
    // until it is ended. CAST: the union holds a pointer.
    unsafe {
        let reg = (&raw const (*ctx_of(rma)).__bindgen_anon_1)
            .cast::<*const Reg>()
            .read();
        pi::status_of((*reg).mr, fault)
    }
}

/// # Safety
///
/// `rma` was prepared by this file and is not in flight; `ctx` is null or valid, and so is `chain`.
pub(super) unsafe extern "C" fn rma_op(
    rma: *mut bindings::kfi_rma,
    ctx: *mut bindings::kfi_ctx,
    chain: *mut bindings::kfi_op,
) -> *mut bindings::kfi_op {
    // SAFETY: By the function's contract; the transfer's place keeps the queue pair.
    unsafe {
        let extra = &*extra_of(rma);
        let ep = (*rma).ep;
        let qp = (*ep.cast_const().cast::<Hot>()).qp_always();
        let rw = ctx_of(rma);
        let first = if ctx.is_null() {
            // rdma_rw signals the last work request unless something follows it; the post links what really does.
            let mut end = bindings::ib_send_wr::default();
            let first =
                bindings::rdma_rw_ctx_wrs(rw, qp, extra.port, ptr::null_mut(), &raw mut end);
            let mut last = first;
            while (*last).next != &raw mut end {
                last = (*last).next;
            }
            (*last).next = ptr::null_mut();
            first
        } else {
            let done: comp::Done = if extra.dir == DataDirection::FromDevice.into() {
                comp::tx_done::<{ bindings::kfi_opcode_KFI_OP_READ }>
            } else {
                comp::tx_done::<{ bindings::kfi_opcode_KFI_OP_WRITE }>
            };
            (*ctx).prov_done = done as *mut c_void;
            (*ctx).ep = ep;
            // CAST: a context aliases a `struct ib_cqe`.
            bindings::rdma_rw_ctx_wrs(rw, qp, extra.port, ctx.cast(), ptr::null_mut())
        };
        let op = &raw mut (*rma).op;
        (*op).next = chain;
        (*op).ctx = ctx;
        (*op).sgl = ptr::null();
        (*op).nsge = 0;
        (*op).opcode = bindings::kfi_opcode_KFI_OP_NATIVE as u8;
        (*op).flags = 0;
        (*op).priv_[0] = first as u64;
        half::set_lasting(op);
        op
    }
}
