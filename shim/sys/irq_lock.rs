// SPDX-License-Identifier: GPL-2.0-only

//! A spinlock that may be taken in any context.

use crate::bindings;
use core::{
    cell::UnsafeCell,
    marker::PhantomPinned,
    ops::{
        Deref,
        DerefMut, //
    },
    pin::Pin, //
};
use kernel::{
    ffi::c_ulong,
    prelude::*,
    str::CStr,
    sync::LockClassKey,
    types::Opaque, //
};

/// Data behind a spinlock that is taken with interrupts off.
#[pin_data]
pub(crate) struct IrqLock<T> {
    #[pin]
    lock: Opaque<bindings::spinlock_t>,
    #[pin]
    _pin: PhantomPinned,
    data: UnsafeCell<T>,
}

// SAFETY: The lock gives the data to one thread at a time.
unsafe impl<T: Send> Send for IrqLock<T> {}
// SAFETY: As above.
unsafe impl<T: Send> Sync for IrqLock<T> {}

impl<T> IrqLock<T> {
    /// A lock around `data`. Use [`new_irq_lock`].
    pub(crate) fn new(
        data: T,
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            lock <- Opaque::ffi_init(|lock| {
                // SAFETY: `lock` is valid for writes; name and key are static.
                unsafe {
                    kernel::bindings::__spin_lock_init(lock, name.as_char_ptr(), key.as_ptr())
                }
            }),
            _pin: PhantomPinned,
            data: UnsafeCell::new(data),
        })
    }

    /// Takes the lock.
    #[inline]
    pub(crate) fn lock(&self) -> IrqGuard<'_, T> {
        // SAFETY: Initialised by `new`.
        let flags = unsafe { bindings::kfi_spin_lock_irqsave(self.lock.get()) };
        IrqGuard { lock: self, flags }
    }
}

/// The data while the lock is held.
pub(crate) struct IrqGuard<'a, T> {
    lock: &'a IrqLock<T>,
    flags: c_ulong,
}

impl<T> Deref for IrqGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The lock is held.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T> DerefMut for IrqGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: The lock is held, and the guard is borrowed mutably.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T> Drop for IrqGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: The lock is held, with these flags.
        unsafe { bindings::kfi_spin_unlock_irqrestore(self.lock.lock.get(), self.flags) };
    }
}

/// An initialiser of an [`IrqLock`] with a lock class of its own.
macro_rules! new_irq_lock {
    ($data:expr, $name:literal) => {
        $crate::sys::irq_lock::IrqLock::new(
            $data,
            kernel::c_str!($name),
            kernel::static_lock_class!(),
        )
    };
}
pub(crate) use new_irq_lock;
