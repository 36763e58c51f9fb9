// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_ep` and what it is opened with.

use super::{
    domain::{
        Domain,
        Parent, //
    },
    own::Object,
    queue::Cq,
    srx::Srx, //
};
use crate::{
    bindings,
    check,
    observe::counts::Kind, //
};
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    prelude::*,
    types::Opaque, //
};

/// An endpoint.
///
/// # Invariants
///
/// `ops` and `domain` are valid as long as the endpoint, and constant. `domain` owns a reference.
#[repr(transparent)]
pub(crate) struct Ep(Opaque<bindings::kfi_ep>);

// SAFETY: What this view shows is constant; providers serialise their callbacks themselves.
unsafe impl Send for Ep {}
// SAFETY: As above.
unsafe impl Sync for Ep {}

// SAFETY: Transparent over the C structure.
unsafe impl Object for Ep {
    type C = bindings::kfi_ep;

    unsafe fn release(this: NonNull<Self>) {
        // SAFETY: The caller owns the endpoint.
        let ep = unsafe { this.as_ref() };
        // SAFETY: By the type invariant the reference is the endpoint's own.
        let domain = unsafe { Parent::from_raw((*ep.as_raw()).domain) };
        // SAFETY: The reference is still there.
        unsafe { bindings::kfi_trace_ep_closed(ep.as_raw().cast(), (*ep.as_raw()).domain) };
        if let Some(close) = ep.ops().close {
            // SAFETY: Nobody uses the endpoint after this.
            unsafe { close(ep.as_raw()) }
        }
        if let Some(domain) = domain {
            domain.closed(Kind::Ep);
        }
    }
}

impl Ep {
    /// # Safety
    ///
    /// `ep` is live for `'a`.
    pub(crate) unsafe fn from_raw<'a>(ep: NonNull<bindings::kfi_ep>) -> &'a Self {
        // SAFETY: Promised by the caller; the layouts are the same.
        unsafe { ep.cast().as_ref() }
    }

    pub(crate) fn as_raw(&self) -> *mut bindings::kfi_ep {
        self.0.get()
    }

    pub(super) fn ops(&self) -> &bindings::kfi_ep_ops {
        // SAFETY: The type invariant.
        unsafe { &*(*self.as_raw()).ops }
    }

    /// Its domain.
    pub(crate) fn domain(&self) -> &Domain {
        // SAFETY: The type invariant.
        unsafe { Domain::from_raw(NonNull::new_unchecked((*self.as_raw()).domain)) }
    }

    /// Asks the peer for the connection.
    pub(crate) fn connect(&self, param: &ConnParam<'_>) -> Result {
        let connect = self.ops().connect.ok_or(EINVAL)?;
        // SAFETY: The endpoint is live while it is borrowed; the parameters are checked.
        to_result(unsafe { connect(self.as_raw(), &param.0) })
    }

    /// Accepts the peer's request.
    pub(crate) fn accept(&self, param: &ConnParam<'_>) -> Result {
        let accept = self.ops().accept.ok_or(EINVAL)?;
        // SAFETY: As in `connect`.
        to_result(unsafe { accept(self.as_raw(), &param.0) })
    }

    /// Ends the connection in an orderly way.
    pub(crate) fn shutdown(&self) -> Result {
        let shutdown = self.ops().shutdown.ok_or(EINVAL)?;
        // SAFETY: As in `connect`.
        to_result(unsafe { shutdown(self.as_raw()) })
    }

    /// Enters the error state.
    pub(crate) fn abort(&self) -> Result {
        let abort = self.ops().abort.ok_or(EINVAL)?;
        // SAFETY: As in `connect`.
        to_result(unsafe { abort(self.as_raw()) })
    }

    /// Waits for what was posted.
    pub(crate) fn drain(&self, which: u32) {
        if let Some(drain) = self.ops().drain {
            // SAFETY: As in `connect`.
            unsafe { drain(self.as_raw(), which) }
        }
    }

    /// Address of one end.
    ///
    /// # Safety
    ///
    /// `addr` is valid for writes.
    pub(crate) unsafe fn addr(
        &self,
        peer: bool,
        addr: NonNull<bindings::__kernel_sockaddr_storage>,
    ) -> Result {
        let get = self.ops().addr.ok_or(EINVAL)?;
        // SAFETY: As in `connect`; the rest is promised by the caller.
        to_result(unsafe { get(self.as_raw(), peer, addr.as_ptr()) })
    }
}

/// `struct kfi_ep_attr`, with pointers that can be followed.
pub(crate) struct EpAttr<'a>(&'a mut bindings::kfi_ep_attr);

impl<'a> EpAttr<'a> {
    /// # Safety
    ///
    /// `attr` is valid for `'a` and nobody else uses it; each of its pointers is NULL or to a live object.
    pub(crate) unsafe fn from_raw(mut attr: NonNull<bindings::kfi_ep_attr>) -> Self {
        // SAFETY: Promised by the caller.
        Self(unsafe { attr.as_mut() })
    }

    pub(super) fn as_raw(&mut self) -> *mut bindings::kfi_ep_attr {
        self.0
    }

    /// Completion queue of operations.
    pub(crate) fn tx_cq(&self) -> Option<&Cq> {
        // SAFETY: Promised to `from_raw`.
        NonNull::new(self.0.tx_cq).map(|cq| unsafe { Cq::from_raw(cq) })
    }

    /// Completion queue of receives.
    pub(crate) fn rx_cq(&self) -> Option<&Cq> {
        // SAFETY: Promised to `from_raw`.
        NonNull::new(self.0.rx_cq).map(|cq| unsafe { Cq::from_raw(cq) })
    }

    /// Shared receive context.
    pub(crate) fn srx(&self) -> Option<&Srx> {
        // SAFETY: Promised to `from_raw`.
        NonNull::new(self.0.srx).map(|srx| unsafe { Srx::from_raw(srx) })
    }

    /// There is an event callback.
    pub(crate) fn has_event(&self) -> bool {
        self.0.event.is_some()
    }

    /// The numbers.
    pub(crate) fn numbers(&self) -> check::Endpoint {
        check::Endpoint {
            max_tx: self.0.max_tx,
            max_rx: self.0.max_rx,
            max_tx_sge: self.0.max_tx_sge,
            max_rx_sge: self.0.max_rx_sge,
            max_rma: self.0.max_rma,
            flags: self.0.flags,
            srx: !self.0.srx.is_null(),
        }
    }
}

/// `struct kfi_conn_param`, checked.
pub(crate) struct ConnParam<'a>(
    bindings::kfi_conn_param,
    core::marker::PhantomData<&'a [u8]>,
);

impl<'a> ConnParam<'a> {
    /// Copies the parameters, cut to the limits of the device.
    ///
    /// # Safety
    ///
    /// `param` is valid, and so is its private data for `'a`.
    pub(crate) unsafe fn new(
        param: NonNull<bindings::kfi_conn_param>,
        limits: &check::Limits,
    ) -> Result<Self> {
        // SAFETY: Promised by the caller.
        let param = unsafe { param.as_ref() };
        check::private_data(limits, param.private_data.is_null(), param.private_data_len)?;
        check::retries(param.retry_count, param.rnr_retry_count)?;
        Ok(Self(
            bindings::kfi_conn_param {
                ird: check::cut(param.ird, limits.max_ird),
                ord: check::cut(param.ord, limits.max_ord),
                ..*param
            },
            core::marker::PhantomData,
        ))
    }
}
