// SPDX-License-Identifier: GPL-2.0-only

//! From `struct kfi_op` and `struct kfi_rx` to work requests.
//!
//! Each operation is translated inside its own `priv` space, so that a chain needs no memory and reaches the device in one
//! call. When a link of the chain is refused here, the links before it are posted and it is reported as the first bad one.

use super::bindings;
use super::comp::{
    self,
    Done, //
};
use super::ep::EP_OPS;
use super::half;
use super::hot::Hot;
use super::mr::MrHead;
use super::object;
use crate::conn::Conn;
use crate::errno::{
    ECONNABORTED,
    EOPNOTSUPP, //
};
use core::mem::{
    align_of,
    offset_of,
    size_of, //
};
use core::ptr;
use kernel::prelude::*;

const RX_PRIV: usize = offset_of!(bindings::kfi_rx, priv_);

const _: () = {
    const OP_PRIV: usize = offset_of!(bindings::kfi_op, priv_);
    // The scratch space takes every form of work request.
    assert!(size_of::<bindings::ib_rdma_wr>() <= size_of::<bindings::kfi_op>() - OP_PRIV);
    assert!(size_of::<bindings::ib_reg_wr>() <= size_of::<bindings::kfi_op>() - OP_PRIV);
    assert!(size_of::<bindings::ib_recv_wr>() <= size_of::<bindings::kfi_rx>() - RX_PRIV);
    assert!(align_of::<bindings::ib_rdma_wr>() <= align_of::<bindings::kfi_op>());
    assert!(align_of::<bindings::ib_reg_wr>() <= align_of::<bindings::kfi_op>());
    assert!(align_of::<bindings::ib_recv_wr>() <= align_of::<bindings::kfi_rx>());
    assert!(offset_of!(bindings::ib_rdma_wr, wr) == 0);
    assert!(offset_of!(bindings::ib_reg_wr, wr) == 0);
    // Scatter lists are used as they are.
    assert!(size_of::<bindings::kfi_sge>() == size_of::<bindings::ib_sge>());
    assert!(offset_of!(bindings::kfi_sge, addr) == offset_of!(bindings::ib_sge, addr));
    assert!(offset_of!(bindings::kfi_sge, length) == offset_of!(bindings::ib_sge, length));
    assert!(offset_of!(bindings::kfi_sge, lkey) == offset_of!(bindings::ib_sge, lkey));
};

/// The `IB_SEND_*` flags of `KFI_OP_*` flags: the two bits change places.
#[inline(always)]
fn send_flags(flags: u8) -> c_int {
    const {
        assert!(bindings::KFI_OP_SIGNALED << 1 == bindings::ib_send_flags_IB_SEND_SIGNALED as u32);
        assert!(bindings::KFI_OP_FENCE >> 1 == bindings::ib_send_flags_IB_SEND_FENCE as u32);
    }
    let flags = u32::from(flags);
    ((flags & bindings::KFI_OP_SIGNALED) << 1 | (flags & bindings::KFI_OP_FENCE) >> 1) as c_int
}

/// The `IB_ACCESS_*` flags of `KFI_ACCESS_*` flags.
#[inline(always)]
fn access_flags(access: u32) -> c_int {
    let mut flags = 0;
    if access & bindings::KFI_ACCESS_LOCAL_WRITE != 0 {
        flags |= bindings::ib_access_flags_IB_ACCESS_LOCAL_WRITE;
    }
    if access & bindings::KFI_ACCESS_REMOTE_READ != 0 {
        flags |= bindings::ib_access_flags_IB_ACCESS_REMOTE_READ;
    }
    if access & bindings::KFI_ACCESS_REMOTE_WRITE != 0 {
        // Devices refuse remote write without local write.
        flags |= bindings::ib_access_flags_IB_ACCESS_REMOTE_WRITE
            | bindings::ib_access_flags_IB_ACCESS_LOCAL_WRITE;
    }
    flags as c_int
}

/// The work request inside an operation's scratch space.
///
/// # Safety
///
/// `op` is valid.
#[inline(always)]
unsafe fn op_wr(op: *mut bindings::kfi_op) -> *mut bindings::ib_rdma_wr {
    // SAFETY: `op` is valid. CAST: size and alignment are asserted above.
    unsafe { (&raw mut (*op).priv_).cast() }
}

/// What an opcode becomes.
struct Verb {
    /// The work request's opcode.
    opcode: bindings::ib_wr_opcode,
    /// Capabilities that it needs.
    caps: u32,
    /// What the RDMA core calls at completion.
    done: Done,
    /// What of the operation is used.
    form: Form,
}

/// What of an operation is used besides its scatter list.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// Nothing.
    Plain,
    /// Immediate data.
    Imm,
    /// A key to invalidate; also for the local one.
    Inv,
    /// Remote address and key.
    Rma,
    /// The same, and immediate data.
    RmaImm,
    /// A read: the same as Rma, with its own limit of elements.
    Read,
    /// A memory region.
    Reg,
    /// Nothing, not even the scatter list.
    Nop,
}

/// The translation, indexed by `enum kfi_opcode`.
static VERBS: [Verb; bindings::kfi_opcode_KFI_OP_NATIVE as usize] = [
    Verb {
        opcode: bindings::ib_wr_opcode_IB_WR_SEND,
        caps: 0,
        done: comp::tx_done::<{ bindings::kfi_opcode_KFI_OP_SEND }>,
        form: Form::Plain,
    },
    Verb {
        opcode: bindings::ib_wr_opcode_IB_WR_SEND_WITH_IMM,
        caps: bindings::KFI_CAP_IMM,
        done: comp::tx_done::<{ bindings::kfi_opcode_KFI_OP_SEND_WITH_IMM }>,
        form: Form::Imm,
    },
    Verb {
        opcode: bindings::ib_wr_opcode_IB_WR_SEND_WITH_INV,
        caps: bindings::KFI_CAP_SEND_INV,
        done: comp::tx_done::<{ bindings::kfi_opcode_KFI_OP_SEND_WITH_INV }>,
        form: Form::Inv,
    },
    Verb {
        opcode: bindings::ib_wr_opcode_IB_WR_RDMA_WRITE,
        caps: bindings::KFI_CAP_RMA_WRITE,
        done: comp::tx_done::<{ bindings::kfi_opcode_KFI_OP_WRITE }>,
        form: Form::Rma,
    },
    Verb {
        opcode: bindings::ib_wr_opcode_IB_WR_RDMA_WRITE_WITH_IMM,
        caps: bindings::KFI_CAP_WRITE_IMM,
        done: comp::tx_done::<{ bindings::kfi_opcode_KFI_OP_WRITE_WITH_IMM }>,
        form: Form::RmaImm,
    },
    Verb {
        opcode: bindings::ib_wr_opcode_IB_WR_RDMA_READ,
        caps: bindings::KFI_CAP_RMA_READ,
        done: comp::tx_done::<{ bindings::kfi_opcode_KFI_OP_READ }>,
        form: Form::Read,
    },
    // A write of no bytes: it takes its place in the order and touches no memory.
    Verb {
        opcode: bindings::ib_wr_opcode_IB_WR_RDMA_WRITE,
        caps: 0,
        done: comp::tx_done::<{ bindings::kfi_opcode_KFI_OP_NOP }>,
        form: Form::Nop,
    },
    Verb {
        opcode: bindings::ib_wr_opcode_IB_WR_REG_MR,
        caps: bindings::KFI_CAP_MR,
        done: comp::tx_done::<{ bindings::kfi_opcode_KFI_OP_MR_REG }>,
        form: Form::Reg,
    },
    Verb {
        opcode: bindings::ib_wr_opcode_IB_WR_LOCAL_INV,
        caps: bindings::KFI_CAP_MR,
        done: comp::tx_done::<{ bindings::kfi_opcode_KFI_OP_MR_INV }>,
        form: Form::Inv,
    },
];

/// Translates one operation other than `KFI_OP_NATIVE`.
///
/// # Safety
///
/// `op` is a valid operation of an endpoint `hot`, inside an RCU read-side section unless the endpoint is imported.
#[inline(always)]
unsafe fn translate(
    hot: &Hot,
    op: *mut bindings::kfi_op,
) -> core::result::Result<*mut bindings::ib_send_wr, c_int> {
    // SAFETY: by the function's contract. Fields are read before the scratch space, which does not overlap with them.
    let (ctx, sgl, nsge, opcode, flags, data) = unsafe {
        let op = &*op;
        (op.ctx, op.sgl, op.nsge, op.opcode, op.flags, op.data)
    };
    let Some(verb) = VERBS.get(usize::from(opcode)) else {
        return Err(EINVAL.to_errno());
    };
    if u32::from(flags) & !bindings::KFI_OP_FLAGS_ALL != 0 || verb.caps & !hot.caps() != 0 {
        return Err(EOPNOTSUPP.to_errno());
    }
    if u32::from(nsge) > hot.max_tx_sge() {
        return Err(EINVAL.to_errno());
    }
    // SAFETY: `op` is valid, and the scratch space is ours during the post.
    let wr = unsafe { op_wr(op) };
    // SAFETY: `wr` is valid for writes of every form of work request, see the assertions; fields are written one by one
    // because the rest is left for the form at hand. CAST: the unions hold 8 and 4 bytes.
    unsafe {
        if ctx.is_null() {
            if u32::from(flags) & bindings::KFI_OP_SIGNALED != 0 {
                return Err(EINVAL.to_errno());
            }
        } else {
            (*ctx).prov_done = verb.done as *mut c_void;
            (*ctx).ep = hot.public();
        }
        (*wr).wr.next = ptr::null_mut();
        (&raw mut (*wr).wr.__bindgen_anon_1)
            .cast::<*mut bindings::kfi_ctx>()
            .write(ctx);
        (*wr).wr.sg_list = sgl.cast_mut().cast();
        (*wr).wr.num_sge = c_int::from(nsge);
        (*wr).wr.opcode = verb.opcode;
        (*wr).wr.send_flags = send_flags(flags);
        let ex = (&raw mut (*wr).wr.ex).cast::<u32>();
        match verb.form {
            Form::Plain => {}
            Form::Imm => ex.write(data.to_be()),
            Form::Inv => ex.write(data),
            Form::Rma => {
                (*wr).remote_addr = (*op).raddr;
                (*wr).rkey = (*op).rkey;
            }
            Form::RmaImm => {
                ex.write(data.to_be());
                (*wr).remote_addr = (*op).raddr;
                (*wr).rkey = (*op).rkey;
            }
            Form::Read => {
                if u32::from(nsge) > hot.max_read_sge() {
                    return Err(EINVAL.to_errno());
                }
                // iWARP cannot fence a read.
                if u32::from(flags) & bindings::KFI_OP_FENCE != 0
                    && hot.caps() & bindings::KFI_CAP_READ_NEEDS_RKEY != 0
                {
                    return Err(EOPNOTSUPP.to_errno());
                }
                (*wr).remote_addr = (*op).raddr;
                (*wr).rkey = (*op).rkey;
            }
            Form::Nop => {
                (*wr).wr.num_sge = 0;
                (*wr).remote_addr = 0;
                (*wr).rkey = 0;
            }
            Form::Reg => {
                let reg = wr.cast::<bindings::ib_reg_wr>();
                if (*op).access & !bindings::KFI_ACCESS_ALL != 0 {
                    return Err(EOPNOTSUPP.to_errno());
                }
                let mr = MrHead::native((*op).mr)?;
                if (*mr).type_ == bindings::ib_mr_type_IB_MR_TYPE_INTEGRITY {
                    (*wr).wr.opcode = bindings::ib_wr_opcode_IB_WR_REG_MR_INTEGRITY;
                }
                (*reg).mr = mr;
                (*reg).key = (*op).rkey;
                (*reg).access = access_flags((*op).access);
                (*wr).wr.num_sge = 0;
            }
        }
    }
    Ok(wr.cast())
}

/// The last work request of a native chain.
///
/// # Safety
///
/// `first` is the head of a valid chain, as given to `kfi_op_native()`.
unsafe fn last_of(first: *mut bindings::ib_send_wr) -> *mut bindings::ib_send_wr {
    let mut last = first;
    // SAFETY: each link is valid by the function's contract.
    unsafe {
        while !(*last).next.is_null() {
            last = (*last).next;
        }
    }
    last
}

/// Finds the operation that a refused work request belongs to.
///
/// # Safety
///
/// `first` is the head of a chain that was translated up to the link that holds `bad`.
#[cold]
unsafe fn op_of(
    first: *mut bindings::kfi_op,
    bad: *const bindings::ib_send_wr,
) -> *mut bindings::kfi_op {
    let mut op = first;
    // SAFETY: by the function's contract the walk meets `bad` before the end of the translated part.
    unsafe {
        while !op.is_null() {
            let mut wr = op_wr(op).cast_const().cast::<bindings::ib_send_wr>();
            let mut end = ptr::null();
            if u32::from((*op).opcode) == bindings::kfi_opcode_KFI_OP_NATIVE {
                // A native chain runs on into the next operation's own work request.
                wr = native_of(op);
                if !(*op).next.is_null() {
                    end = first_wr((*op).next);
                }
                while !wr.is_null() && wr != end {
                    if wr == bad {
                        return op;
                    }
                    wr = (*wr).next;
                }
            } else if wr == bad {
                return op;
            }
            op = (*op).next;
        }
    }
    first
}

/// The native chain of an operation.
///
/// # Safety
///
/// `op` is a valid `KFI_OP_NATIVE`.
#[inline(always)]
unsafe fn native_of(op: *mut bindings::kfi_op) -> *mut bindings::ib_send_wr {
    // SAFETY: `op` is valid; `kfi_op_native()` has put the pointer there.
    unsafe { (*op).priv_[0] as *mut bindings::ib_send_wr }
}

/// The first work request of a translated operation.
///
/// # Safety
///
/// `op` is valid.
unsafe fn first_wr(op: *mut bindings::kfi_op) -> *const bindings::ib_send_wr {
    // SAFETY: by the function's contract.
    unsafe {
        if u32::from((*op).opcode) == bindings::kfi_opcode_KFI_OP_NATIVE {
            native_of(op)
        } else {
            op_wr(op).cast()
        }
    }
}

/// Takes native chains apart again that a post has linked with what follows them.
///
/// # Safety
///
/// `from` is the head of a chain that was translated up to `end`, and none of it is in flight.
unsafe fn unlink(from: *mut bindings::kfi_op, end: *const bindings::kfi_op) {
    let mut op = from;
    // SAFETY: By the function's contract. A native chain ends with what the post has linked to it.
    unsafe {
        while !op.is_null() && !ptr::eq(op, end) {
            let next = (*op).next;
            if u32::from((*op).opcode) == bindings::kfi_opcode_KFI_OP_NATIVE
                && !next.is_null()
                && !ptr::eq(next, end)
            {
                let follows = first_wr(next);
                let mut wr = native_of(op);
                while !wr.is_null() && !ptr::eq((*wr).next, follows) {
                    wr = (*wr).next;
                }
                if !wr.is_null() {
                    (*wr).next = ptr::null_mut();
                }
            }
            op = next;
        }
    }
}

/// The device has not taken the whole chain.
///
/// # Safety
///
/// `first` is the head of a chain that was translated up to `end`, where it is refused with `refused` unless that is 0, and
/// given to the device, which has refused `bad_wr` of it with `ret`; `bad` is null or valid.
#[cold]
unsafe fn refused_by_device(
    hot: &Hot,
    first: *mut bindings::kfi_op,
    end: *mut bindings::kfi_op,
    refused: c_int,
    bad_wr: *const bindings::ib_send_wr,
    ret: c_int,
    bad: *mut *mut bindings::kfi_op,
) -> c_int {
    // SAFETY: By the function's contract; what begins with the refused work request is not in flight.
    let (op, ret) = unsafe {
        let op = op_of(first, bad_wr);
        // The caller may post it again, with something else behind it.
        unlink(op, end);
        if u32::from((*op).opcode) == bindings::kfi_opcode_KFI_OP_NATIVE
            && !ptr::eq(native_of(op), bad_wr)
        {
            taken_in_part(hot, op, end, refused, ret)
        } else {
            (op, hot.refused_by_device(ret))
        }
    };
    if !bad.is_null() && ret != 0 {
        // SAFETY: By the function's contract.
        unsafe { *bad = op };
    }
    ret
}

/// The device has taken a part of a native chain and has refused the rest with `ret`. Returns the first operation that is
/// not accepted, and why.
///
/// # Safety
///
/// `op` is that chain's operation, of an operation chain that was translated up to `end`, where it is refused with `refused`
/// unless that is 0. What is behind `op` is not in flight.
unsafe fn taken_in_part(
    hot: &Hot,
    op: *mut bindings::kfi_op,
    end: *mut bindings::kfi_op,
    refused: c_int,
    ret: c_int,
) -> (*mut bindings::kfi_op, c_int) {
    let ep = hot.public();
    // SAFETY: By the function's contract. Only endpoints with this table are connections, and the caller has this one.
    unsafe {
        if (*ep).ops != EP_OPS.as_ptr() || !half::is_lasting(op) {
            return (op, ECONNABORTED.to_errno());
        }
        // Accepted, as far as to the first that somebody hears of: that is how it is heard that the transfer is over.
        let mut last = op;
        while (*last).ctx.is_null() && !ptr::eq((*last).next, end) {
            last = (*last).next;
        }
        let (ctx, rest) = ((*last).ctx, (*last).next);
        let conn = object::borrow::<_, Conn>(ep);
        if !ctx.is_null() {
            // The transfer and its context are not ours any more afterwards.
            conn.halves().add(op, ctx);
        }
        conn.taken_in_part(Error::from_errno(ret));
        (rest, if ptr::eq(rest, end) { refused } else { ret })
    }
}

/// Translates a chain and gives it to the device.
///
/// # Safety
///
/// `first` is a valid chain, `bad` is null or valid, and the queue pair of `hot` exists until this returns.
#[inline(always)]
pub(super) unsafe fn post(
    hot: &Hot,
    first: *mut bindings::kfi_op,
    bad: *mut *mut bindings::kfi_op,
) -> c_int {
    let mut head: *mut bindings::ib_send_wr = ptr::null_mut();
    let mut tail: *mut bindings::ib_send_wr = ptr::null_mut();
    let mut op = first;
    let mut refused = 0;

    while !op.is_null() {
        // SAFETY: `op` is a link of the caller's chain.
        let (wr, last) = unsafe {
            if u32::from((*op).opcode) == bindings::kfi_opcode_KFI_OP_NATIVE {
                let wr = native_of(op);
                if wr.is_null() {
                    refused = EINVAL.to_errno();
                    break;
                }
                (wr, last_of(wr))
            } else {
                match translate(hot, op) {
                    Ok(wr) => (wr, wr),
                    Err(e) => {
                        refused = e;
                        break;
                    }
                }
            }
        };
        if tail.is_null() {
            head = wr;
        } else {
            // SAFETY: `tail` is the last work request of the link before this one.
            unsafe { (*tail).next = wr };
        }
        tail = last;
        // SAFETY: as above.
        op = unsafe { (*op).next };
    }

    if !head.is_null() {
        let mut bad_wr: *const bindings::ib_send_wr = ptr::null();
        // SAFETY: the queue pair exists, and `head` is a chain of valid work requests.
        let ret = unsafe { hot.post_send(head, &mut bad_wr) };
        // An error without a work request that was refused: siw has queued all of them, could not start the first, and will
        // complete every one.
        if ret != 0 && !bad_wr.is_null() {
            // SAFETY: The driver has set `bad_wr` to a link of the chain, which was translated up to `op`.
            return unsafe { refused_by_device(hot, first, op, refused, bad_wr, ret, bad) };
        }
    }
    if refused != 0 && !bad.is_null() {
        // SAFETY: `bad` is valid.
        unsafe { *bad = op };
    }
    refused
}

/// Translates a chain of receives and gives it to the device.
///
/// # Safety
///
/// `first` is a valid chain, `bad` is null or valid, and `post_recv` takes it.
#[inline(always)]
pub(super) unsafe fn recv(
    ep: *mut bindings::kfi_ep,
    done: Done,
    max_sge: u32,
    first: *mut bindings::kfi_rx,
    bad: *mut *mut bindings::kfi_rx,
    post_recv: impl FnOnce(*mut bindings::ib_recv_wr, &mut *const bindings::ib_recv_wr) -> c_int,
) -> c_int {
    let mut head: *mut bindings::ib_recv_wr = ptr::null_mut();
    let mut tail: *mut bindings::ib_recv_wr = ptr::null_mut();
    let mut rx = first;
    let mut refused = 0;

    while !rx.is_null() {
        // SAFETY: `rx` is a link of the caller's chain, its scratch space is ours during the post, and its context until
        // the completion. CAST: size and alignment are asserted above; the union holds 8 bytes.
        unsafe {
            let ctx = (*rx).ctx;
            let nsge = (*rx).nsge;
            if ctx.is_null() || nsge > max_sge {
                refused = EINVAL.to_errno();
                break;
            }
            (*ctx).prov_done = done as *mut c_void;
            (*ctx).ep = ep;
            let wr = (&raw mut (*rx).priv_).cast::<bindings::ib_recv_wr>();
            (*wr).next = ptr::null_mut();
            (&raw mut (*wr).__bindgen_anon_1)
                .cast::<*mut bindings::kfi_ctx>()
                .write(ctx);
            (*wr).sg_list = (*rx).sgl.cast_mut().cast();
            // At most `max_sge`.
            (*wr).num_sge = nsge as c_int;
            if tail.is_null() {
                head = wr;
            } else {
                (*tail).next = wr;
            }
            tail = wr;
            rx = (*rx).next;
        }
    }

    if !head.is_null() {
        let mut bad_wr: *const bindings::ib_recv_wr = ptr::null();
        let ret = post_recv(head, &mut bad_wr);
        // As in `post()`.
        if ret != 0 && !bad_wr.is_null() {
            if !bad.is_null() {
                // SAFETY: the driver has set `bad_wr` to a link of the chain, which lies in the scratch space of the
                // receive to report; `bad` is valid.
                unsafe { *bad = bad_wr.byte_sub(RX_PRIV).cast_mut().cast() };
            }
            return ret;
        }
    }
    if refused != 0 && !bad.is_null() {
        // SAFETY: `bad` is valid.
        unsafe { *bad = rx };
    }
    refused
}
