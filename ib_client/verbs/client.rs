// SPDX-License-Identifier: GPL-2.0-only

//! Clients: code that is told of each RDMA device.
//!
//! C header: [`include/rdma/ib_verbs.h`](srctree/include/rdma/ib_verbs.h)

use super::device::{
    Device,
    DeviceGate,
    DeviceGuard, //
};
use crate::bindings;
use core::marker::PhantomData;
use kernel::{
    error::to_result,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed,
            Release, //
        },
        rcu,
        Arc,
        ArcBorrow, //
    },
    task::might_sleep,
    types::Opaque, //
};

/// A client of the RDMA subsystem.
///
/// For each device the calls come in the order [`add`](Client::add), [`added`](Client::added),
/// [`remove`](Client::remove), [`closed`](Client::closed). All run in process context and may
/// sleep. Calls for one device do not overlap; calls for different devices may.
pub trait Client: HasSlot + Send + Sync {
    /// What the client keeps for each device.
    type Data: Send + Sync + 'static;

    /// A device is there: make the data for it. An error keeps the client away from this device.
    fn add(device: &Device) -> Result<impl PinInit<Self::Data, Error>>;

    /// The data is in place and [`find`] sees it. An error undoes the addition; then only
    /// [`Client::closed`] follows.
    fn added(_attachment: &Arc<Attachment<Self::Data>>) -> Result {
        Ok(())
    }

    /// The device goes away. New objects can still be made during this call.
    fn remove(attachment: &Arc<Attachment<Self::Data>>);

    /// No new object can be made any more: end what is still there, or start to. The removal waits
    /// afterwards until the last [`DeviceGuard`] is gone.
    fn closed(_attachment: &Arc<Attachment<Self::Data>>) {}
}

/// Has a static that stands for it; made by [`impl_has_slot!`].
///
/// # Safety
///
/// `slot()` always returns the same static.
pub unsafe trait HasSlot: Sized + 'static {
    /// The static that stands for this client.
    fn slot() -> &'static Slot<Self>
    where
        Self: Client;
}

/// Makes the static that stands for a client; `$name` appears in messages of the subsystem.
macro_rules! impl_has_slot {
    (impl HasSlot for $client:ty { $name:expr }) => {
        #[allow(unsafe_code)]
        // SAFETY: There is one static in this function.
        unsafe impl $crate::verbs::client::HasSlot for $client {
            fn slot() -> &'static $crate::verbs::client::Slot<Self> {
                static SLOT: $crate::verbs::client::Slot<$client> =
                    $crate::verbs::client::Slot::new($name);
                &SLOT
            }
        }
    };
}
#[allow(unused_imports, reason = "not every user of this module is a client")]
pub(crate) use impl_has_slot;

/// A client's hold of one device: the device, its gate and the client's data.
#[pin_data]
pub struct Attachment<T> {
    gate: Arc<DeviceGate>,
    /// The next one in the list of the client.
    next: Atomic<*const Attachment<T>>,
    #[pin]
    data: T,
}

// SAFETY: The list is changed under a lock and read under RCU; the rest is `Send` if `T` is, and
// shared too, as the list hands references out.
unsafe impl<T: Send + Sync> Send for Attachment<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync> Sync for Attachment<T> {}

impl<T> Attachment<T> {
    /// The device.
    pub fn device(&self) -> &Device {
        self.gate.device()
    }

    /// The gate that the removal closes.
    pub fn gate(&self) -> &Arc<DeviceGate> {
        &self.gate
    }

    /// Keeps the device usable; fails with `ENODEV` when it is being removed. Context: any.
    pub fn enter(&self) -> Result<DeviceGuard> {
        DeviceGate::enter(&self.gate)
    }

    /// The client's data.
    pub fn data(&self) -> &T {
        &self.data
    }
}

/// The static that stands for a client.
///
/// The subsystem calls a client back without any context but the device, so there is exactly one of
/// these for each client type.
///
/// # Invariants
///
/// `first` and the `next` of each attachment form a list of leaked references; it is changed with
/// the lock of [`ListLock`] held, and what is taken out stays valid for an RCU grace period.
pub struct Slot<T: Client> {
    raw: Opaque<bindings::ib_client>,
    /// Whether a [`Registration`] exists, or is being made or dropped.
    claimed: Atomic<bool>,
    first: Atomic<*const Attachment<T::Data>>,
    _client: PhantomData<fn() -> T>,
}

// SAFETY: The C client is only handed to functions of the subsystem, which do their own locking;
// the list hands out shared references to attachments, which are `Sync`.
unsafe impl<T: Client> Sync for Slot<T> {}

/// The lock of all clients' lists.
struct ListLock;

impl ListLock {
    /// Context: process, sleeps.
    fn lock() -> Self {
        // SAFETY: No requirements but the context, which is that of the callers.
        unsafe { bindings::rdma_clients_lock() };
        Self
    }
}

impl Drop for ListLock {
    fn drop(&mut self) {
        // SAFETY: `self` exists while the lock is held.
        unsafe { bindings::rdma_clients_unlock() };
    }
}

impl<T: Client> Slot<T> {
    /// A slot for the client `T`, whose name appears in messages of the subsystem.
    pub const fn new(name: &'static CStr) -> Self {
        // SAFETY: All-zeroes is a valid `struct ib_client`: null pointers, absent callbacks, and
        // counters and a completion that registration initialises.
        let mut raw: bindings::ib_client = unsafe { core::mem::zeroed() };
        // CAST: `c_char` is an unsigned byte in the kernel.
        raw.name = name.to_bytes_with_nul().as_ptr().cast();
        raw.add = Some(Self::add_callback);
        raw.remove = Some(Self::remove_callback);
        // INVARIANT: The list is empty.
        Self {
            raw: Opaque::new(raw),
            claimed: Atomic::new(false),
            first: Atomic::new(core::ptr::null()),
            _client: PhantomData,
        }
    }

    /// # Safety
    ///
    /// Called by the subsystem with a device that is there until the `remove` callback for it has
    /// returned.
    unsafe extern "C" fn add_callback(device: *mut bindings::ib_device) -> c_int {
        // SAFETY: The subsystem passes a registered device.
        let device = unsafe { Device::from_raw(device) };
        match T::slot().attach(device) {
            Ok(()) => 0,
            Err(e) => {
                if e != ENODEV {
                    let mut name = [0; Device::NAME_MAX];
                    pr_warn!(
                        "{}: client refuses the device: {:?}\n",
                        device.name(&mut name),
                        e
                    );
                }
                e.to_errno()
            }
        }
    }

    fn attach(&self, device: &Device) -> Result {
        let data = T::add(device)?;
        // SAFETY: The device is usable until `remove_callback` returns, which waits for the gate;
        // on the error path below the gate is waited for as well.
        let gate = unsafe { DeviceGate::new(device) }?;
        let attachment = Arc::pin_init(
            try_pin_init!(Attachment {
                gate: gate,
                next: Atomic::new(core::ptr::null()),
                data <- data,
            }? Error),
            GFP_KERNEL,
        )?;
        self.link(attachment.clone());
        T::added(&attachment).inspect_err(|_| self.detach(&attachment))
    }

    /// Puts an attachment into the list; from here on [`find`] finds it.
    fn link(&self, attachment: Arc<Attachment<T::Data>>) {
        let _lock = ListLock::lock();
        attachment.next.store(self.first.load(Relaxed), Relaxed);
        // INVARIANT: The reference is leaked; `unlink()` gives it up.
        self.first.store(Arc::into_raw(attachment), Release);
    }

    /// Takes an attachment out of the list. Context: process, sleeps.
    fn unlink(&self, attachment: &Attachment<T::Data>) {
        let this: *const Attachment<T::Data> = attachment;
        {
            let _lock = ListLock::lock();
            let mut link = &self.first;
            loop {
                let next = link.load(Relaxed);
                if next.is_null() {
                    return;
                }
                if core::ptr::eq(next, this) {
                    break;
                }
                // SAFETY: By the type invariant it is an attachment in the list, and the lock keeps
                // it there.
                link = unsafe { &(*next).next };
            }
            // Readers that are at `this` go on from its own `next`.
            link.store(attachment.next.load(Relaxed), Release);
        }
        // SAFETY: No requirements but the context.
        unsafe { bindings::synchronize_rcu() };
        // SAFETY: The reference that `link()` leaked: it was found in the list, and whoever has
        // seen it there has left the RCU read-side section.
        drop(unsafe { Arc::from_raw(this) });
    }

    /// Ends an attachment. Context: process, sleeps.
    fn detach(&self, attachment: &Arc<Attachment<T::Data>>) {
        attachment.gate.close();
        T::closed(attachment);
        attachment.gate.close_and_wait();
        self.unlink(attachment);
    }

    /// # Safety
    ///
    /// Called by the subsystem, once for each device for which `add_callback` has succeeded.
    unsafe extern "C" fn remove_callback(device: *mut bindings::ib_device, _data: *mut c_void) {
        // SAFETY: The subsystem passes a device that is there until this callback has returned.
        let device = unsafe { Device::from_raw(device) };
        if let Some(attachment) = find::<T>(device) {
            T::remove(&attachment);
            T::slot().detach(&attachment);
        }
    }
}

/// Finds what client `T` keeps for a device; `None` when it does not use the device.
///
/// The device may be on its way out: use [`Attachment::enter`]. Context: any.
pub fn find<T: Client>(device: &Device) -> Option<Arc<Attachment<T::Data>>> {
    let _rcu = rcu::read_lock();
    let mut next = T::slot().first.load(Acquire);
    while !next.is_null() {
        // SAFETY: By the type invariant of `Slot` it is a leaked reference, valid while the RCU
        // read-side section lasts.
        let attachment = unsafe { ArcBorrow::from_raw(next) };
        if attachment.device().is_same(device) {
            return Some(attachment.into());
        }
        next = attachment.next.load(Acquire);
    }
    None
}

/// Goes round what client `T` keeps for its devices, the latest first, until `f` finds something. Context: any; `f` does
/// not sleep.
pub fn find_map<T: Client, R>(
    mut f: impl FnMut(&Attachment<T::Data>) -> Option<R>,
) -> Option<(Arc<Attachment<T::Data>>, R)> {
    let _rcu = rcu::read_lock();
    let mut next = T::slot().first.load(Acquire);
    while !next.is_null() {
        // SAFETY: By the type invariant of `Slot` it is a leaked reference, valid while the RCU
        // read-side section lasts.
        let attachment = unsafe { ArcBorrow::from_raw(next) };
        if let Some(found) = f(&attachment) {
            return Some((attachment.into(), found));
        }
        next = attachment.next.load(Acquire);
    }
    None
}

/// A client as long as it is registered.
///
/// Dropping it removes the client from every device and returns when all of that is over.
pub struct Registration<T: Client>(PhantomData<fn() -> T>);

impl<T: Client> Registration<T> {
    /// Registers the client; it is told of the devices that are there before this returns.
    ///
    /// Fails with `EBUSY` when it is registered already. Context: process, sleeps.
    pub fn new() -> Result<Self> {
        let slot = T::slot();
        if slot.claimed.xchg(true, Full) {
            return Err(EBUSY);
        }
        // SAFETY: The client is a static, and the claim makes this the only registration of it.
        let registered = to_result(unsafe { bindings::ib_register_client(slot.raw.get()) });
        if registered.is_err() {
            slot.claimed.store(false, Release);
        }
        registered.map(|()| Self(PhantomData))
    }
}

impl<T: Client> Drop for Registration<T> {
    fn drop(&mut self) {
        might_sleep();
        let slot = T::slot();
        // SAFETY: `self` stands for a registered client. All callbacks are over when this returns.
        unsafe { bindings::ib_unregister_client(slot.raw.get()) };
        slot.claimed.store(false, Release);
    }
}
