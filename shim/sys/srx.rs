// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_srx`.

use super::{
    child::child,
    domain::Domain,
    own::Own, //
};
use crate::bindings;
use core::ptr::NonNull;
use kernel::prelude::*;

child! {
    /// A shared receive context.
    Srx, kfi_srx, Srx
}

impl Srx {
    /// Allocates a context; the arguments are in range.
    pub(crate) fn alloc(domain: &Domain, max_rx: u32, max_sge: u32) -> Result<Own<Self>> {
        let raw = domain.srx_alloc(max_rx, max_sge)?;
        // SAFETY: The provider has made the context for this call, and nobody else has seen it.
        unsafe {
            Self::init(raw, domain);
            Ok(Own::from_raw(raw))
        }
    }

    /// # Safety
    ///
    /// `srx` is live for `'a`.
    pub(crate) unsafe fn from_raw<'a>(srx: NonNull<bindings::kfi_srx>) -> &'a Self {
        // SAFETY: Promised by the caller; the layouts are the same.
        unsafe { srx.cast().as_ref() }
    }

    /// Its domain.
    pub(crate) fn domain(&self) -> &Domain {
        // SAFETY: The type invariant.
        unsafe { Domain::from_raw(NonNull::new_unchecked((*self.0.get()).domain)) }
    }
}
