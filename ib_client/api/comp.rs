// SPDX-License-Identifier: GPL-2.0-only

//! From a work completion to the consumer's callback.
//!
//! `struct kfi_ctx` starts with the slot that aliases `ib_cqe.done`, so the RDMA core calls the functions of this file
//! directly. Each opcode of the sending side has a function of its own: no opcode is remembered or looked up. They run in
//! the context of the completion queue and take no lock.

use super::bindings;
use super::ep::EP_OPS;
use super::hot::Hot;
use super::import;
use super::object;
use crate::conn::Conn;
use crate::errno::{
    ECANCELED,
    ENOBUFS,
    EREMOTEIO, //
};
use core::mem::{
    offset_of,
    size_of, //
};
use kernel::prelude::*;

const _: () = {
    // A context is used as a `struct ib_cqe`.
    assert!(offset_of!(bindings::kfi_ctx, prov_done) == offset_of!(bindings::ib_cqe, done));
    assert!(size_of::<Done>() == size_of::<bindings::ib_cqe>());
    // Receive opcodes have the same numbers on both sides.
    assert!(bindings::kfi_opcode_KFI_OP_RECV == bindings::ib_wc_opcode_IB_WC_RECV);
    assert!(
        bindings::kfi_opcode_KFI_OP_RECV_WRITE_IMM
            == bindings::ib_wc_opcode_IB_WC_RECV_RDMA_WITH_IMM
    );
};

/// What the RDMA core calls for a work completion.
pub(super) type Done = unsafe extern "C" fn(*mut bindings::ib_cq, *mut bindings::ib_wc);

/// The errno of a work completion's status.
fn errno(status: bindings::ib_wc_status) -> c_int {
    match status {
        bindings::ib_wc_status_IB_WC_SUCCESS => 0,
        bindings::ib_wc_status_IB_WC_WR_FLUSH_ERR => ECANCELED.to_errno(),
        bindings::ib_wc_status_IB_WC_LOC_LEN_ERR => EMSGSIZE.to_errno(),
        bindings::ib_wc_status_IB_WC_LOC_PROT_ERR
        | bindings::ib_wc_status_IB_WC_LOC_ACCESS_ERR
        | bindings::ib_wc_status_IB_WC_MW_BIND_ERR => EFAULT.to_errno(),
        bindings::ib_wc_status_IB_WC_REM_ACCESS_ERR => EACCES.to_errno(),
        bindings::ib_wc_status_IB_WC_RETRY_EXC_ERR
        | bindings::ib_wc_status_IB_WC_RESP_TIMEOUT_ERR => ETIMEDOUT.to_errno(),
        bindings::ib_wc_status_IB_WC_RNR_RETRY_EXC_ERR => ENOBUFS.to_errno(),
        bindings::ib_wc_status_IB_WC_REM_INV_REQ_ERR
        | bindings::ib_wc_status_IB_WC_REM_OP_ERR
        | bindings::ib_wc_status_IB_WC_REM_INV_RD_REQ_ERR
        | bindings::ib_wc_status_IB_WC_REM_ABORT_ERR => EREMOTEIO.to_errno(),
        _ => EIO.to_errno(),
    }
}

/// The errno of a failed work completion of an endpoint, which hears of it if it is ours.
///
/// # Safety
///
/// `ep` is null or an endpoint of this provider.
#[cold]
unsafe fn failure(ep: *mut bindings::kfi_ep, status: bindings::ib_wc_status, op: Op) -> c_int {
    // SAFETY: By the function's contract.
    let errno = unsafe { errno_of(ep, status, op) };
    // SAFETY: By the function's contract. Only endpoints with this table are connections. One is there: its teardown, which
    // holds a reference, waits for its completions.
    unsafe {
        if !ep.is_null() && (*ep).ops == EP_OPS.as_ptr() {
            object::borrow::<_, Conn>(ep).operation_failed(Error::from_errno(errno));
        }
    }
    errno
}

/// The errno of a failed work completion of an endpoint.
///
/// # Safety
///
/// `ep` is null or an endpoint of this provider.
unsafe fn errno_of(ep: *mut bindings::kfi_ep, status: bindings::ib_wc_status, op: Op) -> c_int {
    if status != bindings::ib_wc_status_IB_WC_LOC_QP_OP_ERR || ep.is_null() {
        return errno(status);
    }
    match op {
        // A key that is not what the operation needs.
        Op::Tx(bindings::kfi_opcode_KFI_OP_MR_REG | bindings::kfi_opcode_KFI_OP_MR_INV) => {
            EFAULT.to_errno()
        }
        // Software devices report what they were working at when the queue pair left the ready state as a failed operation.
        // SAFETY: By the function's contract. CAST: the public part is at the head.
        _ if !unsafe { &*ep.cast_const().cast::<Hot>() }.is_connected() => ECANCELED.to_errno(),
        // What rxe says of a receive that is too short for the message.
        Op::Rx => EMSGSIZE.to_errno(),
        _ => errno(status),
    }
}

/// The context that a work request was posted with.
///
/// # Safety
///
/// `wc` is valid, and its work request was armed with a function of this file.
#[inline(always)]
unsafe fn ctx_of(wc: *mut bindings::ib_wc) -> *mut bindings::kfi_ctx {
    // SAFETY: `wc` is valid, and `wr_cqe` is set whatever its status is. CAST: it is a union of 8 bytes, and the context
    // aliases a `struct ib_cqe` as asserted above.
    unsafe {
        (&raw const (*wc).__bindgen_anon_1)
            .cast::<*mut bindings::kfi_ctx>()
            .read()
    }
}

/// Builds the completion and calls the consumer.
///
/// # Safety
///
/// `ctx` is the context of `wc`, and `ep` the endpoint to report.
#[inline(always)]
unsafe fn deliver(
    ctx: *mut bindings::kfi_ctx,
    ep: *mut bindings::kfi_ep,
    wc: *mut bindings::ib_wc,
    op: Op,
) {
    // SAFETY: by the function's contract; `wr_cqe`, `status` and `vendor_err` are valid for every work completion.
    let wc = unsafe { &*wc };
    let mut comp = bindings::kfi_comp {
        ctx,
        ep,
        status: 0,
        opcode: 0,
        flags: 0,
        len: 0,
        data: 0,
        prov_err: wc.status,
    };
    if wc.status == bindings::ib_wc_status_IB_WC_SUCCESS {
        match op {
            Op::Tx(opcode) => comp.opcode = opcode as u16,
            Op::Rx => describe_recv(&mut comp, wc),
            Op::Any => {
                if wc.opcode & bindings::ib_wc_opcode_IB_WC_RECV != 0 {
                    describe_recv(&mut comp, wc);
                } else {
                    comp.opcode = tx_opcode(wc.opcode);
                }
            }
        }
    } else {
        // SAFETY: As above; endpoints of this provider start with a `Hot`.
        comp.status = unsafe { failure(ep, wc.status, op) };
    }
    // SAFETY: the context is ours until the callback is called, and the consumer has set `done` before the post.
    if let Some(done) = unsafe { (*ctx).done } {
        // SAFETY: this is the one call of the callback for this post; `comp` is valid for its duration.
        unsafe { done(ctx, &mut comp) };
    }
}

/// What a work completion is about.
#[derive(Clone, Copy)]
enum Op {
    /// An operation, and which.
    Tx(u32),
    /// A receive.
    Rx,
    /// A raw work request: it is in the work completion.
    Any,
}

/// Fills in what only a receive has.
#[inline(always)]
fn describe_recv(comp: &mut bindings::kfi_comp, wc: &bindings::ib_wc) {
    // Both numbers fit: they are asserted to be the ones of `enum kfi_opcode`.
    comp.opcode = wc.opcode as u16;
    comp.len = wc.byte_len;
    let flags = wc.wc_flags as u32;
    if flags & (bindings::ib_wc_flags_IB_WC_WITH_IMM | bindings::ib_wc_flags_IB_WC_WITH_INVALIDATE)
        == 0
    {
        return;
    }
    // SAFETY: immediate data and key are the two forms of a union of 4 bytes. CAST: to the bytes of either.
    let data = unsafe { (&raw const wc.ex).cast::<u32>().read() };
    if flags & bindings::ib_wc_flags_IB_WC_WITH_IMM != 0 {
        comp.flags = bindings::KFI_COMP_IMM as u16;
        comp.data = u32::from_be(data);
    } else {
        comp.flags = bindings::KFI_COMP_INV as u16;
        comp.data = data;
    }
}

/// The operation of a raw work request.
fn tx_opcode(opcode: bindings::ib_wc_opcode) -> u16 {
    let op = match opcode {
        bindings::ib_wc_opcode_IB_WC_SEND => bindings::kfi_opcode_KFI_OP_SEND,
        bindings::ib_wc_opcode_IB_WC_RDMA_WRITE => bindings::kfi_opcode_KFI_OP_WRITE,
        bindings::ib_wc_opcode_IB_WC_RDMA_READ => bindings::kfi_opcode_KFI_OP_READ,
        bindings::ib_wc_opcode_IB_WC_REG_MR => bindings::kfi_opcode_KFI_OP_MR_REG,
        bindings::ib_wc_opcode_IB_WC_LOCAL_INV => bindings::kfi_opcode_KFI_OP_MR_INV,
        _ => bindings::kfi_opcode_KFI_OP_NATIVE,
    };
    op as u16
}

/// Completion of an operation `OP`.
///
/// # Safety
///
/// Called by the RDMA core for a work request that [`super::post`] has armed.
pub(super) unsafe extern "C" fn tx_done<const OP: u32>(
    _cq: *mut bindings::ib_cq,
    wc: *mut bindings::ib_wc,
) {
    // SAFETY: by the function's contract; the post has set the context's endpoint.
    unsafe {
        let ctx = ctx_of(wc);
        deliver(ctx, (*ctx).ep, wc, Op::Tx(OP));
    }
}

/// Completion of a receive.
///
/// # Safety
///
/// Called by the RDMA core for a work request that [`super::post`] has armed.
pub(super) unsafe extern "C" fn rx_done(_cq: *mut bindings::ib_cq, wc: *mut bindings::ib_wc) {
    // SAFETY: by the function's contract; the post has set the context's endpoint.
    unsafe {
        let ctx = ctx_of(wc);
        deliver(ctx, (*ctx).ep, wc, Op::Rx);
    }
}

/// Completion of a receive that was posted before its endpoint was connected.
///
/// # Safety
///
/// Called by the RDMA core for a work request that [`super::post`] has armed, of an endpoint that is not imported.
pub(super) unsafe extern "C" fn early_rx_done(cq: *mut bindings::ib_cq, wc: *mut bindings::ib_wc) {
    // SAFETY: by the function's contract; the post has set the context's endpoint, which is there until its last completion.
    // CAST: the public part is at the head.
    unsafe {
        if (*wc).status == bindings::ib_wc_status_IB_WC_SUCCESS {
            (*(*ctx_of(wc)).ep.cast_const().cast::<Hot>()).heard();
        }
        rx_done(cq, wc);
    }
}

/// Completion of a shared receive: the endpoint is the queue pair's context.
///
/// # Safety
///
/// Called by the RDMA core for a work request that [`super::post`] has armed on a shared receive context, which only
/// queue pairs made by [`crate::conn`] use, and those that follow the contract of `kfi_srx_native()`.
pub(super) unsafe extern "C" fn srx_done(_cq: *mut bindings::ib_cq, wc: *mut bindings::ib_wc) {
    // SAFETY: by the function's contract. The queue pair exists: it is destroyed after it was drained, and `wc->qp` is set
    // for failed completions too. Its context is the `struct kfi_ep` at the head of `Ep`, see `conn::open`, or at that of a
    // view.
    unsafe {
        let ctx = ctx_of(wc);
        let ep = (*(*wc).qp).qp_context.cast::<bindings::kfi_ep>();
        (*ctx).ep = ep;
        if (*wc).status == bindings::ib_wc_status_IB_WC_SUCCESS {
            // CAST: as above.
            (*ep.cast_const().cast::<Hot>()).heard();
        }
        deliver(ctx, ep, wc, Op::Rx);
    }
}

/// Completion of a raw work request on an imported queue pair.
///
/// # Safety
///
/// Called by the RDMA core for a work request armed by `kfi_ctx_cqe()` with an endpoint.
pub(super) unsafe extern "C" fn raw_done(_cq: *mut bindings::ib_cq, wc: *mut bindings::ib_wc) {
    // SAFETY: by the function's contract; `kfi_ctx_cqe()` has set the context's endpoint.
    unsafe {
        let ctx = ctx_of(wc);
        deliver(ctx, (*ctx).ep, wc, Op::Any);
    }
}

/// Completion of a raw shared receive: the endpoint is looked up by its queue pair.
///
/// # Safety
///
/// Called by the RDMA core for a work request armed by `kfi_ctx_cqe()` without an endpoint.
pub(super) unsafe extern "C" fn raw_srq_done(_cq: *mut bindings::ib_cq, wc: *mut bindings::ib_wc) {
    // SAFETY: by the function's contract; `wc->qp` is set for failed completions too.
    unsafe {
        let ctx = ctx_of(wc);
        let ep = import::ep::ep_of_qp((*wc).qp);
        (*ctx).ep = ep;
        deliver(ctx, ep, wc, Op::Any);
    }
}
