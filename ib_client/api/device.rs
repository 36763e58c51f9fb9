// SPDX-License-Identifier: GPL-2.0-only

//! Devices: the public structure and its table.

use super::{
    bindings,
    import::as_declared,
    object::{
        self,
        Table, //
    }, //
};
use crate::{
    client,
    domain::Domain,
    verbs::{
        device::Device,
        pd::Caller, //
    }, //
};
use core::{
    mem::offset_of,
    ptr, //
};
use kernel::{
    error::to_result,
    prelude::*,
    sync::aref::ARef,
    types::Opaque, //
};

/// The public device.
#[repr(C)]
pub(crate) struct DeviceHead {
    public: Opaque<bindings::kfi_device>,
    device: ARef<Device>,
}

const _: () = {
    assert!(offset_of!(DeviceHead, public) == 0);
    assert!(Device::NAME_MAX <= bindings::KFI_NAME_MAX as usize);
};

// SAFETY: The public part is kfi.ko's; the reference may be used from any thread.
unsafe impl Send for DeviceHead {}
// SAFETY: As above.
unsafe impl Sync for DeviceHead {}

impl DeviceHead {
    /// The public part of `device`.
    pub(crate) fn new(device: &Device, attr: bindings::kfi_device_attr) -> Self {
        let mut name = [0; Device::NAME_MAX];
        let name = device.name(&mut name).to_bytes_with_nul();
        let mut public = bindings::kfi_device {
            ops: DEVICE_OPS.as_ptr(),
            attr,
            provider_name: super::PROVIDER_NAME.to_bytes_with_nul().as_ptr().cast(),
            dev: device.dev(),
            ..Default::default()
        };
        for (to, from) in public.name.iter_mut().zip(name) {
            *to = *from as c_char;
        }
        Self {
            public: Opaque::new(public),
            device: device.to_aref(),
        }
    }

    /// The public device.
    pub(crate) fn as_ptr(&self) -> *mut bindings::kfi_device {
        self.public.get()
    }

    /// The attributes.
    pub(crate) fn attr(&self) -> &bindings::kfi_device_attr {
        // SAFETY: The attributes are not written after construction.
        unsafe { &(*self.public.get()).attr }
    }

    /// Tells the consumers of the device.
    pub(crate) fn announce(&self) -> Result {
        // SAFETY: The structure is filled in and stays where it is: it is part of a pinned attachment, which lives until
        // the last domain on it is freed.
        to_result(unsafe { bindings::kfi_device_add(self.as_ptr(), super::this_module()) })
    }

    /// Takes the device away from the consumers.
    pub(crate) fn withdraw(&self) {
        // SAFETY: `announce()` was successful: otherwise the device's removal is not reported.
        unsafe { bindings::kfi_device_del(self.as_ptr()) };
    }
}

/// # Safety
///
/// `device` is a device of this provider; `owner` outlives the domain.
unsafe extern "C" fn domain_open(
    device: *mut bindings::kfi_device,
    flags: u32,
    owner: *const c_char,
) -> *mut bindings::kfi_domain {
    // SAFETY: By the function's contract. CAST: the public part is at the head.
    let head = unsafe { &*device.cast_const().cast::<DeviceHead>() };
    // SAFETY: By the function's contract.
    let caller = unsafe { Caller::from_raw(owner) };
    let rkey = flags & bindings::KFI_DOMAIN_UNSAFE_GLOBAL_RKEY != 0;
    object::into_ptr(
        client::find(&head.device)
            .and_then(|home| Domain::open(home, rkey, caller))
            .map(object::give),
    )
}

/// # Safety
///
/// `device` is a device of this provider; `id` has room for KFI_PORT_ID_SIZE bytes.
unsafe extern "C" fn port_id(device: *mut bindings::kfi_device, port: u32, id: *mut u8) -> c_int {
    // SAFETY: By the function's contract. CAST: the public part is at the head.
    let head = unsafe { &*device.cast_const().cast::<DeviceHead>() };
    // SAFETY: By the function's contract.
    let id = unsafe { &mut *id.cast() };
    let gid = client::find(&head.device)
        .and_then(|home| home.enter())
        .and_then(|guard| match port {
            0 => Ok(guard.node_id()),
            _ => guard.gid(port),
        });
    match gid {
        Ok(gid) => {
            *id = gid;
            0
        }
        Err(e) => e.to_errno(),
    }
}

/// The verbs device behind a device.
///
/// # Safety
///
/// As include/kfi/import.h says.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_device_native(
    device: *mut bindings::kfi_device,
) -> *mut bindings::ib_device {
    // SAFETY: The caller passes a device; only those of this provider have this table. CAST: the public part is at the
    // head.
    unsafe {
        if (*device).ops == DEVICE_OPS.as_ptr() {
            (*device.cast_const().cast::<DeviceHead>()).device.as_raw()
        } else {
            ptr::null_mut()
        }
    }
}

as_declared!(kfi_device_native);

/// The table of devices.
static DEVICE_OPS: Table<bindings::kfi_device_ops> = Table(bindings::kfi_device_ops {
    domain_open: Some(domain_open),
    port_id: Some(port_id),
});
