// SPDX-License-Identifier: GPL-2.0-only

//! The data path: posting. Any context; fills slots and wakes the work item.

use super::{
    bindings,
    comp::Ctx,
    mr,
    object,
    rma::List, //
};
use crate::{
    sys::{
        errno,
        memory::Sge,
        ring::{
            Producer,
            Ring, //
        }, //
    },
    tcp::{
        conn::{
            Conn,
            DataState, //
        },
        op::{
            Kind,
            Memory,
            Progress,
            RxOp,
            TxOp, //
        },
        queue::Direction,
        region::Region,
        srx::Srx,
        wire::keys::Access, //
    },
};
use kernel::{
    ffi::c_int,
    prelude::*,
    sync::{
        atomic::{
            Full,
            Relaxed, //
        },
        ArcBorrow, //
    }, //
};

const SIGNALED: u8 = bindings::KFI_OP_SIGNALED as u8;
const FENCE: u8 = bindings::KFI_OP_FENCE as u8;
const FLAGS: u8 = bindings::KFI_OP_FLAGS_ALL as u8;

/// Copies a list of elements.
///
/// # Safety
///
/// The consumer posts the list just now.
#[inline]
unsafe fn copy_list(
    memory: &mut Memory,
    sgl: *const bindings::kfi_sge,
    count: usize,
) -> Result<u64> {
    memory.clear();
    let mut bytes = 0u64;
    if count != 0 {
        // SAFETY: By the function's contract.
        for sge in unsafe { core::slice::from_raw_parts(sgl, count) } {
            bytes = bytes.saturating_add(sge.length.into());
            // SAFETY: The memory is the provider's until the operation has completed.
            memory.push(unsafe { Sge::from_raw(sge) })?;
        }
    }
    Ok(bytes)
}

/// Fills a slot.
///
/// # Safety
///
/// The consumer posts `op` to `conn` just now.
#[inline]
unsafe fn fill_tx(conn: &Conn, op: &bindings::kfi_op, slot: &mut TxOp) -> Result {
    const SEND: u32 = bindings::kfi_opcode_KFI_OP_SEND;
    const SEND_WITH_IMM: u32 = bindings::kfi_opcode_KFI_OP_SEND_WITH_IMM;
    const SEND_WITH_INV: u32 = bindings::kfi_opcode_KFI_OP_SEND_WITH_INV;
    const WRITE: u32 = bindings::kfi_opcode_KFI_OP_WRITE;
    const WRITE_WITH_IMM: u32 = bindings::kfi_opcode_KFI_OP_WRITE_WITH_IMM;
    const READ: u32 = bindings::kfi_opcode_KFI_OP_READ;
    const NOP: u32 = bindings::kfi_opcode_KFI_OP_NOP;
    const MR_REG: u32 = bindings::kfi_opcode_KFI_OP_MR_REG;
    const MR_INV: u32 = bindings::kfi_opcode_KFI_OP_MR_INV;
    const NATIVE: u32 = bindings::kfi_opcode_KFI_OP_NATIVE;

    if op.flags & !FLAGS != 0 {
        return Err(errno::eopnotsupp());
    }
    let listed = u32::from(op.opcode) == NATIVE;
    // A transfer's own operation says in `data` what it is; see `rma`.
    let opcode = if listed { op.data } else { op.opcode.into() };
    slot.kind = match opcode {
        SEND | SEND_WITH_IMM | SEND_WITH_INV => Kind::Send,
        WRITE | WRITE_WITH_IMM => Kind::Write,
        READ => Kind::Read,
        NOP => Kind::Nop,
        MR_REG => Kind::Register,
        MR_INV => Kind::Invalidate,
        _ => return Err(EINVAL),
    };
    slot.imm = matches!(opcode, SEND_WITH_IMM | WRITE_WITH_IMM).then_some(op.data);
    slot.invalidate = matches!(opcode, SEND_WITH_INV | MR_INV).then_some(op.data);
    if opcode == SEND_WITH_INV && !conn.peer_invalidates.load(Relaxed) {
        return Err(errno::eopnotsupp());
    }
    slot.region = None;
    if slot.kind == Kind::Register {
        // SAFETY: By the function's contract the region is valid.
        let region = unsafe {
            if op.mr.is_null() || !mr::is_ours(op.mr) {
                return Err(EINVAL);
            }
            object::borrow::<_, Region>(op.mr)
        };
        slot.region = Some(region.into());
        slot.access = Access {
            read: op.access & bindings::KFI_ACCESS_REMOTE_READ != 0,
            write: op.access & bindings::KFI_ACCESS_REMOTE_WRITE != 0,
            // What the peer may write, so may the consumer, as over verbs.
            fill: op.access
                & (bindings::KFI_ACCESS_LOCAL_WRITE | bindings::KFI_ACCESS_REMOTE_WRITE)
                != 0,
        };
    }
    if listed {
        // SAFETY: By the function's contract; the transfer lives until the operation has completed.
        slot.memory.refer(unsafe { List::new(op.sgl, op.nsge) });
        slot.len = slot.memory.bytes();
    } else {
        // SAFETY: By the function's contract.
        slot.len = unsafe { copy_list(&mut slot.memory, op.sgl, op.nsge.into()) }?;
    }
    // SAFETY: By the function's contract.
    slot.ctx = unsafe { Ctx::posted(op.ctx, conn.ep.as_ptr()) };
    slot.signaled = op.flags & SIGNALED != 0;
    if slot.signaled && slot.ctx.is_none() {
        return Err(EINVAL);
    }
    slot.fence = op.flags & FENCE != 0;
    slot.opcode = op.opcode.into();
    slot.raddr = op.raddr;
    slot.rkey = op.rkey;
    slot.progress = Progress::Queued;
    slot.acked = false;
    slot.lent = None;
    slot.status = 0;
    Ok(())
}

/// # Safety
///
/// `ep` is of this provider, `first` a chain that the consumer posts, `bad` NULL or valid.
pub(super) unsafe extern "C" fn post(
    ep: *mut bindings::kfi_ep,
    first: *mut bindings::kfi_op,
    bad: *mut *mut bindings::kfi_op,
) -> c_int {
    // SAFETY: By the function's contract.
    let conn: ArcBorrow<'_, Conn> = unsafe { object::borrow(ep) };
    let mut next = first;
    let mut result = Err(errno::enotconn());

    if let Some(endpoint) = conn.endpoint() {
        let mut producer = endpoint.tx.producer();
        result = match producer.refusal() {
            Some(error) => Err(error),
            None if conn.state() == DataState::Open => Err(errno::enotconn()),
            None => Ok(()),
        };
        // SAFETY: By the function's contract the chain is valid.
        while let (Ok(()), Some(op)) = (result, unsafe { next.as_ref() }) {
            result = producer.push(|slot| {
                // SAFETY: By the function's contract.
                unsafe { fill_tx(&conn, op, slot) }?;
                conn.admit(Direction::Tx, endpoint.max_tx)
            });
            if result.is_ok() {
                next = op.next;
            }
        }
        // Under the lock of the ring, which a close takes: the operation may complete at once, and
        // its consumer close the endpoint, but `conn` does not go before.
        if next != first {
            Conn::wake(conn);
        }
    }
    // SAFETY: By the function's contract.
    if let (Err(_), Some(bad)) = (result, unsafe { bad.as_mut() }) {
        *bad = next;
    }
    object::into_ret(result)
}

/// Posts a chain of receives; returns the first one that was not taken.
///
/// # Safety
///
/// `first` is a chain that the consumer posts to `ep`, or to a shared context.
unsafe fn post_rx(
    producer: &mut Producer<'_, RxOp>,
    ep: *mut bindings::kfi_ep,
    first: *mut bindings::kfi_rx,
    mut admit: impl FnMut() -> Result,
) -> (*mut bindings::kfi_rx, Result) {
    let mut next = first;
    let mut result = match producer.refusal() {
        Some(error) => Err(error),
        None => Ok(()),
    };

    // SAFETY: By the function's contract the chain is valid.
    while let (Ok(()), Some(rx)) = (result, unsafe { next.as_ref() }) {
        result = producer.push(|slot| {
            // SAFETY: By the function's contract.
            unsafe {
                slot.len = copy_list(&mut slot.memory, rx.sgl, rx.nsge as usize)?;
                slot.ctx = Some(Ctx::posted(rx.ctx, ep).ok_or(EINVAL)?);
            }
            admit()
        });
        if result.is_ok() {
            next = rx.next;
        }
    }
    (next, result)
}

/// # Safety
///
/// `ep` is of this provider, `first` a chain that the consumer posts, `bad` NULL or valid.
pub(super) unsafe extern "C" fn recv(
    ep: *mut bindings::kfi_ep,
    first: *mut bindings::kfi_rx,
    bad: *mut *mut bindings::kfi_rx,
) -> c_int {
    // SAFETY: By the function's contract.
    let conn: ArcBorrow<'_, Conn> = unsafe { object::borrow(ep) };
    let endpoint = conn.endpoint();
    let ring: Option<&Ring<RxOp>> = endpoint.and_then(|endpoint| endpoint.rx.as_deref());
    let (Some(endpoint), Some(ring)) = (endpoint, ring) else {
        return EINVAL.to_errno();
    };
    // Locked until the end: see post().
    let mut producer = ring.producer();
    // SAFETY: By the function's contract.
    let (next, result) = unsafe {
        post_rx(&mut producer, ep, first, || {
            conn.admit(Direction::Rx, endpoint.max_rx)
        })
    };
    // The work item looks for receives by itself, but for a peer that waits for one, or to give them back.
    if next != first && (conn.starving.xchg(false, Full) || conn.state() == DataState::Err) {
        Conn::wake(conn);
    }
    drop(producer);
    // SAFETY: By the function's contract.
    if let (Err(_), Some(bad)) = (result, unsafe { bad.as_mut() }) {
        *bad = next;
    }
    object::into_ret(result)
}

/// # Safety
///
/// `srx` is of this provider, `first` a chain that the consumer posts, `bad` NULL or valid.
pub(super) unsafe extern "C" fn srx_recv(
    srx: *mut bindings::kfi_srx,
    first: *mut bindings::kfi_rx,
    bad: *mut *mut bindings::kfi_rx,
) -> c_int {
    // SAFETY: By the function's contract.
    let srx: ArcBorrow<'_, Srx> = unsafe { object::borrow(srx) };
    // SAFETY: By the function's contract.
    let (next, result) = unsafe {
        post_rx(
            &mut srx.ring.producer(),
            core::ptr::null_mut(),
            first,
            || Ok(()),
        )
    };
    if next != first {
        srx.posted();
    }
    // SAFETY: By the function's contract.
    if let (Err(_), Some(bad)) = (result, unsafe { bad.as_mut() }) {
        *bad = next;
    }
    object::into_ret(result)
}
