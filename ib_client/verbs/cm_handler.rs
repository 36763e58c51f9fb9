// SPDX-License-Identifier: GPL-2.0-only

//! How rdma_cm calls back: handlers, what an identifier's context is, and connect requests.

use super::{
    cm::CmId,
    cm_event::{
        Event,
        Granted, //
    },
    device::Device,
    errno,
    ib_id, //
};
use crate::bindings;
use core::{
    cell::Cell,
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc,
        ArcBorrow,
        UniqueArc, //
    },
    types::NotThreadSafe, //
};

/// What hears of the events of an identifier.
///
/// Calls for one identifier do not overlap, except for connect requests to one that listens on
/// every device. They run in process context and may sleep.
pub trait Handler: Send + Sync + 'static {
    /// Something happened to the identifier.
    ///
    /// A removal of the device is told as [`Event::DeviceRemoval`]; a client that has a gate for
    /// its devices has nothing to do then, since its own removal callback has come before.
    fn event(this: ArcBorrow<'_, Self>, id: Locked<'_>, event: &Event<'_>);

    /// A peer asks for a connection. A request that is dropped is refused.
    ///
    /// The identifier that listens must not be dropped here: its destruction waits for this call.
    fn connect_request(_this: ArcBorrow<'_, Self>, _request: ConnectRequest<'_>) {}
}

/// What the `context` of any identifier points to: the head of a [`Context`].
///
/// # Invariants
///
/// `release` frees the [`Context`] that this is the head of.
#[repr(C)]
pub(super) struct Head {
    pub(super) id: Atomic<*mut bindings::rdma_cm_id>,
    /// The task that runs a callback of the identifier at the moment.
    task: Atomic<*mut bindings::task_struct>,
    /// The owner has given the identifier up in its own callback; it is destroyed at the end of
    /// that.
    pub(super) doomed: Atomic<bool>,
    pub(super) release: unsafe fn(NonNull<Head>),
}

/// What the `context` of an identifier with a handler `H` points to.
#[repr(C)]
pub(super) struct Context<H> {
    head: Head,
    handler: Arc<H>,
}

fn current() -> *mut bindings::task_struct {
    // SAFETY: No requirements.
    unsafe { bindings::get_current() }
}

impl<H: Handler> Context<H> {
    /// Makes a context, to be given to [`Context::release`].
    pub(super) fn leak(handler: Arc<H>) -> Result<NonNull<Head>> {
        let context = KBox::new(
            Self {
                head: Head {
                    id: Atomic::new(core::ptr::null_mut()),
                    task: Atomic::new(core::ptr::null_mut()),
                    doomed: Atomic::new(false),
                    release: Self::release,
                },
                handler,
            },
            GFP_KERNEL,
        )?;
        // CAST: The head is the first member.
        NonNull::new(KBox::into_raw(context).cast()).ok_or(ENOMEM)
    }

    /// # Safety
    ///
    /// `head` is the head of a leaked `Context<H>` that nobody uses any more.
    pub(super) unsafe fn release(head: NonNull<Head>) {
        // CAST: The head is the first member.
        // SAFETY: As the caller promises.
        drop(unsafe { KBox::from_raw(head.as_ptr().cast::<Self>()) });
    }
}

impl Head {
    /// Whether this task runs a callback of the identifier.
    pub(super) fn in_callback(&self) -> bool {
        core::ptr::eq(self.task.load(Acquire), current())
    }

    /// Ends a callback; whether the identifier is to be destroyed by it.
    fn leave(&self) -> bool {
        self.task.store(core::ptr::null_mut(), Release);
        self.doomed.load(Relaxed)
    }
}

/// Whether this task runs a callback of an identifier.
///
/// # Safety
///
/// `id` is there, and its context is the head of a [`Context`], which is there as long.
pub(super) unsafe fn in_callback(id: *const bindings::rdma_cm_id) -> bool {
    // SAFETY: As the caller promises.
    let head = unsafe { &*(*id).context.cast::<Head>() };
    head.in_callback()
}

/// Passes an event on.
///
/// # Safety
///
/// Called by rdma_cm for identifiers whose context is a `Context<H>`, or for connect requests to
/// them, with the handler mutex of `id` held.
pub(super) unsafe extern "C" fn callback<H: Handler>(
    id: *mut bindings::rdma_cm_id,
    event: *mut bindings::rdma_cm_event,
) -> c_int {
    // SAFETY: rdma_cm passes an identifier that is there.
    let context = unsafe { (*id).context }.cast::<Context<H>>();
    // SAFETY: The context is freed after the identifier that owns it was destroyed, and destruction
    // waits for callbacks.
    let context = unsafe { &*context };
    // SAFETY: The context holds a reference, as above.
    let handler = unsafe { ArcBorrow::from_raw(Arc::as_ptr(&context.handler)) };
    // SAFETY: rdma_cm passes an event that does not change during the call.
    let event = unsafe { &*event };

    if event.event == bindings::rdma_cm_event_type_RDMA_CM_EVENT_CONNECT_REQUEST {
        let child = Cell::new(None);
        H::connect_request(
            handler,
            ConnectRequest {
                // SAFETY: rdma_cm passes an identifier that is there.
                id: unsafe { NonNull::new_unchecked(id) },
                event,
                child: &child,
            },
        );
        return match child.get() {
            // Nobody took it; rdma_cm destroys it, which refuses the connection.
            None => errno::ECONNREFUSED,
            // SAFETY: The identifier was adopted, and the handler mutex keeps its owner from
            // destroying it meanwhile.
            Some(head) => unsafe { end_callback(head) },
        };
    }

    // An identifier that listens on every device has hidden ones that report in its name.
    let own = core::ptr::eq(context.head.id.load(Relaxed), id);
    if own {
        context.head.task.store(current(), Release);
    }
    // SAFETY: The identifier is there, and its handler mutex is held during the callback.
    let locked = unsafe { Locked::from_raw(id) };
    H::event(handler, locked, &Event::new(event, id));
    if own {
        // SAFETY: The handler mutex keeps the owner from destroying the identifier meanwhile.
        unsafe { end_callback(NonNull::from(&context.head)) }
    } else {
        0
    }
}

/// Ends a callback; returns what the callback is to return.
///
/// # Safety
///
/// `head` belongs to an identifier whose callback runs in this task.
unsafe fn end_callback(head: NonNull<Head>) -> c_int {
    // SAFETY: As the caller promises: it is freed after the identifier was destroyed, which takes
    // the handler mutex.
    let (doomed, release) = unsafe { (head.as_ref().leave(), head.as_ref().release) };
    if !doomed {
        return 0;
    }
    // SAFETY: The owner has given the identifier up, and rdma_cm makes no further callback after an
    // error is returned.
    unsafe { release(head) };
    errno::ECONNABORTED
}

/// Refuses a connect request.
///
/// # Safety
///
/// `id` points to an identifier that is there.
pub(super) unsafe fn reject(id: NonNull<bindings::rdma_cm_id>, private_data: &[u8]) -> Result {
    // SAFETY: As the caller promises.
    if let Some(ib) = unsafe { ib_id::from_raw(id.as_ptr()) } {
        return ib.reject(private_data);
    }
    let len = u8::try_from(private_data.len()).map_err(|_| EINVAL)?;
    // SAFETY: As the caller promises; the data is copied.
    to_result(unsafe {
        bindings::rdma_reject(
            id.as_ptr(),
            private_data.as_ptr().cast(),
            len,
            // CAST: The reasons are small numbers.
            bindings::ib_cm_rej_reason_IB_CM_REJ_CONSUMER_DEFINED as u8,
        )
    })
}

/// An identifier whose handler mutex is held.
///
/// # Invariants
///
/// For `'a` the identifier is there and its handler mutex is held by this task.
pub struct Locked<'a> {
    raw: NonNull<bindings::rdma_cm_id>,
    _held: PhantomData<&'a ()>,
    _not_send: NotThreadSafe,
}

impl Locked<'_> {
    /// Views a C identifier.
    ///
    /// # Safety
    ///
    /// For `'a` the identifier is there and its handler mutex is held by this task.
    pub(super) unsafe fn from_raw(raw: *mut bindings::rdma_cm_id) -> Self {
        // INVARIANT: As the caller promises.
        Self {
            // SAFETY: As the caller promises.
            raw: unsafe { NonNull::new_unchecked(raw) },
            _held: PhantomData,
            _not_send: NotThreadSafe,
        }
    }

    /// The C object.
    pub fn as_raw(&self) -> *mut bindings::rdma_cm_id {
        self.raw.as_ptr()
    }

    /// The device, once the identifier was bound to one.
    pub fn device(&self) -> Option<&Device> {
        // SAFETY: By the type invariant the identifier is there, and binding it takes its mutex.
        let device = unsafe { (*self.as_raw()).device };
        // SAFETY: rdma_cm's removal of a device waits for the identifiers that are bound to it.
        (!device.is_null()).then(|| unsafe { Device::from_raw(device) })
    }

    /// See [`CmId::resolve_route`].
    pub fn resolve_route(&self, timeout_ms: u32) -> Result {
        // SAFETY: By the type invariant the identifier is there.
        if unsafe { ib_id::is_ib(self.as_raw()) } {
            return Err(EINVAL);
        }
        // SAFETY: By the type invariant the identifier is there.
        to_result(unsafe { bindings::rdma_resolve_route(self.as_raw(), timeout_ms as c_ulong) })
    }
}

/// A peer that asks for a connection.
///
/// Dropping it refuses the connection.
///
/// # Invariants
///
/// `id` is the new identifier of the request, owned by the callback that runs. It is adopted when
/// `child` is set.
pub struct ConnectRequest<'a> {
    id: NonNull<bindings::rdma_cm_id>,
    event: &'a bindings::rdma_cm_event,
    child: &'a Cell<Option<NonNull<Head>>>,
}

impl<'a> ConnectRequest<'a> {
    /// The device that the request came in on.
    pub fn device(&self) -> Option<&Device> {
        // SAFETY: By the type invariant the identifier is there; nobody changes it during the
        // callback.
        let device = unsafe { (*self.id.as_ptr()).device };
        // SAFETY: rdma_cm's removal of a device waits for the identifiers that are bound to it.
        (!device.is_null()).then(|| unsafe { Device::from_raw(device) })
    }

    /// What the peer asks for: its private data and limits.
    pub fn granted(&self) -> Granted<'a> {
        Granted::new(self.event)
    }

    /// Takes the connection; [`CmId::accept`] or [`CmId::reject`] answers the peer, now or later.
    ///
    /// Without memory the request is refused.
    pub fn adopt<H: Handler>(self, handler: Arc<H>) -> Result<Arc<CmId>> {
        let memory = UniqueArc::<CmId>::new_uninit(GFP_KERNEL)?;
        let head = Context::leak(handler)?;
        // SAFETY: `head` is the context that was made above.
        let h = unsafe { head.as_ref() };
        h.id.store(self.id.as_ptr(), Relaxed);
        h.task.store(current(), Release);
        // SAFETY: By the type invariant the identifier is there; the callback that runs keeps
        // others from using it.
        unsafe {
            (*self.id.as_ptr()).context = head.as_ptr().cast();
            (*self.id.as_ptr()).event_handler = Some(callback::<H>);
        }
        self.child.set(Some(head));
        // SAFETY: `child` being set, the callback does not destroy the identifier, so it is ours,
        // and its context is `head`.
        Ok(memory.write(unsafe { CmId::adopted(self.id, head) }).into())
    }

    /// Refuses the connection, telling the peer something. Without memory it is refused silently.
    pub fn reject(self, private_data: &[u8]) -> Result {
        // SAFETY: By the type invariant the identifier is there.
        unsafe { reject(self.id, private_data) }
    }
}
