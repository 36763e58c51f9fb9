// SPDX-License-Identifier: GPL-2.0-only

//! Safe views of C: the structures of include/kfi and the few kernel services that the kernel crate lacks.
//!
//! A view such as [`Domain`] has the layout of the C structure behind it, and exists only by reference. [`Own`] stands
//! for the right to end an object. The callbacks of a provider are called in here, and only in here.

pub(crate) mod addr;
mod child;
pub(crate) mod client;
pub(crate) mod compat;
pub(crate) mod count;
pub(crate) mod debugfs;
pub(crate) mod device;
pub(crate) mod domain;
pub(crate) mod endpoint;
pub(crate) mod errno;
pub(crate) mod few;
pub(crate) mod handoff;
pub(crate) mod info;
pub(crate) mod irq_lock;
pub(crate) mod locks;
pub(crate) mod memory;
pub(crate) mod module;
pub(crate) mod own;
pub(crate) mod pep;
pub(crate) mod policy;
pub(crate) mod pool;
pub(crate) mod provider;
pub(crate) mod queue;
pub(crate) mod region;
pub(crate) mod resolve;
pub(crate) mod ring;
pub(crate) mod rma;
pub(crate) mod socket;
pub(crate) mod srx;
pub(crate) mod tls;
pub(crate) mod workq;

use crate::{
    bindings,
    check, //
};
use core::ptr::NonNull;
use kernel::{
    error::from_err_ptr,
    prelude::*, //
};

// What check.rs, which knows no header, takes for granted.
const _: () = {
    assert!(check::AF_INET as u32 == bindings::AF_INET);
    assert!(check::AF_INET6 as u32 == bindings::AF_INET6);
    assert!(check::AF_IB as u32 == bindings::AF_IB);
    assert!(check::POLL_DIRECT == bindings::kfi_poll_KFI_POLL_DIRECT);
    assert!(check::DOMAIN_GLOBAL_RKEY == bindings::KFI_DOMAIN_UNSAFE_GLOBAL_RKEY);
    assert!(check::MR_MEM_REG == bindings::kfi_mr_type_KFI_MR_MEM_REG);
    assert!(check::OWN_PORT == bindings::KFI_OWN_PORT);
    assert!(check::MR_SG_GAPS == bindings::kfi_mr_type_KFI_MR_SG_GAPS);
    assert!(check::MR_INTEGRITY == bindings::kfi_mr_type_KFI_MR_INTEGRITY);
    assert!(check::EP_PI == bindings::KFI_EP_PI);
};

/// Name of the consumer that an object is opened for: its module's name.
///
/// # Invariants
///
/// The string outlives every object that it is given to.
#[derive(Clone, Copy)]
pub(crate) struct Consumer(NonNull<kernel::ffi::c_char>);

// SAFETY: The string is constant.
unsafe impl Send for Consumer {}
// SAFETY: As above.
unsafe impl Sync for Consumer {}

impl Consumer {
    /// Takes the name that the macros of kfi.h pass down; no name is "kernel".
    ///
    /// # Safety
    ///
    /// `name` is NULL or a string that outlives every object opened with the result.
    pub(crate) unsafe fn from_raw(name: *const kernel::ffi::c_char) -> Self {
        // INVARIANT: Promised by the caller; a literal lives forever.
        Self(NonNull::new(name.cast_mut()).unwrap_or(NonNull::from(c"kernel").cast()))
    }

    fn as_ptr(self) -> *const kernel::ffi::c_char {
        self.0.as_ptr()
    }
}

/// Makes a result of what a provider returned: a pointer or an errno in its place.
fn from_provider<T>(ptr: *mut T) -> Result<NonNull<T>> {
    NonNull::new(from_err_ptr(ptr)?).ok_or(EIO)
}
