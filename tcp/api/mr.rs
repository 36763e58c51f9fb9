// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_mr`.

use super::{
    bindings,
    head::head,
    object::{
        self,
        Table, //
    }, //
};
use crate::{
    sys::memory::Piece,
    tcp::{
        domain::Domain,
        region::Region, //
    },
};
use kernel::{
    ffi::{
        c_int,
        c_uint, //
    },
    page::PAGE_SIZE,
    prelude::*, //
};

head! {
    /// The public region.
    MrHead, bindings::kfi_mr, bindings::kfi_mr {
        ops: OPS.as_ptr(),
        ..Default::default()
    }
}

/// # Safety
///
/// `domain` is of this provider.
pub(super) unsafe extern "C" fn alloc(
    domain: *mut bindings::kfi_domain,
    kind: bindings::kfi_mr_type,
    max_sg: u32,
) -> *mut bindings::kfi_mr {
    // SAFETY: By the function's contract.
    let domain = unsafe { object::borrow::<_, Domain>(domain) };
    let gaps = kind == bindings::kfi_mr_type_KFI_MR_SG_GAPS;
    object::into_ptr(Region::new(domain.into(), max_sg, gaps).map(|region| {
        let mr = object::give(region);
        // From the beginning, as 0 is the key of mapped memory.
        // SAFETY: Nobody else knows the region yet.
        unsafe { next_key(mr) };
        mr
    }))
}

/// # Safety
///
/// `mr` is of this provider and not used any more.
unsafe extern "C" fn free(mr: *mut bindings::kfi_mr) {
    // SAFETY: By the function's contract.
    unsafe { object::take::<_, Region>(mr) }.free();
}

/// # Safety
///
/// `mr` is of this provider, and no peer uses what it was; `sg` has `nents` mapped elements, which stay as long as it is; `offset` is
/// NULL or valid.
unsafe extern "C" fn map_sg(
    mr: *mut bindings::kfi_mr,
    sg: *mut bindings::scatterlist,
    nents: c_int,
    offset: *mut c_uint,
    page_size: u32,
) -> c_int {
    // SAFETY: By the function's contract.
    let region = unsafe { object::borrow::<_, Region>(mr) };
    if sg.is_null() || nents <= 0 || !page_size.is_power_of_two() || page_size as usize > PAGE_SIZE
    {
        return EINVAL.to_errno();
    }
    // SAFETY: By the function's contract.
    let mut skip = unsafe { offset.as_ref() }.copied().unwrap_or(0);
    let mut at = sg;
    let mut taken = 0;

    region.unmap();
    while taken < nents && !at.is_null() {
        // SAFETY: By the function's contract `at` is an element.
        let (addr, len) = unsafe { (bindings::kfi_sg_dma_addr(at), bindings::kfi_sg_dma_len(at)) };
        let Some(len) = len.checked_sub(skip) else {
            return EINVAL.to_errno();
        };
        // SAFETY: By the function's contract the memory stays as long as it is registered. Mapping has left its virtual
        // address there.
        let piece = unsafe { Piece::new(addr.wrapping_add(skip.into()), len as usize) };
        if !region.map(piece, page_size.into()) {
            break;
        }
        skip = 0;
        taken += 1;
        // SAFETY: As above.
        at = unsafe { bindings::kfi_sg_next(at) };
    }
    let (base, len) = region.span();
    // SAFETY: The consumer does not use the region meanwhile.
    unsafe {
        if let Some(offset) = offset.as_mut() {
            *offset = skip;
        }
        (*mr).iova = base;
        (*mr).length = len;
    }
    taken
}

/// # Safety
///
/// `mr` is of this provider, and the consumer does not use it meanwhile.
unsafe extern "C" fn next_key(mr: *mut bindings::kfi_mr) {
    // SAFETY: By the function's contract.
    unsafe {
        let key = object::borrow::<_, Region>(mr).next_key();
        (*mr).rkey = key;
        (*mr).lkey = key;
    }
}

object::object!(Region, head, bindings::kfi_mr);

static OPS: Table<bindings::kfi_mr_ops> = Table(bindings::kfi_mr_ops {
    data: bindings::kfi_mr_data_ops {
        map_sg: Some(map_sg),
        next_key: Some(next_key),
    },
    free: Some(free),
    map_sg_pi: None,
    pi_status: None,
});

/// Whether a region is of this provider.
///
/// # Safety
///
/// `mr` is valid.
pub(super) unsafe fn is_ours(mr: *const bindings::kfi_mr) -> bool {
    // SAFETY: By the function's contract.
    unsafe { (*mr).ops == OPS.as_ptr() }
}
