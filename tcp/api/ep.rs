// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_ep`: the table of endpoints.

use super::{
    bindings,
    hot,
    object::{
        self,
        Table, //
    },
    rma, //
};
use crate::tcp::conn::{
    control::{
        Call,
        ConnParam, //
    },
    Conn, //
};
use kernel::{
    ffi::c_int,
    prelude::*,
    sync::Arc, //
};

/// The endpoint for the time of a control call, which its close waits for.
///
/// # Safety
///
/// `ep` is of this provider.
unsafe fn enter(ep: *mut bindings::kfi_ep) -> Result<Call> {
    // SAFETY: By the function's contract.
    Conn::enter(unsafe { object::borrow::<_, Conn>(ep) }.into())
}

/// Views the C parameters.
///
/// # Safety
///
/// `param` is valid for `'a`, and its private data has the length that it says.
unsafe fn conn_param<'a>(param: *const bindings::kfi_conn_param) -> ConnParam<'a> {
    // SAFETY: By the function's contract.
    let param = unsafe { &*param };
    // SAFETY: By the function's contract.
    let private = unsafe { object::bytes(param.private_data, param.private_data_len) };
    ConnParam {
        private,
        ird: param.ird,
        ord: param.ord,
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
    object::into_ret(unsafe { enter(ep).and_then(|call| call.connect(&conn_param(param))) })
}

/// # Safety
///
/// `ep` is of this provider, and `param` is valid.
unsafe extern "C" fn accept(
    ep: *mut bindings::kfi_ep,
    param: *const bindings::kfi_conn_param,
) -> c_int {
    // SAFETY: By the function's contract.
    object::into_ret(unsafe { enter(ep).and_then(|call| call.accept(&conn_param(param))) })
}

/// # Safety
///
/// `ep` is of this provider.
unsafe extern "C" fn shutdown(ep: *mut bindings::kfi_ep) -> c_int {
    // SAFETY: By the function's contract.
    object::into_ret(unsafe { enter(ep) }.and_then(|call| call.shutdown()))
}

/// # Safety
///
/// `ep` is of this provider.
unsafe extern "C" fn abort(ep: *mut bindings::kfi_ep) -> c_int {
    // SAFETY: By the function's contract.
    object::into_ret(unsafe { enter(ep) }.and_then(|call| call.abort()))
}

/// # Safety
///
/// `ep` is of this provider.
unsafe extern "C" fn drain(ep: *mut bindings::kfi_ep, which: u32) {
    // SAFETY: By the function's contract.
    let conn: Arc<Conn> = unsafe { object::borrow::<_, Conn>(ep) }.into();
    conn.drain(which & bindings::KFI_TX != 0, which & bindings::KFI_RX != 0);
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
    let found = unsafe { enter(ep) }.and_then(|call| call.addr(peer));
    object::into_ret(found.map(|found| {
        // SAFETY: By the function's contract.
        unsafe { addr.write(found.to_storage()) };
    }))
}

object::object!(Conn, ep, bindings::kfi_ep);

/// The table of endpoints.
pub(super) static EP_OPS: Table<bindings::kfi_ep_ops> = Table(bindings::kfi_ep_ops {
    data: bindings::kfi_ep_data_ops {
        post: Some(hot::post),
        recv: Some(hot::recv),
    },
    close: Some(close),
    connect: Some(connect),
    accept: Some(accept),
    shutdown: Some(shutdown),
    abort: Some(abort),
    drain: Some(drain),
    addr: Some(addr),
    rma_init: Some(rma::init),
    rma_fini: Some(rma::fini),
    rma_op: Some(rma::op),
    rma_init_pi: None,
    rma_fini_pi: None,
    rma_pi_status: None,
});
