// SPDX-License-Identifier: GPL-2.0-only

//! Views of queue pairs, as endpoints.

use super::{
    as_declared,
    ulp_pd, //
};
use crate::{
    api::{
        bindings,
        comp::{
            self,
            Done, //
        },
        ep,
        hot::{
            self,
            Hot,
            Limits, //
        },
        object::{
            self,
            Table, //
        },
        rma, //
    },
    errno::{
        ENOTCONN,
        EOPNOTSUPP, //
    }, //
};
use core::ptr;
use kernel::{
    error::to_result,
    prelude::*,
    sync::rcu,
    types::Opaque, //
};

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
pub(in crate::api) fn ep_of_qp(qp: *const bindings::ib_qp) -> *mut bindings::kfi_ep {
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
    rma_init_pi: None,
    rma_fini_pi: None,
    rma_pi_status: None,
});

as_declared!(kfi_ep_import, kfi_ep_unimport, kfi_ctx_cqe, kfi_ep_native);
