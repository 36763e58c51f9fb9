// SPDX-License-Identifier: GPL-2.0-only

//! The two ends of a connection, and the operations on it.

use crate::{
    ensure,
    poll_context,
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
        cq::Cq,
        dma::{
            Buffer,
            DataDirection, //
        },
        pd::Pd,
        qp::{
            Cap,
            Config,
            Qp, //
        },
        wc::{
            Opcode,
            Wc, //
        },
        wr::{
            impl_has_cqe,
            Cqe,
            CqeHandler,
            RecvWr,
            SendWr, //
        },
    },
    wait,
    Devices,
    Open,
    CALLER, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed,
            Release, //
        },
        Arc,
        ArcBorrow,
        Mutex,
        SetOnce, //
    },
};

const DEPTH: u32 = 8;
const SIZE: usize = 64;

/// What rdma_cm has said last.
mod said {
    pub(super) const NOTHING: u32 = 0;
    pub(super) const ROUTE: u32 = 1;
    pub(super) const ESTABLISHED: u32 = 2;
    pub(super) const FAILED: u32 = 3;
}

/// Hears what rdma_cm says of an identifier.
///
/// The identifier holds a reference to its handler, and a queue pair one to its identifier; so this
/// is apart from [`Conn`], which would otherwise keep itself alive.
struct Ear(Atomic<u32>);

/// One end of a connection.
#[pin_data]
pub(crate) struct Conn {
    passive: bool,
    ear: Arc<Ear>,
    /// Pings still to be sent.
    left: Atomic<u32>,
    /// Operations in flight.
    posted: Atomic<u32>,
    qp: SetOnce<Arc<Qp>>,
    #[pin]
    id: Mutex<Option<Arc<CmId>>>,
}

impl Conn {
    fn new(passive: bool) -> Result<Arc<Self>> {
        let ear = Arc::new(Ear(Atomic::new(said::NOTHING)), GFP_KERNEL)?;
        Arc::pin_init(
            pin_init!(Self {
                passive,
                ear,
                left: Atomic::new(0),
                posted: Atomic::new(0),
                qp: SetOnce::new(),
                id <- new_mutex!(None),
            }),
            GFP_KERNEL,
        )
    }

    pub(crate) fn connect(src: &SockAddr, dst: &SockAddr) -> Result<Arc<Self>> {
        let this = Self::new(false)?;
        let id = CmId::new(Net::init(), this.ear.clone(), CALLER)?;
        *this.id.lock() = Some(id.clone());
        let connected = id
            .resolve_addr(Some(src), dst, 2000)
            .and_then(|()| this.expect(said::ROUTE))
            .and_then(|()| this.prepare(&id))
            .and_then(|()| id.connect(&param(b"hello")))
            .and_then(|()| this.expect(said::ESTABLISHED));
        drop(id);
        connected.inspect_err(|_| this.end())?;
        Ok(this)
    }

    fn expect(&self, what: u32) -> Result {
        wait("rdma_cm says something", || {
            let said = self.ear.0.load(Acquire);
            said == what || said == said::FAILED
        })?;
        match self.ear.0.load(Relaxed) {
            said::FAILED => Err(EPIPE),
            _ => Ok(()),
        }
    }

    /// Makes the queue pair and posts its receives.
    fn prepare(self: &Arc<Self>, id: &Arc<CmId>) -> Result {
        let device = id.device().ok_or(ENODEV)?;
        let attachment = client::find::<Devices>(device).ok_or(ENODEV)?;
        let pd = Pd::new(attachment.enter()?, CALLER)?;
        let cq = match self.passive {
            false => Cq::new(attachment.enter()?, 64, 0, poll_context(), CALLER)?,
            true => Cq::from_pool(attachment.enter()?, 64, None, poll_context())?,
        };
        let config = || Config {
            pd: pd.clone(),
            send_cq: cq.clone(),
            recv_cq: cq.clone(),
            srq: None,
            cap: Cap {
                max_send_wr: 2 * DEPTH,
                max_recv_wr: DEPTH,
                max_send_sge: 1,
                max_recv_sge: 1,
                max_rdma_ctxs: 4,
            },
            integrity: false,
        };
        self.qp.populate(Qp::new(id.clone(), config())?);
        let second = Qp::new(id.clone(), config()).err();
        ensure("a second queue pair is refused", second == Some(EBUSY))?;
        for _ in 0..DEPTH {
            Message::new(self)?.receive()?;
        }
        Ok(())
    }

    pub(crate) fn qp(&self) -> Result<&Arc<Qp>> {
        self.qp.as_ref().ok_or(EPIPE)
    }

    pub(crate) fn pd(&self) -> Result<Arc<Pd>> {
        Ok(self.qp()?.pd().clone())
    }

    pub(crate) fn attachment(&self) -> Result<Arc<Attachment<Open>>> {
        client::find::<Devices>(self.qp()?.device()).ok_or(ENODEV)
    }

    /// Starts to send `nr` messages, each when the one before has come back.
    pub(crate) fn ping(self: &Arc<Self>, nr: u32) -> Result {
        self.left.store(nr, Release);
        Message::new(self)?.send()
    }

    pub(crate) fn pings_left(&self) -> u32 {
        self.left.load(Acquire)
    }

    /// Whether a post whose work request cannot be made hands the operation back.
    pub(crate) fn refused_post(self: &Arc<Self>) -> Result<bool> {
        let op = Message::new(self)?;
        let post = self
            .qp()?
            .post_send(op, |op| Ok(SendWr::send([op.buf.sge(0..SIZE + 1)?])));
        Ok(post.is_err_and(|e| e.error == EINVAL && e.op.buf.len() == SIZE))
    }

    /// Ends the connection; returns when all operations have come back.
    pub(crate) fn end(&self) {
        let id = self.id.lock().take();
        if let Some(id) = id {
            let _ = id.disconnect();
        }
        // The operations hold references to this, and with it to the queue pair: they give them up
        // while the caller has one.
        if let Ok(qp) = self.qp() {
            qp.drain();
        }
    }

    pub(crate) fn idle(&self) -> bool {
        self.posted.load(Acquire) == 0
    }
}

fn param(private_data: &[u8]) -> ConnParam<'_> {
    ConnParam {
        private_data,
        responder_resources: 4,
        initiator_depth: 4,
        retry_count: 7,
        rnr_retry_count: 7,
        ..Default::default()
    }
}

impl Handler for Ear {
    fn event(this: ArcBorrow<'_, Self>, id: Locked<'_>, event: &Event<'_>) {
        let said = match event {
            Event::AddrResolved => match id.resolve_route(2000) {
                Ok(()) => return,
                Err(_) => said::FAILED,
            },
            Event::RouteResolved => said::ROUTE,
            Event::Established(_) => said::ESTABLISHED,
            Event::TimewaitExit => return,
            _ => said::FAILED,
        };
        this.0.store(said, Release);
    }
}

/// A message, sent and received by turns.
struct Message {
    cqe: Cqe<Message>,
    buf: Buffer,
    conn: Arc<Conn>,
}

impl_has_cqe! { impl HasCqe<Self> for Message { self.cqe } }

impl Message {
    fn new(conn: &Arc<Conn>) -> Result<KBox<Self>> {
        let guard = conn.attachment()?.enter()?;
        let message = Self {
            cqe: Cqe::new(),
            buf: Buffer::new(guard, SIZE, DataDirection::Bidirectional)?,
            conn: conn.clone(),
        };
        Ok(KBox::new(message, GFP_KERNEL)?)
    }
}

/// Posts of a message; a refused one is dropped.
trait Post {
    fn send(self) -> Result;
    fn receive(self) -> Result;
}

impl Post for KBox<Message> {
    fn send(self) -> Result {
        let conn = self.conn.clone();
        conn.posted.fetch_add(1, Relaxed);
        let post = conn
            .qp()?
            .post_send(self, |op| Ok(SendWr::send([op.buf.sge(0..SIZE)?])));
        post.map_err(|e| {
            conn.posted.fetch_sub(1, Full);
            e.error
        })
    }

    fn receive(self) -> Result {
        let conn = self.conn.clone();
        conn.posted.fetch_add(1, Relaxed);
        let post = conn
            .qp()?
            .post_recv(self, |op| Ok(RecvWr::new([op.buf.sge_mut(0..SIZE)?])));
        post.map_err(|e| {
            conn.posted.fetch_sub(1, Full);
            e.error
        })
    }
}

impl CqeHandler for Message {
    fn done(this: KBox<Self>, wc: Wc<'_>) {
        let conn = this.conn.clone();
        let again = match wc.ok().map(|ok| ok.opcode()) {
            // What was sent is received into next; what comes in is sent back, as long as there is
            // something left to send.
            Ok(Opcode::Recv) if conn.passive => this.send(),
            Ok(Opcode::Recv) if conn.left.fetch_sub(1, Full) > 1 => this.send(),
            Ok(_) => this.receive(),
            Err(_) => Ok(()),
        };
        if again.is_err() {
            conn.left.store(0, Release);
        }
        conn.posted.fetch_sub(1, Full);
    }
}

/// Accepts connections, after it has refused one in each way there is.
#[pin_data]
pub(crate) struct Listener {
    requests: Atomic<u32>,
    #[pin]
    accepted: Mutex<Option<Arc<Conn>>>,
}

impl Listener {
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                requests: Atomic::new(0),
                accepted <- new_mutex!(None),
            }),
            GFP_KERNEL,
        )
    }

    /// The last connection that was accepted.
    pub(crate) fn accepted(&self) -> Result<Arc<Conn>> {
        self.accepted.lock().take().ok_or(EPIPE)
    }

    fn accept(&self, request: ConnectRequest<'_>) -> Result {
        let conn = Conn::new(true)?;
        let id = request.adopt(conn.ear.clone())?;
        conn.prepare(&id)?;
        id.accept(&param(b"welcome"))?;
        *conn.id.lock() = Some(id);
        *self.accepted.lock() = Some(conn);
        Ok(())
    }
}

impl Handler for Listener {
    fn event(_this: ArcBorrow<'_, Self>, _id: Locked<'_>, _event: &Event<'_>) {}

    fn connect_request(this: ArcBorrow<'_, Self>, request: ConnectRequest<'_>) {
        let hello = request.granted().private_data.starts_with(b"hello");
        let done = match this.requests.fetch_add(1, Relaxed) {
            0 => return,
            1 => request.reject(b"no"),
            2 => Conn::new(true)
                .and_then(|conn| request.adopt(conn.ear.clone()))
                .map(drop),
            _ => this.accept(request),
        };
        let _ = ensure("the request is handled", hello && done.is_ok());
    }
}
