// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_info`: connections without endpoint.

use super::{
    bindings,
    cq,
    domain,
    ep::EP_OPS,
    event::EventFn,
    object::{
        self,
        Table, //
    },
    srx, //
};
use crate::tcp::{
    conn::{
        control::EpAttr,
        Conn, //
    },
    domain::Domain,
    queue::Queue,
    srx::Srx, //
};
use kernel::{
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*, //
};

/// Views what the C attributes name as objects of this provider; `EINVAL` when they belong to another one.
///
/// # Safety
///
/// `domain` and the objects that `attr` names are held by the caller.
unsafe fn ep_attr(
    domain: *mut bindings::kfi_domain,
    attr: &bindings::kfi_ep_attr,
) -> Result<EpAttr> {
    if attr.tx_cq.is_null() || attr.rx_cq.is_null() || domain.is_null() {
        return Err(EINVAL);
    }
    // SAFETY: By the function's contract; only objects of this provider have these tables.
    unsafe {
        if (*domain).ops != domain::OPS.as_ptr()
            || !cq::is_ours(attr.tx_cq)
            || !cq::is_ours(attr.rx_cq)
            || (!attr.srx.is_null() && !srx::is_ours(attr.srx))
        {
            return Err(EINVAL);
        }
        Ok(EpAttr {
            domain: object::borrow::<_, Domain>(domain).into(),
            tx_cq: object::borrow::<_, Queue>(attr.tx_cq).into(),
            rx_cq: object::borrow::<_, Queue>(attr.rx_cq).into(),
            srx: (!attr.srx.is_null()).then(|| object::borrow::<_, Srx>(attr.srx).into()),
            max_tx: attr.max_tx,
            max_rx: attr.max_rx,
            max_tx_sge: attr.max_tx_sge,
            max_rx_sge: attr.max_rx_sge,
            max_rma: attr.max_rma,
            event: EventFn::new(attr).ok_or(EINVAL)?,
        })
    }
}

/// # Safety
///
/// `info` is of this provider, `domain` and what `attr` names are held by the caller.
unsafe extern "C" fn ep_open(
    info: *mut bindings::kfi_info,
    domain: *mut bindings::kfi_domain,
    attr: *mut bindings::kfi_ep_attr,
) -> *mut bindings::kfi_ep {
    let open = || -> Result<*mut bindings::kfi_ep> {
        // SAFETY: By the function's contract.
        let (conn, attr) = unsafe { (object::borrow::<_, Conn>(info), &*attr) };
        let conn: kernel::sync::Arc<Conn> = conn.into();
        // SAFETY: By the function's contract.
        let asked = unsafe { ep_attr(domain, attr) }?;
        let public = conn.ep.as_ptr();
        let private = attr.priv_;
        conn.open(asked, || {
            // SAFETY: Nobody has the address of the endpoint yet.
            unsafe {
                (*public).ops = EP_OPS.as_ptr();
                (*public).domain = domain;
                (*public).priv_ = private;
            }
        })?;
        Ok(public)
    };
    object::into_ptr(open())
}

/// # Safety
///
/// `info` is of this provider and not used any more; `private_data` has `len` bytes.
unsafe extern "C" fn reject(
    info: *mut bindings::kfi_info,
    private_data: *const c_void,
    len: u32,
) -> c_int {
    // SAFETY: By the function's contract.
    let (conn, data) = unsafe {
        (
            object::take::<_, Conn>(info),
            object::bytes(private_data, len),
        )
    };
    object::into_ret(conn.reject(data))
}

/// # Safety
///
/// `info` is of this provider and not used any more.
unsafe extern "C" fn put(info: *mut bindings::kfi_info) {
    // SAFETY: By the function's contract.
    unsafe { object::take::<_, Conn>(info) }.release();
}

object::object!(Conn, info, bindings::kfi_info);

/// The table of infos.
pub(super) static OPS: Table<bindings::kfi_info_ops> = Table(bindings::kfi_info_ops {
    ep_open: Some(ep_open),
    reject: Some(reject),
    put: Some(put),
});
