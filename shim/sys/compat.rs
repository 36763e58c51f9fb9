// SPDX-License-Identifier: GPL-2.0-only

//! What differs between the kernel series that kfi builds for.
//!
//! Every module of kfi includes this file. scripts/Kbuild.bindgen sets the configuration names below; it and this
//! file are the only places that know a kernel version.

#[cfg(kfi_linux_7_3)]
mod this_module {
    use crate::LocalModule;
    use kernel::{
        module::this_module,
        ThisModule, //
    };

    // Not every module that includes this file names itself.
    #[allow(dead_code)]
    /// The module that this is compiled into. Since 7.3 it is a constant of a trait.
    pub(crate) const THIS_MODULE: &ThisModule = this_module::<LocalModule>();
}

#[cfg(not(kfi_linux_7_3))]
mod this_module {
    // Until 7.2 `module!` puts it into the crate's root.
    pub(crate) use crate::THIS_MODULE;
}

#[allow(unused_imports)]
pub(crate) use this_module::THIS_MODULE;

/// The value of a module parameter: `value()` returns a reference until 7.2, a copy since.
#[allow(dead_code)]
pub(crate) fn value<T: Copy>(param: impl core::borrow::Borrow<T>) -> T {
    *param.borrow()
}
