// SPDX-License-Identifier: GPL-2.0-only

//! Devices and protection domains.

use super::consumer::{
    Handle,
    Later, //
};
use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    error::from_err_ptr,
    prelude::*,
    sync::Arc,
    types::Opaque, //
};

/// What a device can do: `KFI_CAP_*`.
pub mod caps {
    /// RMA reads.
    pub const RMA_READ: u32 = crate::bindings::KFI_CAP_RMA_READ;
    /// RMA writes.
    pub const RMA_WRITE: u32 = crate::bindings::KFI_CAP_RMA_WRITE;
    /// Messages with immediate data.
    pub const IMM: u32 = crate::bindings::KFI_CAP_IMM;
    /// RMA writes with immediate data.
    pub const WRITE_IMM: u32 = crate::bindings::KFI_CAP_WRITE_IMM;
    /// Messages that invalidate a key.
    pub const SEND_INV: u32 = crate::bindings::KFI_CAP_SEND_INV;
    /// Memory regions.
    pub const MR: u32 = crate::bindings::KFI_CAP_MR;
    /// Memory regions of any scatter list.
    pub const SG_GAPS: u32 = crate::bindings::KFI_CAP_SG_GAPS;
    /// Shared receive contexts.
    pub const SRX: u32 = crate::bindings::KFI_CAP_SRX;
    /// The sink of an RMA read is a region exposed for remote writes.
    pub const READ_NEEDS_RKEY: u32 = crate::bindings::KFI_CAP_READ_NEEDS_RKEY;
}

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        $(
            $(#[$doc])*
            pub fn $name(&self) -> u32 {
                self.attr().$name
            }
        )*
    };
}

/// Something that carries endpoints, `struct kfi_device`.
///
/// Only borrowed: from what keeps the device there.
#[repr(transparent)]
pub struct Device(Opaque<bindings::kfi_device>);

// SAFETY: Consumers only read a device, and what they read is constant while it is known to them.
unsafe impl Sync for Device {}

impl Device {
    /// # Safety
    ///
    /// `ptr` is a device that stays for the lifetime `'a`.
    pub(super) unsafe fn from_raw<'a>(ptr: *mut bindings::kfi_device) -> &'a Self {
        // SAFETY: As the caller promises; `Device` is transparent.
        unsafe { &*ptr.cast() }
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::kfi_device {
        self.0.get()
    }

    fn attr(&self) -> &bindings::kfi_device_attr {
        // SAFETY: A valid device by the type, and its attributes do not change.
        unsafe { &(*self.0.get()).attr }
    }

    /// Its name, "rxe0".
    pub fn name(&self) -> &CStr {
        // SAFETY: A valid device, whose name is an array of characters that ends with a NUL.
        unsafe { CStr::from_char_ptr((&raw const (*self.0.get()).name).cast()) }
    }

    /// Its provider's name, "verbs".
    pub fn provider_name(&self) -> &CStr {
        // SAFETY: A valid device, whose provider's name outlives it.
        unsafe { CStr::from_char_ptr((*self.0.get()).provider_name) }
    }

    /// Whether it has all of these capabilities of [`caps`].
    pub fn has(&self, caps: u32) -> bool {
        self.attr().caps & caps == caps
    }

    limits! {
        /// Largest [`EndpointAttr::max_tx`](super::EndpointAttr::max_tx).
        max_tx,
        /// Largest [`EndpointAttr::max_rx`](super::EndpointAttr::max_rx).
        max_rx,
        /// Largest completion queue.
        max_cqe,
        /// Pages in a memory region.
        max_mr_pages,
        /// Reads that a peer may have outstanding at us.
        max_ird,
        /// Reads that we may have outstanding at a peer.
        max_ord,
        /// Bytes of private data in a connect request.
        max_private_data,
    }
}

struct RawDomain(NonNull<bindings::kfi_domain>);

// SAFETY: A domain may be used from any thread.
unsafe impl Send for RawDomain {}
// SAFETY: As for `Send`.
unsafe impl Sync for RawDomain {}

impl Drop for RawDomain {
    fn drop(&mut self) {
        // SAFETY: The one reference that opening gave us.
        unsafe { bindings::kfi_domain_put(self.0.as_ptr()) }
    }
}

/// A protection domain on a device, counted.
#[derive(Clone)]
pub struct Domain(Arc<Later<RawDomain>>);

impl Domain {
    /// Opens a domain. Sleeps.
    pub fn open(handle: &Handle, device: &Device) -> Result<Self> {
        let raw = Later::new(handle, || {
            let name = <crate::LocalModule as kernel::ModuleMetadata>::NAME;
            // SAFETY: The device is there by the type; `name` is static in this module, which stays loaded until
            // `handle` is given up.
            let domain = from_err_ptr(unsafe {
                bindings::__kfi_domain_open(device.as_ptr(), 0, name.as_char_ptr())
            })?;
            Ok(RawDomain(NonNull::new(domain).ok_or(ENODEV)?))
        })?;
        Ok(Self(Arc::new(raw, GFP_KERNEL)?))
    }

    /// The device.
    pub fn device(&self) -> &Device {
        // SAFETY: A domain keeps its device.
        unsafe { Device::from_raw((*self.as_ptr()).device) }
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::kfi_domain {
        self.0 .0.as_ptr()
    }

    pub(super) fn handle(&self) -> &Handle {
        self.0.handle()
    }

    pub(super) fn local_dma_lkey(&self) -> u32 {
        // SAFETY: The domain is valid and the key constant.
        unsafe { (*self.as_ptr()).local_dma_lkey }
    }
}

impl PartialEq for Domain {
    fn eq(&self, other: &Self) -> bool {
        self.as_ptr() == other.as_ptr()
    }
}
