// SPDX-License-Identifier: GPL-2.0-only

//! The loops over raw verbs: the same device, queues, sizes and signalling as through kfi.
//!
//! Tests over raw verbs have to end before their device goes away.

#![deny(unsafe_code)]

use super::{
    flow::{
        Flow,
        Slot, //
    },
    params::Params,
    server::Server,
    transport::{
        Limits,
        Refused,
        Remote,
        Transport, //
    },
};
use crate::{
    kfi::{
        Either,
        Handle,
        Poll,
        ECANCELED,
        ECONNREFUSED, //
    },
    verbs::{
        addr::{
            Net,
            SockAddr, //
        },
        client::{
            self,
            Attachment, //
        },
        cm::{
            CmId,
            ConnParam,
            ConnectRequest,
            Event,
            Handler,
            Locked, //
        },
        cq::{
            Cq,
            PollContext, //
        },
        device::{
            Device,
            DeviceGate, //
        },
        dma::Buffer,
        mr::{
            Access,
            Exposed,
            Mr,
            MrType, //
        },
        pd::{
            Caller,
            Pd, //
        },
        qp::{
            Cap,
            Config,
            Qp, //
        },
        wc::Wc,
        wr::{
            impl_has_cqe,
            Cqe,
            CqeHandler,
            PostError,
            RecvWr,
            Remote as VerbsRemote,
            SendWr, //
        },
    },
};
use core::net::SocketAddr;
use kernel::{
    dma::DataDirection,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow,
        Completion, //
    },
};

const CALLER: Caller = Caller::new(c"kfi_perf");
const TIMEOUT_MS: u32 = 3000;

/// The loops over raw verbs.
pub struct Verbs(());

client::impl_has_slot! { impl HasSlot for Verbs { c"kfi_perf" } }

/// A device needs nothing of its own.
#[pin_data]
pub struct Nothing {}

impl client::Client for Verbs {
    type Data = Nothing;

    fn add(_device: &Device) -> Result<impl PinInit<Nothing, Error>> {
        Ok(try_pin_init!(Nothing {}? Error))
    }

    fn remove(_attachment: &Arc<Attachment<Nothing>>) {}
}

/// As long as it lives, devices can be used.
pub type Registration = client::Registration<Verbs>;

/// An operation of a loop.
pub struct Work {
    cqe: Cqe<Work>,
    slot: Slot<Verbs>,
    mem: Either<Buffer, Exposed>,
}

// The macro compiles only where its unsafe code is right.
#[allow(unsafe_code)]
mod has_cqe {
    use super::*;

    impl_has_cqe! { impl HasCqe<Self> for Work { self.cqe } }
}

impl CqeHandler for Work {
    #[inline]
    fn done(this: KBox<Self>, wc: Wc<'_>) {
        let side = this.slot.link.clone();
        let result = wc
            .ok()
            .map(|ok| ok.byte_len() as usize)
            .map_err(|e| match e.is_flushed() {
                true => Error::from_errno(ECANCELED),
                false => EIO,
            });
        side.flow.complete(this, &side.qp, result);
    }
}

/// What operations lead to.
pub struct Side {
    flow: Arc<Flow<Verbs>>,
    qp: Arc<Qp>,
}

#[pin_data]
struct Events {
    flow: Arc<Flow<Verbs>>,
    server: Option<Arc<Server<Verbs>>>,
    #[pin]
    routed: Completion,
}

impl Events {
    fn new(flow: &Arc<Flow<Verbs>>, server: Option<Arc<Server<Verbs>>>) -> Result<Arc<Self>> {
        let flow = flow.clone();
        Arc::pin_init(
            pin_init!(Self {
                flow,
                server,
                routed <- Completion::new(),
            }),
            GFP_KERNEL,
        )
    }

    fn ended(&self, error: Error) {
        self.flow.ended(error);
        self.routed.complete_all();
        if let Some(server) = &self.server {
            Server::reap(server);
        }
    }
}

impl Handler for Events {
    fn event(this: ArcBorrow<'_, Self>, id: Locked<'_>, event: &Event<'_>) {
        match *event {
            Event::AddrResolved => {
                if let Err(e) = id.resolve_route(TIMEOUT_MS) {
                    this.ended(e);
                }
            }
            Event::RouteResolved => this.routed.complete_all(),
            Event::Established(_) => this.flow.established(),
            Event::AddrError(e)
            | Event::RouteError(e)
            | Event::ConnectError(e)
            | Event::Unreachable(e) => this.ended(e),
            Event::Rejected { .. } => this.ended(Error::from_errno(ECONNREFUSED)),
            Event::Disconnected(_) => this.ended(EPIPE),
            Event::DeviceRemoval => this.ended(ENODEV),
            Event::AddrChange | Event::TimewaitExit | Event::Other(_) => {}
        }
    }
}

struct Listens(Arc<Server<Verbs>>);

impl Handler for Listens {
    fn event(_this: ArcBorrow<'_, Self>, _id: Locked<'_>, _event: &Event<'_>) {}

    fn connect_request(this: ArcBorrow<'_, Self>, request: ConnectRequest<'_>) {
        // An error has refused it.
        let _ = Server::request(&this.0, request);
    }
}

/// A queue pair and what it uses.
pub struct Conn {
    side: Arc<Side>,
    id: Arc<CmId>,
    cq: Arc<Cq>,
    pd: Arc<Pd>,
}

fn poll_context(poll: Poll) -> PollContext {
    match poll {
        Poll::Softirq => PollContext::Softirq,
        Poll::Workqueue => PollContext::Workqueue,
        Poll::UnboundWorkqueue => PollContext::UnboundWorkqueue,
        Poll::Direct => PollContext::Direct,
    }
}

fn to_verbs(addr: &SocketAddr) -> SockAddr {
    match addr {
        SocketAddr::V4(v4) => SockAddr::v4(v4.ip().octets(), v4.port()),
        SocketAddr::V6(v6) => SockAddr::v6(v6.ip().octets(), v6.port(), v6.scope_id()),
    }
}

fn conn_param(private_data: &[u8]) -> ConnParam<'_> {
    ConnParam {
        private_data,
        responder_resources: 16,
        initiator_depth: 16,
        retry_count: 7,
        rnr_retry_count: 7,
        ..Default::default()
    }
}

impl Conn {
    fn new(id: Arc<CmId>, params: &Params, flow: &Arc<Flow<Verbs>>) -> Result<Self> {
        let limits = Limits::new(params);
        let guard = || {
            client::find::<Verbs>(id.device().ok_or(ENODEV)?)
                .ok_or(ENODEV)?
                .enter()
        };
        let pd = Pd::new(guard()?, CALLER)?;
        let cq = Cq::new(
            guard()?,
            limits.nr_cqe,
            0,
            poll_context(params.poll),
            CALLER,
        )?;
        let qp = Qp::new(
            id.clone(),
            Config {
                pd: pd.clone(),
                send_cq: cq.clone(),
                recv_cq: cq.clone(),
                srq: None,
                cap: Cap {
                    max_send_wr: limits.max_tx,
                    max_recv_wr: limits.max_rx,
                    max_send_sge: 1,
                    max_recv_sge: 1,
                    max_rdma_ctxs: 0,
                },
                integrity: false,
            },
        )?;
        let flow = flow.clone();
        let side = Arc::new(Side { flow, qp }, GFP_KERNEL)?;
        Ok(Self { side, id, cq, pd })
    }

    fn buffer(&self, len: usize) -> Result<Buffer> {
        Buffer::new(
            DeviceGate::enter(self.pd.guard().gate())?,
            len,
            DataDirection::Bidirectional,
        )
    }

    fn region(&self, buffer: Buffer, access: Access) -> Result<Exposed> {
        // Only sizes that are powers of two are aligned.
        let unaligned = usize::from(!buffer.len().is_power_of_two());
        let pages = buffer.len().div_ceil(PAGE_SIZE) + unaligned;
        let mr = Mr::new(self.pd.clone(), MrType::MemReg, u32::try_from(pages)?)?;
        mr.expose(&self.side.qp, buffer, access)
    }

    fn work(&self, index: usize, mem: Either<Buffer, Exposed>) -> Result<KBox<Work>> {
        Ok(KBox::new(
            Work {
                cqe: Cqe::new(),
                slot: Slot::new(self.side.clone(), index),
                mem,
            },
            GFP_KERNEL,
        )?)
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        // Without a connection there is nothing to end.
        let _ = self.id.disconnect();
        self.side.qp.drain();
    }
}

fn refused(e: PostError<Work>) -> Refused<Verbs> {
    (e.error, e.op)
}

impl From<Remote> for VerbsRemote {
    fn from(remote: Remote) -> Self {
        Self {
            addr: remote.addr,
            rkey: remote.key,
        }
    }
}

impl Transport for Verbs {
    type Req = KBox<Work>;
    type Post = Qp;
    type Link = Arc<Side>;
    type Conn = Conn;
    type Region = Exposed;
    type Listener = Arc<CmId>;
    type Request<'a> = ConnectRequest<'a>;

    #[inline]
    fn slot(req: &mut Self::Req) -> &mut Slot<Self> {
        &mut req.slot
    }

    fn bytes<R>(req: &mut Self::Req, len: usize, f: impl FnOnce(&mut [u8]) -> R) -> Result<R> {
        match &mut req.mem {
            Either::Left(buffer) => buffer.cpu_mut().get_mut(..len).map(f).ok_or(EINVAL),
            Either::Right(region) => {
                let mut bytes = KVec::from_elem(0u8, len, GFP_ATOMIC)?;
                region.copy_to(0, &mut bytes)?;
                let result = f(&mut bytes);
                region.copy_from(0, &bytes)?;
                Ok(result)
            }
        }
    }

    #[inline]
    fn send(post: &Qp, req: Self::Req, len: usize) -> Result<(), Refused<Self>> {
        post.post_send(req, |op| match &op.mem {
            Either::Left(buffer) => Ok(SendWr::send([buffer.sge(0..len)?])),
            Either::Right(_) => Err(EINVAL),
        })
        .map_err(refused)
    }

    #[inline]
    fn recv(post: &Qp, req: Self::Req, len: usize) -> Result<(), Refused<Self>> {
        post.post_recv(req, |op| match &mut op.mem {
            Either::Left(buffer) => Ok(RecvWr::new([buffer.sge_mut(0..len)?])),
            Either::Right(_) => Err(EINVAL),
        })
        .map_err(refused)
    }

    #[inline]
    fn write(post: &Qp, req: Self::Req, len: usize, remote: Remote) -> Result<(), Refused<Self>> {
        post.post_send(req, |op| match &op.mem {
            Either::Left(buffer) => Ok(SendWr::write([buffer.sge(0..len)?], remote.into())),
            Either::Right(region) => Ok(SendWr::write([region.sge(0..len)?], remote.into())),
        })
        .map_err(refused)
    }

    #[inline]
    fn read(post: &Qp, req: Self::Req, len: usize, remote: Remote) -> Result<(), Refused<Self>> {
        post.post_send(req, |op| {
            let sge = match &mut op.mem {
                Either::Left(buffer) => buffer.sge_mut(0..len)?,
                Either::Right(region) => region.sge_mut(0..len)?,
            };
            Ok(SendWr::read([sge], remote.into()))
        })
        .map_err(refused)
    }

    fn open(_handle: &Handle, params: &Params, flow: &Arc<Flow<Self>>) -> Result<Conn> {
        let events = Events::new(flow, None)?;
        let id = CmId::new(Net::init(), events.clone(), CALLER)?;
        let src = params.src.as_ref().map(to_verbs);
        let dst = to_verbs(&params.addr.ok_or(EINVAL)?);
        id.resolve_addr(src.as_ref(), &dst, TIMEOUT_MS)?;
        events.routed.wait_for_completion();
        flow.result()?;
        Conn::new(id, params, flow)
    }

    fn connect(conn: &Conn, hello: &[u8]) -> Result {
        conn.id.connect(&conn_param(hello))
    }

    fn listen(_handle: &Handle, params: &Params, server: Arc<Server<Self>>) -> Result<Arc<CmId>> {
        let listens = Arc::new(Listens(server), GFP_KERNEL)?;
        let id = CmId::new(Net::init(), listens, CALLER)?;
        id.bind(&to_verbs(&params.addr.ok_or(EINVAL)?))?;
        id.listen(1024)?;
        Ok(id)
    }

    fn hello<'r>(request: &'r ConnectRequest<'_>) -> &'r [u8] {
        request.granted().private_data
    }

    fn take(
        params: &Params,
        request: ConnectRequest<'_>,
        flow: &Arc<Flow<Self>>,
        server: &Arc<Server<Self>>,
    ) -> Result<Conn> {
        let events = Events::new(flow, Some(server.clone()))?;
        let id = request.adopt(events)?;
        Conn::new(id, params, flow)
    }

    fn accept(conn: &Conn) -> Result {
        conn.id.accept(&conn_param(&[]))
    }

    fn post(conn: &Conn) -> Result<&Qp> {
        Ok(&conn.side.qp)
    }

    fn request(conn: &Conn, index: usize, len: usize) -> Result<Self::Req> {
        conn.work(index, Either::Left(conn.buffer(len)?))
    }

    fn sink(conn: &Conn, index: usize, len: usize) -> Result<Self::Req> {
        let buffer = conn.buffer(len)?;
        if !conn.pd.device().is_iwarp(conn.id.port()) {
            return conn.work(index, Either::Left(buffer));
        }
        let region = conn.region(buffer, Access::REMOTE_WRITE)?;
        conn.work(index, Either::Right(region))
    }

    fn expose(
        conn: &Conn,
        len: usize,
        unit: usize,
        fill: impl Fn(&mut [u8]),
    ) -> Result<(Exposed, Remote)> {
        let mut buffer = conn.buffer(len)?;
        for bytes in buffer.cpu_mut().chunks_mut(unit) {
            fill(bytes);
        }
        let region = conn.region(buffer, Access::REMOTE_READ | Access::REMOTE_WRITE)?;
        let remote = region.remote();
        Ok((
            region,
            Remote {
                addr: remote.addr,
                key: remote.rkey,
            },
        ))
    }

    fn poll(conn: &Conn) {
        let _ = conn.cq.process_direct(u32::MAX);
    }
}
