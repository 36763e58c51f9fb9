// SPDX-License-Identifier: GPL-2.0-only
//! kfi: the kernel fabric interface.

use kernel::prelude::*;

#[allow(
    clippy::all,
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
mod bindings {
    use kernel::bindings::*;
    use kernel::ffi;
    use pin_init::{MaybeZeroable, Zeroable};
    type __kernel_size_t = usize;
    type __kernel_ssize_t = isize;
    type __kernel_ptrdiff_t = isize;
    include!(concat!(env!("KFI_OBJ"), "/bindings_generated.rs"));
}

module! {
    type: Kfi,
    name: "kfi",
    authors: ["kfi"],
    description: "Kernel fabric interface",
    license: "GPL",
}

/// x
#[no_mangle]
pub extern "C" fn __kfi_strerror(_status: i32) -> *const kernel::ffi::c_char {
    c"x".as_ptr().cast()
}

struct Kfi;
impl kernel::Module for Kfi {
    fn init(_m: &'static ThisModule) -> Result<Self> {
        pr_info!("{}\n", core::mem::size_of::<bindings::kfi_op>());
        Ok(Kfi)
    }
}
