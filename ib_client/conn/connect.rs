// SPDX-License-Identifier: GPL-2.0-only

//! What the consumer asks of a connection.

#![deny(unsafe_code)]

use super::{
    Addrs,
    Conn,
    Phase,
    Side, //
};
use crate::{
    api::{
        event::EventFn,
        hot::{
            DataState,
            Limits, //
        },
        info::InfoHead, //
    },
    client::{
        self,
        Attachment, //
    },
    cq::Queue,
    domain::Domain,
    errno::{
        ECONNRESET,
        ENOTCONN, //
    },
    srx::Srx,
    verbs::{
        addr::Net,
        cm::{
            ConnParam,
            ConnectRequest, //
        },
        qp::{
            Cap,
            Config, //
        },
        rw, //
    }, //
};
use kernel::{
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    }, //
};

/// What `kfi_ep_open()` is asked for.
pub(crate) struct EpAttr<'a> {
    pub(crate) domain: ArcBorrow<'a, Domain>,
    pub(crate) tx_cq: ArcBorrow<'a, Queue>,
    pub(crate) rx_cq: ArcBorrow<'a, Queue>,
    pub(crate) srx: Option<ArcBorrow<'a, Srx>>,
    pub(crate) max_tx: u32,
    pub(crate) max_rx: u32,
    pub(crate) max_tx_sge: u32,
    pub(crate) max_rx_sge: u32,
    pub(crate) max_rma: u32,
    pub(crate) max_rma_pages: u32,
    /// `KFI_EP_PI`
    pub(crate) integrity: bool,
    pub(crate) event: EventFn,
}

/// What `kfi_ep_open()` has granted.
pub(crate) struct Granted {
    pub(crate) max_tx: u32,
    pub(crate) max_rx: u32,
}

/// Which directions to drain.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drain {
    /// Operations.
    Tx,
    /// Receives.
    Rx,
    /// Both.
    Both,
}

/// Cuts a number of reads to what the device can do.
fn cut(reads: u8, limit: u32) -> u8 {
    u8::try_from(limit).map_or(reads, |limit| reads.min(limit))
}

impl Conn {
    /// Makes a connection of a peer's request. It is the consumer's.
    pub(crate) fn request(net: &Net, request: ConnectRequest<'_>) -> Result<Arc<Self>> {
        let home: Arc<Attachment> = request.device().ok_or(ENODEV).and_then(client::find)?;
        let guard = home.enter()?;
        let granted = request.granted();
        let mut info = InfoHead::new(net);
        info.set_request(
            granted.private_data,
            granted.responder_resources,
            granted.initiator_depth,
        )?;
        let conn = Self::new(Side::Passive, Phase::Request, info)?;
        let id = request.adopt(conn.clone())?;
        conn.info.set_port(id.port().max(1));
        conn.info.set_addrs(&Addrs::of(&id));
        {
            let mut inner = conn.inner.lock();
            inner.ird = granted.responder_resources;
            inner.ord = granted.initiator_depth;
            inner.id = Some(id);
        }
        let bound = conn.bind(home, guard).and_then(|()| conn.info.announce());
        if let Err(e) = bound {
            // Refuses the peer and destroys the identifier, when the callback that this runs in has returned.
            conn.in_callback(|| conn.clone().release());
            return Err(e);
        }
        Ok(conn)
    }

    /// Hands a request to the consumer by `f`, as a callback of the connection.
    pub(crate) fn hand_over(&self, f: impl FnOnce()) {
        self.in_callback(f);
    }

    /// Makes an endpoint of this. `wire` fills in the public part.
    pub(crate) fn open(
        self: ArcBorrow<'_, Self>,
        attr: &EpAttr<'_>,
        wire: impl FnOnce(),
    ) -> Result<Granted> {
        let _call = self.call()?;
        let id = {
            let inner = self.inner.lock();
            match inner.phase {
                Phase::Resolved | Phase::Request => inner.id.clone(),
                _ => return Err(EINVAL),
            }
        }
        .ok_or(ENODEV)?;
        let home = &attr.domain.home;
        let device_attr = home.data().head.attr();
        let config = Config {
            pd: attr.domain.pd()?,
            send_cq: attr.tx_cq.cq()?,
            recv_cq: attr.rx_cq.cq()?,
            srq: match &attr.srx {
                Some(srx) => Some(srx.srq()?),
                None => None,
            },
            cap: Cap {
                max_send_wr: attr.max_tx,
                max_recv_wr: attr.max_rx,
                max_send_sge: attr.max_tx_sge,
                max_recv_sge: attr.max_rx_sge,
                max_rdma_ctxs: id
                    .device()
                    .map_or(1, |device| {
                        rw::places_for(device, id.port().max(1), attr.max_rma_pages)
                    })
                    .checked_mul(attr.max_rma)
                    .ok_or(EINVAL)?,
            },
            integrity: attr.integrity,
        };
        let limits = Limits {
            caps: device_attr.caps,
            max_tx_sge: attr.max_tx_sge,
            max_rx_sge: if attr.srx.is_some() {
                0
            } else {
                attr.max_rx_sge
            },
            max_read_sge: device_attr.max_read_sge.min(attr.max_tx_sge),
        };
        let qp = crate::api::conn::create_qp(&self, id, config)?;
        let granted = Granted {
            max_tx: qp.granted().max_send_wr.max(attr.max_tx),
            max_rx: attr.max_rx,
        };
        wire();
        let mut inner = self.inner.lock();
        crate::api::conn::open_hot(&self.hot, &qp, &limits)?;
        inner.qp = Some(qp);
        inner.event = Some(attr.event);
        inner.phase = Phase::Idle;
        Ok(granted)
    }

    /// Asks the peer for the connection.
    pub(crate) fn connect(&self, param: &ConnParam<'_>) -> Result {
        let _call = self.call()?;
        let (id, param) = self.begin(Side::Active, param)?;
        id.connect(&param).inspect_err(|_| {
            let mut inner = self.inner.lock();
            if inner.phase == Phase::Connecting {
                inner.phase = Phase::Idle;
            }
        })
    }

    /// Accepts the peer's request.
    pub(crate) fn accept(&self, param: &ConnParam<'_>) -> Result {
        let _call = self.call()?;
        let (id, param) = self.begin(Side::Passive, param)?;
        // The peer's first message can come before the call below returns, and its callback may post.
        self.hot.advance(DataState::Active);
        id.accept(&param).map_err(|e| {
            self.hot.advance(DataState::Err);
            let mut inner = self.inner.lock();
            if inner.phase == Phase::Connecting {
                inner.phase = Phase::Ended;
            }
            match e {
                // rdma_cm does not say that the request is no more.
                EINVAL => ECONNRESET.err(),
                e => e,
            }
        })
    }

    /// Moves to the phase Connecting; returns what is to be sent.
    fn begin<'a>(
        &self,
        side: Side,
        param: &ConnParam<'a>,
    ) -> Result<(Arc<crate::verbs::cm::CmId>, ConnParam<'a>)> {
        let mut inner = self.inner.lock();
        if self.side != side || inner.phase != Phase::Idle {
            return Err(EINVAL);
        }
        let (Some(id), Some(bound)) = (inner.id.clone(), inner.bound.as_ref()) else {
            return Err(self.hot.refusal());
        };
        let attr = bound.home.data().head.attr();
        let mut param = *param;
        param.responder_resources = cut(param.responder_resources, attr.max_ird);
        param.initiator_depth = cut(param.initiator_depth, attr.max_ord);
        if side == Side::Passive {
            // No more than the peer has offered.
            param.responder_resources = param.responder_resources.min(inner.ird);
            param.initiator_depth = param.initiator_depth.min(inner.ord);
        }
        inner.ird = param.responder_resources;
        inner.ord = param.initiator_depth;
        inner.phase = Phase::Connecting;
        Ok((id, param))
    }

    /// Refuses the peer's request, with private data.
    pub(crate) fn reject(self: Arc<Self>, private_data: &[u8]) -> Result {
        let rejected = self.call().and_then(|_call| {
            if self.side != Side::Passive {
                return Err(EINVAL);
            }
            let id = self.id()?;
            // Teardown does not refuse it once more.
            self.inner.lock().phase = Phase::Ended;
            id.reject(private_data)
        });
        self.release();
        rejected
    }

    /// Ends the connection; the event follows.
    pub(crate) fn shutdown(&self) -> Result {
        let _call = self.call()?;
        let (id, qp) = {
            let inner = self.inner.lock();
            match (inner.phase, self.side) {
                (Phase::Connected, _) | (Phase::Connecting, Side::Passive) => {}
                _ => return Err(ENOTCONN.err()),
            }
            (inner.id.clone(), inner.qp.clone())
        };
        let id = id.ok_or_else(|| self.hot.refusal())?;
        self.hot.advance(DataState::Err);
        Self::disconnect(&id, qp.as_deref())
    }

    /// Enters the error state without telling the peer.
    pub(crate) fn abort(&self) -> Result {
        let _call = self.call()?;
        let qp = self.qp()?;
        self.hot.advance(DataState::Err);
        qp.set_error()
    }

    /// Waits until everything that was posted has completed.
    pub(crate) fn drain(&self, which: Drain) {
        let call = self.call();
        if call.is_err() && !self.is_own_callback() {
            // Teardown has begun, which drains it.
            self.drained.wait_for_completion();
            return;
        }
        // Teardown waits for a callback of the consumer's that runs, before it takes the queue pair. In the last one
        // there is none any more: it was drained.
        let Ok(qp) = self.qp() else {
            return;
        };
        self.hot.advance(DataState::Err);
        if which != Drain::Rx {
            self.finish_halves_by(&qp);
        }
        match which {
            Drain::Tx => qp.drain_sq(),
            Drain::Rx => qp.drain_rq(),
            Drain::Both => qp.drain(),
        }
    }
}
