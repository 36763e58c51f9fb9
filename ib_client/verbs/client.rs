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
/// [`remove`](Client::remove), [`closed`](Client::closed). All run in process context and may sleep. Calls for one device
/// do not overlap; calls for different devices may.
pub trait Client: Sized + Send + Sync + 'static {
    /// What the client keeps for each device.
    type Data: Send + Sync + 'static;

    /// The static that stands for this client.
    fn slot() -> &'static Slot<Self>;

    /// A device is there: make the data for it. An error keeps the client away from this device.
    fn add(device: &Device) -> Result<impl PinInit<Self::Data, Error>>;

    /// The data is in place and [`find`] sees it. An error undoes the addition; then only [`Client::closed`] follows.
    fn added(_attachment: &Arc<Attachment<Self::Data>>) -> Result {
        Ok(())
    }

    /// The device goes away. New objects can still be made during this call.
    fn remove(attachment: &Arc<Attachment<Self::Data>>);

    /// No new object can be made any more: end what is still there, or start to. The removal waits afterwards until the
    /// last [`DeviceGuard`] is gone.
    fn closed(_attachment: &Arc<Attachment<Self::Data>>) {}
}

/// A client's hold of one device: the device, its gate and the client's data.
#[pin_data]
pub struct Attachment<T> {
    gate: Arc<DeviceGate>,
    #[pin]
    data: T,
}

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

/// Registration of a client, as states of one word.
mod phase {
    /// Not registered.
    pub(super) const IDLE: u32 = 0;
    /// Being registered or unregistered, or registered without having been told of a device yet.
    pub(super) const CLAIMED: u32 = 1;
    /// `client_id` is valid.
    pub(super) const LIVE: u32 = 2;
}

/// The static that stands for a client.
///
/// The subsystem calls a client back without any context but the device, so there is exactly one of these for each
/// client type.
///
/// # Invariants
///
/// While `phase` is `LIVE`, `client_id` of the C client is assigned and is not reused by another client.
pub struct Slot<T: Client> {
    raw: Opaque<bindings::ib_client>,
    phase: Atomic<u32>,
    _client: PhantomData<fn() -> T>,
}

// SAFETY: The C client is only handed to functions of the subsystem, which do their own locking.
unsafe impl<T: Client> Sync for Slot<T> {}

impl<T: Client> Slot<T> {
    /// A slot for the client `T`, whose name appears in messages of the subsystem.
    pub const fn new(name: &'static CStr) -> Self {
        // SAFETY: All-zeroes is a valid `struct ib_client`: null pointers, absent callbacks, and counters and a completion
        // that registration initialises.
        let mut raw: bindings::ib_client = unsafe { core::mem::zeroed() };
        // CAST: `c_char` is an unsigned byte in the kernel.
        raw.name = name.to_bytes_with_nul().as_ptr().cast();
        raw.add = Some(Self::add_callback);
        raw.remove = Some(Self::remove_callback);
        Self {
            raw: Opaque::new(raw),
            phase: Atomic::new(phase::IDLE),
            _client: PhantomData,
        }
    }

    /// # Safety
    ///
    /// Called by the subsystem with a device that is there until the `remove` callback for it has returned.
    unsafe extern "C" fn add_callback(device: *mut bindings::ib_device) -> c_int {
        // SAFETY: The subsystem passes a registered device.
        let device = unsafe { Device::from_raw(device) };
        let slot = T::slot();
        // INVARIANT: The subsystem assigns `client_id` before it calls this.
        slot.phase.store(phase::LIVE, Release);
        match slot.attach(device) {
            Ok(()) => 0,
            Err(e) => {
                if e != ENODEV {
                    let mut name = [0; Device::NAME_MAX];
                    pr_warn!("{}: client refuses the device: {:?}\n", device.name(&mut name), e);
                }
                e.to_errno()
            }
        }
    }

    fn attach(&self, device: &Device) -> Result {
        let data = T::add(device)?;
        // SAFETY: The device is usable until `remove_callback` returns, which waits for the gate; on the error path below
        // the gate is waited for as well.
        let gate = unsafe { DeviceGate::new(device) }?;
        let attachment = Arc::pin_init(
            try_pin_init!(Attachment {
                gate: gate,
                data <- data,
            }? Error),
            GFP_KERNEL,
        )?;
        self.publish(device, Some(attachment.clone()))?;
        T::added(&attachment).inspect_err(|_| {
            self.detach(device, &attachment);
        })
    }

    /// Makes an attachment what [`find`] finds, or nothing.
    fn publish(&self, device: &Device, attachment: Option<Arc<Attachment<T::Data>>>) -> Result {
        let data = attachment.map_or(core::ptr::null(), Arc::into_raw);
        // SAFETY: Client and device are registered with the subsystem while its callbacks run. The data is a reference of
        // its own, given back by `detach()`.
        unsafe { bindings::ib_set_client_data(device.as_raw(), self.raw.get(), data.cast_mut().cast()) };
        // SAFETY: As above; `data` is only compared.
        let stored = unsafe { bindings::rdma_get_client_data(device.as_raw(), self.raw.get()) };
        if core::ptr::eq(stored, data.cast()) {
            return Ok(());
        }
        if !data.is_null() {
            // SAFETY: The subsystem did not take the reference that `into_raw()` above has leaked.
            drop(unsafe { Arc::from_raw(data) });
        }
        Err(ENOMEM)
    }

    /// Ends an attachment that was published.
    fn detach(&self, device: &Device, attachment: &Arc<Attachment<T::Data>>) {
        attachment.gate.close();
        T::closed(attachment);
        attachment.gate.close_and_wait();
        // Storing nothing in place of something needs no memory, so it does not fail.
        let _ = self.publish(device, None);
        // SAFETY: No requirements; the callbacks run in process context.
        unsafe { bindings::synchronize_rcu() };
        // SAFETY: The reference that `publish()` leaked. `find()` cannot reach it any more: it looks it up in an RCU
        // read-side section, and those that could see it are over.
        drop(unsafe { Arc::from_raw(Arc::as_ptr(attachment)) });
    }

    /// # Safety
    ///
    /// Called by the subsystem, once for each device for which `add_callback` has succeeded.
    unsafe extern "C" fn remove_callback(device: *mut bindings::ib_device, data: *mut c_void) {
        if data.is_null() {
            return;
        }
        // SAFETY: The subsystem passes a device that is there until this callback has returned.
        let device = unsafe { Device::from_raw(device) };
        // SAFETY: `data` was stored by `publish()` and owns a reference until `detach()` below gives it up; this borrow
        // becomes a reference of its own.
        let attachment: Arc<Attachment<T::Data>> =
            unsafe { ArcBorrow::<Attachment<T::Data>>::from_raw(data.cast_const().cast()) }.into();
        T::remove(&attachment);
        T::slot().detach(device, &attachment);
    }
}

/// Finds what client `T` keeps for a device; `None` when it does not use the device.
///
/// The device may be on its way out: use [`Attachment::enter`]. Context: any.
pub fn find<T: Client>(device: &Device) -> Option<Arc<Attachment<T::Data>>> {
    let slot = T::slot();
    let _rcu = rcu::read_lock();
    if slot.phase.load(Acquire) != phase::LIVE {
        return None;
    }
    // SAFETY: The client is registered by the type invariant of `Slot`, and stays so during the RCU read-side section:
    // `Registration::drop` waits for it. `device` is borrowed.
    let data = unsafe { bindings::rdma_get_client_data(device.as_raw(), slot.raw.get()) };
    if data.is_null() {
        return None;
    }
    // SAFETY: Only `publish()` stores data for this client, as a reference that is given up no earlier than one RCU grace
    // period after it was made unreachable.
    Some(unsafe { ArcBorrow::<Attachment<T::Data>>::from_raw(data.cast_const().cast()) }.into())
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
        if slot.phase.cmpxchg(phase::IDLE, phase::CLAIMED, Full).is_err() {
            return Err(EBUSY);
        }
        // SAFETY: The client is a static, and the claim above makes this the only registration of it.
        let ret = unsafe { bindings::ib_register_client(slot.raw.get()) };
        if let Err(e) = to_result(ret) {
            // The subsystem may have told the client of a device, and has taken it away again; a `find()` of that time may
            // still be on its way.
            slot.retire();
            slot.phase.store(phase::IDLE, Release);
            return Err(e);
        }
        // INVARIANT: Registration assigns `client_id`.
        slot.phase.store(phase::LIVE, Release);
        Ok(Self(PhantomData))
    }
}

impl<T: Client> Slot<T> {
    /// Ends lookups: when this returns none is running and none will find anything.
    fn retire(&self) {
        // INVARIANT: Not `LIVE`, so nothing is claimed about `client_id`.
        self.phase.store(phase::CLAIMED, Release);
        // SAFETY: No requirements; the callers run in process context.
        unsafe { bindings::synchronize_rcu() };
    }
}

impl<T: Client> Drop for Registration<T> {
    fn drop(&mut self) {
        might_sleep();
        let slot = T::slot();
        slot.retire();
        // SAFETY: `self` stands for a registered client. All callbacks are over when this returns.
        unsafe { bindings::ib_unregister_client(slot.raw.get()) };
        slot.phase.store(phase::IDLE, Release);
    }
}
