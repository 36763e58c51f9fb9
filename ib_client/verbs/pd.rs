// SPDX-License-Identifier: GPL-2.0-only

//! Protection domains, and the name under which objects are listed.

use super::device::{
    Device,
    DeviceGuard, //
};
use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    error::from_err_ptr,
    prelude::*,
    sync::Arc,
    task::might_sleep, //
};

/// The name of the user under which the subsystem lists an object (`rdma resource show`).
///
/// # Invariants
///
/// Points to a C string that stays as it is for as long as any object made with it.
#[derive(Clone, Copy)]
pub struct Caller(*const c_char);

// SAFETY: By the type invariant the string does not change.
unsafe impl Send for Caller {}
// SAFETY: As above.
unsafe impl Sync for Caller {}

impl Caller {
    /// A name that lives for ever.
    pub const fn new(name: &'static CStr) -> Self {
        // INVARIANT: Static, so it outlives every object.
        // CAST: `c_char` is an unsigned byte in the kernel.
        Self(name.to_bytes_with_nul().as_ptr().cast())
    }

    /// A name that someone else owns.
    ///
    /// # Safety
    ///
    /// `name` is a C string that stays valid and unchanged for as long as any object made with
    /// this.
    pub const unsafe fn from_raw(name: *const c_char) -> Self {
        // INVARIANT: As the caller promises.
        Self(name)
    }

    /// The C string.
    pub(super) fn as_ptr(self) -> *const c_char {
        self.0
    }
}

/// A protection domain.
///
/// Wraps the kernel's C `struct ib_pd`.
///
/// # Invariants
///
/// `raw` is a protection domain of `guard`'s device, owned by this object.
pub struct Pd {
    raw: NonNull<bindings::ib_pd>,
    /// Declared after nothing that needs it; dropped when the domain is gone.
    guard: DeviceGuard,
}

// SAFETY: Verbs may be called from any thread.
unsafe impl Send for Pd {}
// SAFETY: Verbs are reentrant.
unsafe impl Sync for Pd {}

impl Pd {
    /// Allocates a protection domain. Context: process, sleeps.
    pub fn new(guard: DeviceGuard, caller: Caller) -> Result<Arc<Self>> {
        Self::alloc(guard, 0, caller)
    }

    /// Allocates one that has [`Pd::unsafe_global_rkey`]. Context: process, sleeps.
    pub fn with_unsafe_global_rkey(guard: DeviceGuard, caller: Caller) -> Result<Arc<Self>> {
        let flag = bindings::ib_pd_flags_IB_PD_UNSAFE_GLOBAL_RKEY;
        Self::alloc(guard, flag, caller)
    }

    fn alloc(
        guard: DeviceGuard,
        flags: bindings::ib_pd_flags,
        caller: Caller,
    ) -> Result<Arc<Self>> {
        // SAFETY: The guard keeps the device usable, and the name lives long enough by the
        // invariant of `Caller`.
        let raw = unsafe { bindings::__ib_alloc_pd(guard.as_raw(), flags, caller.as_ptr()) };
        let raw = NonNull::new(from_err_ptr(raw)?).ok_or(ENOMEM)?;
        // INVARIANT: Allocated just now on the guard's device. On failure the value below is
        // dropped, which frees it.
        Ok(Arc::new(Self { raw, guard }, GFP_KERNEL)?)
    }

    /// The C object.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::ib_pd {
        self.raw.as_ptr()
    }

    /// The key for memory that was mapped for DMA.
    #[inline]
    pub fn local_dma_lkey(&self) -> u32 {
        // SAFETY: By the type invariant the domain is there; the key does not change.
        unsafe { (*self.as_raw()).local_dma_lkey }
    }

    /// A key by which peers reach all memory of the host that is mapped, or 0: whoever knows it reads and writes it.
    pub fn unsafe_global_rkey(&self) -> u32 {
        // SAFETY: By the type invariant the domain is there; flags and key do not change.
        unsafe {
            match (*self.as_raw()).flags & bindings::ib_pd_flags_IB_PD_UNSAFE_GLOBAL_RKEY {
                0 => 0,
                _ => (*self.as_raw()).unsafe_global_rkey,
            }
        }
    }

    /// The device.
    #[inline]
    pub fn device(&self) -> &Device {
        self.guard.device()
    }

    /// The guard that keeps the device usable.
    pub fn guard(&self) -> &DeviceGuard {
        &self.guard
    }
}

impl Drop for Pd {
    fn drop(&mut self) {
        might_sleep();
        // Drop order: every object made of this domain holds a reference to it, so none is left.
        // SAFETY: By the type invariant the domain is ours, and it is not used after this. A kernel
        // object has no `udata`.
        let ret = unsafe { bindings::ib_dealloc_pd_user(self.as_raw(), core::ptr::null_mut()) };
        if ret != 0 {
            pr_warn!("deallocation of a protection domain failed: {}\n", ret);
        }
    }
}
