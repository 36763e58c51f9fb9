// SPDX-License-Identifier: GPL-2.0-only

//! Domains: DMA mapping and the table.
//!
//! Memory is mapped with `ib_dma_*`, which knows devices without a DMA device. After the device has gone nothing is
//! mapped, and what was mapped needs no unmapping any more: the DMA device may be gone as well.

use super::{
    bindings,
    object::{
        self,
        Table, //
    }, //
};
use crate::{
    domain::Domain,
    verbs::{
        device::Device,
        pd::Caller, //
    }, //
};
use core::mem::offset_of;
// The kernel's atomics are calls out of line, which the data path does not want for a load.
use core::sync::atomic::{
    AtomicU32,
    Ordering, //
};
use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        rcu, //
    },
    types::Opaque, //
};

/// The public domain and what mapping needs.
///
/// # Invariants
///
/// While `alive` is not 0, and until one RCU grace period later, the device is usable.
#[repr(C)]
pub(crate) struct DomainHead {
    public: Opaque<bindings::kfi_domain>,
    device: ARef<Device>,
    alive: AtomicU32,
}

const _: () = assert!(offset_of!(DomainHead, public) == 0);

// SAFETY: The public part is the consumer's and kfi.ko's; the rest may be used from any thread.
unsafe impl Send for DomainHead {}
// SAFETY: As above.
unsafe impl Sync for DomainHead {}

impl DomainHead {
    /// A domain of kfi's own.
    pub(crate) fn new(device: ARef<Device>, lkey: u32, global_rkey: u32) -> Self {
        let head = Self::with_ops(device, lkey, DOMAIN_OPS.as_ptr());
        // SAFETY: Nobody else has the address yet.
        unsafe { (*head.public.get()).unsafe_global_rkey = global_rkey };
        head
    }

    /// A domain with its own table.
    pub(super) fn with_ops(
        device: ARef<Device>,
        lkey: u32,
        ops: *const bindings::kfi_domain_ops,
    ) -> Self {
        let head = Self {
            public: Opaque::zeroed(),
            device,
            alive: AtomicU32::new(1),
        };
        // SAFETY: Nobody else has the address yet.
        unsafe {
            (*head.public.get()).ops = ops;
            (*head.public.get()).local_dma_lkey = lkey;
        }
        head
    }

    /// Ends the data path's use. RCU readers that have begun may go on.
    pub(crate) fn kill(&self) {
        self.alive.store(0, Ordering::Release);
    }
}

/// Runs `f` while the device is usable, or gives `gone`.
///
/// # Safety
///
/// `domain` is a domain of this provider.
#[inline(always)]
unsafe fn with_device<R>(
    domain: *mut bindings::kfi_domain,
    gone: R,
    f: impl FnOnce(*mut bindings::ib_device) -> R,
) -> R {
    // SAFETY: By the function's contract. CAST: the public part is at the head, of imported domains too.
    let head = unsafe { &*domain.cast_const().cast::<DomainHead>() };
    let rcu = rcu::read_lock();
    let ret = if head.alive.load(Ordering::Acquire) != 0 {
        f(head.device.as_raw())
    } else {
        gone
    };
    rcu.unlock();
    ret
}

/// The address that stands for a failed mapping: no buffer ends there.
const NO_ADDR: u64 = u64::MAX;

/// # Safety
///
/// `domain` is a domain of this provider, and `ptr` points to `size` bytes of linear memory.
pub(super) unsafe extern "C" fn dma_map_single(
    domain: *mut bindings::kfi_domain,
    ptr: *mut c_void,
    size: usize,
    dir: bindings::dma_data_direction,
) -> u64 {
    // SAFETY: By the function's contract; the device is usable inside.
    unsafe {
        with_device(domain, NO_ADDR, |device| {
            let addr = bindings::rdma_dma_map_single(device, ptr, size, dir);
            match bindings::rdma_dma_mapping_error(device, addr) {
                0 => addr,
                _ => NO_ADDR,
            }
        })
    }
}

/// # Safety
///
/// `domain` is a domain of this provider, and the rest is as for the mapping.
pub(super) unsafe extern "C" fn dma_unmap_single(
    domain: *mut bindings::kfi_domain,
    addr: u64,
    size: usize,
    dir: bindings::dma_data_direction,
) {
    // SAFETY: By the function's contract; the device is usable inside.
    unsafe {
        with_device(domain, (), |device| {
            bindings::rdma_dma_unmap_single(device, addr, size, dir)
        })
    }
}

/// # Safety
///
/// None; `unsafe` for the type of the table.
pub(super) unsafe extern "C" fn dma_mapping_error(
    _domain: *mut bindings::kfi_domain,
    addr: u64,
) -> c_int {
    if addr == NO_ADDR {
        ENOMEM.to_errno()
    } else {
        0
    }
}

/// # Safety
///
/// `domain` is a domain of this provider, and `sg` has `nents` elements.
pub(super) unsafe extern "C" fn dma_map_sg(
    domain: *mut bindings::kfi_domain,
    sg: *mut bindings::scatterlist,
    nents: c_int,
    dir: bindings::dma_data_direction,
) -> c_int {
    // SAFETY: By the function's contract; the device is usable inside.
    unsafe {
        with_device(
            domain,
            ENODEV.to_errno(),
            |device| match bindings::rdma_dma_map_sg(device, sg, nents, dir) {
                0 => EIO.to_errno(),
                n => n,
            },
        )
    }
}

/// # Safety
///
/// `domain` is a domain of this provider, and the rest is as for the mapping.
pub(super) unsafe extern "C" fn dma_unmap_sg(
    domain: *mut bindings::kfi_domain,
    sg: *mut bindings::scatterlist,
    nents: c_int,
    dir: bindings::dma_data_direction,
) {
    // SAFETY: By the function's contract; the device is usable inside.
    unsafe {
        with_device(domain, (), |device| {
            bindings::rdma_dma_unmap_sg(device, sg, nents, dir)
        })
    }
}

/// # Safety
///
/// `domain` is a domain of this provider, and the range is mapped.
pub(super) unsafe extern "C" fn dma_sync_single(
    domain: *mut bindings::kfi_domain,
    addr: u64,
    size: usize,
    dir: bindings::dma_data_direction,
    for_cpu: bool,
) {
    // SAFETY: By the function's contract; the device is usable inside.
    unsafe {
        with_device(domain, (), |device| {
            if for_cpu {
                bindings::rdma_dma_sync_single_for_cpu(device, addr, size, dir);
            } else {
                bindings::rdma_dma_sync_single_for_device(device, addr, size, dir);
            }
        })
    }
}

/// # Safety
///
/// `domain` is a [`Domain`] without references.
unsafe extern "C" fn free(domain: *mut bindings::kfi_domain) {
    // SAFETY: By the function's contract.
    unsafe { object::take::<_, Domain>(domain) }.free();
}

/// # Safety
///
/// `domain` is a [`Domain`]; `owner` outlives what is made.
unsafe extern "C" fn cq_alloc(
    domain: *mut bindings::kfi_domain,
    nr_cqe: u32,
    vector: c_int,
    poll: bindings::kfi_poll,
    pool: bool,
    owner: *const c_char,
) -> *mut bindings::kfi_cq {
    // SAFETY: By the function's contract.
    let (domain, caller) =
        unsafe { (object::borrow::<_, Domain>(domain), Caller::from_raw(owner)) };
    object::into_ptr(
        domain
            .cq_alloc(nr_cqe, vector, poll, pool, caller)
            .map(object::give),
    )
}

/// # Safety
///
/// `domain` is a [`Domain`].
unsafe extern "C" fn mr_alloc(
    domain: *mut bindings::kfi_domain,
    kind: bindings::kfi_mr_type,
    max_sg: u32,
) -> *mut bindings::kfi_mr {
    // SAFETY: By the function's contract.
    let domain = unsafe { object::borrow::<_, Domain>(domain) };
    object::into_ptr(domain.mr_alloc(kind, max_sg).map(object::give))
}

/// # Safety
///
/// `domain` is a [`Domain`].
unsafe extern "C" fn srx_alloc(
    domain: *mut bindings::kfi_domain,
    max_rx: u32,
    max_sge: u32,
) -> *mut bindings::kfi_srx {
    // SAFETY: By the function's contract.
    let domain = unsafe { object::borrow::<_, Domain>(domain) };
    object::into_ptr(domain.srx_alloc(max_rx, max_sge).map(object::give))
}

object::object!(Domain, head, bindings::kfi_domain);

/// The table of domains.
pub(super) static DOMAIN_OPS: Table<bindings::kfi_domain_ops> = Table(bindings::kfi_domain_ops {
    free: Some(free),
    cq_alloc: Some(cq_alloc),
    mr_alloc: Some(mr_alloc),
    srx_alloc: Some(srx_alloc),
    dma_map_single: Some(dma_map_single),
    dma_unmap_single: Some(dma_unmap_single),
    dma_mapping_error: Some(dma_mapping_error),
    dma_map_sg: Some(dma_map_sg),
    dma_unmap_sg: Some(dma_unmap_sg),
    dma_sync_single: Some(dma_sync_single),
});
