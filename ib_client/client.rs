// SPDX-License-Identifier: GPL-2.0-only

//! RDMA devices come and go.
//!
//! Documentation/kfi/removal.rst describes what happens in [`verbs::client::Client::remove`] and behind it.

#![deny(unsafe_code)]

use crate::{
    api::{
        self,
        device::DeviceHead, //
    },
    attr,
    conn::{
        teardown::Cause,
        Conn, //
    },
    cq::Queue,
    domain::Domain,
    listener::Listener,
    mr::Region,
    roster::Roster,
    srx::Srx,
    verbs::{
        self,
        addr::Net,
        device::Device,
        gid::{
            Gid,
            GidBytes, //
        }, //
    }, //
};
use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    }, //
};

/// kfi as a client of the RDMA core.
pub(crate) struct Client;

verbs::client::impl_has_slot! { impl HasSlot for Client { c"kfi" } }

/// One device, from `add` until the last object that knows it is freed.
pub(crate) type Attachment = verbs::client::Attachment<Attached>;

/// What kfi keeps for each device.
#[pin_data]
pub(crate) struct Attached {
    /// `struct kfi_device`.
    pub(crate) head: DeviceHead,
    /// The verbs device; its memory only.
    pub(crate) device: ARef<Device>,
    #[pin]
    pub(crate) conns: Roster<Conn>,
    #[pin]
    pub(crate) listeners: Roster<Listener>,
    #[pin]
    pub(crate) srxs: Roster<Srx>,
    #[pin]
    pub(crate) regions: Roster<Region>,
    #[pin]
    pub(crate) queues: Roster<Queue>,
    #[pin]
    pub(crate) domains: Roster<Domain>,
}

impl verbs::client::Client for Client {
    type Data = Attached;

    fn add(device: &Device) -> Result<impl PinInit<Self::Data, Error>> {
        let head = DeviceHead::new(device, attr::of(device));
        let device = device.to_aref();
        Ok(try_pin_init!(Attached {
            head,
            device,
            conns <- Roster::new(),
            listeners <- Roster::new(),
            srxs <- Roster::new(),
            regions <- Roster::new(),
            queues <- Roster::new(),
            domains <- Roster::new(),
        }? Error))
    }

    fn added(attachment: &Arc<Attachment>) -> Result {
        attachment.data().head.announce()
    }

    fn remove(attachment: &Arc<Attachment>) {
        attachment.data().head.withdraw();
    }

    fn closed(attachment: &Arc<Attachment>) {
        let data = attachment.data();
        data.listeners.close();
        data.conns.close();
        data.srxs.close();
        data.regions.close();
        data.queues.close();
        data.domains.close();
        while let Some(listener) = data.listeners.pop() {
            listener.device_gone();
        }
        // First ask all of them, then wait: the teardowns run in parallel.
        data.conns.for_each(|conn| conn.ask_teardown(Cause::Gone));
        while let Some(conn) = data.conns.pop() {
            conn.wait_teardown();
        }
        data.srxs.for_each(|srx| srx.kill());
        data.regions.for_each(|region| region.kill());
        data.queues.for_each(|queue| queue.kill());
        data.domains.for_each(|domain| domain.kill());
        // Nobody uses in the data path what was killed above.
        api::sys::synchronize_rcu();
        while let Some(srx) = data.srxs.pop() {
            srx.end();
        }
        while let Some(region) = data.regions.pop() {
            region.end();
        }
        while let Some(queue) = data.queues.pop() {
            queue.end();
        }
        while let Some(domain) = data.domains.pop() {
            domain.end();
        }
    }
}

/// The device at whose port addresses of AF_IB are found: that of `gid`, or, without it, one in the subnet of `near`.
pub(crate) fn find_gid(
    net: &Net,
    pkey: u16,
    gid: Option<&GidBytes>,
    near: &GidBytes,
) -> Result<(Arc<Attachment>, Gid)> {
    verbs::client::find_map::<Client, _>(|attachment| match gid {
        Some(gid) => Gid::find(attachment.gate(), net, pkey, None, gid),
        None => Gid::find_near(attachment.gate(), net, pkey, near),
    })
    .ok_or(ENODEV)
}

/// The attachment of a device, while kfi uses it.
pub(crate) fn find(device: &Device) -> Result<Arc<Attachment>> {
    verbs::client::find::<Client>(device).ok_or(ENODEV)
}
