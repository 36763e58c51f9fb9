// SPDX-License-Identifier: GPL-2.0-only

//! Connection management by rdma_cm identifiers.
//!
//! An identifier is bound to a device by [`CmId::bind`] to an address of the device, by
//! [`Event::AddrResolved`] or by a connect request, and then rdma_cm's removal of the device waits
//! until it is destroyed, whether it listens or connects. A client of devices learns of a removal
//! before rdma_cm does, so it drops its identifiers in [`super::client::Client::closed`]; others
//! do so after [`Event::DeviceRemoval`].
//!
//! C header: [`include/rdma/rdma_cm.h`](srctree/include/rdma/rdma_cm.h)

use super::{
    addr::{
        IbAddr,
        Net,
        SockAddr, //
    },
    cm_handler::{
        callback,
        reject,
        Context,
        Head, //
    },
    device::Device,
    gid::Gid,
    ib_id,
    pd::Caller, //
};
use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed,
            Release, //
        },
        Arc, //
    },
    task::might_sleep, //
};

#[allow(unused_imports, reason = "not every user of this module listens")]
pub use super::{
    cm_event::{
        ConnParam,
        Event,
        Granted, //
    },
    cm_handler::{
        ConnectRequest,
        Handler,
        Locked, //
    },
};

/// An rdma_cm identifier: one end of a connection that is being made or is there, or a listener.
///
/// Dropping it destroys it and waits for its callbacks; in its own callback it is destroyed when
/// that returns instead.
///
/// Wraps the kernel's C `struct rdma_cm_id`.
///
/// # Invariants
///
/// - `raw` is an identifier owned by this object.
/// - `head`, if there is one, is its context, and owned by this object too.
/// - `has_qp` is set while the identifier has a queue pair, or one is being made.
pub struct CmId {
    raw: NonNull<bindings::rdma_cm_id>,
    head: Option<NonNull<Head>>,
    has_qp: Atomic<bool>,
}

// SAFETY: Identifiers may be used from any thread; contexts are `Send` as their handlers are.
unsafe impl Send for CmId {}
// SAFETY: What rdma_cm does not serialise itself is done with the handler mutex held.
unsafe impl Sync for CmId {}

impl CmId {
    /// Creates an identifier for reliable connections.
    ///
    /// It holds a reference to its handler until it is destroyed, and a queue pair holds one to it;
    /// a handler that owns either keeps itself alive until it gives them up.
    /// Context: process, sleeps.
    pub fn new<H: Handler>(net: &Net, handler: Arc<H>, caller: Caller) -> Result<Arc<Self>> {
        let head = Context::leak(handler)?;
        // SAFETY: The context is what the callback expects and is freed after the identifier.
        let raw = unsafe { create(net, callback::<H>, head.as_ptr().cast(), caller) };
        Self::made::<H>(raw, head)
    }

    /// Creates an identifier for addresses of AF_IB, at the port that `gid` is of.
    ///
    /// Its path is looked for with [`CmId::resolve_ib_route`] if there is a peer; without one it may listen. The owner must
    /// not give it up in the callback that tells of the path. Otherwise as [`CmId::new`]. Context: process, sleeps.
    pub fn new_ib<H: Handler>(
        net: &Net,
        handler: Arc<H>,
        caller: Caller,
        gid: Gid,
        local: &IbAddr,
        peer: Option<&IbAddr>,
    ) -> Result<Arc<Self>> {
        let head = Context::leak(handler)?;
        let raw = ib_id::create(net, Some(callback::<H>), head.as_ptr().cast(), caller);
        if let Ok(raw) = &raw {
            // SAFETY: Made just now, and nobody else has it.
            unsafe {
                if let Some(ib) = ib_id::from_raw(raw.as_ptr()) {
                    ib.place(gid, local, peer);
                }
            }
        }
        Self::made::<H>(raw, head)
    }

    /// Makes the owner of an identifier that was made just now, or releases its context.
    fn made<H: Handler>(
        raw: Result<NonNull<bindings::rdma_cm_id>>,
        head: NonNull<Head>,
    ) -> Result<Arc<Self>> {
        let raw = raw.inspect_err(|_| {
            // SAFETY: There is no identifier that could use it.
            unsafe { Context::<H>::release(head) };
        })?;
        // SAFETY: `head` is the context that the identifier was made with.
        unsafe { head.as_ref() }.id.store(raw.as_ptr(), Relaxed);
        Self::wrap(raw, Some(head))
    }

    /// What is behind it if its addresses are of AF_IB.
    fn ib(&self) -> Option<&ib_id::IbId> {
        // SAFETY: By the type invariant the identifier is there.
        unsafe { ib_id::from_raw(self.as_raw()) }
    }

    fn wrap(raw: NonNull<bindings::rdma_cm_id>, head: Option<NonNull<Head>>) -> Result<Arc<Self>> {
        // INVARIANT: Created just now. If there is no memory, the value is dropped, which destroys
        // the identifier.
        Ok(Arc::new(
            Self {
                raw,
                head,
                has_qp: Atomic::new(false),
            },
            GFP_KERNEL,
        )?)
    }

    /// The identifier of a connect request.
    ///
    /// # Safety
    ///
    /// The caller owns `raw`, which has no queue pair and whose context is `head`, and gives it up.
    pub(super) unsafe fn adopted(raw: NonNull<bindings::rdma_cm_id>, head: NonNull<Head>) -> Self {
        // INVARIANT: As the caller promises.
        Self {
            raw,
            head: Some(head),
            has_qp: Atomic::new(false),
        }
    }

    /// The C object.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::rdma_cm_id {
        self.raw.as_ptr()
    }

    fn head(&self) -> Option<&Head> {
        // SAFETY: By the type invariant the context is owned by `self`.
        self.head.map(|h| unsafe { h.as_ref() })
    }

    /// The device, once the identifier was bound to one. It stays bound until it is destroyed, and
    /// the subsystem keeps the device as long.
    pub fn device(&self) -> Option<&Device> {
        // SAFETY: By the type invariant the identifier is there. The pointer is set once, possibly
        // at this moment, so it is read as a whole.
        let device = unsafe { (&raw const (*self.as_raw()).device).read_volatile() };
        // SAFETY: rdma_cm's removal of a device waits for the identifiers that are bound to it.
        (!device.is_null()).then(|| unsafe { Device::from_raw(device) })
    }

    /// The port of the device, from 1; 0 before the identifier was bound to one.
    pub fn port(&self) -> u32 {
        // SAFETY: By the type invariant the identifier is there.
        unsafe { (&raw const (*self.as_raw()).port_num).read_volatile() }
    }

    /// The local address.
    pub fn local_addr(&self) -> SockAddr {
        // CAST: A `SockAddr` has the layout of a socket address of any family.
        // SAFETY: By the type invariant the identifier is there; any bytes are a valid `SockAddr`.
        unsafe {
            (&raw const (*self.as_raw()).route.addr.src_addr)
                .cast::<SockAddr>()
                .read()
        }
    }

    /// The peer's address.
    pub fn peer_addr(&self) -> SockAddr {
        // CAST: As above.
        // SAFETY: As above.
        unsafe {
            (&raw const (*self.as_raw()).route.addr.dst_addr)
                .cast::<SockAddr>()
                .read()
        }
    }

    /// Calls `f` with the handler mutex held, that is while no callback of the identifier runs. In
    /// a callback of the identifier it is held already. Context: process, sleeps.
    pub fn with_lock<R>(&self, f: impl FnOnce(Locked<'_>) -> R) -> R {
        might_sleep();
        let in_callback = self.head().is_some_and(Head::in_callback);
        if let Some(ib) = self.ib() {
            let _handler = (!in_callback).then(|| ib.handler.lock());
            // SAFETY: The identifier is there, and its handler mutex is held.
            return f(unsafe { Locked::from_raw(self.as_raw()) });
        }
        if !in_callback {
            // SAFETY: By the type invariant the identifier is there; its mutex is not held by this
            // task.
            unsafe { bindings::rdma_lock_handler(self.as_raw()) };
        }
        // SAFETY: The identifier is there, and its handler mutex is held.
        let ret = f(unsafe { Locked::from_raw(self.as_raw()) });
        if !in_callback {
            // SAFETY: Locked above.
            unsafe { bindings::rdma_unlock_handler(self.as_raw()) };
        }
        ret
    }

    /// Binds the identifier to a local address, and to its device if that is not a wildcard.
    /// Context: process, sleeps.
    pub fn bind(&self, addr: &SockAddr) -> Result {
        self.need_rdma_cm()?;
        let mut addr = *addr;
        self.with_lock(|id| {
            // SAFETY: The identifier is there and locked; `addr` has room for an address of any
            // family.
            to_result(unsafe { bindings::rdma_bind_addr(id.as_raw(), addr.as_mut_ptr()) })
        })
    }

    /// Starts to find the device for an address: [`Event::AddrResolved`] or [`Event::AddrError`]
    /// follows. Context: process, sleeps.
    pub fn resolve_addr(&self, src: Option<&SockAddr>, dst: &SockAddr, timeout_ms: u32) -> Result {
        self.need_rdma_cm()?;
        let mut src = src.copied();
        let src = src
            .as_mut()
            .map_or(core::ptr::null_mut(), SockAddr::as_mut_ptr);
        self.with_lock(|id| {
            // SAFETY: The identifier is there and locked; the addresses have room for any family.
            to_result(unsafe {
                bindings::rdma_resolve_addr(id.as_raw(), src, dst.as_ptr(), timeout_ms as c_ulong)
            })
        })
    }

    /// Starts to find the path: [`Event::RouteResolved`] or [`Event::RouteError`] follows. Context:
    /// process, sleeps.
    pub fn resolve_route(&self, timeout_ms: u32) -> Result {
        self.with_lock(|id| id.resolve_route(timeout_ms))
    }

    /// The same for addresses of AF_IB, with a traffic class. Context: process, sleeps.
    pub fn resolve_ib_route(&self, tos: Option<u8>, timeout_ms: u32) -> Result {
        let ib = self.ib().ok_or(EINVAL)?;
        self.with_lock(|_| ib.resolve_route(tos, timeout_ms))
    }

    /// Listens for connect requests. Context: process, sleeps.
    pub fn listen(&self, backlog: u32) -> Result {
        let backlog = c_int::try_from(backlog).map_err(|_| EINVAL)?;
        self.with_lock(|id| {
            if let Some(ib) = self.ib() {
                return ib.listen();
            }
            // SAFETY: The identifier is there and locked.
            to_result(unsafe { bindings::rdma_listen(id.as_raw(), backlog) })
        })
    }

    /// `EINVAL` where it is not rdma_cm's.
    fn need_rdma_cm(&self) -> Result {
        match self.ib() {
            Some(_) => Err(EINVAL),
            None => Ok(()),
        }
    }

    fn need_qp(&self) -> Result {
        if self.has_qp.load(Acquire) {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }

    /// Connects: [`Event::Established`] or a failure follows.
    ///
    /// Fails with `EINVAL` without a queue pair or a resolved path, or if the private data is too
    /// long. Context: process, sleeps.
    pub fn connect(&self, param: &ConnParam<'_>) -> Result {
        self.need_qp()?;
        let mut raw = param.to_raw()?;
        self.with_lock(|id| {
            if let Some(ib) = self.ib() {
                return ib.connect(&raw);
            }
            // SAFETY: The identifier is there and locked, and `raw` borrows from `param`.
            to_result(unsafe { bindings::rdma_connect_locked(id.as_raw(), &mut raw) })
        })
    }

    /// Accepts a connect request: [`Event::Established`] follows.
    ///
    /// Fails with `EINVAL` without a queue pair or a request, or if the private data is too long;
    /// the request is refused then. Context: process, sleeps.
    pub fn accept(&self, param: &ConnParam<'_>) -> Result {
        self.need_qp()?;
        let mut raw = param.to_raw()?;
        self.with_lock(|id| {
            if let Some(ib) = self.ib() {
                return ib.accept(&raw);
            }
            // SAFETY: The identifier is there and locked, and `raw` borrows from `param`.
            to_result(unsafe { bindings::rdma_accept(id.as_raw(), &mut raw) })
        })
    }

    /// Refuses a connect request. Context: process, sleeps.
    pub fn reject(&self, private_data: &[u8]) -> Result {
        // SAFETY: By the type invariant the identifier is there.
        unsafe { reject(self.raw, private_data) }
    }

    /// Ends a connection: the queue pair enters the error state, the peer is told. Context:
    /// process, sleeps.
    pub fn disconnect(&self) -> Result {
        if let Some(ib) = self.ib() {
            return ib.disconnect();
        }
        // SAFETY: By the type invariant the identifier is there.
        to_result(unsafe { bindings::rdma_disconnect(self.as_raw()) })
    }

    /// Sets the IP type of service, before the path is resolved; not for addresses of AF_IB. Context: any.
    pub fn set_service_type(&self, tos: u8) {
        if self.need_rdma_cm().is_ok() {
            // SAFETY: By the type invariant the identifier is there; it is rdma_cm's.
            unsafe { bindings::rdma_set_service_type(self.as_raw(), c_int::from(tos)) };
        }
    }

    /// Restricts an IPv6 wildcard address to IPv6, before it listens. Context: process.
    pub fn set_afonly(&self, afonly: bool) -> Result {
        self.need_rdma_cm()?;
        // SAFETY: By the type invariant the identifier is there.
        to_result(unsafe { bindings::rdma_set_afonly(self.as_raw(), c_int::from(afonly)) })
    }

    /// Tells that a message came in before the connection was reported. Context: any.
    ///
    /// # Safety
    ///
    /// `id` is an identifier that is there.
    pub unsafe fn notify_established(id: *mut bindings::rdma_cm_id) {
        // Failure means that it is known already.
        // SAFETY: As the caller promises.
        unsafe {
            match ib_id::from_raw(id) {
                Some(ib) => ib.established_by_message(),
                None => {
                    bindings::rdma_notify(id, bindings::ib_event_type_IB_EVENT_COMM_EST);
                }
            }
        }
    }

    /// Creates its queue pair, see `rdma_create_qp()`.
    ///
    /// # Safety
    ///
    /// What `attr` and `pd` name stays as long as the queue pair, and is of the identifier's device.
    pub(super) unsafe fn create_qp(
        &self,
        pd: *mut bindings::ib_pd,
        attr: &mut bindings::ib_qp_init_attr,
    ) -> Result {
        // SAFETY: By the type invariant the identifier is there; the rest as the caller promises.
        unsafe {
            match self.ib() {
                Some(ib) => ib.create_qp(pd, attr),
                None => to_result(bindings::rdma_create_qp(self.as_raw(), pd, attr)),
            }
        }
    }

    /// Destroys its queue pair.
    ///
    /// # Safety
    ///
    /// There is one, and it is not used any more.
    pub(super) unsafe fn destroy_qp(&self) {
        // SAFETY: By the type invariant the identifier is there; the rest as the caller promises.
        unsafe {
            match self.ib() {
                Some(ib) => ib.destroy_qp(),
                None => bindings::rdma_destroy_qp(self.as_raw()),
            }
        }
    }

    /// Claims the one queue pair that an identifier can have.
    pub(super) fn claim_qp(&self) -> Result<QpClaim<'_>> {
        // INVARIANT: One is being made.
        self.has_qp.cmpxchg(false, true, Full).map_err(|_| EBUSY)?;
        Ok(QpClaim(Some(self)))
    }

    /// The queue pair was destroyed.
    pub(super) fn release_qp(&self) {
        self.has_qp.store(false, Release);
    }
}

impl Drop for CmId {
    fn drop(&mut self) {
        might_sleep();
        if let Some(head) = self.head().filter(|h| h.in_callback()) {
            // Destruction would wait for the callback that this runs in; it is left to the end of
            // that.
            head.doomed.store(true, Relaxed);
            return;
        }
        // Drop order: a queue pair holds a reference to its identifier, so there is none any more.
        // SAFETY: By the type invariant the identifier is ours, and it is not used after this. This
        // is no callback of it.
        unsafe {
            if ib_id::is_ib(self.as_raw()) {
                ib_id::destroy(self.as_raw());
            } else {
                bindings::rdma_destroy_id(self.as_raw());
            }
        }
        if let Some(head) = self.head {
            // SAFETY: By the type invariant the context is ours, and no callback can come any more.
            unsafe { (head.as_ref().release)(head) };
        }
    }
}

/// An identifier that is about to get its queue pair.
pub(super) struct QpClaim<'a>(Option<&'a CmId>);

impl QpClaim<'_> {
    /// It has got it.
    pub(super) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for QpClaim<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            id.release_qp();
        }
    }
}

/// Creates an identifier.
///
/// # Safety
///
/// `handler` may be called with an identifier whose context is `context` until it is destroyed.
unsafe fn create(
    net: &Net,
    handler: unsafe extern "C" fn(*mut bindings::rdma_cm_id, *mut bindings::rdma_cm_event) -> c_int,
    context: *mut c_void,
    caller: Caller,
) -> Result<NonNull<bindings::rdma_cm_id>> {
    // SAFETY: The name space is there, handler and context are as the caller promises, and the name
    // lives long enough by the invariant of `Caller`.
    let raw = unsafe {
        bindings::__rdma_create_kernel_id(
            net.as_raw(),
            Some(handler),
            context,
            bindings::rdma_ucm_port_space_RDMA_PS_TCP,
            bindings::ib_qp_type_IB_QPT_RC,
            caller.as_ptr(),
        )
    };
    NonNull::new(from_err_ptr(raw)?).ok_or(ENOMEM)
}
