// SPDX-License-Identifier: GPL-2.0-only

//! From an address to a device and a route.

#![deny(unsafe_code)]

use super::{
    teardown::Cause,
    Addrs,
    Conn,
    Phase,
    Side, //
};
use crate::{
    api::{
        event::ResolveFn,
        info::InfoHead, //
    },
    client,
    errno::EHOSTUNREACH,
    verbs::{
        addr::{
            IbAddr,
            Net,
            SockAddr, //
        },
        cm::{
            CmId,
            Locked, //
        },
        pd::Caller, //
    }, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// For each step, if the consumer does not say.
const TIMEOUT_MS: u32 = 3000;

/// What `kfi_resolve()` is asked for.
pub(crate) struct Request<'a> {
    pub(crate) net: &'a Net,
    pub(crate) timeout_ms: u32,
    pub(crate) tos: Option<u8>,
    pub(crate) done: ResolveFn,
    pub(crate) caller: Caller,
}

/// The status of a resolution that failed: no RDMA device has the address, nobody answers, or there is no route.
fn status(error: Error) -> Error {
    match error {
        ENODEV | ETIMEDOUT | ENOMEM => error,
        _ => EHOSTUNREACH.err(),
    }
}

impl Conn {
    /// A connection that is about to be resolved.
    pub(crate) fn to_resolve(request: &Request<'_>) -> Result<Arc<Self>> {
        let conn = Self::new(Side::Active, Phase::Resolving, InfoHead::new(request.net))?;
        {
            let mut inner = conn.inner.lock();
            inner.resolve = Some(request.done);
            inner.timeout_ms = match request.timeout_ms {
                0 => TIMEOUT_MS,
                ms => ms,
            };
        }
        Ok(conn)
    }

    /// Starts the resolution. The callback can come before this returns, and can give up the consumer's reference.
    ///
    /// After an error there is no callback.
    pub(crate) fn start_resolve(
        self: &Arc<Self>,
        request: &Request<'_>,
        src: Option<&SockAddr>,
        dst: &SockAddr,
    ) -> Result {
        let started = {
            let _call = self.call()?;
            match dst.ib() {
                Some(peer) => self.look_for_path(request, src.and_then(SockAddr::ib), &peer),
                None => self.look_for_address(request, src, dst),
            }
        };
        let started = started.map_err(|error| match error {
            // Routing's answer under some rules. There is no RDMA on the loopback device.
            EINVAL if dst.is_loopback() => ENODEV,
            _ => status(error),
        });
        match started {
            // Another provider may do it, or nothing has begun.
            Err(e @ (ENODEV | ENOMEM)) => {
                self.inner.lock().phase = Phase::Failed;
                Err(e)
            }
            Err(e) => {
                self.resolve_failed(e);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// With IP addresses rdma_cm finds the device.
    fn look_for_address(
        self: &Arc<Self>,
        request: &Request<'_>,
        src: Option<&SockAddr>,
        dst: &SockAddr,
    ) -> Result {
        let id = CmId::new(request.net, self.clone(), request.caller)?;
        if let Some(tos) = request.tos {
            id.set_service_type(tos);
        }
        let timeout_ms = {
            let mut inner = self.inner.lock();
            inner.id = Some(id.clone());
            inner.timeout_ms
        };
        id.resolve_addr(src, dst, timeout_ms)
    }

    /// With AF_IB the device is the one that has the GID of `src`, or one in the peer's subnet.
    fn look_for_path(
        self: &Arc<Self>,
        request: &Request<'_>,
        src: Option<IbAddr>,
        peer: &IbAddr,
    ) -> Result {
        let at = src.filter(|src| src.gid != [0; 16]).map(|src| src.gid);
        let (home, gid) = client::find_gid(request.net, peer.pkey, at.as_ref(), &peer.gid)?;
        let guard = home.enter()?;
        let local = IbAddr {
            gid: gid.bytes(),
            pkey: peer.pkey,
            flow: src.map_or(0, |src| src.flow),
            service: 0,
        };
        let id = CmId::new_ib(
            request.net,
            self.clone(),
            request.caller,
            gid,
            &local,
            Some(peer),
        )?;
        let timeout_ms = {
            let mut inner = self.inner.lock();
            inner.id = Some(id.clone());
            inner.timeout_ms
        };
        self.bind(home, guard)?;
        id.resolve_ib_route(request.tos, timeout_ms)
    }

    /// The device was found.
    pub(super) fn addr_resolved(self: &Arc<Self>, id: &Locked<'_>) {
        let timeout_ms = {
            let inner = self.inner.lock();
            if inner.cause.is_some() || inner.phase != Phase::Resolving {
                return;
            }
            inner.timeout_ms
        };
        let bound = id
            .device()
            .ok_or(ENODEV)
            .and_then(client::find)
            .and_then(|home| {
                let guard = home.enter()?;
                self.bind(home, guard)
            });
        if let Err(e) = bound {
            // rdma_cm's removal of the device waits for the identifier.
            self.ask_teardown(Cause::Gone);
            if e != ENODEV {
                pr_warn!("kfi: device is not used: {:?}\n", e);
            }
            return;
        }
        if let Err(e) = id.resolve_route(timeout_ms) {
            self.resolve_failed(status(e));
        }
    }

    /// The route was found.
    pub(super) fn route_resolved(self: &Arc<Self>) {
        let (resolve, id) = {
            let inner = self.inner.lock();
            if inner.cause.is_some() || inner.phase != Phase::Resolving {
                return;
            }
            (inner.resolve, inner.id.clone())
        };
        let (Some(resolve), Some(id)) = (resolve, id) else {
            return;
        };
        let addrs = Addrs::of(&id);
        self.info.set_port(id.port().max(1));
        // Teardown, if it was asked for meanwhile, waits for this handler before it drops its own reference.
        drop(id);
        self.info.set_addrs(&addrs);
        {
            let mut inner = self.inner.lock();
            if inner.cause.is_some() {
                return;
            }
            inner.phase = Phase::Resolved;
        }
        self.in_callback(|| self.info.resolved(resolve, 0));
    }

    /// There is no device or no route.
    pub(super) fn resolve_error(&self, error: Error) {
        self.resolve_failed(status(error));
    }

    fn resolve_failed(&self, status: Error) {
        let resolve = {
            let mut inner = self.inner.lock();
            if inner.cause.is_some() || inner.phase != Phase::Resolving {
                return;
            }
            inner.phase = Phase::Failed;
            inner.resolve
        };
        if let Some(resolve) = resolve {
            self.in_callback(|| self.info.resolved(resolve, status.to_errno()));
        }
    }
}
