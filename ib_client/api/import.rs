// SPDX-License-Identifier: GPL-2.0-only

//! include/kfi/import.h: views of verbs objects that belong to an ULP.
//!
//! A view is memory only. It holds neither the gate of the device nor a reference to the verbs object, and is not in any
//! roster: Documentation/kfi/lifetimes.rst, "Imported objects". The contract of each exported function is in the header.

use super::{
    bindings,
    comp::{
        self,
        Done, //
    },
    cq,
    domain::{
        self,
        DomainHead, //
    },
    ep,
    hot::{
        self,
        Hot,
        Limits, //
    },
    object::{
        self,
        Object,
        Table, //
    },
    rma, //
};
use crate::{
    client::{
        self,
        Attachment, //
    },
    cq::Queue,
    errno::{
        ENOTCONN,
        EOPNOTSUPP, //
    },
    mr::Region,
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
    sync::{
        rcu,
        Arc, //
    },
    types::Opaque, //
};

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

// SAFETY: The offset is that of the field of this type.
unsafe impl Object for UlpDomain {
    type Public = bindings::kfi_domain;
    const OFFSET: usize = offset_of!(UlpDomain, head);
}
const _: () = assert!(UlpDomain::OFFSET == 0);

/// The verbs domain behind an imported domain.
///
/// # Safety
///
/// `domain` is a live `struct kfi_domain` of any provider.
unsafe fn ulp_pd(domain: *mut bindings::kfi_domain) -> Option<*mut bindings::ib_pd> {
    // SAFETY: By the function's contract; only imported domains have this table.
    unsafe {
        ((*domain).ops == ULP_DOMAIN_OPS.as_ptr()).then(|| object::borrow::<UlpDomain>(domain).pd)
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
            drop(unsafe { object::take::<UlpDomain>(domain) });
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
    drop(unsafe { object::take::<UlpDomain>(domain) });
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
        let device = unsafe { (*object::borrow::<UlpDomain>(domain).pd).device };
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
        let kind = match kind {
            bindings::kfi_mr_type_KFI_MR_MEM_REG => bindings::ib_mr_type_IB_MR_TYPE_MEM_REG,
            bindings::kfi_mr_type_KFI_MR_SG_GAPS => bindings::ib_mr_type_IB_MR_TYPE_SG_GAPS,
            _ => return Err(EINVAL),
        };
        // SAFETY: By the function's contract.
        let raw =
            unsafe { bindings::ib_alloc_mr(object::borrow::<UlpDomain>(domain).pd, kind, max_sg) };
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

/* ---------------------------------------------------------------------------------------------- */
/* Endpoints                                                                                       */

/// A view of a queue pair.
#[repr(C)]
struct UlpEp {
    hot: Hot,
    id: *mut bindings::rdma_cm_id,
    qp: *mut bindings::ib_qp,
}

// SAFETY: The verbs objects may be used from any thread.
unsafe impl Send for UlpEp {}
// SAFETY: As above.
unsafe impl Sync for UlpEp {}

/// Views of queue pairs by the queue pair, for receives that are shared.
struct EpTable(Opaque<bindings::xarray>);

// SAFETY: An XArray has a lock of its own.
unsafe impl Sync for EpTable {}

static EPS: EpTable = EpTable(Opaque::uninit());

/// Makes the table of views usable. Called when the module is loaded, before anybody can import anything.
pub(crate) fn init() {
    // SAFETY: Nobody uses the table yet.
    unsafe { bindings::xa_init_flags(EPS.0.get(), 0) };
}

/// The index of a queue pair. Queue pairs are allocated, so their addresses differ in more than the lowest bits.
fn index(qp: *const bindings::ib_qp) -> c_ulong {
    qp as c_ulong >> 3
}

/// The view of a queue pair, or null.
#[inline]
pub(super) fn ep_of_qp(qp: *const bindings::ib_qp) -> *mut bindings::kfi_ep {
    let rcu = rcu::read_lock();
    // SAFETY: The table is initialised at load.
    let ep = unsafe { bindings::xa_load(EPS.0.get(), index(qp)) };
    rcu.unlock();
    ep.cast()
}

/// # Safety
///
/// As include/kfi/import.h says.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_ep_import(
    domain: *mut bindings::kfi_domain,
    id: *mut bindings::rdma_cm_id,
    qp: *mut bindings::ib_qp,
    private: *mut c_void,
) -> *mut bindings::kfi_ep {
    let import = || -> Result<*mut bindings::kfi_ep> {
        // SAFETY: The caller holds the domain, and the queue pair is there.
        if unsafe { ulp_pd(domain) } != Some(unsafe { (*qp).pd }) {
            return Err(EINVAL);
        }
        // SAFETY: As above; the device's attributes do not change.
        let attr = unsafe { &(*(*domain).device).attr };
        let ep = KBox::new(
            UlpEp {
                hot: Hot::new(),
                id,
                qp,
            },
            GFP_KERNEL,
        )?;
        let limits = Limits {
            caps: attr.caps,
            max_tx_sge: attr.max_tx_sge,
            max_rx_sge: attr.max_rx_sge,
            max_read_sge: attr.max_read_sge,
        };
        // SAFETY: The ULP keeps the queue pair until it has ended the view.
        unsafe { ep.hot.import(qp, &limits) }?;
        let public = ep.hot.public();
        // SAFETY: The table is initialised at load; the entry is removed before the view is freed.
        let ret = unsafe {
            bindings::xa_err(bindings::xa_store(
                EPS.0.get(),
                index(qp),
                public.cast(),
                bindings::GFP_KERNEL,
            ))
        };
        to_result(ret)?;
        // SAFETY: Nobody uses the view yet.
        unsafe {
            (*public).ops = ULP_EP_OPS.as_ptr();
            (*public).domain = bindings::kfi_domain_get(domain);
            (*public).priv_ = private;
        }
        // Freed by `kfi_ep_unimport()`, which finds the box by its first field.
        let _ = KBox::into_raw(ep);
        Ok(public)
    };
    object::into_ptr(import())
}

/// # Safety
///
/// As include/kfi/import.h says.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_ep_unimport(ep: *mut bindings::kfi_ep) {
    if ep.is_null() || (ep as isize) < 0 && (ep as isize) >= -4095 {
        return;
    }
    // SAFETY: The caller passes a view that it does not use any more. CAST: the public part is at the head of the head.
    let ep = unsafe { KBox::from_raw(ep.cast::<UlpEp>()) };
    // SAFETY: The table is initialised at load. No completion is outstanding, so nobody looks the entry up.
    unsafe { bindings::xa_erase(EPS.0.get(), index(ep.qp)) };
    // SAFETY: Taken when the view was made.
    unsafe { bindings::kfi_domain_put((*ep.hot.public()).domain) };
}

/// # Safety
///
/// As include/kfi/import.h says.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_ctx_cqe(
    ctx: *mut bindings::kfi_ctx,
    ep: *mut bindings::kfi_ep,
) -> *mut bindings::ib_cqe {
    let done: Done = if ep.is_null() {
        comp::raw_srq_done
    } else {
        comp::raw_done
    };
    // SAFETY: The context is given to the provider by this call.
    unsafe {
        (*ctx).prov_done = done as *mut c_void;
        (*ctx).ep = ep;
    }
    // CAST: a context aliases a `struct ib_cqe`.
    ctx.cast()
}

/// # Safety
///
/// As include/kfi/import.h says.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_cq_native(cq: *mut bindings::kfi_cq) -> *mut bindings::ib_cq {
    // SAFETY: The caller passes a queue; only those of this provider have this table.
    unsafe {
        if (*cq).ops == cq::CQ_OPS.as_ptr() {
            object::borrow::<Queue>(cq).head.native()
        } else {
            ptr::null_mut()
        }
    }
}

/// # Safety
///
/// As include/kfi/import.h says.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_ep_native(ep: *mut bindings::kfi_ep) -> *mut bindings::ib_qp {
    // SAFETY: The caller passes an endpoint; only those of this provider have these tables.
    unsafe {
        if (*ep).ops == ULP_EP_OPS.as_ptr() || (*ep).ops == ep::EP_OPS.as_ptr() {
            (*ep.cast_const().cast::<Hot>()).qp()
        } else {
            ptr::null_mut()
        }
    }
}

/// # Safety
///
/// `ep` is a view.
unsafe fn view<'a>(ep: *mut bindings::kfi_ep) -> &'a UlpEp {
    // SAFETY: By the function's contract. CAST: the public part is at the head of the head.
    unsafe { &*ep.cast_const().cast::<UlpEp>() }
}

/// # Safety
///
/// `ep` is a view that nobody uses any more.
unsafe extern "C" fn ulp_close(ep: *mut bindings::kfi_ep) {
    // SAFETY: By the function's contract.
    unsafe { kfi_ep_unimport(ep) };
}

/// # Safety
///
/// None; `unsafe` for the type of the table.
unsafe extern "C" fn ulp_no_connect(
    _ep: *mut bindings::kfi_ep,
    _param: *const bindings::kfi_conn_param,
) -> c_int {
    EOPNOTSUPP.to_errno()
}

/// # Safety
///
/// `ep` is a view, and its identifier is there.
unsafe extern "C" fn ulp_shutdown(ep: *mut bindings::kfi_ep) -> c_int {
    // SAFETY: By the function's contract.
    let id = unsafe { view(ep) }.id;
    if id.is_null() {
        return ENOTCONN.to_errno();
    }
    // SAFETY: By the function's contract.
    unsafe { bindings::rdma_disconnect(id) }
}

/// # Safety
///
/// `ep` is a view, and its queue pair is there.
unsafe extern "C" fn ulp_abort(ep: *mut bindings::kfi_ep) -> c_int {
    let mut attr = bindings::ib_qp_attr {
        qp_state: bindings::ib_qp_state_IB_QPS_ERR,
        ..Default::default()
    };
    // SAFETY: By the function's contract.
    unsafe {
        bindings::ib_modify_qp(
            view(ep).qp,
            &mut attr,
            bindings::ib_qp_attr_mask_IB_QP_STATE as c_int,
        )
    }
}

/// # Safety
///
/// `ep` is a view, and its queue pair has room for the marks of a drain.
unsafe extern "C" fn ulp_drain(ep: *mut bindings::kfi_ep, which: u32) {
    const BOTH: u32 = bindings::KFI_TX | bindings::KFI_RX;
    // SAFETY: By the function's contract.
    unsafe {
        let qp = view(ep).qp;
        match which & BOTH {
            BOTH => bindings::ib_drain_qp(qp),
            bindings::KFI_TX => bindings::ib_drain_sq(qp),
            bindings::KFI_RX if (*qp).srq.is_null() => bindings::ib_drain_rq(qp),
            _ => {}
        }
    }
}

/// # Safety
///
/// `ep` is a view, its identifier is there, and `addr` is valid.
unsafe extern "C" fn ulp_addr(
    ep: *mut bindings::kfi_ep,
    peer: bool,
    addr: *mut bindings::__kernel_sockaddr_storage,
) -> c_int {
    // SAFETY: By the function's contract.
    let id = unsafe { view(ep) }.id;
    if id.is_null() {
        return ENOTCONN.to_errno();
    }
    // SAFETY: By the function's contract.
    unsafe {
        let route = &raw const (*id).route.addr;
        addr.write(if peer {
            (*route).dst_addr
        } else {
            (*route).src_addr
        });
    }
    0
}

/// The table of imported endpoints.
static ULP_EP_OPS: Table<bindings::kfi_ep_ops> = Table(bindings::kfi_ep_ops {
    data: bindings::kfi_ep_data_ops {
        post: Some(hot::imported_post),
        recv: Some(hot::imported_recv),
    },
    close: Some(ulp_close),
    connect: Some(ulp_no_connect),
    accept: Some(ulp_no_connect),
    shutdown: Some(ulp_shutdown),
    abort: Some(ulp_abort),
    drain: Some(ulp_drain),
    addr: Some(ulp_addr),
    rma_init: Some(rma::imported_rma_init),
    rma_fini: Some(rma::rma_fini),
    rma_op: Some(rma::rma_op),
});

// Each definition has the type that the header declares.
const _: () = {
    let _ = if true {
        bindings::kfi_domain_import
    } else {
        kfi_domain_import
    };
    let _ = if true {
        bindings::kfi_cq_import
    } else {
        kfi_cq_import
    };
    let _ = if true {
        bindings::kfi_mr_import
    } else {
        kfi_mr_import
    };
    let _ = if true {
        bindings::kfi_ep_import
    } else {
        kfi_ep_import
    };
    let _ = if true {
        bindings::kfi_ep_unimport
    } else {
        kfi_ep_unimport
    };
    let _ = if true {
        bindings::kfi_ctx_cqe
    } else {
        kfi_ctx_cqe
    };
    let _ = if true {
        bindings::kfi_cq_native
    } else {
        kfi_cq_native
    };
    let _ = if true {
        bindings::kfi_ep_native
    } else {
        kfi_ep_native
    };
};
