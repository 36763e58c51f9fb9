// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_pep`: passive endpoints.

use super::{
    bindings,
    event::{
        self,
        Notice,
        PepEventFn, //
    },
    object::{
        self,
        Table, //
    }, //
};
use crate::{
    conn::Conn,
    listener::Listener,
    verbs::addr::Net, //
};
use core::mem::offset_of;
use kernel::{
    prelude::*,
    sync::Arc,
    types::Opaque, //
};

/// The public passive endpoint and its callback.
#[repr(C)]
pub(crate) struct PepHead {
    public: Opaque<bindings::kfi_pep>,
    event: PepEventFn,
    net: *mut bindings::net,
}

const _: () = assert!(offset_of!(PepHead, public) == 0);

// SAFETY: The public part is the consumer's and kfi.ko's; the rest is not written.
unsafe impl Send for PepHead {}
// SAFETY: As above.
unsafe impl Sync for PepHead {}

impl PepHead {
    /// The head of what `attr` asks for; `EINVAL` without callback.
    pub(super) fn new(attr: &bindings::kfi_pep_attr) -> Result<Self> {
        Ok(Self {
            public: Opaque::new(bindings::kfi_pep {
                ops: PEP_OPS.as_ptr(),
                priv_: attr.priv_,
                ..Default::default()
            }),
            event: PepEventFn::new(attr).ok_or(EINVAL)?,
            net: attr.net,
        })
    }

    /// The public passive endpoint.
    pub(super) fn as_ptr(&self) -> *mut bindings::kfi_pep {
        self.public.get()
    }

    /// The network namespace.
    pub(crate) fn net(&self) -> &Net {
        // SAFETY: Only called while there is an identifier, which holds the namespace.
        unsafe { Net::from_raw(self.net) }
    }

    fn notify(&self, event: &bindings::kfi_event) {
        // SAFETY: The callback is the consumer's, for its own passive endpoint, in process context.
        unsafe { self.event.call(self.as_ptr(), event) };
    }

    /// Hands a request to the consumer.
    pub(crate) fn connect_request(&self, conn: Arc<Conn>) {
        // The consumer's from here on; it may give it up before its callback returns.
        let event = event::request(object::give(conn.clone()));
        conn.hand_over(|| self.notify(&event));
    }

    /// The device goes away.
    pub(crate) fn device_gone(&self) {
        self.notify(&Notice::error(ENODEV.to_errno()).to_raw());
    }

    /// The address moved to another device.
    pub(crate) fn addr_change(&self) {
        self.notify(&Notice::addr_change().to_raw());
    }
}

/// # Safety
///
/// `pep` is of this provider and not used any more; this is not its own callback.
unsafe extern "C" fn close(pep: *mut bindings::kfi_pep) {
    // SAFETY: By the function's contract.
    unsafe { object::take::<_, Listener>(pep) }.close();
}

object::object!(Listener, head, bindings::kfi_pep);

/// The table of passive endpoints.
static PEP_OPS: Table<bindings::kfi_pep_ops> = Table(bindings::kfi_pep_ops { close: Some(close) });
