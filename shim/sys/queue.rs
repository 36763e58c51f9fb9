// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_cq`.

use super::{
    child::child,
    domain::Domain,
    own::Own,
    Consumer, //
};
use crate::bindings;
use core::{
    ffi::c_void,
    ptr::NonNull, //
};
use kernel::prelude::*;

child! {
    /// A completion queue.
    Cq, kfi_cq, Cq
}

impl Cq {
    /// Allocates a queue; the arguments are in range.
    pub(crate) fn alloc(
        domain: &Domain,
        private: *mut c_void,
        nr_cqe: u32,
        vector: i32,
        poll: bindings::kfi_poll,
        pool: bool,
        consumer: Consumer,
    ) -> Result<Own<Self>> {
        let raw = domain.cq_alloc(nr_cqe, vector, poll, pool, consumer)?;
        let cq = raw.as_ptr();
        // SAFETY: The provider has made the queue for this call, and nobody else has seen it.
        unsafe {
            (*cq).priv_ = private;
            (*cq).nr_cqe = nr_cqe;
            (*cq).poll = poll;
            Self::init(raw, domain);
            Ok(Own::from_raw(raw))
        }
    }

    /// # Safety
    ///
    /// `cq` is live for `'a`.
    pub(crate) unsafe fn from_raw<'a>(cq: NonNull<bindings::kfi_cq>) -> &'a Self {
        // SAFETY: Promised by the caller; the layouts are the same.
        unsafe { cq.cast().as_ref() }
    }

    /// Its domain.
    pub(crate) fn domain(&self) -> &Domain {
        // SAFETY: The type invariant.
        unsafe { Domain::from_raw(NonNull::new_unchecked((*self.0.get()).domain)) }
    }
}
