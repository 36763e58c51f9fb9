// SPDX-License-Identifier: GPL-2.0-only

//! Memory regions: the data path and the table.

pub(super) mod pi;

use super::import::UlpMr;
use super::{
    bindings,
    object::{
        self,
        Table, //
    }, //
};
use crate::{
    mr::Region,
    verbs::mr::Mr, //
};
use core::mem::offset_of;
// The kernel's atomics are calls out of line, which the data path does not want for a load.
use core::sync::atomic::{
    AtomicU32,
    Ordering, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::rcu,
    types::Opaque, //
};

/// The public region and what the data path needs.
///
/// # Invariants
///
/// While `alive` is not 0, and until one RCU grace period later, `native` exists.
#[repr(C)]
pub(crate) struct MrHead {
    public: Opaque<bindings::kfi_mr>,
    native: *mut bindings::ib_mr,
    alive: AtomicU32,
}

const _: () = assert!(offset_of!(MrHead, public) == 0);

// SAFETY: The public part is the consumer's; the rest follows the type invariants.
unsafe impl Send for MrHead {}
// SAFETY: As above.
unsafe impl Sync for MrHead {}

impl MrHead {
    /// The head of a region that keeps `mr` until one RCU grace period after [`MrHead::kill`].
    pub(crate) fn of(mr: &Mr) -> Self {
        // INVARIANT: `crate::mr::Region` keeps it.
        Self::with_native(mr.as_raw())
    }

    /// The same for a region of an ULP.
    pub(crate) fn of_ulp(mr: &UlpMr) -> Self {
        // INVARIANT: `crate::mr::Region` keeps it.
        Self::with_native(mr.as_raw())
    }

    fn with_native(native: *mut bindings::ib_mr) -> Self {
        // SAFETY: Both callers pass a region that is there.
        let (lkey, rkey) = unsafe { ((*native).lkey, (*native).rkey) };
        Self {
            public: Opaque::new(bindings::kfi_mr {
                ops: MR_OPS.as_ptr(),
                lkey,
                rkey,
                ..Default::default()
            }),
            native,
            alive: AtomicU32::new(1),
        }
    }

    /// Ends the data path's use. RCU readers that have begun may go on.
    pub(crate) fn kill(&self) {
        self.alive.store(0, Ordering::Release);
    }

    /// The verbs region behind a public one; `ENODEV` when the device has gone.
    ///
    /// # Safety
    ///
    /// `mr` is null or a live `struct kfi_mr`. The result may be used as long as an RCU read-side section that began before
    /// the call lasts.
    #[inline(always)]
    pub(super) unsafe fn native(
        mr: *mut bindings::kfi_mr,
    ) -> core::result::Result<*mut bindings::ib_mr, c_int> {
        // SAFETY: By the function's contract.
        if mr.is_null() || unsafe { (*mr).ops } != MR_OPS.as_ptr() {
            return Err(EINVAL.to_errno());
        }
        // SAFETY: Only regions of this provider have this table. CAST: the public part is at the head.
        let head = unsafe { &*mr.cast_const().cast::<MrHead>() };
        if head.alive.load(Ordering::Acquire) == 0 {
            return Err(ENODEV.to_errno());
        }
        Ok(head.native)
    }
}

/// # Safety
///
/// `mr` is a region of this provider; `sg` has `nents` elements that are mapped; `offset` is null or valid.
unsafe extern "C" fn map_sg(
    mr: *mut bindings::kfi_mr,
    sg: *mut bindings::scatterlist,
    nents: c_int,
    offset: *mut c_uint,
    page_size: c_uint,
) -> c_int {
    // For larger pages rxe allocates memory, and sleeps.
    if nents <= 0 || !page_size.is_power_of_two() || page_size as usize > PAGE_SIZE {
        return EINVAL.to_errno();
    }
    let rcu = rcu::read_lock();
    // SAFETY: By the function's contract, inside of an RCU read-side section.
    let ret = match unsafe { MrHead::native(mr) } {
        // SAFETY: As above; `native` exists until the end of the section.
        Ok(native) => unsafe {
            let ret = bindings::ib_map_mr_sg(native, sg, nents, offset, page_size);
            if ret > 0 {
                (*mr).iova = (*native).iova;
                (*mr).length = (*native).length;
            }
            ret
        },
        Err(e) => e,
    };
    rcu.unlock();
    ret
}

/// # Safety
///
/// `mr` is a region of this provider that is not registered.
unsafe extern "C" fn next_key(mr: *mut bindings::kfi_mr) {
    let rcu = rcu::read_lock();
    // SAFETY: By the function's contract, inside of an RCU read-side section.
    if let Ok(native) = unsafe { MrHead::native(mr) } {
        // SAFETY: `native` exists until the end of the section; the consumer serialises the use of a region.
        unsafe {
            // The low byte is the consumer's part of a key, the rest is the device's.
            let key = bindings::rdma_inc_rkey((*native).rkey);
            bindings::rdma_update_fast_reg_key(native, (key & 0xff) as u8);
            (*mr).lkey = (*native).lkey;
            (*mr).rkey = (*native).rkey;
        }
    }
    rcu.unlock();
}

/// # Safety
///
/// `mr` is a region of this provider that the consumer does not use any more.
unsafe extern "C" fn free(mr: *mut bindings::kfi_mr) {
    // SAFETY: By the function's contract.
    unsafe { object::take::<_, Region>(mr) }.free();
}

object::object!(Region, head, bindings::kfi_mr);

/// The table of regions.
pub(super) static MR_OPS: Table<bindings::kfi_mr_ops> = Table(bindings::kfi_mr_ops {
    data: bindings::kfi_mr_data_ops {
        map_sg: Some(map_sg),
        next_key: Some(next_key),
    },
    free: Some(free),
    map_sg_pi: Some(pi::map_sg_pi),
    pi_status: Some(pi::pi_status),
});
