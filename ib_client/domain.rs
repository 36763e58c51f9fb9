// SPDX-License-Identifier: GPL-2.0-only

//! Protection domains.

#![deny(unsafe_code)]

use crate::{
    api::domain::DomainHead,
    bindings,
    client::Attachment,
    cq::Queue,
    mr::Region,
    roster::Ticket,
    srx::Srx,
    verbs::pd::{
        Caller,
        Pd, //
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

/// A protection domain that kfi has made.
#[pin_data]
pub(crate) struct Domain {
    pub(crate) head: DomainHead,
    #[pin]
    inner: Mutex<Inner>,
    pub(crate) home: Arc<Attachment>,
}

struct Inner {
    /// `None` when the device has gone.
    pd: Option<Arc<Pd>>,
    ticket: Option<Ticket>,
}

impl Domain {
    /// Opens a domain on a device.
    pub(crate) fn open(
        home: Arc<Attachment>,
        unsafe_global_rkey: bool,
        caller: Caller,
    ) -> Result<Arc<Self>> {
        let pd = if unsafe_global_rkey {
            Pd::with_unsafe_global_rkey(home.enter()?, caller)?
        } else {
            Pd::new(home.enter()?, caller)?
        };
        let (lkey, rkey) = (pd.local_dma_lkey(), pd.unsafe_global_rkey());
        let domain = Arc::pin_init(
            pin_init!(Self {
                head: DomainHead::new(home.data().device.clone(), lkey, rkey),
                inner <- new_mutex!(Inner { pd: Some(pd), ticket: None }, "kfi::Domain"),
                home,
            }),
            GFP_KERNEL,
        )?;
        let ticket = domain.home.data().domains.add(domain.clone())?;
        domain.inner.lock().ticket = Some(ticket);
        Ok(domain)
    }

    /// The verbs domain; `ENODEV` when the device has gone.
    pub(crate) fn pd(&self) -> Result<Arc<Pd>> {
        self.inner.lock().pd.clone().ok_or(ENODEV)
    }

    /// Allocates a completion queue.
    pub(crate) fn cq_alloc(
        &self,
        nr_cqe: u32,
        vector: c_int,
        poll: bindings::kfi_poll,
        pool: bool,
        caller: Caller,
    ) -> Result<Arc<Queue>> {
        Queue::new(&self.home, nr_cqe, vector, poll, pool, caller)
    }

    /// Allocates a memory region.
    pub(crate) fn mr_alloc(&self, kind: bindings::kfi_mr_type, max_sg: u32) -> Result<Arc<Region>> {
        Region::new(&self.home, self.pd()?, kind, max_sg)
    }

    /// Allocates a shared receive context.
    pub(crate) fn srx_alloc(&self, max_rx: u32, max_sge: u32) -> Result<Arc<Srx>> {
        Srx::new(&self.home, self.pd()?, max_rx, max_sge)
    }

    /// The device goes away: ends the use by the data path.
    pub(crate) fn kill(&self) {
        self.head.kill();
    }

    /// Gives the verbs domain up.
    pub(crate) fn end(&self) {
        let pd = self.inner.lock().pd.take();
        // Outside of the lock: deallocation sleeps for long.
        drop(pd);
    }

    /// The consumer's last reference is gone.
    pub(crate) fn free(self: Arc<Self>) {
        self.kill();
        if let Some(ticket) = self.inner.lock().ticket.take() {
            self.home.data().domains.remove(ticket);
        }
        self.end();
    }
}
