// SPDX-License-Identifier: GPL-2.0-only

//! include/kfi/import.h: views of verbs objects that belong to an ULP.
//!
//! A view is memory only. It holds neither the gate of the device nor a reference to the verbs object, and is not in any
//! roster: Documentation/kfi/lifetimes.rst, "Imported objects". The contract of each exported function is in the header.

pub(crate) mod ep;
mod srx;

use super::{
    bindings,
    cq,
    domain::{
        self,
        DomainHead, //
    },
    object::{
        self,
        Table, //
    },
    srx::SRX_OPS, //
};
use crate::{
    client::{
        self,
        Attachment, //
    },
    cq::Queue,
    domain::Domain,
    mr::Region,
    srx::Srx,
    verbs::device::Device, //
};
use core::{
    mem::offset_of,
    ptr, //
};
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*,
    sync::Arc, //
};

/// Checks that definitions have the types that the header declares.
macro_rules! as_declared {
    ($($function:ident),*) => {
        const _: () = {
            $(let _ = if true { bindings::$function } else { $function };)*
        };
    };
}
pub(super) use as_declared;

/* ---------------------------------------------------------------------------------------------- */
/* What the ULP owns                                                                               */

/// A memory region on an imported domain.
///
/// # Invariants
///
/// `raw` exists as long as this; with `owned` this destroys it.
pub(crate) struct UlpMr {
    raw: *mut bindings::ib_mr,
    owned: bool,
}

// SAFETY: Verbs may be called from any thread.
unsafe impl Send for UlpMr {}

impl UlpMr {
    /// The verbs region.
    pub(super) fn as_raw(&self) -> *mut bindings::ib_mr {
        self.raw
    }
}

impl Drop for UlpMr {
    fn drop(&mut self) {
        if self.owned {
            // SAFETY: By the type invariant the region is ours, and it is not used after this.
            unsafe { bindings::ib_dereg_mr_user(self.raw, ptr::null_mut()) };
        }
    }
}

/// How a completion queue on an imported domain was come by.
enum CqSource {
    Ulp,
    Own,
    Pool(u32),
}

/// A completion queue on an imported domain.
///
/// # Invariants
///
/// `raw` exists as long as this, and is given back as `source` says.
pub(crate) struct UlpCq {
    raw: *mut bindings::ib_cq,
    source: CqSource,
}

// SAFETY: Verbs may be called from any thread.
unsafe impl Send for UlpCq {}

impl UlpCq {
    /// The verbs queue.
    pub(super) fn as_raw(&self) -> *mut bindings::ib_cq {
        self.raw
    }

    /// Whether its owner polls it.
    pub(super) fn is_direct(&self) -> bool {
        // SAFETY: By the type invariant the queue exists.
        unsafe { (*self.raw).poll_ctx == bindings::ib_poll_context_IB_POLL_DIRECT }
    }
}

impl Drop for UlpCq {
    fn drop(&mut self) {
        match self.source {
            CqSource::Ulp => {}
            // SAFETY: By the type invariant the queue is ours, and it is not used after this.
            CqSource::Own => unsafe { bindings::ib_free_cq(self.raw) },
            // SAFETY: By the type invariant this share is ours.
            CqSource::Pool(nr) => unsafe { bindings::ib_cq_pool_put(self.raw, nr) },
        }
    }
}

/* ---------------------------------------------------------------------------------------------- */
/* Domains                                                                                         */

/// A view of a protection domain.
#[repr(C)]
struct UlpDomain {
    head: DomainHead,
    pd: *mut bindings::ib_pd,
    /// Keeps `struct kfi_device`.
    home: Arc<Attachment>,
}

// SAFETY: The verbs domain may be used from any thread.
unsafe impl Send for UlpDomain {}
// SAFETY: As above.
unsafe impl Sync for UlpDomain {}

object::object!(UlpDomain, head, bindings::kfi_domain);
const _: () = assert!(offset_of!(UlpDomain, head) == 0);

/// The verbs domain behind an imported domain.
///
/// # Safety
///
/// `domain` is a live `struct kfi_domain` of any provider.
unsafe fn ulp_pd(domain: *mut bindings::kfi_domain) -> Option<*mut bindings::ib_pd> {
    // SAFETY: By the function's contract; only imported domains have this table.
    unsafe {
        ((*domain).ops == ULP_DOMAIN_OPS.as_ptr())
            .then(|| object::borrow::<_, UlpDomain>(domain).pd)
    }
}

/// # Safety
///
/// As include/kfi/import.h says.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_domain_import(
    pd: *mut bindings::ib_pd,
) -> *mut bindings::kfi_domain {
    let import = || -> Result<*mut bindings::kfi_domain> {
        // SAFETY: The ULP passes its protection domain, so the device is there.
        let (device, lkey, name) = unsafe {
            (
                Device::from_raw((*pd).device),
                (*pd).local_dma_lkey,
                (*pd).res.kern_name,
            )
        };
        let name = if name.is_null() {
            c"imported".to_bytes_with_nul().as_ptr().cast()
        } else {
            name
        };
        let home = client::find(device)?;
        let public = home.data().head.as_ptr();
        let domain = Arc::new(
            UlpDomain {
                head: DomainHead::with_ops(device.to_aref(), lkey, ULP_DOMAIN_OPS.as_ptr()),
                pd,
                home,
            },
            GFP_KERNEL,
        )?;
        let domain = object::give(domain);
        // SAFETY: The domain was made just now, and keeps the device's structure.
        let ret = unsafe { bindings::kfi_domain_adopt(domain, public, name) };
        if let Err(e) = to_result(ret) {
            // SAFETY: Nobody else has it.
            drop(unsafe { object::take::<_, UlpDomain>(domain) });
            return Err(e);
        }
        Ok(domain)
    };
    object::into_ptr(import())
}

/// # Safety
///
/// `domain` is an imported domain without references.
unsafe extern "C" fn ulp_domain_free(domain: *mut bindings::kfi_domain) {
    // SAFETY: By the function's contract.
    drop(unsafe { object::take::<_, UlpDomain>(domain) });
}

/// # Safety
///
/// `domain` is an imported domain, and its device is there; `owner` outlives the queue.
unsafe extern "C" fn ulp_cq_alloc(
    domain: *mut bindings::kfi_domain,
    nr_cqe: u32,
    vector: c_int,
    poll: bindings::kfi_poll,
    pool: bool,
    owner: *const c_char,
) -> *mut bindings::kfi_cq {
    let alloc = || -> Result<*mut bindings::kfi_cq> {
        let poll = match poll {
            bindings::kfi_poll_KFI_POLL_SOFTIRQ => bindings::ib_poll_context_IB_POLL_SOFTIRQ,
            bindings::kfi_poll_KFI_POLL_WORKQUEUE => bindings::ib_poll_context_IB_POLL_WORKQUEUE,
            bindings::kfi_poll_KFI_POLL_UNBOUND_WORKQUEUE => {
                bindings::ib_poll_context_IB_POLL_UNBOUND_WORKQUEUE
            }
            bindings::kfi_poll_KFI_POLL_DIRECT => bindings::ib_poll_context_IB_POLL_DIRECT,
            _ => return Err(EINVAL),
        };
        // SAFETY: By the function's contract.
        let device = unsafe { (*object::borrow::<_, UlpDomain>(domain).pd).device };
        // SAFETY: As above.
        let vectors = unsafe { (*device).num_comp_vectors }.max(1);
        let nr = c_int::try_from(nr_cqe).map_err(|_| EINVAL)?;
        let (raw, source) = if pool {
            // SAFETY: The device is there; a negative hint means any vector.
            let raw = unsafe { bindings::ib_cq_pool_get(device, nr_cqe, vector, poll) };
            (raw, CqSource::Pool(nr_cqe))
        } else {
            // SAFETY: The device is there, and the vector is in range.
            let raw = unsafe {
                bindings::__ib_alloc_cq(
                    device,
                    ptr::null_mut(),
                    nr,
                    vector.max(0) % vectors,
                    poll,
                    owner,
                )
            };
            (raw, CqSource::Own)
        };
        // INVARIANT: Come by just now.
        let cq = UlpCq {
            raw: from_err_ptr(raw)?,
            source,
        };
        Ok(object::give(Queue::import(cq)?))
    };
    object::into_ptr(alloc())
}

/// # Safety
///
/// `domain` is an imported domain, and its device is there.
unsafe extern "C" fn ulp_mr_alloc(
    domain: *mut bindings::kfi_domain,
    kind: bindings::kfi_mr_type,
    max_sg: u32,
) -> *mut bindings::kfi_mr {
    let alloc = || -> Result<*mut bindings::kfi_mr> {
        // SAFETY: By the function's contract; kfi.ko has compared the type with the device's capabilities.
        let raw = unsafe {
            let pd = object::borrow::<_, UlpDomain>(domain).pd;
            match kind {
                bindings::kfi_mr_type_KFI_MR_MEM_REG => {
                    bindings::ib_alloc_mr(pd, bindings::ib_mr_type_IB_MR_TYPE_MEM_REG, max_sg)
                }
                bindings::kfi_mr_type_KFI_MR_SG_GAPS => {
                    bindings::ib_alloc_mr(pd, bindings::ib_mr_type_IB_MR_TYPE_SG_GAPS, max_sg)
                }
                bindings::kfi_mr_type_KFI_MR_INTEGRITY => {
                    bindings::ib_alloc_mr_integrity(pd, max_sg, max_sg)
                }
                _ => return Err(EINVAL),
            }
        };
        // INVARIANT: Allocated just now.
        let mr = UlpMr {
            raw: from_err_ptr(raw)?,
            owned: true,
        };
        Ok(object::give(Region::import(mr)?))
    };
    object::into_ptr(alloc())
}

/// The table of imported domains.
static ULP_DOMAIN_OPS: Table<bindings::kfi_domain_ops> = Table(bindings::kfi_domain_ops {
    free: Some(ulp_domain_free),
    cq_alloc: Some(ulp_cq_alloc),
    mr_alloc: Some(ulp_mr_alloc),
    srx_alloc: None,
    dma_map_single: Some(domain::dma_map_single),
    dma_unmap_single: Some(domain::dma_unmap_single),
    dma_mapping_error: Some(domain::dma_mapping_error),
    dma_map_sg: Some(domain::dma_map_sg),
    dma_unmap_sg: Some(domain::dma_unmap_sg),
    dma_sync_single: Some(domain::dma_sync_single),
});

/* ---------------------------------------------------------------------------------------------- */
/* Completion queues and memory regions                                                            */

/// # Safety
///
/// As include/kfi/import.h says.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_cq_import(
    domain: *mut bindings::kfi_domain,
    cq: *mut bindings::ib_cq,
) -> *mut bindings::kfi_cq {
    // INVARIANT: The ULP keeps the queue until it has freed the view.
    let ulp = UlpCq {
        raw: cq,
        source: CqSource::Ulp,
    };
    let public = match Queue::import(ulp) {
        Ok(queue) => object::give(queue),
        Err(e) => return e.to_ptr(),
    };
    // SAFETY: The view was made just now, `cq` is there, and `domain` is held by the caller.
    unsafe {
        (*public).nr_cqe = u32::try_from((*cq).cqe).unwrap_or(0);
        (*public).poll = match (*cq).poll_ctx {
            bindings::ib_poll_context_IB_POLL_DIRECT => bindings::kfi_poll_KFI_POLL_DIRECT,
            bindings::ib_poll_context_IB_POLL_SOFTIRQ => bindings::kfi_poll_KFI_POLL_SOFTIRQ,
            bindings::ib_poll_context_IB_POLL_UNBOUND_WORKQUEUE => {
                bindings::kfi_poll_KFI_POLL_UNBOUND_WORKQUEUE
            }
            _ => bindings::kfi_poll_KFI_POLL_WORKQUEUE,
        };
        bindings::kfi_cq_adopt(public, domain);
    }
    public
}

/// # Safety
///
/// As include/kfi/import.h says.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_mr_import(
    domain: *mut bindings::kfi_domain,
    mr: *mut bindings::ib_mr,
) -> *mut bindings::kfi_mr {
    // INVARIANT: The ULP keeps the region until it has freed the view.
    let ulp = UlpMr {
        raw: mr,
        owned: false,
    };
    let public = match Region::import(ulp) {
        Ok(region) => object::give(region),
        Err(e) => return e.to_ptr(),
    };
    // SAFETY: The view was made just now, and `domain` is held by the caller.
    unsafe { bindings::kfi_mr_adopt(public, domain) };
    public
}

/// # Safety
///
/// As include/kfi/import.h says.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_cq_native(cq: *mut bindings::kfi_cq) -> *mut bindings::ib_cq {
    // SAFETY: The caller passes a queue; only those of this provider have this table.
    unsafe {
        if (*cq).ops == cq::CQ_OPS.as_ptr() {
            object::borrow::<_, Queue>(cq).head.native()
        } else {
            ptr::null_mut()
        }
    }
}

/// # Safety
///
/// As include/kfi/import.h says.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_domain_native(
    domain: *mut bindings::kfi_domain,
) -> *mut bindings::ib_pd {
    // SAFETY: The caller passes a domain; only those of this provider have these tables.
    unsafe {
        if (*domain).ops == domain::DOMAIN_OPS.as_ptr() {
            object::borrow::<_, Domain>(domain)
                .pd()
                .map_or(ptr::null_mut(), |pd| pd.as_raw())
        } else {
            ulp_pd(domain).unwrap_or(ptr::null_mut())
        }
    }
}

/// # Safety
///
/// As include/kfi/import.h says.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_srx_native(
    srx: *mut bindings::kfi_srx,
) -> *mut bindings::ib_srq {
    // SAFETY: The caller passes a context; only those of this provider have this table.
    unsafe {
        if (*srx).ops == SRX_OPS.as_ptr() {
            object::borrow::<_, Srx>(srx)
                .srq()
                .map_or(ptr::null_mut(), |srq| srq.as_raw())
        } else {
            ptr::null_mut()
        }
    }
}

as_declared!(
    kfi_domain_import,
    kfi_domain_native,
    kfi_srx_native,
    kfi_cq_import,
    kfi_mr_import,
    kfi_cq_native
);
