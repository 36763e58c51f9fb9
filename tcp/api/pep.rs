// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_pep`: passive endpoints.

use super::{
    bindings,
    event::PepEventFn,
    object::{
        self,
        Table, //
    }, //
};
use crate::tcp::listen::Pep;
use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire, //
        Atomic,
        Full,
    },
    types::Opaque, //
};

/// The public passive endpoint and its callback.
#[repr(C)]
pub(crate) struct PepHead {
    public: Opaque<bindings::kfi_pep>,
    event: PepEventFn,
    closed: Atomic<bool>,
}

// SAFETY: The public part is the consumer's and kfi.ko's; the rest is not written, or atomic.
unsafe impl Send for PepHead {}
// SAFETY: As above.
unsafe impl Sync for PepHead {}

impl PepHead {
    /// The head of what `attr` asks for; `EINVAL` without callback.
    pub(super) fn new(attr: &bindings::kfi_pep_attr) -> Result<Self> {
        Ok(Self {
            public: Opaque::new(bindings::kfi_pep {
                ops: OPS.as_ptr(),
                priv_: attr.priv_,
                ..Default::default()
            }),
            event: PepEventFn::new(attr).ok_or(EINVAL)?,
            closed: Atomic::new(false),
        })
    }

    /// Calls the consumer back.
    pub(super) fn notify(&self, event: &bindings::kfi_event) {
        // SAFETY: The callback is the consumer's, for its own passive endpoint, in process context.
        unsafe { self.event.call(self.public.get(), event) };
    }

    /// No callback starts from here on.
    pub(crate) fn close(&self) {
        self.closed.xchg(true, Full);
    }

    /// Whether callbacks may start. The caller has counted itself before.
    pub(crate) fn is_open(&self) -> bool {
        !self.closed.load(Acquire)
    }
}

/// # Safety
///
/// `pep` is of this provider and not used any more; this is not its own callback.
unsafe extern "C" fn close(pep: *mut bindings::kfi_pep) {
    // SAFETY: By the function's contract.
    unsafe { object::take::<_, Pep>(pep) }.close();
}

object::object!(Pep, head, bindings::kfi_pep);

static OPS: Table<bindings::kfi_pep_ops> = Table(bindings::kfi_pep_ops { close: Some(close) });
