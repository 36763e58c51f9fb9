// SPDX-License-Identifier: GPL-2.0-only

//! References to modules, and loading them.

use crate::bindings;
use core::{
    mem::ManuallyDrop,
    ptr, //
};
use kernel::{
    prelude::*,
    str::CStr, //
};

/// The module of a provider; NULL for one that is built in.
///
/// # Invariants
///
/// A module that is loaded as long as the structure that names it is registered.
#[derive(Clone, Copy)]
pub(crate) struct Owner(*mut bindings::module);

// SAFETY: The module structure has its own locking.
unsafe impl Send for Owner {}
// SAFETY: As above.
unsafe impl Sync for Owner {}

impl Owner {
    /// # Safety
    ///
    /// `module` is NULL, or loaded as long as the result is used.
    pub(crate) unsafe fn from_raw(module: *mut bindings::module) -> Self {
        // INVARIANT: Promised by the caller.
        Self(module)
    }

    /// Keeps the module loaded; [`None`] when it is about to go.
    pub(crate) fn get(self) -> Option<ModuleRef> {
        // SAFETY: The type invariant; NULL is allowed.
        if unsafe { bindings::kfi_try_module_get(self.0) } {
            // INVARIANT: The reference was taken above.
            Some(ModuleRef(self.0))
        } else {
            None
        }
    }
}

/// Keeps a module loaded.
///
/// # Invariants
///
/// Owns a reference to the module.
pub(crate) struct ModuleRef(*mut bindings::module);

// SAFETY: The module structure has its own locking.
unsafe impl Send for ModuleRef {}
// SAFETY: As above.
unsafe impl Sync for ModuleRef {}

impl ModuleRef {
    /// Takes a reference over from C.
    ///
    /// # Safety
    ///
    /// The caller owns a reference to `module`, or it is NULL.
    pub(crate) unsafe fn from_raw(module: *mut bindings::module) -> Self {
        // INVARIANT: Promised by the caller.
        Self(module)
    }

    /// Gives the reference to C.
    pub(crate) fn into_raw(self) -> *mut bindings::module {
        ManuallyDrop::new(self).0
    }
}

impl Default for ModuleRef {
    fn default() -> Self {
        // INVARIANT: NULL needs no reference.
        Self(ptr::null_mut())
    }
}

impl Drop for ModuleRef {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours.
        unsafe { bindings::kfi_module_put(self.0) }
    }
}

/// Asks user space for the module of the provider `name`, and waits until it is loaded or is known not to exist.
pub(crate) fn request_provider(name: &CStr) {
    // SAFETY: The string lives through the call.
    let _ = unsafe { bindings::kfi_request_provider(name.as_char_ptr()) };
}
