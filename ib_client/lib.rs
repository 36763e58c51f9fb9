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
    pub(crate) use kernel::bindings::*;
    use kernel::ffi;
    use pin_init::{MaybeZeroable, Zeroable};
    type __kernel_size_t = usize;
    type __kernel_ssize_t = isize;
    type __kernel_ptrdiff_t = isize;
    // SAFETY: a newtype around `Storage`.
    unsafe impl<Storage> Zeroable for __BindgenBitfieldUnit<Storage> where Storage: Zeroable {}
    include!(concat!(env!("KFI_OBJ"), "/bindings_generated.rs"));
}

mod verbs;

module! {
    type: Verbs,
    name: "kfi_verbs",
    authors: ["kfi"],
    description: "Kernel fabric interface",
    license: "GPL",
}


struct Verbs;
impl kernel::Module for Verbs {
    fn init(_m: &'static ThisModule) -> Result<Self> {
        pr_info!("{}\n", core::mem::size_of::<bindings::ib_device>());
        Ok(Verbs)
    }
}
