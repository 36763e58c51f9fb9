// SPDX-License-Identifier: GPL-2.0-only

//! What bindgen makes of the headers in bindings.h, for each module of the kernel: kfi.ko, kfi_verbs.ko, those of consumers and
//! tests. Only the parts of a module that hold unsafe code may use more of it than constants.

#![allow(
    clippy::all,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks,
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    non_snake_case,
    improper_ctypes,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    dead_code,
    unused
)]

pub(crate) use kernel::bindings::*;
use kernel::ffi;
use pin_init::{
    MaybeZeroable,
    Zeroable, //
};

type __kernel_size_t = usize;
type __kernel_ssize_t = isize;
type __kernel_ptrdiff_t = isize;

include!(concat!(env!("KFI_OBJ"), "/bindings_generated.rs"));
