// SPDX-License-Identifier: GPL-2.0-only

//! The functions that include/kfi declares, as C calls them.
//!
//! They make views of pointers, call safe code, and turn results into what C expects. exports.c exports them. Each
//! signature is compared with the C prototype when this is compiled.

mod client;
mod conn;
mod domain;
mod mr;
mod provider;
mod queue;
mod rma;

use crate::{
    strerror,
    sys::own::{
        Object,
        Own, //
    }, //
};
use core::ptr::NonNull;
use kernel::{
    error::from_err_ptr,
    ffi::{
        c_char,
        c_int, //
    },
    prelude::*, //
};

/// Compares the signatures of functions with those that bindgen found in the headers.
macro_rules! prototypes {
    ($($name:ident),* $(,)?) => {
        $(const _: () = {
            if true {
                $crate::bindings::$name
            } else {
                $name
            };
        };)*
    };
}
use prototypes;

/// 0 or a negative errno.
fn errno(result: Result) -> c_int {
    match result {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// A pointer or ERR_PTR.
fn pointer<T>(result: Result<*mut T>) -> *mut T {
    result.unwrap_or_else(|error| error.to_ptr())
}

/// An object for C, or ERR_PTR.
fn object<T: Object>(result: Result<Own<T>>) -> *mut T::C {
    pointer(result.map(Own::into_raw))
}

/// A required argument.
fn required<T>(ptr: *const T) -> Result<NonNull<T>> {
    NonNull::new(ptr.cast_mut()).ok_or(EINVAL)
}

/// Ends an object; NULL and ERR_PTR are ignored.
///
/// # Safety
///
/// `ptr` is NULL, an ERR_PTR, or an object that the caller owns.
unsafe fn end<T: Object>(ptr: *mut T::C) {
    if let Some(ptr) = from_err_ptr(ptr).ok().and_then(NonNull::new) {
        // SAFETY: Promised by the caller.
        drop(unsafe { Own::<T>::from_raw(ptr) });
    }
}

prototypes!(__kfi_strerror);

/// Documented in kfi.h.
///
/// # Safety
///
/// None: the text is constant.
#[no_mangle]
pub(crate) unsafe extern "C" fn __kfi_strerror(status: c_int) -> *const c_char {
    strerror::text(status).as_char_ptr()
}
