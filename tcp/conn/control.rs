// SPDX-License-Identifier: GPL-2.0-only

//! What the consumer asks for.

#![deny(unsafe_code)]

use super::{
    Conn,
    DataState,
    Endpoint,
    Phase,
    Side, //
};
use crate::{
    sys::{
        addr::{
            Addr,
            Net, //
        },
        errno,
        ring::Ring,
        socket::Socket,
        tls::Tls, //
    },
    tcp::{
        api::event::{
            EventFn,
            ResolveFn, //
        },
        control_queue,
        domain::Domain,
        engine::{
            Engine,
            Offer, //
        },
        listen::Port,
        op::{
            RxOp,
            TxOp, //
        },
        params,
        queue::{
            Direction,
            Queue, //
        },
        srx::Srx,
        wire::frame::hello::{
            Reason,
            PRIVATE_MAX, //
        }, //
    },
};
use core::ops::Deref;
use kernel::{
    prelude::*,
    sync::{
        atomic::Relaxed,
        Arc, //
    },
    time::msecs_to_jiffies, //
};

/// What a resolution is asked for.
pub(crate) struct Request<'a> {
    /// Network namespace.
    pub(crate) net: &'a Net,
    /// Local address, if it matters.
    pub(crate) src: Option<Addr>,
    /// The peer's.
    pub(crate) dst: Addr,
    /// Type of service, if it matters.
    pub(crate) tos: Option<u8>,
    /// Whether the port is one of the network, and not a service number.
    pub(crate) own_port: bool,
    /// The keys for TLS, if it is to be used.
    pub(crate) tls: Option<Tls>,
    /// The callback.
    pub(crate) done: ResolveFn,
}

/// What an endpoint is asked for.
pub(crate) struct EpAttr {
    /// Domain.
    pub(crate) domain: Arc<Domain>,
    /// Completions of operations.
    pub(crate) tx_cq: Arc<Queue>,
    /// Completions of receives.
    pub(crate) rx_cq: Arc<Queue>,
    /// Shared receives.
    pub(crate) srx: Option<Arc<Srx>>,
    /// Operations outstanding.
    pub(crate) max_tx: u32,
    /// Receives outstanding.
    pub(crate) max_rx: u32,
    /// Elements of an operation.
    pub(crate) max_tx_sge: u32,
    /// Elements of a receive.
    pub(crate) max_rx_sge: u32,
    /// Transfers prepared at once.
    pub(crate) max_rma: u32,
    /// Event callback.
    pub(crate) event: EventFn,
}

/// What connecting and accepting are asked for.
pub(crate) struct ConnParam<'a> {
    /// For the peer.
    pub(crate) private: &'a [u8],
    /// Reads that the peer may have outstanding at us.
    pub(crate) ird: u8,
    /// Reads that we want to have outstanding.
    pub(crate) ord: u8,
}

/// A control call that runs: closing waits for it.
pub(crate) struct Call(Arc<Conn>);

impl Deref for Call {
    type Target = Arc<Conn>;

    fn deref(&self) -> &Arc<Conn> {
        &self.0
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.calls.dec();
    }
}

/// Until the TCP connection is made and the peer has answered.
pub(crate) const CONNECT_MS: u32 = 30_000;
/// Until a peer that has connected has sent its request.
pub(crate) const REQUEST_MS: u32 = 10_000;

impl Conn {
    /// Begins a control call; `ESHUTDOWN` once closing has begun.
    pub(crate) fn enter(self: Arc<Self>) -> Result<Call> {
        self.calls.inc();
        let call = Call(self);
        // Whoever closes sets this under the same lock before looking at the number of calls.
        if call.control.lock().closed {
            return Err(errno::eshutdown());
        }
        Ok(call)
    }

    /// A connection that a peer has made, whose request has not come.
    pub(crate) fn incoming(port: &Arc<Port>, socket: Socket<Conn>) -> Result<Arc<Self>> {
        socket.limit_silence(params::timeout());
        let engine = Engine::incoming(socket)?;
        let conn = Self::new(&port.net, Side::Passive, Phase::Request, engine)?;
        conn.control.lock().port = Some(port.clone());
        Ok(conn)
    }

    /// Gives the peer some time for its request.
    pub(crate) fn limit_request(self: &Arc<Self>) {
        self.start_timer(REQUEST_MS);
    }

    /// Starts to listen to the socket.
    pub(crate) fn expect_request(self: &Arc<Self>) {
        self.engine.lock().watch(self);
    }

    /// Counts a transfer that is prepared; [`EAGAIN`] if there are too many.
    pub(crate) fn rma_enter(&self) -> Result {
        let endpoint = self.endpoint().ok_or(EINVAL)?;
        if self.rma_used.fetch_add(1, Relaxed) >= endpoint.max_rma {
            self.rma_leave();
            return Err(EAGAIN);
        }
        Ok(())
    }

    /// It has ended.
    pub(crate) fn rma_leave(&self) {
        self.rma_used.fetch_sub(1, Relaxed);
    }

    /// A request is here. Finds who is to decide.
    pub(crate) fn requested(
        self: &Arc<Self>,
        service: Option<u32>,
        private: &[u8],
        ird: u8,
        ord: u8,
        secure: bool,
    ) -> Result<(), Reason> {
        let mut request = KVec::new();
        request
            .extend_from_slice(private, GFP_KERNEL)
            .map_err(|_| Reason::BUSY)?;
        let (port, local, peer) = {
            let control = self.control.lock();
            (control.port.clone(), control.local, control.peer)
        };
        let port = port.ok_or(Reason::SERVICE)?;
        let pep = port.find(service, &local)?;
        if pep.tls.is_some() && !secure {
            pep.decided();
            return Err(Reason::TLS);
        }
        // The port is that of the consumer's view.
        let local = if port.is_shared() {
            local.with_port(pep.addr.port())
        } else {
            local
        };
        self.info.set_addrs(&local, &peer);
        self.info.set_request(request, ird, ord);
        {
            let mut control = self.control.lock();
            if control.is_closed() {
                pep.decided();
                return Err(Reason::BUSY);
            }
            control.pep = Some(pep);
            control.local = local;
        }
        // The consumer's from here on, whatever becomes of the listener.
        port.forget(self);
        self.note_request();
        Ok(())
    }

    /// Starts to resolve. There is not much to do: whether the peer can be reached shows when connecting.
    pub(crate) fn resolve(request: Request<'_>) -> Result<Arc<Self>> {
        let tls = match request.tls {
            Some(tls) => Some(Arc::new(tls, GFP_KERNEL)?),
            None => None,
        };
        let conn = Self::new(request.net, Side::Active, Phase::Resolving, Engine::new())?;
        {
            let mut control = conn.control.lock();
            control.resolve = Some(request.done);
            control.tls = tls;
            control.local = request.src.unwrap_or(Addr::none());
            control.peer = request.dst;
            control.tos = request.tos;
            if !request.own_port {
                control.service = request.dst.port().into();
            }
        }
        conn.info
            .set_addrs(&request.src.unwrap_or(Addr::none()), &request.dst);
        Ok(conn)
    }

    /// The callback may come from here on.
    pub(crate) fn start_resolve(self: &Arc<Self>) {
        self.note_resolved();
    }

    /// Turns the info into an endpoint; `fill` fills in the public part.
    pub(crate) fn open(self: &Arc<Self>, attr: EpAttr, fill: impl FnOnce()) -> Result {
        {
            let control = self.control.lock();
            if !matches!(control.phase, Phase::Resolved | Phase::Request) {
                return Err(EINVAL);
            }
        }
        let tx = Ring::allocate(attr.max_tx, || TxOp::new(attr.max_tx_sge))?;
        let rx = match &attr.srx {
            None => Some(Ring::allocate(attr.max_rx, || RxOp::new(attr.max_rx_sge))?),
            Some(_) => None,
        };
        // What completes at most: with a shared context all that it can have.
        let max_rx = attr.srx.as_ref().map_or(attr.max_rx, |srx| srx.max);
        attr.tx_cq.reserve(attr.max_tx)?;
        attr.rx_cq
            .reserve(max_rx)
            .inspect_err(|_| attr.tx_cq.unreserve(attr.max_tx))?;
        let joined = attr.srx.as_ref().map_or(Ok(()), |srx| srx.join());
        // Receives change places with it, so it has room for as much as those of a shared context.
        let sges = attr.srx.as_ref().map_or(attr.max_rx_sge, |srx| srx.sges);
        let current = RxOp::new(sges);
        let (Ok(()), Ok(current)) = (joined, current) else {
            if let (Ok(()), Some(srx)) = (joined, &attr.srx) {
                srx.leave(self);
            }
            attr.tx_cq.unreserve(attr.max_tx);
            attr.rx_cq.unreserve(max_rx);
            return Err(ENOMEM);
        };
        let endpoint = Endpoint {
            domain: attr.domain,
            tx_cq: attr.tx_cq,
            rx_cq: attr.rx_cq,
            srx: attr.srx,
            tx: tx.ring(),
            rx: rx.as_ref().map(|rx| rx.ring()),
            max_tx: i32::try_from(attr.max_tx)?,
            max_rx: i32::try_from(max_rx)?,
            max_rma: i32::try_from(attr.max_rma)?,
            event: attr.event,
        };
        fill();
        self.engine.lock().open(tx, rx, current);
        self.endpoint.populate(endpoint);
        let mut control = self.control.lock();
        control.reserved = Some((attr.max_tx, max_rx));
        control.phase = Phase::Idle;
        Ok(())
    }

    /// Active side: asks the peer.
    pub(crate) fn connect(self: &Arc<Self>, param: &ConnParam<'_>) -> Result {
        if self.side != Side::Active || param.private.len() > PRIVATE_MAX {
            return Err(EINVAL);
        }
        let (local, peer, service, tos) = {
            let mut control = self.control.lock();
            if control.phase != Phase::Idle {
                return Err(EINVAL);
            }
            control.phase = Phase::Connecting;
            (control.local, control.peer, control.service, control.tos)
        };
        let connect = || -> Result {
            let offer = Offer::new(self, service, param)?;
            let to = if service != 0 {
                peer.with_port(params::port())
            } else {
                peer
            };
            let mut socket = Socket::new(&self.net, &to)?;
            socket.limit_silence(params::timeout());
            if let Some(tos) = tos {
                socket.set_tos(tos);
            }
            if local.family() != 0 {
                let from = if service != 0 {
                    local.with_port(0)
                } else {
                    local
                };
                socket.bind(&from)?;
            }
            socket.connect(&to)?;
            // First, so that whoever ends the connection finds it.
            self.start_timer(CONNECT_MS);
            let mut engine = self.engine.lock();
            engine.offer(offer);
            socket.watch(self.clone());
            engine.set_socket(socket);
            Ok(())
        };
        connect().inspect_err(|_| {
            let mut control = self.control.lock();
            if control.phase == Phase::Connecting {
                control.phase = Phase::Idle;
            }
        })?;
        Self::wake(self.as_arc_borrow());
        Ok(())
    }

    /// Passive side: yes.
    pub(crate) fn accept(self: &Arc<Self>, param: &ConnParam<'_>) -> Result {
        if self.side != Side::Passive || param.private.len() > PRIVATE_MAX {
            return Err(EINVAL);
        }
        {
            let mut control = self.control.lock();
            if control.phase != Phase::Idle {
                return Err(if control.phase == Phase::Ended {
                    errno::econnreset()
                } else {
                    EINVAL
                });
            }
            control.phase = Phase::Connecting;
        }
        let pep = self.control.lock().pep.take();
        if let Some(pep) = pep {
            pep.decided();
        }
        let accepted = self.engine.lock().accept(self, param);
        match accepted {
            Ok((ird, ord)) => {
                self.note_established(ird, ord, KVec::new());
                Self::wake(self.as_arc_borrow());
                Ok(())
            }
            Err(error) => {
                self.control.lock().phase = Phase::Ended;
                self.stop(true, true);
                self.kick();
                Err(error)
            }
        }
    }

    /// Passive side: no.
    pub(crate) fn reject(self: Arc<Self>, private: &[u8]) -> Result {
        let result = self.engine.lock().reject(private);
        self.release();
        result
    }

    /// Ends the connection in an orderly way.
    pub(crate) fn shutdown(self: &Arc<Self>) -> Result {
        {
            let control = self.control.lock();
            if control.phase != Phase::Connected {
                return Err(errno::enotconn());
            }
        }
        {
            let mut engine = self.engine.lock();
            engine.say_goodbye(self);
            engine.flush(self, true, true);
        }
        self.note_end(0, None);
        self.kick();
        Ok(())
    }

    /// Enters the error state, without telling the peer.
    pub(crate) fn abort(self: &Arc<Self>) -> Result {
        self.stop(true, true);
        self.kick();
        Ok(())
    }

    fn stop(self: &Arc<Self>, tx: bool, rx: bool) {
        self.enter_error();
        let mut engine = self.engine.lock();
        engine.stop();
        engine.flush(self, tx, rx);
        drop(engine);
        // For the other direction.
        Self::wake(self.as_arc_borrow());
    }

    fn kick(&self) {
        if let Some(ep) = self.endpoint() {
            ep.tx_cq.kick();
            ep.rx_cq.kick();
        }
    }

    /// Waits until everything in these directions has completed.
    pub(crate) fn drain(self: Arc<Self>, tx: bool, rx: bool) {
        let call = self.clone().enter();
        // Once closing has begun it is teardown that flushes. That waits for a callback of the consumer's that runs, so the
        // callback can wait for the flush.
        if call.is_ok() {
            self.stop(tx, rx);
        }
        if let Some(ep) = self.endpoint() {
            if tx {
                self.settle(Direction::Tx, &ep.tx_cq);
            }
            if rx {
                self.settle(Direction::Rx, &ep.rx_cq);
            }
        }
    }

    /// Nobody wants it: it was refused, or nobody has it yet. Called by its own work item.
    pub(crate) fn abandon(self: &Arc<Self>) {
        {
            let mut control = self.control.lock();
            if control.closed {
                return;
            }
            control.closed = true;
        }
        if let Some(queue) = control_queue() {
            let _ = queue.enqueue::<Arc<Conn>, 2>(self.clone());
        }
    }

    /// Fails the connection if it is not made within so many milliseconds.
    pub(crate) fn start_timer(self: &Arc<Self>, ms: u32) {
        if let Some(queue) = control_queue() {
            let _ = queue.enqueue_delayed::<Arc<Conn>, 3>(self.clone(), msecs_to_jiffies(ms));
        }
    }

    pub(super) fn timed_out(self: &Arc<Self>) {
        if self.state() == DataState::Active {
            return;
        }
        let phase = self.control.lock().phase;
        match phase {
            // The passive side waits for nobody.
            Phase::Connecting if self.side == Side::Active => {
                {
                    let mut engine = self.engine.lock();
                    if engine.is_open() {
                        return;
                    }
                    engine.stop();
                    engine.flush(self, true, true);
                }
                self.note_end(ETIMEDOUT.to_errno(), None);
                self.kick();
            }
            // Nobody has asked, so nobody is told.
            Phase::Request => self.release_unclaimed(),
            _ => {}
        }
    }
}
