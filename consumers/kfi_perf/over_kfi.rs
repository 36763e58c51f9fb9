// SPDX-License-Identifier: GPL-2.0-only

//! The loops over kfi.

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
use crate::kfi::{
    self,
    access,
    caps,
    Buffer,
    Comp,
    ConnParam,
    Cq,
    Domain,
    Either,
    Endpoint,
    EndpointAttr,
    Ep,
    Event,
    Exposed,
    Handle,
    Handler,
    Info,
    Mr,
    Op,
    Pages,
    PassiveAttr,
    PassiveEndpoint,
    PassiveEvent,
    Request,
    ResolveAttr, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// The loops over kfi.
pub struct Kfi(());

/// An operation of a loop.
pub struct Work(Slot<Kfi>);

impl Op for Work {
    type Mem = Either<Buffer, Mr<Exposed>>;

    #[inline]
    fn done(request: Request<Self>, comp: Comp<'_>) {
        let flow = request.0.link.clone();
        flow.complete(request, comp.ep(), comp.ok().map(|ok| ok.len()));
    }
}

struct Events {
    flow: Arc<Flow<Kfi>>,
    server: Option<Arc<Server<Kfi>>>,
}

impl Handler for Events {
    fn event(&self, _ep: &Ep, event: Event<'_>) {
        match event {
            Event::Established { .. } => return self.flow.established(),
            Event::Rejected(_) => self.flow.ended(Error::from_errno(kfi::ECONNREFUSED)),
            Event::Error(e) => self.flow.ended(e),
            Event::Disconnected(result) => self.flow.ended(result.err().unwrap_or(EPIPE)),
            Event::AddrChange => return,
        }
        if let Some(server) = &self.server {
            Server::reap(server);
        }
    }
}

struct Listens(Arc<Server<Kfi>>);

impl kfi::Listener for Listens {
    fn event(&self, event: PassiveEvent) {
        if let PassiveEvent::Request(info) = event {
            // An error has refused it.
            let _ = Server::request(&self.0, info);
        }
    }
}

/// An endpoint and what it uses.
pub struct Conn {
    endpoint: Option<Endpoint<Events>>,
    cq: Arc<Cq>,
    domain: Domain,
    flow: Arc<Flow<Kfi>>,
}

impl Conn {
    fn new(
        handle: &Handle,
        params: &Params,
        info: Info,
        flow: &Arc<Flow<Kfi>>,
        server: Option<Arc<Server<Kfi>>>,
    ) -> Result<Self> {
        let limits = Limits::new(params);
        let domain = Domain::open(handle, info.device())?;
        let cq = Cq::new(&domain, limits.nr_cqe, None, params.poll)?;
        let attr = EndpointAttr::new(&cq, limits.max_tx, limits.max_rx);
        let events = Events {
            flow: flow.clone(),
            server,
        };
        let endpoint = Endpoint::open(info, &domain, &attr, events)?;
        Ok(Self {
            endpoint: Some(endpoint),
            cq,
            domain,
            flow: flow.clone(),
        })
    }

    fn ep(&self) -> Result<&Endpoint<Events>> {
        self.endpoint.as_ref().ok_or(EINVAL)
    }

    fn region(&self, pages: Pages, access: u32) -> Result<Mr<Exposed>> {
        let mr = Mr::new(&self.domain, u32::try_from(pages.nr_pages())?)?;
        let mr = mr.map(pages).map_err(|(e, ..)| e)?;
        mr.expose(self.ep()?, access).map_err(|(e, _)| e)
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if let Some(endpoint) = self.endpoint.take() {
            endpoint.close();
        }
    }
}

/// A passive endpoint that is closed when its owner lets go of it.
pub struct Listening(Option<PassiveEndpoint<Listens>>);

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(pep) = self.0.take() {
            pep.close();
        }
    }
}

fn work(req: &mut Request<Work>) -> &mut Slot<Kfi> {
    &mut req.0
}

fn refused(refused: kfi::Refused<Work>) -> Refused<Kfi> {
    (refused.error, refused.request)
}

impl From<Remote> for kfi::Remote {
    fn from(remote: Remote) -> Self {
        Self {
            addr: remote.addr,
            key: remote.key,
        }
    }
}

impl Transport for Kfi {
    type Req = Request<Work>;
    type Post = Ep;
    type Link = Arc<Flow<Self>>;
    type Conn = Conn;
    type Region = Mr<Exposed>;
    type Listener = Listening;
    type Request<'a> = Info;

    #[inline]
    fn slot(req: &mut Self::Req) -> &mut Slot<Self> {
        work(req)
    }

    fn bytes<R>(req: &mut Self::Req, len: usize, f: impl FnOnce(&mut [u8]) -> R) -> Result<R> {
        match req.mem_mut() {
            Either::Left(buffer) => buffer
                .write(|bytes| bytes.get_mut(..len).map(f))
                .ok_or(EINVAL),
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
    fn send(post: &Ep, req: Self::Req, len: usize) -> Result<(), Refused<Self>> {
        post.send(req, len).map_err(refused)
    }

    #[inline]
    fn recv(post: &Ep, req: Self::Req, len: usize) -> Result<(), Refused<Self>> {
        post.recv(req, len).map_err(refused)
    }

    #[inline]
    fn write(post: &Ep, req: Self::Req, len: usize, remote: Remote) -> Result<(), Refused<Self>> {
        post.write(req, len, remote.into()).map_err(refused)
    }

    #[inline]
    fn read(post: &Ep, req: Self::Req, len: usize, remote: Remote) -> Result<(), Refused<Self>> {
        post.read(req, len, remote.into()).map_err(refused)
    }

    fn open(handle: &Handle, params: &Params, flow: &Arc<Flow<Self>>) -> Result<Conn> {
        let attr = ResolveAttr {
            src: params.src,
            tos: u8::try_from(params.tos).ok(),
            own_port: params.own_port || params.libfabric,
            provider: params.provider(),
            tls: params.tls(),
            ..ResolveAttr::new(params.addr.ok_or(EINVAL)?)
        };
        let info = Info::resolve(handle, &attr)?;
        Conn::new(handle, params, info, flow, None)
    }

    fn connect(conn: &Conn, hello: &[u8]) -> Result {
        conn.ep()?.connect(&ConnParam {
            private_data: hello,
            ..Default::default()
        })
    }

    fn listen(handle: &Handle, params: &Params, server: Arc<Server<Self>>) -> Result<Listening> {
        let attr = PassiveAttr {
            backlog: 1024,
            afonly: params.afonly,
            own_port: params.own_port || params.libfabric,
            provider: params.provider(),
            tls: params.tls(),
            ..PassiveAttr::new(params.addr.ok_or(EINVAL)?)
        };
        let pep = PassiveEndpoint::open(handle, &attr, Listens(server))?;
        Ok(Listening(Some(pep)))
    }

    fn hello<'r>(request: &'r Info) -> &'r [u8] {
        request.private_data()
    }

    fn take(
        params: &Params,
        request: Info,
        flow: &Arc<Flow<Self>>,
        server: &Arc<Server<Self>>,
    ) -> Result<Conn> {
        Conn::new(server.handle(), params, request, flow, Some(server.clone()))
    }

    fn accept(conn: &Conn) -> Result {
        conn.ep()?.accept(&ConnParam::default())
    }

    fn post(conn: &Conn) -> Result<&Ep> {
        Ok(conn.ep()?)
    }

    fn request(conn: &Conn, index: usize, len: usize) -> Result<Self::Req> {
        let memory = Either::Left(Buffer::new(&conn.domain, len)?);
        Request::new(Work(Slot::new(conn.flow.clone(), index)), memory)
    }

    fn sink(conn: &Conn, index: usize, len: usize) -> Result<Self::Req> {
        if !conn.domain.device().has(caps::READ_NEEDS_RKEY) {
            return Self::request(conn, index, len);
        }
        let region = conn.region(
            Pages::contiguous(len)?,
            access::LOCAL_WRITE | access::REMOTE_WRITE,
        )?;
        Request::new(
            Work(Slot::new(conn.flow.clone(), index)),
            Either::Right(region),
        )
    }

    fn expose(
        conn: &Conn,
        len: usize,
        unit: usize,
        fill: impl Fn(&mut [u8]),
    ) -> Result<(Self::Region, Remote)> {
        let mut pages = Pages::contiguous(len)?;
        let mut bytes = VVec::from_elem(0u8, unit, GFP_KERNEL)?;
        fill(&mut bytes);
        let mut at = 0;
        while at < len && unit > 0 {
            pages.copy_from(at, &bytes)?;
            at += unit;
        }
        let region = conn.region(
            pages,
            access::LOCAL_WRITE | access::REMOTE_READ | access::REMOTE_WRITE,
        )?;
        let remote = region.remote();
        Ok((
            region,
            Remote {
                addr: remote.addr,
                key: remote.key,
            },
        ))
    }

    fn poll(conn: &Conn) {
        let _ = conn.cq.poll(None);
    }
}
