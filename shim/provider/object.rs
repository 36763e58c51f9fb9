// SPDX-License-Identifier: GPL-2.0-only

//! Objects and the public structures in them, by whose address consumers hold them. A part of each provider.

use kernel::{
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    }, //
};

/// An object that consumers hold by the address of a public structure in it.
///
/// # Safety
///
/// A `Public` lies `OFFSET` bytes into the object.
pub(super) unsafe trait Object<Public>: Sized {
    /// Where it lies.
    const OFFSET: usize;
}

/// Implements [`Object`] for a type by its field, which starts with the public structure.
macro_rules! object {
    ($type:ty, $field:ident, $public:ty) => {
        // SAFETY: The field starts with this structure.
        unsafe impl super::object::Object<$public> for $type {
            const OFFSET: usize = core::mem::offset_of!($type, $field);
        }
    };
}
pub(super) use object;

/// Gives a reference to the consumer.
pub(super) fn give<P, T: Object<P>>(object: Arc<T>) -> *mut P {
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
pub(super) unsafe fn borrow<'a, P, T: Object<P>>(public: *mut P) -> ArcBorrow<'a, T> {
    // SAFETY: By the function's contract this is the pointer of a live reference. CAST: `give()` added the offset.
    unsafe { ArcBorrow::from_raw(public.cast_const().byte_sub(T::OFFSET).cast::<T>()) }
}

/// Takes the consumer's reference back.
///
/// # Safety
///
/// `public` came from [`give`] for this type, and the consumer does not use it any more.
pub(super) unsafe fn take<P, T: Object<P>>(public: *mut P) -> Arc<T> {
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
    result.unwrap_or_else(|error| error.to_ptr())
}

/// What a function of the C ABI returns: 0 or a negative errno.
pub(super) fn into_ret(result: Result) -> c_int {
    match result {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// Views what a consumer passes as an address and a length.
///
/// # Safety
///
/// `at` is NULL, or valid for `'a` and has `len` bytes.
pub(super) unsafe fn bytes<'a>(at: *const c_void, len: u32) -> &'a [u8] {
    if at.is_null() {
        &[]
    } else {
        // SAFETY: By the function's contract.
        unsafe { core::slice::from_raw_parts(at.cast::<u8>(), len as usize) }
    }
}
