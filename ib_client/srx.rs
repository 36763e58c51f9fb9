// SPDX-License-Identifier: GPL-2.0-only

//! Shared receive contexts.

#![deny(unsafe_code)]

use crate::{
    api::srx::SrxHead,
    client::Attachment,
    roster::Ticket,
    verbs::{
        pd::Pd,
        srq::Srq, //
    }, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    }, //
};

/// Receives shared by the endpoints of a domain.
#[pin_data]
pub(crate) struct Srx {
    pub(crate) head: SrxHead,
    #[pin]
    inner: Mutex<Inner>,
    home: Arc<Attachment>,
}

struct Inner {
    /// `None` when the device has gone.
    srq: Option<Arc<Srq>>,
    ticket: Option<Ticket>,
}

impl Srx {
    /// Allocates a context.
    pub(crate) fn new(
        home: &Arc<Attachment>,
        pd: Arc<Pd>,
        max_rx: u32,
        max_sge: u32,
    ) -> Result<Arc<Self>> {
        let srq = Srq::new(pd, max_rx, max_sge)?;
        let srx = Arc::pin_init(
            pin_init!(Self {
                head: SrxHead::of(&srq, max_sge),
                inner <- new_mutex!(Inner { srq: Some(srq), ticket: None }, "kfi::Srx"),
                home: home.clone(),
            }),
            GFP_KERNEL,
        )?;
        let ticket = home.data().srxs.add(srx.clone())?;
        srx.inner.lock().ticket = Some(ticket);
        Ok(srx)
    }

    /// The verbs queue; `ENODEV` when the device has gone.
    pub(crate) fn srq(&self) -> Result<Arc<Srq>> {
        self.inner.lock().srq.clone().ok_or(ENODEV)
    }

    /// The device goes away: ends posting.
    pub(crate) fn kill(&self) {
        self.head.kill();
    }

    /// Gives the verbs queue up.
    pub(crate) fn end(&self) {
        let srq = self.inner.lock().srq.take();
        // Outside of the lock: destruction sleeps for long.
        drop(srq);
    }

    /// The consumer has freed the context.
    pub(crate) fn free(self: Arc<Self>) {
        self.kill();
        if let Some(ticket) = self.inner.lock().ticket.take() {
            self.home.data().srxs.remove(ticket);
        }
        self.end();
    }
}
