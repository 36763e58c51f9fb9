// SPDX-License-Identifier: GPL-2.0-only

//! Provider objects and the public structures at their heads.

use super::bindings;
use crate::conn::Conn;
use core::mem::offset_of;
use kernel::{
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    }, //
};

/// An object that consumers hold by the address of its head.
///
/// # Safety
///
/// A `Public` lies `OFFSET` bytes into the object.
pub(super) unsafe trait Object: Sized {
    /// The public structure.
    type Public;
    /// Where it lies.
    const OFFSET: usize;
}

/// Implements [`Object`] for a type by its field.
macro_rules! object {
    ($type:ty, $field:ident, $public:ty) => {
        // SAFETY: The field is a head, which starts with this structure.
        unsafe impl Object for $type {
            type Public = $public;
            const OFFSET: usize = offset_of!($type, $field);
        }
    };
}
object!(crate::conn::Conn, hot, bindings::kfi_ep);
object!(crate::cq::Queue, head, bindings::kfi_cq);
object!(crate::domain::Domain, head, bindings::kfi_domain);
object!(crate::listener::Listener, head, bindings::kfi_pep);
object!(crate::mr::Region, head, bindings::kfi_mr);
object!(crate::srx::Srx, head, bindings::kfi_srx);

/// Gives a reference to the consumer, which holds it by the info.
pub(super) fn give_info(conn: Arc<Conn>) -> *mut bindings::kfi_info {
    Arc::into_raw(conn)
        .cast_mut()
        .wrapping_byte_add(offset_of!(Conn, info))
        .cast()
}

/// Borrows a connection by its info.
///
/// # Safety
///
/// `info` came from [`give_info`] and was not taken back before `'a` ends.
pub(super) unsafe fn borrow_info<'a>(info: *mut bindings::kfi_info) -> ArcBorrow<'a, Conn> {
    // SAFETY: By the function's contract this is the pointer of a live reference. CAST: `give_info()` added the offset.
    unsafe {
        ArcBorrow::from_raw(
            info.cast_const()
                .byte_sub(offset_of!(Conn, info))
                .cast::<Conn>(),
        )
    }
}

/// Takes the consumer's reference back by the info.
///
/// # Safety
///
/// `info` came from [`give_info`], and the consumer does not use it any more.
pub(super) unsafe fn take_info(info: *mut bindings::kfi_info) -> Arc<Conn> {
    // SAFETY: By the function's contract the reference is ours. CAST: `give_info()` added the offset.
    unsafe {
        Arc::from_raw(
            info.cast_const()
                .byte_sub(offset_of!(Conn, info))
                .cast::<Conn>(),
        )
    }
}

/// Gives a reference to the consumer.
pub(super) fn give<T: Object>(object: Arc<T>) -> *mut T::Public {
    Arc::into_raw(object)
        .cast_mut()
        .wrapping_byte_add(T::OFFSET)
        .cast()
}

/// Borrows an object for a call of the consumer's.
///
/// # Safety
///
/// `public` came from [`give`] for this type and was not taken back before `'a` ends.
#[inline(always)]
pub(super) unsafe fn borrow<'a, T: Object>(public: *mut T::Public) -> ArcBorrow<'a, T> {
    // SAFETY: By the function's contract this is the pointer of a live reference. CAST: `give()` added the offset.
    unsafe { ArcBorrow::from_raw(public.cast_const().byte_sub(T::OFFSET).cast::<T>()) }
}

/// Takes the consumer's reference back.
///
/// # Safety
///
/// `public` came from [`give`] for this type, and the consumer does not use it any more.
pub(super) unsafe fn take<T: Object>(public: *mut T::Public) -> Arc<T> {
    // SAFETY: By the function's contract the reference is ours. CAST: `give()` added the offset.
    unsafe { Arc::from_raw(public.cast_const().byte_sub(T::OFFSET).cast::<T>()) }
}

/// A static table of functions.
#[repr(transparent)]
pub(super) struct Table<T>(pub(super) T);

// SAFETY: A table holds addresses of functions, and is never written.
unsafe impl<T> Sync for Table<T> {}

impl<T> Table<T> {
    /// The address that goes into public structures.
    pub(super) const fn as_ptr(&'static self) -> *const T {
        &raw const self.0
    }
}

/// What a constructor of the C ABI returns: an address or `ERR_PTR()`.
pub(super) fn into_ptr<P>(result: Result<*mut P>) -> *mut P {
    match result {
        Ok(p) => p,
        Err(e) => e.to_ptr(),
    }
}

/// What a function of the C ABI returns: 0 or a negative errno.
pub(super) fn into_ret(result: Result) -> c_int {
    match result {
        Ok(()) => 0,
        Err(e) => e.to_errno(),
    }
}
