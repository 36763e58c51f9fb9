// SPDX-License-Identifier: GPL-2.0-only

//! Hearing of devices.

use super::{
    consumer::Handle,
    device::Device, //
};
use crate::bindings;
use kernel::{
    container_of,
    error::{
        from_result,
        to_result, //
    },
    prelude::*,
    types::Opaque, //
};

/// A consumer that wants to hear of devices.
///
/// Process context, may sleep; the two never run concurrently.
pub trait Client: Send + Sync + 'static {
    /// A device is there. After an error [`Client::remove`] is not called for it.
    fn add(&self, device: &Device) -> Result;

    /// The device goes away: close everything that is open on it.
    fn remove(&self, device: &Device);
}

/// A registered client. Its drop calls [`Client::remove`] for every device.
#[pin_data(PinnedDrop)]
pub struct ClientRegistration<C: Client> {
    #[pin]
    raw: Opaque<bindings::kfi_client>,
    #[pin]
    client: C,
    /// Keeps the module while the callbacks may be called.
    _handle: Handle,
}

// SAFETY: `C` is `Send`; the registration may end on any thread.
unsafe impl<C: Client> Send for ClientRegistration<C> {}
// SAFETY: A shared reference reaches only `C`, which is `Sync`.
unsafe impl<C: Client> Sync for ClientRegistration<C> {}

impl<C: Client> ClientRegistration<C> {
    /// Registers `client`, and tells it of the devices that are there.
    pub fn new(handle: &Handle, client: impl PinInit<C, Error>) -> impl PinInit<Self, Error> {
        let handle = handle.clone();
        try_pin_init!(Self {
            _handle: handle,
            // Before `raw`, whose registration calls it.
            client <- client,
            raw <- Opaque::try_ffi_init(|slot: *mut bindings::kfi_client| {
                // SAFETY: `slot` is writable, pinned, and within a `ClientRegistration` whose `client` is initialised.
                unsafe {
                    slot.write(bindings::kfi_client {
                        name: <crate::LocalModule as kernel::ModuleMetadata>::NAME.as_char_ptr(),
                        add: Some(add::<C>),
                        remove: Some(remove::<C>),
                    });
                    to_result(bindings::kfi_client_register(slot))
                }
            }),
        })
    }

    /// What was given to [`ClientRegistration::new`].
    pub fn client(&self) -> &C {
        &self.client
    }
}

#[pinned_drop]
impl<C: Client> PinnedDrop for ClientRegistration<C> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Registered by `new()`. No callback runs when this returns.
        unsafe { bindings::kfi_client_unregister(self.raw.get()) };
    }
}

/// # Safety
///
/// `raw` is within a `ClientRegistration<C>` whose client is initialised.
unsafe fn client<'a, C: Client>(raw: *mut bindings::kfi_client) -> &'a C {
    // SAFETY: As the caller promises; `Opaque` is transparent.
    unsafe {
        let registration = container_of!(Opaque::cast_from(raw), ClientRegistration<C>, raw);
        &(*registration).client
    }
}

/// # Safety
///
/// Called by kfi.ko for a registered client.
unsafe extern "C" fn add<C: Client>(
    raw: *mut bindings::kfi_client,
    device: *mut bindings::kfi_device,
) -> c_int {
    from_result(|| {
        // SAFETY: As registered; the device stays until `remove` returns.
        unsafe { client::<C>(raw).add(Device::from_raw(device)) }?;
        Ok(0)
    })
}

/// # Safety
///
/// Called by kfi.ko for a registered client.
unsafe extern "C" fn remove<C: Client>(
    raw: *mut bindings::kfi_client,
    device: *mut bindings::kfi_device,
) {
    // SAFETY: As registered; the device stays until this returns.
    unsafe { client::<C>(raw).remove(Device::from_raw(device)) }
}
