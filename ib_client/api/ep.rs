// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_ep`: the table of endpoints.

use super::{
    bindings,
    conn::copy_addr,
    hot,
    object::{
        self,
        Table, //
    },
    rma, //
};
use crate::{
    conn::{
        connect::Drain,
        Conn, //
    },
    verbs::cm::ConnParam, //
};
use kernel::prelude::*;

/// Views the C parameters.
///
/// # Safety
///
/// `param` is valid for `'a`, and its private data has the length that it says.
unsafe fn conn_param<'a>(param: *const bindings::kfi_conn_param) -> ConnParam<'a> {
    // SAFETY: By the function's contract.
    let param = unsafe { &*param };
    // SAFETY: By the function's contract.
    let private_data = unsafe { object::bytes(param.private_data, param.private_data_len) };
    ConnParam {
        private_data,
        responder_resources: param.ird,
        initiator_depth: param.ord,
        flow_control: true,
        retry_count: param.retry_count,
        rnr_retry_count: param.rnr_retry_count,
    }
}

/// # Safety
///
/// `ep` is of this provider and not used any more.
unsafe extern "C" fn close(ep: *mut bindings::kfi_ep) {
    // SAFETY: By the function's contract.
    unsafe { object::take::<_, Conn>(ep) }.release();
}

/// # Safety
///
/// `ep` is of this provider, and `param` is valid.
unsafe extern "C" fn connect(
    ep: *mut bindings::kfi_ep,
    param: *const bindings::kfi_conn_param,
) -> c_int {
    // SAFETY: By the function's contract.
    object::into_ret(unsafe { object::borrow::<_, Conn>(ep).connect(&conn_param(param)) })
}

/// # Safety
///
/// `ep` is of this provider, and `param` is valid.
unsafe extern "C" fn accept(
    ep: *mut bindings::kfi_ep,
    param: *const bindings::kfi_conn_param,
) -> c_int {
    // SAFETY: By the function's contract.
    object::into_ret(unsafe { object::borrow::<_, Conn>(ep).accept(&conn_param(param)) })
}

/// # Safety
///
/// `ep` is of this provider.
unsafe extern "C" fn shutdown(ep: *mut bindings::kfi_ep) -> c_int {
    // SAFETY: By the function's contract.
    object::into_ret(unsafe { object::borrow::<_, Conn>(ep) }.shutdown())
}

/// # Safety
///
/// `ep` is of this provider.
unsafe extern "C" fn abort(ep: *mut bindings::kfi_ep) -> c_int {
    // SAFETY: By the function's contract.
    object::into_ret(unsafe { object::borrow::<_, Conn>(ep) }.abort())
}

/// # Safety
///
/// `ep` is of this provider.
unsafe extern "C" fn drain(ep: *mut bindings::kfi_ep, which: u32) {
    const BOTH: u32 = bindings::KFI_TX | bindings::KFI_RX;
    // SAFETY: By the function's contract.
    let conn = unsafe { object::borrow::<_, Conn>(ep) };
    match which & BOTH {
        BOTH => conn.drain(Drain::Both),
        bindings::KFI_TX => conn.drain(Drain::Tx),
        bindings::KFI_RX => conn.drain(Drain::Rx),
        _ => {}
    }
}

/// # Safety
///
/// `ep` is of this provider, and `addr` is valid.
unsafe extern "C" fn addr(
    ep: *mut bindings::kfi_ep,
    peer: bool,
    addr: *mut bindings::__kernel_sockaddr_storage,
) -> c_int {
    // SAFETY: By the function's contract.
    let addrs = match unsafe { object::borrow::<_, Conn>(ep) }.addrs() {
        Ok(addrs) => addrs,
        Err(e) => return e.to_errno(),
    };
    // SAFETY: By the function's contract.
    unsafe { copy_addr(if peer { &addrs.peer } else { &addrs.local }, addr) };
    0
}

object::object!(Conn, hot, bindings::kfi_ep);

/// The table of endpoints.
pub(super) static EP_OPS: Table<bindings::kfi_ep_ops> = Table(bindings::kfi_ep_ops {
    data: bindings::kfi_ep_data_ops {
        post: Some(hot::ep_post),
        recv: Some(hot::ep_recv),
    },
    close: Some(close),
    connect: Some(connect),
    accept: Some(accept),
    shutdown: Some(shutdown),
    abort: Some(abort),
    drain: Some(drain),
    addr: Some(addr),
    rma_init: Some(rma::rma_init),
    rma_fini: Some(rma::rma_fini),
    rma_op: Some(rma::rma_op),
    rma_init_pi: Some(rma::rma_init_pi),
    rma_fini_pi: Some(rma::rma_fini_pi),
    rma_pi_status: Some(rma::rma_pi_status),
});
