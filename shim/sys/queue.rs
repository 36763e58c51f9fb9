// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_cq`.

use super::{
    domain::{
        Domain,
        Parent, //
    },
    own::{
        Object,
        Own, //
    },
    Consumer, //
};
use crate::{
    bindings,
    observe::counts::Kind, //
};
use core::{
    ffi::c_void,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    types::Opaque, //
};

/// A completion queue.
///
/// # Invariants
///
/// `domain` owns a reference, and is constant.
#[repr(transparent)]
pub(crate) struct Cq(Opaque<bindings::kfi_cq>);

// SAFETY: What this view shows is constant.
unsafe impl Send for Cq {}
// SAFETY: As above.
unsafe impl Sync for Cq {}

// SAFETY: Transparent over the C structure.
unsafe impl Object for Cq {
    type C = bindings::kfi_cq;

    unsafe fn release(this: NonNull<Self>) {
        let raw: *mut bindings::kfi_cq = this.as_ptr().cast();
        // SAFETY: The caller owns the queue. By the type invariant the reference is the queue's own.
        let domain = unsafe { Parent::from_raw((*raw).domain) };
        // SAFETY: As above, and nobody uses the queue after this.
        if let Some(free) = unsafe { (*(*raw).ops).free } {
            // SAFETY: As above.
            unsafe { free(raw) }
        }
        if let Some(domain) = domain {
            domain.closed(Kind::Cq);
        }
    }
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

    /// Ties a queue that the provider has made to its domain.
    ///
    /// # Safety
    ///
    /// `raw` is live and nobody else uses it.
    pub(crate) unsafe fn init(raw: NonNull<bindings::kfi_cq>, domain: &Domain) {
        // SAFETY: Promised by the caller.
        // INVARIANT: The reference is the queue's.
        unsafe { (*raw.as_ptr()).domain = domain.adopt(Kind::Cq) }
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
