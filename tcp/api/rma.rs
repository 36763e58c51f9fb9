// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_rma`: scatter lists of any length in one operation.

use super::{
    bindings,
    object, //
};
use crate::{
    sys::memory::Sge,
    tcp::conn::Conn, //
};
use core::{
    mem::{
        size_of,
        ManuallyDrop, //
    },
    ptr, //
};
use kernel::{
    ffi::c_int,
    prelude::*, //
};

/// The elements of a transfer.
///
/// # Invariants
///
/// Valid and constant until the transfer's operation has completed; so is what they name.
#[derive(Clone, Copy)]
pub(crate) struct List {
    ptr: *const Sge,
    len: usize,
}

// SAFETY: The list is constant.
unsafe impl Send for List {}
// SAFETY: As above.
unsafe impl Sync for List {}

impl List {
    /// # Safety
    ///
    /// `sgl` and `nsge` are those of an operation of `rma_op` that is posted just now.
    pub(super) unsafe fn new(sgl: *const bindings::kfi_sge, nsge: u16) -> Self {
        // INVARIANT: The transfer lives until its operation has completed. CAST: `Sge` has the layout of `kfi_sge`.
        Self {
            ptr: sgl.cast(),
            len: nsge.into(),
        }
    }

    /// The elements.
    pub(crate) fn get(&self) -> &[Sge] {
        // SAFETY: The type invariant.
        unsafe { core::slice::from_raw_parts(self.ptr, self.len) }
    }
}

/// What the provider keeps in a transfer.
#[repr(C)]
struct Own {
    list: *mut Sge,
    len: usize,
    capacity: usize,
}

const _: () = assert!(size_of::<Own>() <= size_of::<[u64; 16]>());

/// # Safety
///
/// `rma` is valid, and used by the caller only.
unsafe fn own<'a>(rma: *mut bindings::kfi_rma) -> &'a mut Own {
    // SAFETY: By the function's contract. CAST: there is room, asserted above, and zeros are a valid value.
    unsafe { &mut *(&raw mut (*rma).priv_).cast() }
}

/// # Safety
///
/// `sg` has `nents` elements.
unsafe fn elements(sg: *mut bindings::scatterlist, nents: u32, offset: u32) -> Result<KVec<Sge>> {
    let mut list = KVec::with_capacity(nents as usize, GFP_KERNEL)?;
    let mut skip = offset;
    let mut at = sg;

    for _ in 0..nents {
        if at.is_null() {
            break;
        }
        // SAFETY: By the function's contract `at` is an element, whose memory stays until the transfer has ended.
        unsafe {
            let len = bindings::kfi_sg_len(at);
            if skip < len {
                let addr = bindings::kfi_sg_virt(at) as u64;
                list.push(
                    Sge::local(addr.wrapping_add(skip.into()), len.wrapping_sub(skip)),
                    GFP_KERNEL,
                )?;
                skip = 0;
            } else {
                skip = skip.wrapping_sub(len);
            }
            at = bindings::kfi_sg_next(at);
        }
    }
    if list.is_empty() {
        return Err(EINVAL);
    }
    Ok(list)
}

/// # Safety
///
/// `rma` is not in use, `ep` of this provider, `sg` has `nents` elements, all until the transfer ends.
#[allow(clippy::too_many_arguments, reason = "those of kfi_rma_init()")]
pub(super) unsafe extern "C" fn init(
    rma: *mut bindings::kfi_rma,
    ep: *mut bindings::kfi_ep,
    sg: *mut bindings::scatterlist,
    nents: u32,
    offset: u32,
    raddr: u64,
    rkey: u32,
    dir: bindings::dma_data_direction,
) -> c_int {
    // SAFETY: By the function's contract.
    let conn = unsafe { object::borrow::<_, Conn>(ep) };
    let init = || -> Result {
        conn.rma_enter()?;
        // SAFETY: By the function's contract.
        let list = unsafe { elements(sg, nents, offset) }.inspect_err(|_| conn.rma_leave())?;
        let Ok(nsge) = u16::try_from(list.len()) else {
            conn.rma_leave();
            return Err(EINVAL);
        };
        let (ptr, len, capacity) =
            ManuallyDrop::into_inner(ManuallyDrop::new(list)).into_raw_parts();
        // SAFETY: By the function's contract.
        unsafe {
            *own(rma) = Own {
                list: ptr,
                len,
                capacity,
            };
            (*rma).op = bindings::kfi_op {
                // CAST: as the tables are laid out.
                sgl: ptr.cast_const().cast(),
                nsge,
                opcode: bindings::kfi_opcode_KFI_OP_NATIVE as u8,
                data: if dir == kernel::dma::DataDirection::ToDevice.into() {
                    bindings::kfi_opcode_KFI_OP_WRITE
                } else {
                    bindings::kfi_opcode_KFI_OP_READ
                },
                raddr,
                rkey,
                ..Default::default()
            };
            (*rma).nr_ops = 1;
            (*rma).ep = ep;
        }
        Ok(())
    };
    object::into_ret(init())
}

/// # Safety
///
/// `rma` was initialised, and its operation has completed or was not posted.
pub(super) unsafe extern "C" fn fini(
    rma: *mut bindings::kfi_rma,
    _sg: *mut bindings::scatterlist,
    _nents: u32,
    _dir: bindings::dma_data_direction,
) {
    // SAFETY: By the function's contract.
    unsafe {
        let conn = object::borrow::<_, Conn>((*rma).ep);
        let own = own(rma);
        let ptr = core::mem::replace(&mut own.list, ptr::null_mut());
        if !ptr.is_null() {
            // SAFETY: Taken apart by `init`.
            drop(KVec::from_raw_parts(ptr, own.len, own.capacity));
            conn.rma_leave();
        }
    }
}

/// # Safety
///
/// `rma` was initialised; `ctx` and `chain` are NULL or valid.
pub(super) unsafe extern "C" fn op(
    rma: *mut bindings::kfi_rma,
    ctx: *mut bindings::kfi_ctx,
    chain: *mut bindings::kfi_op,
) -> *mut bindings::kfi_op {
    // SAFETY: By the function's contract.
    unsafe {
        let op = &raw mut (*rma).op;
        (*op).ctx = ctx;
        (*op).next = chain;
        (*op).flags = if ctx.is_null() {
            0
        } else {
            bindings::KFI_OP_SIGNALED as u8
        };
        op
    }
}
