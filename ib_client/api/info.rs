// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_info`: connections without endpoint.

use super::{
    bindings,
    conn::copy_addr,
    cq::CQ_OPS,
    device::DeviceHead,
    domain::DOMAIN_OPS,
    ep::EP_OPS,
    event::{
        EventFn,
        ResolveFn, //
    },
    object::{
        self,
        Table, //
    },
    srx::SRX_OPS, //
};
use crate::{
    conn::{
        connect::EpAttr,
        Addrs,
        Conn, //
    },
    cq::Queue,
    domain::Domain,
    srx::Srx,
    verbs::addr::Net, //
};
use core::mem::offset_of;
use kernel::{
    error::to_result,
    prelude::*,
    types::Opaque, //
};

/// The public info, and the private data that it points to.
///
/// # Invariants
///
/// Written only before the consumer may read it: fields of the device and the addresses before the callback, the rest at
/// construction. `request` is what `public.private_data` points to.
#[repr(C)]
pub(crate) struct InfoHead {
    public: Opaque<bindings::kfi_info>,
    request: KVec<u8>,
}

const _: () = assert!(offset_of!(InfoHead, public) == 0);

// SAFETY: The public part is the consumer's and kfi.ko's; the rest follows the type invariants.
unsafe impl Send for InfoHead {}
// SAFETY: As above.
unsafe impl Sync for InfoHead {}

impl InfoHead {
    /// An info without device and addresses.
    pub(crate) fn new(net: &Net) -> Self {
        Self {
            public: Opaque::new(bindings::kfi_info {
                net: net.as_raw(),
                ops: INFO_OPS.as_ptr(),
                ..Default::default()
            }),
            request: KVec::new(),
        }
    }

    /// What a peer asks for. Called once, at construction.
    pub(crate) fn set_request(&mut self, private_data: &[u8], ird: u8, ord: u8) -> Result {
        let request = &mut self.request;
        request.extend_from_slice(private_data, GFP_KERNEL)?;
        // SAFETY: Nobody else has the address yet.
        let public = unsafe { &mut *self.public.get() };
        if !request.is_empty() {
            public.private_data = request.as_ptr().cast();
            // Private data of rdma_cm has a length of 8 bits.
            public.private_data_len = request.len() as u32;
        }
        public.ird = ird;
        public.ord = ord;
        Ok(())
    }

    /// The public info.
    pub(super) fn as_ptr(&self) -> *mut bindings::kfi_info {
        self.public.get()
    }

    /// The device. Called once, in the handler that comes before the consumer's callback.
    pub(crate) fn set_device(&self, device: &DeviceHead) {
        // SAFETY: The consumer does not read the info before its callback.
        unsafe { (*self.public.get()).device = device.as_ptr() };
    }

    /// The port of the device. Called once, in the handler that comes before the consumer's callback.
    pub(crate) fn set_port(&self, port: u32) {
        // SAFETY: The consumer does not read the info before its callback.
        unsafe { (*self.public.get()).port = port };
    }

    /// Both addresses. Called once, in the handler that comes before the consumer's callback.
    pub(crate) fn set_addrs(&self, addrs: &Addrs) {
        // SAFETY: The consumer does not read the info before its callback.
        unsafe {
            copy_addr(&addrs.local, &raw mut (*self.public.get()).src);
            copy_addr(&addrs.peer, &raw mut (*self.public.get()).dst);
        }
    }

    /// Calls the consumer back: it is resolved, or will not be.
    pub(crate) fn resolved(&self, done: ResolveFn, status: c_int) {
        // SAFETY: The callback is of this resolution, and called once, in process context.
        unsafe { done.call(self.as_ptr(), status) };
    }

    /// Registers a connect request with kfi.ko, before the consumer hears of it.
    pub(crate) fn announce(&self) -> Result {
        // SAFETY: The info is filled in, and part of a connection that the caller holds.
        to_result(unsafe { bindings::kfi_info_adopt(self.as_ptr()) })
    }
}

/// Views what the C attributes name as objects of this provider; `EINVAL` when they belong to another one.
///
/// # Safety
///
/// `domain` and the objects that `attr` names are held by the caller for `'a`.
unsafe fn ep_attr<'a>(
    domain: *mut bindings::kfi_domain,
    attr: &bindings::kfi_ep_attr,
) -> Result<EpAttr<'a>> {
    if attr.tx_cq.is_null() || attr.rx_cq.is_null() || domain.is_null() {
        return Err(EINVAL);
    }
    // SAFETY: By the function's contract; only objects of this provider have these tables.
    unsafe {
        if (*domain).ops != DOMAIN_OPS.as_ptr()
            || (*attr.tx_cq).ops != CQ_OPS.as_ptr()
            || (*attr.rx_cq).ops != CQ_OPS.as_ptr()
            || (!attr.srx.is_null() && (*attr.srx).ops != SRX_OPS.as_ptr())
        {
            return Err(EINVAL);
        }
        Ok(EpAttr {
            domain: object::borrow::<_, Domain>(domain),
            tx_cq: object::borrow::<_, Queue>(attr.tx_cq),
            rx_cq: object::borrow::<_, Queue>(attr.rx_cq),
            srx: (!attr.srx.is_null()).then(|| object::borrow::<_, Srx>(attr.srx)),
            max_tx: attr.max_tx,
            max_rx: attr.max_rx,
            max_tx_sge: attr.max_tx_sge,
            max_rx_sge: attr.max_rx_sge,
            max_rma: attr.max_rma,
            max_rma_pages: attr.max_rma_pages,
            integrity: attr.flags & bindings::KFI_EP_PI != 0,
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
        let (conn, attr) = unsafe { (object::borrow::<_, Conn>(info), &mut *attr) };
        // SAFETY: By the function's contract.
        let asked = unsafe { ep_attr(domain, attr) }?;
        let public = conn.hot.public();
        let private = attr.priv_;
        let granted = conn.open(&asked, || {
            // SAFETY: Nobody has the address of the endpoint yet.
            unsafe {
                (*public).ops = EP_OPS.as_ptr();
                (*public).domain = domain;
                (*public).priv_ = private;
            }
        })?;
        attr.max_tx = granted.max_tx;
        attr.max_rx = granted.max_rx;
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
static INFO_OPS: Table<bindings::kfi_info_ops> = Table(bindings::kfi_info_ops {
    ep_open: Some(ep_open),
    reject: Some(reject),
    put: Some(put),
});
