// SPDX-License-Identifier: GPL-2.0-only

//! Endpoints: from the opening to the close.

use super::{
    consumer::Later,
    cq::Cq,
    device::Domain,
    info::Info,
    mr::Orphans,
    post::Ep,
    srx::Srx, //
};
use crate::bindings;
use core::{
    net::SocketAddr,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    },
};

/// What happened to an endpoint.
pub enum Event<'a> {
    /// Connected.
    Established {
        /// What the peer sent with its accept; on the active side.
        private_data: &'a [u8],
        /// Reads that the peer may have outstanding at us.
        ird: u8,
        /// Reads that we may have outstanding at the peer.
        ord: u8,
    },
    /// The peer refused, and sent this.
    Rejected(&'a [u8]),
    /// Connecting failed for another reason.
    Error(Error),
    /// The connection ended: orderly, or with an error; [`ENODEV`] when the device goes away.
    Disconnected(Result),
    /// The address moved to another device.
    AddrChange,
}

/// What a consumer does when something happens to one of its endpoints.
pub trait Handler: Send + Sync + 'static {
    /// Process context, may sleep; never twice at once for one endpoint.
    fn event(&self, ep: &Ep, event: Event<'_>);
}

/// What outlives an endpoint in the regions that it has exposed.
pub(super) struct Core {
    pub(super) orphans: Orphans,
}

/// What `kfi_ep.priv` points to. Starts with the core, which [`Ep`] reads without knowing `H`.
#[repr(C)]
#[pin_data]
struct Shared<H: Handler> {
    core: Arc<Core>,
    /// The task that runs the event callback, or null.
    task: Atomic<*mut bindings::task_struct>,
    #[pin]
    serial: Mutex<()>,
    handler: H,
}

/// An endpoint on its way to be closed.
struct Open<H: Handler> {
    ep: NonNull<bindings::kfi_ep>,
    shared: Pin<KBox<Shared<H>>>,
    tx_cq: Arc<Cq>,
    rx_cq: Arc<Cq>,
    _srx: Option<Arc<Srx>>,
    domain: Domain,
}

// SAFETY: An endpoint may be used from any thread, and `H` is `Send` and `Sync`.
unsafe impl<H: Handler> Send for Open<H> {}
// SAFETY: As for `Send`.
unsafe impl<H: Handler> Sync for Open<H> {}

impl<H: Handler> Drop for Open<H> {
    fn drop(&mut self) {
        let ep = self.ep.as_ptr();
        let close = || {
            // SAFETY: The endpoint is ours, and this is the only close. It is not called from the endpoint's own event
            // callback, see `Endpoint::close()`, so no callback is running or coming when it returns.
            unsafe { bindings::kfi_ep_close(ep) }
        };
        if Arc::ptr_eq(&self.tx_cq, &self.rx_cq) {
            self.tx_cq.exclusive(close);
        } else {
            self.tx_cq.exclusive(|| self.rx_cq.exclusive(close));
        }
        self.shared.core.orphans.close();
    }
}

/// What [`Endpoint::open`] is asked for.
pub struct EndpointAttr<'a> {
    /// Completion queue of operations.
    pub tx_cq: &'a Arc<Cq>,
    /// Completion queue of receives.
    pub rx_cq: &'a Arc<Cq>,
    /// Shared receive context; with one, both queues are the same.
    pub srx: Option<&'a Arc<Srx>>,
    /// Operations outstanding.
    pub max_tx: u32,
    /// Receives outstanding; ignored with `srx`.
    pub max_rx: u32,
    /// Elements in an operation.
    pub max_tx_sge: u32,
    /// Elements in a receive.
    pub max_rx_sge: u32,
    /// Bulk transfers outstanding, see [`Rma`](super::Rma).
    pub max_rma: u32,
    /// Pages in the largest of them; 0 for no more than one region takes.
    pub max_rma_pages: u32,
}

impl<'a> EndpointAttr<'a> {
    /// One queue for everything, one element each, no bulk transfers.
    pub fn new(cq: &'a Arc<Cq>, max_tx: u32, max_rx: u32) -> Self {
        Self {
            tx_cq: cq,
            rx_cq: cq,
            srx: None,
            max_tx,
            max_rx,
            max_tx_sge: 1,
            max_rx_sge: 1,
            max_rma: 0,
            max_rma_pages: 0,
        }
    }
}

/// What a connect request or an accept carries.
#[derive(Clone, Copy)]
pub struct ConnParam<'a> {
    /// For the peer.
    pub private_data: &'a [u8],
    /// Reads that the peer may have outstanding at us.
    pub ird: u8,
    /// Reads that we want to have outstanding.
    pub ord: u8,
    /// Transport retries, 0 to 7.
    pub retry_count: u8,
    /// Retries while the peer has no receive posted; 7 is without end.
    pub rnr_retry_count: u8,
}

impl Default for ConnParam<'_> {
    fn default() -> Self {
        Self {
            private_data: &[],
            ird: 16,
            ord: 16,
            retry_count: 7,
            rnr_retry_count: 7,
        }
    }
}

impl ConnParam<'_> {
    fn with_raw(&self, f: impl FnOnce(&bindings::kfi_conn_param) -> c_int) -> Result {
        to_result(f(&bindings::kfi_conn_param {
            private_data: self.private_data.as_ptr().cast(),
            private_data_len: u32::try_from(self.private_data.len())?,
            ird: self.ird,
            ord: self.ord,
            retry_count: self.retry_count,
            rnr_retry_count: self.rnr_retry_count,
        }))
    }
}

/// [`Endpoint::open`] failed: the reason, and the info back, to be refused or tried again.
pub struct OpenError {
    /// Why.
    pub error: Error,
    /// What was to be opened.
    pub info: Info,
}

impl From<OpenError> for Error {
    fn from(e: OpenError) -> Self {
        e.error
    }
}

/// Evidence that an endpoint has ended and that everything posted to it has completed.
pub struct Drained(pub(super) Arc<Core>);

/// A connection, owned. Its drop closes it, in a work item.
pub struct Endpoint<H: Handler> {
    open: Later<Open<H>>,
    max_tx: u32,
    max_rx: u32,
}

impl<H: Handler> Endpoint<H> {
    /// Turns an info into an endpoint, whose events go to `handler`. Sleeps.
    pub fn open(
        info: Info,
        domain: &Domain,
        attr: &EndpointAttr<'_>,
        handler: H,
    ) -> Result<Self, OpenError> {
        let mut raw_attr = bindings::kfi_ep_attr {
            tx_cq: attr.tx_cq.as_ptr(),
            rx_cq: attr.rx_cq.as_ptr(),
            srx: attr.srx.map_or(core::ptr::null_mut(), |srx| srx.as_ptr()),
            max_tx: attr.max_tx,
            max_rx: attr.max_rx,
            max_tx_sge: attr.max_tx_sge,
            max_rx_sge: attr.max_rx_sge,
            max_rma: attr.max_rma,
            max_rma_pages: attr.max_rma_pages,
            flags: 0,
            event: Some(event::<H>),
            priv_: core::ptr::null_mut(),
        };
        let open = Later::new(domain.handle(), || {
            let core = Arc::new(
                Core {
                    orphans: Orphans::new(),
                },
                GFP_KERNEL,
            )?;
            let shared = KBox::pin_init(
                pin_init!(Shared {
                    core,
                    task: Atomic::new(core::ptr::null_mut()),
                    serial <- new_mutex!((), "kfi::Endpoint"),
                    handler,
                }),
                GFP_KERNEL,
            )?;
            raw_attr.priv_ = core::ptr::from_ref(&*shared).cast_mut().cast();
            // SAFETY: All arguments are valid. `shared` and the queues live until the endpoint is closed: `Open` drops
            // them afterwards. On success the info is consumed, which `Info::opened()` below sees to.
            let ep = from_err_ptr(unsafe {
                bindings::kfi_ep_open(info.as_ptr(), domain.as_ptr(), &mut raw_attr)
            })?;
            Ok(Open {
                ep: NonNull::new(ep).ok_or(ENOMEM)?,
                shared,
                tx_cq: attr.tx_cq.clone(),
                rx_cq: attr.rx_cq.clone(),
                _srx: attr.srx.cloned(),
                domain: domain.clone(),
            })
        });
        match open {
            Ok(open) => {
                info.opened();
                Ok(Self {
                    open,
                    max_tx: raw_attr.max_tx,
                    max_rx: raw_attr.max_rx,
                })
            }
            Err(error) => Err(OpenError { error, info }),
        }
    }

    /// Operations that it can have outstanding.
    pub fn max_tx(&self) -> u32 {
        self.max_tx
    }

    /// Receives that it can have outstanding.
    pub fn max_rx(&self) -> u32 {
        self.max_rx
    }

    /// Its domain.
    pub fn domain(&self) -> &Domain {
        &self.open.domain
    }

    /// What was given to [`Endpoint::open`].
    pub fn handler(&self) -> &H {
        &self.open.shared.handler
    }

    /// Closes it; everything posted has completed at return. Sleeps. Not for completion callbacks.
    ///
    /// From its own event callback this is no more than a drop: the rest happens after the callback.
    pub fn close(self) {
        self.end();
    }

    /// Closes it, and returns the evidence for the memory of regions that it has exposed. Sleeps. Not for callbacks.
    pub fn drain(self) -> Result<Drained> {
        let core = self.open.shared.core.clone();
        if self.end() {
            Ok(Drained(core))
        } else {
            Err(EBUSY)
        }
    }

    fn end(self) -> bool {
        let me = kernel::task::Task::current_raw();
        if self.open.shared.task.load(Relaxed) == me {
            // The callback that is running would wait for itself. The drop leaves that to a work item.
            return false;
        }
        self.open.now();
        true
    }
}

impl<H: Handler> Deref for Endpoint<H> {
    type Target = Ep;

    #[inline]
    fn deref(&self) -> &Ep {
        // SAFETY: Closed not before this is dropped.
        unsafe { Ep::from_raw(self.open.ep.as_ptr()) }
    }
}

impl Ep {
    /// Asks the peer to connect. The outcome arrives as an event.
    pub fn connect(&self, param: &ConnParam<'_>) -> Result {
        // SAFETY: A valid endpoint.
        param.with_raw(|param| unsafe { bindings::kfi_ep_connect(self.as_ptr(), param) })
    }

    /// Accepts the request that it was opened for. Operations may be posted from here on.
    pub fn accept(&self, param: &ConnParam<'_>) -> Result {
        // SAFETY: A valid endpoint.
        param.with_raw(|param| unsafe { bindings::kfi_ep_accept(self.as_ptr(), param) })
    }

    /// Ends the connection in an orderly way, without waiting for the peer.
    pub fn shutdown(&self) -> Result {
        // SAFETY: A valid endpoint.
        to_result(unsafe { bindings::kfi_ep_shutdown(self.as_ptr()) })
    }

    /// Ends it without telling the peer. What is outstanding, and all later posts, are flushed.
    pub fn abort(&self) -> Result {
        // SAFETY: A valid endpoint.
        to_result(unsafe { bindings::kfi_ep_abort(self.as_ptr()) })
    }

    /// Our address or the peer's.
    pub fn addr(&self, peer: bool) -> Result<SocketAddr> {
        let mut storage = super::addr::Storage::default();
        // SAFETY: A valid endpoint, and `storage` is writable.
        to_result(unsafe { bindings::kfi_ep_addr(self.as_ptr(), peer, &mut storage) })?;
        super::addr::from_storage(&storage)
    }
}

impl<H: Handler> Endpoint<H> {
    /// Ends the connection and waits until everything posted in these directions has completed. Sleeps. Not for completion
    /// callbacks.
    pub fn flush(&self, tx: bool, rx: bool) {
        let which = if tx { bindings::KFI_TX } else { 0 } | if rx { bindings::KFI_RX } else { 0 };
        let Open {
            tx_cq, rx_cq, ep, ..
        } = &*self.open;
        // SAFETY: A valid endpoint; nobody else polls its queues.
        let drain = || unsafe { bindings::kfi_ep_drain(ep.as_ptr(), which) };
        if Arc::ptr_eq(tx_cq, rx_cq) {
            tx_cq.exclusive(drain);
        } else {
            tx_cq.exclusive(|| rx_cq.exclusive(drain));
        }
    }
}

/// The bytes of an event's private data.
///
/// # Safety
///
/// `data` is null or valid for `len` bytes for the lifetime `'a`.
pub(super) unsafe fn private_data<'a>(data: *const c_void, len: u32) -> &'a [u8] {
    if data.is_null() {
        return &[];
    }
    // SAFETY: As the caller promises.
    unsafe { core::slice::from_raw_parts(data.cast(), len as usize) }
}

/// The event callback of every endpoint with a handler of type `H`.
///
/// # Safety
///
/// Called by a provider, with an endpoint of [`Endpoint::open`] that is not closed yet.
unsafe extern "C" fn event<H: Handler>(
    ep: *mut bindings::kfi_ep,
    event: *const bindings::kfi_event,
) {
    // SAFETY: `priv` is set by `Endpoint::open()` to a `Shared<H>` that lives until no callback runs any more.
    let shared = unsafe { &*(*ep).priv_.cast::<Shared<H>>() };
    // SAFETY: Valid during the call.
    let event = unsafe { &*event };
    // SAFETY: The provider's, valid during the call.
    let private_data = unsafe { private_data(event.private_data, event.private_data_len) };
    let status = to_result(event.status);
    let what = match event.type_ {
        bindings::kfi_event_type_KFI_EVENT_ESTABLISHED => Event::Established {
            private_data,
            ird: event.ird,
            ord: event.ord,
        },
        bindings::kfi_event_type_KFI_EVENT_REJECTED => Event::Rejected(private_data),
        bindings::kfi_event_type_KFI_EVENT_ERROR => Event::Error(status.err().unwrap_or(EIO)),
        bindings::kfi_event_type_KFI_EVENT_DISCONNECTED => Event::Disconnected(status),
        bindings::kfi_event_type_KFI_EVENT_ADDR_CHANGE => Event::AddrChange,
        _ => return,
    };
    let guard = shared.serial.lock();
    shared
        .task
        .store(kernel::task::Task::current_raw(), Relaxed);
    // SAFETY: The endpoint is not closed before this callback has returned.
    shared.handler.event(unsafe { Ep::from_raw(ep) }, what);
    shared.task.store(core::ptr::null_mut(), Relaxed);
    drop(guard);
}
