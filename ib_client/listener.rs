// SPDX-License-Identifier: GPL-2.0-only

//! Passive endpoints.
//!
//! One that listens on an address of a device holds that device like a connection does. One on the wildcard address holds
//! none: rdma_cm makes and destroys a hidden listener for each device. Addresses of AF_IB are always a device's.

#![deny(unsafe_code)]

use crate::{
    api::pep::PepHead,
    client::{
        self,
        Attachment, //
    },
    conn::Conn,
    roster::Ticket,
    verbs::{
        addr::{
            IbAddr,
            Net,
            SockAddr, //
        },
        cm::{
            CmId,
            ConnectRequest,
            Event,
            Handler,
            Locked, //
        },
        device::DeviceGuard,
        gate::Gate,
        pd::Caller, //
    }, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow,
        Mutex, //
    }, //
};

/// A passive endpoint.
#[pin_data]
pub(crate) struct Listener {
    pub(crate) head: PepHead,
    #[pin]
    inner: Mutex<Inner>,
    /// Closed when the consumer has closed the passive endpoint.
    #[pin]
    open: Gate,
}

struct Inner {
    id: Option<Arc<CmId>>,
    bound: Option<(Arc<Attachment>, DeviceGuard, Ticket)>,
}

impl Listener {
    /// A passive endpoint that does not listen yet.
    pub(crate) fn new(head: PepHead) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                head,
                inner <- new_mutex!(Inner { id: None, bound: None }, "kfi::Listener"),
                open <- Gate::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// Listens. Requests can come before this returns.
    ///
    /// After an error the caller closes it.
    pub(crate) fn listen(
        self: &Arc<Self>,
        net: &Net,
        addr: &SockAddr,
        backlog: u32,
        afonly: bool,
        caller: Caller,
    ) -> Result {
        if let Some(local) = addr.ib() {
            return self.listen_ib(net, &local, backlog, caller);
        }
        let id = CmId::new(net, self.clone(), caller)?;
        self.inner.lock().id = Some(id.clone());
        if afonly {
            id.set_afonly(true)?;
        }
        id.bind(addr)?;
        if let Some(device) = id.device() {
            let home = client::find(device)?;
            let guard = home.enter()?;
            self.bind(home, guard)?;
        }
        id.listen(backlog)
    }

    /// Listens at the port that has a GID, for a service ID.
    fn listen_ib(
        self: &Arc<Self>,
        net: &Net,
        local: &IbAddr,
        backlog: u32,
        caller: Caller,
    ) -> Result {
        let (home, gid) = client::find_gid(net, local.pkey, Some(&local.gid), &local.gid)?;
        let guard = home.enter()?;
        let id = CmId::new_ib(net, self.clone(), caller, gid, local, None)?;
        self.inner.lock().id = Some(id.clone());
        self.bind(home, guard)?;
        id.listen(backlog)
    }

    /// Takes hold of the device.
    fn bind(self: &Arc<Self>, home: Arc<Attachment>, guard: DeviceGuard) -> Result {
        // The removal of the device finds it with what it is to give up.
        let mut inner = self.inner.lock();
        let ticket = home.data().listeners.add(self.clone())?;
        inner.bound = Some((home, guard, ticket));
        Ok(())
    }

    /// Ends what there is on a device: after this no request comes.
    fn end(&self) {
        let (id, bound) = {
            let mut inner = self.inner.lock();
            (inner.id.take(), inner.bound.take())
        };
        // Waits for handlers.
        drop(id);
        if let Some((home, guard, ticket)) = bound {
            home.data().listeners.remove(ticket);
            drop(guard);
        }
    }

    /// The device goes away.
    pub(crate) fn device_gone(&self) {
        // If the consumer closes it meanwhile, the removal waits for the guard that the close gives up.
        let Ok(_open) = self.open.enter() else {
            return;
        };
        self.end();
        self.head.device_gone();
    }

    /// The consumer does not want it any more.
    pub(crate) fn close(self: Arc<Self>) {
        self.open.close_and_wait();
        self.end();
    }
}

impl Handler for Listener {
    fn event(this: ArcBorrow<'_, Self>, _id: Locked<'_>, event: &Event<'_>) {
        // Removal is the client's business; the rest does not happen to a listener.
        if let Event::AddrChange = event {
            this.head.addr_change();
        }
    }

    fn connect_request(this: ArcBorrow<'_, Self>, request: ConnectRequest<'_>) {
        // After an error the peer was refused, or will be.
        if let Ok(conn) = Conn::request(this.head.net(), request) {
            this.head.connect_request(conn);
        }
    }
}
