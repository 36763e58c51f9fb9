// SPDX-License-Identifier: GPL-2.0-only

//! The right to end an object of a provider.

use core::{
    mem::ManuallyDrop,
    ops::Deref,
    ptr::NonNull, //
};

/// An object that a provider allocates, and frees in one of its callbacks.
///
/// # Safety
///
/// The type has the layout of `C` and is valid wherever a live `C` is.
pub(crate) unsafe trait Object {
    /// The C structure.
    type C;

    /// Ends the object.
    ///
    /// # Safety
    ///
    /// The caller owns the object and does not use it afterwards.
    unsafe fn release(this: NonNull<Self>);
}

/// Owns a `T`: dropping it ends the object.
///
/// # Invariants
///
/// The pointer is to a live object that nobody else ends.
#[repr(transparent)]
pub(crate) struct Own<T: Object>(NonNull<T>);

// SAFETY: The objects of kfi.h belong to no thread.
unsafe impl<T: Object + Send> Send for Own<T> {}
// SAFETY: A reference gives access to a `T` by reference only.
unsafe impl<T: Object + Sync> Sync for Own<T> {}

impl<T: Object> Own<T> {
    /// Takes the ownership of an object over from C.
    ///
    /// # Safety
    ///
    /// `ptr` is a live object that the caller owns and gives away.
    pub(crate) unsafe fn from_raw(ptr: NonNull<T::C>) -> Self {
        // INVARIANT: Promised by the caller.
        Self(ptr.cast())
    }

    /// Gives the ownership to C.
    pub(crate) fn into_raw(self) -> *mut T::C {
        ManuallyDrop::new(self).0.as_ptr().cast()
    }
}

impl<T: Object> Deref for Own<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Object> Drop for Own<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the object is ours, and this is the last use of it.
        unsafe { T::release(self.0) }
    }
}
