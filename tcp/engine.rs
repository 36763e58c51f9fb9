// SPDX-License-Identifier: GPL-2.0-only

//! What the work item of a connection does with its socket.
//!
//! [`Engine::run`] looks at everything: it moves the handshake on, takes what has come ([`rx`](super::rx)), sends what may
//! be sent ([`tx`](super::tx)), and finds out that the connection has ended. It never waits and never allocates on an
//! established connection.

#![deny(unsafe_code)]

use super::{
    conn::{
        control::{
            ConnParam,
            CONNECT_MS,
            REQUEST_MS, //
        },
        Conn, //
    },
    op::{
        RxOp,
        TxOp, //
    },
    queue::{
        Claim,
        Hand, //
    },
    rx::Rx,
    tx::Tx,
    wire::{
        frame::{
            error::{
                Code,
                Report, //
            },
            header::{
                self,
                Header,
                Op, //
            },
            hello::{
                self,
                Reason, //
            },
            Fault,
            Features,
            Format,
            Order, //
        },
        state::{
            handshake::{
                Active,
                Agreement,
                Answer,
                Passive, //
            },
            session::{
                Limits,
                Session, //
            }, //
        }, //
    }, //
};
use crate::sys::{
    errno,
    memory::crc32c,
    ring::Taker,
    socket::{
        Outgoing,
        Socket, //
    },
    tls, //
};
pub(crate) use greeting::Offer;
use greeting::{
    extension,
    message,
    read_hello,
    Nowhere, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Full,
            Relaxed, //
        },
        Arc, //
    }, //
};

mod greeting;

/// Reads that a peer may have outstanding at us when it does not say how many it wants.
const PLAIN_IRD: u8 = 16;
/// Reads that we have outstanding at a peer that does not say how many it takes.
const PLAIN_ORD: u8 = 64;

/// Lengths of the reads that are outstanding.
pub(super) struct Lengths(KVec<u64>);

impl AsRef<[u64]> for Lengths {
    fn as_ref(&self) -> &[u64] {
        &self.0
    }
}

impl AsMut<[u64]> for Lengths {
    fn as_mut(&mut self) -> &mut [u64] {
        &mut self.0
    }
}

/// How far the connection is. Together with it a connection is one allocation of 2 KiB.
enum Stage {
    /// No socket yet.
    Unbound,
    /// The TLS handshake of a connection that goes on with this stage.
    Securing(KBox<Stage>),
    /// TCP connects.
    Connecting(Offer),
    /// The request is sent, the answer has not come.
    Greeting(Active, KBox<hello::Collector>),
    /// TCP has connected, the request has not come.
    Expecting(KBox<hello::Collector>),
    /// The consumer has not decided.
    Deciding(Passive),
    /// Established.
    Open(Link),
    /// Nothing is sent and taken any more.
    Stopped,
}

/// An established connection.
pub(super) struct Link {
    pub(super) session: Session<Lengths>,
    pub(super) rx: Rx,
}

impl Link {
    /// Tells the session of receives that were posted since, if the peer hears of them; returns whether there were any.
    fn note_receives(&mut self, conn: &Conn) -> bool {
        if !self.session.credits() {
            return false;
        }
        let known = self.session.credits_granted();
        let new = conn
            .receives_posted()
            .map_or(0, |posted| posted.wrapping_sub(known));
        self.session.receives_posted(new);
        new != 0
    }
}

/// The socket of a connection and what travels on it.
pub(crate) struct Engine {
    socket: Option<Socket<Conn>>,
    stage: Stage,
    pub(super) tx: Option<Tx>,
    pub(super) receives: Option<Receives>,
}

/// Where receives come from.
pub(crate) struct Receives {
    /// The endpoint's own; without it they come from a shared context.
    pub(super) own: Option<Taker<RxOp>>,
    /// The one that is being filled.
    pub(super) current: RxOp,
    /// `current` is in use.
    pub(super) taken: bool,
    /// Its memory is not what the consumer has said.
    pub(super) at_fault: bool,
}

impl Engine {
    /// One without socket.
    pub(crate) fn new() -> Self {
        Self {
            socket: None,
            stage: Stage::Unbound,
            tx: None,
            receives: None,
        }
    }

    /// One for a connection that a peer has made.
    pub(crate) fn incoming(socket: Socket<Conn>) -> Result<Self> {
        let collector = KBox::new(hello::Collector::new(), GFP_KERNEL)?;
        Ok(Self {
            socket: Some(socket),
            stage: Stage::Expecting(collector),
            ..Self::new()
        })
    }

    /// Starts to listen to the socket.
    pub(crate) fn watch(&mut self, conn: &Arc<Conn>) {
        if let Some(socket) = &mut self.socket {
            socket.watch(conn.clone());
        }
    }

    /// The endpoint is open.
    pub(crate) fn open(&mut self, tx: Taker<TxOp>, own: Option<Taker<RxOp>>, current: RxOp) {
        self.tx = Some(Tx::new(tx));
        self.receives = Some(Receives {
            own,
            current,
            taken: false,
            at_fault: false,
        });
    }

    /// What to say once TCP has connected.
    pub(crate) fn offer(&mut self, offer: Offer) {
        if let Stage::Unbound = self.stage {
            self.stage = Stage::Connecting(offer);
        }
    }

    /// The socket, which connects.
    pub(crate) fn set_socket(&mut self, socket: Socket<Conn>) {
        self.socket = Some(socket);
    }

    /// Takes the socket away.
    pub(crate) fn take_socket(&mut self) -> Option<Socket<Conn>> {
        self.socket.take()
    }

    /// Looks at everything. Returns a completion that the caller has to deliver; see [`Hand`].
    pub(crate) fn run(&mut self, conn: &Arc<Conn>) -> Option<Claim> {
        let result = match self.stage {
            Stage::Unbound | Stage::Deciding(_) => Ok(()),
            Stage::Stopped => {
                self.flush(conn, true, true);
                Ok(())
            }
            Stage::Securing(_) => self.secured(conn),
            Stage::Connecting(_) | Stage::Greeting(..) => self.greet(conn),
            Stage::Expecting(_) => self.expect(conn),
            Stage::Open(_) => Ok(()),
        };
        if let Err(error) = result {
            self.fail(conn, error);
        }
        // The handshake may have just ended, with data behind it.
        if let Stage::Open(_) = self.stage {
            self.run_open(conn)
        } else {
            None
        }
    }

    /// Hands the socket to the agent for a TLS handshake.
    fn secure(&mut self, conn: &Arc<Conn>, server: bool) -> Result {
        let tls = conn.tls().ok_or(EINVAL)?;
        let mut socket = self.socket.take().ok_or_else(errno::econnreset)?;
        // The agent's own callbacks, while it has it.
        socket.unwatch();
        let mut socket = socket.with_file()?;
        let mut next = KBox::new(Stage::Stopped, GFP_KERNEL)?;
        core::mem::swap(&mut *next, &mut self.stage);
        conn.handshake_begins();
        let ms = if server { REQUEST_MS } else { CONNECT_MS };
        let started = socket.start_tls(server, &tls, ms, conn.clone());
        self.socket = Some(socket);
        self.stage = Stage::Securing(next);
        started.inspect_err(|_| conn.handshake_canceled())
    }

    /// Goes on behind the handshake, if that has ended.
    fn secured(&mut self, conn: &Arc<Conn>) -> Result {
        let Some(result) = conn.handshake_result() else {
            return Ok(());
        };
        result?;
        let Stage::Securing(next) = core::mem::replace(&mut self.stage, Stage::Stopped) else {
            return Ok(());
        };
        self.stage = KBox::into_inner(next);
        if let Some(socket) = &mut self.socket {
            socket.set_secure();
            // Wakes the work item for what is there already.
            socket.watch(conn.clone());
        }
        Ok(())
    }

    /// Nobody waits for the end of a handshake any more.
    pub(crate) fn cancel_handshake(&mut self, conn: &Conn) {
        if self.socket.as_mut().is_some_and(Socket::cancel_tls) {
            conn.handshake_canceled();
        }
    }

    /// Active side, before the connection is established.
    fn greet(&mut self, conn: &Arc<Conn>) -> Result {
        let Some(socket) = &self.socket else {
            return Ok(());
        };
        if let Stage::Connecting(offer) = &self.stage {
            if !socket.is_connected()? {
                return Ok(());
            }
            if !socket.is_secure() && conn.tls().is_some() {
                return self.secure(conn, false);
            }
            let sent = socket.send(&mut [Outgoing::bytes(&offer.hello)])?;
            // An empty socket takes it all.
            if sent != offer.hello.len() {
                return Err(EIO);
            }
            let active = offer.active;
            let collector = KBox::new(hello::Collector::new(), GFP_KERNEL)?;
            conn.know_addresses(socket);
            self.stage = Stage::Greeting(active, collector);
        }
        let Stage::Greeting(active, collector) = &mut self.stage else {
            return Ok(());
        };
        let Some(hello) = read_hello(socket, collector)? else {
            return Ok(());
        };
        let mut private = KVec::new();
        private.extend_from_slice(collector.private(), GFP_KERNEL)?;
        match active.answer(&hello).map_err(|_| errno::eproto())? {
            Answer::Rejected(_) => {
                self.stop();
                self.flush(conn, true, true);
                conn.note_end(errno::econnrefused().to_errno(), Some(private));
            }
            Answer::Accepted(agreement) => {
                let credits = active.offer.as_ref().map_or(0, |offer| offer.credits);
                let (ird, ord) = self.establish(conn, &agreement, credits)?;
                conn.note_established(ird, ord, private);
            }
        }
        Ok(())
    }

    /// Passive side, before the request is there.
    fn expect(&mut self, conn: &Arc<Conn>) -> Result {
        let Some(socket) = &self.socket else {
            return Ok(());
        };
        let Stage::Expecting(collector) = &mut self.stage else {
            return Ok(());
        };
        if !socket.is_secure() && collector.is_empty() {
            match socket.peek() {
                Ok(tls::HANDSHAKE) => {
                    conn.use_tls()?;
                    return self.secure(conn, true);
                }
                Ok(_) => {}
                Err(EAGAIN) => return socket.error(),
                Err(error) => return Err(error),
            }
        }
        let Some(hello) = read_hello(socket, collector)? else {
            return Ok(());
        };
        let passive = Passive::request(Order::NATIVE, &hello).map_err(|_| errno::eproto())?;
        conn.know_addresses(socket);
        let (ird, ord) = match passive.offer() {
            Some(offer) => (offer.ord, offer.ird),
            None => (PLAIN_IRD, PLAIN_ORD),
        };
        let service = passive.offer().map(|offer| offer.service);
        let secure = socket.is_secure();
        let noted = conn.requested(service, collector.private(), ird, ord, secure);
        self.stage = Stage::Deciding(passive);
        if let Err(reason) = noted {
            let _ = self.refuse(reason, &[]);
            conn.abandon();
        }
        Ok(())
    }

    fn refuse(&mut self, reason: Reason, private: &[u8]) -> Result {
        let Stage::Deciding(passive) = &self.stage else {
            return Err(errno::econnreset());
        };
        let socket = self.socket.as_ref().ok_or_else(errno::econnreset)?;
        let bytes = message(
            &passive.reject(reason, u16::try_from(private.len())?),
            private,
        )?;
        let sent = socket.send(&mut [Outgoing::bytes(&bytes)])?;
        socket.end();
        self.stage = Stage::Stopped;
        if sent == bytes.len() {
            Ok(())
        } else {
            Err(EIO)
        }
    }

    /// Passive side: the consumer refuses.
    pub(crate) fn reject(&mut self, private: &[u8]) -> Result {
        if private.len() > hello::PRIVATE_MAX {
            return Err(errno::emsgsize());
        }
        self.refuse(Reason::CONSUMER, private)
    }

    /// Passive side: the consumer accepts. Returns the numbers of reads.
    pub(crate) fn accept(&mut self, conn: &Arc<Conn>, param: &ConnParam<'_>) -> Result<(u8, u8)> {
        let Stage::Deciding(passive) = &self.stage else {
            return Err(errno::econnreset());
        };
        let socket = self.socket.as_ref().ok_or_else(errno::econnreset)?;
        socket.error().map_err(|_| errno::econnreset())?;
        let own = extension(conn, 0, param);
        let (hello, agreement) = passive.accept(&own, u16::try_from(param.private.len())?);
        let bytes = message(&hello, param.private)?;
        let sent = socket
            .send(&mut [Outgoing::bytes(&bytes)])
            .map_err(|_| errno::econnreset())?;
        if sent != bytes.len() {
            return Err(errno::econnreset());
        }
        let reads = self.establish(conn, &agreement, own.credits)?;
        // What the peer may ask for is memory of ours, which it has to get.
        conn.activate();
        Ok(reads)
    }

    /// From here on frames travel. `credits` is the number that our connection message has announced.
    fn establish(&mut self, conn: &Conn, agreement: &Agreement, credits: u16) -> Result<(u8, u8)> {
        let ird = agreement.ird.unwrap_or(PLAIN_IRD);
        let ord = agreement.ord.unwrap_or(PLAIN_ORD);
        let mut lengths = KVec::new();
        lengths.resize(ord.into(), 0, GFP_KERNEL)?;
        let limits = Limits {
            // A kfi peer keeps to what was agreed on, so it is never made to wait.
            reads_queued: u32::from(ird.max(1)),
            bytes_queued: 16 << 20,
            acks_owed: 256,
            acks_awaited: 128,
        };
        let format = Format {
            order: agreement.order,
            features: agreement.features,
            crc: crc32c,
        };
        let link = Link {
            session: Session::new(agreement, format, limits, credits, Lengths(lengths)),
            rx: Rx::new(ird.max(1).into())?,
        };
        if let Some(tx) = &mut self.tx {
            tx.prepare()?;
        }
        conn.peer_invalidates
            .store(agreement.features.has(Features::SEND_INV), Relaxed);
        self.stage = Stage::Open(link);
        Ok((ird, ord))
    }

    /// Takes and sends. If there is more to do the work item comes again, and not here: a peer must not be able to keep
    /// whoever wants the lock from it.
    fn run_open(&mut self, conn: &Arc<Conn>) -> Option<Claim> {
        let ep = conn.endpoint()?;
        let mut hand = Hand::new();
        let result = self.run_once(conn, &mut hand);
        if result.is_err() {
            // What is flushed comes behind it.
            hand.spill(conn, ep);
        }
        match result {
            Ok(true) => Conn::wake(conn.as_arc_borrow()),
            Ok(false) => {}
            Err(Stop::Fault(fault)) => self.fault(conn, fault),
            Err(Stop::Ended(status)) => self.end(conn, status),
        }
        hand.claim(conn, ep)
    }

    /// Returns whether it should be done once more.
    fn run_once(&mut self, conn: &Arc<Conn>, hand: &mut Hand) -> Result<bool, Stop> {
        let (Some(socket), Stage::Open(link), Some(tx), Some(receives)) = (
            &self.socket,
            &mut self.stage,
            &mut self.tx,
            &mut self.receives,
        ) else {
            return Ok(false);
        };
        // Before reading: if the end is here, so is everything before it.
        let ended = socket.peer_ended();
        let whole = link.receive(conn, socket, tx, receives, hand)?;
        if ended && (whole || link.rx.is_blocked()) {
            return Err(match socket.error() {
                Err(error) => Stop::Ended(error.to_errno()),
                Ok(()) if link.rx.at_boundary() && socket.ended_by_peer() => Stop::Ended(0),
                Ok(()) => Stop::Ended(errno::econnreset().to_errno()),
            });
        }
        link.note_receives(conn);
        tx.transmit(conn, socket, link, hand)?;
        if link.session.peer_waits_for_receive() {
            // Posting one wakes the work item, so that the peer hears of it.
            conn.starving.xchg(true, Full);
            if link.note_receives(conn) {
                return Ok(true);
            }
        }
        // Sending may have made room for more.
        Ok(!whole && !link.rx.is_blocked() && !link.session.stalled())
    }

    /// The peer has broken a rule.
    fn fault(&mut self, conn: &Arc<Conn>, fault: Fault) {
        if fault != Fault::Reported {
            pr_debug!("tcp: connection {}: {:?}\n", conn.id, fault);
        }
        if let (Some(socket), Stage::Open(link), Some(tx)) =
            (&self.socket, &mut self.stage, &self.tx)
        {
            let format = *link.session.format();
            if format.features.has(Features::ERRORS)
                && fault != Fault::Reported
                && tx.between_frames()
            {
                let mut report = Header::new(Op::Error, 0);
                report.report = Some(Report {
                    code: Code::from(fault),
                    ordinal: link.session.ordinal(),
                });
                let mut bytes = [0; header::MAX];
                if let Ok(seq) = link.session.sending(&report) {
                    if let Ok(len) = report.encode(&format, seq, &mut bytes) {
                        if let Some(bytes) = bytes.get(..len) {
                            let _ = socket.send(&mut [Outgoing::bytes(bytes)]);
                        }
                    }
                }
            }
        }
        let status = match fault {
            Fault::Reported => errno::eremoteio(),
            Fault::Local => EFAULT,
            Fault::TooLong => errno::emsgsize(),
            _ => errno::eproto(),
        };
        self.end(conn, status.to_errno());
    }

    /// The connection has ended, or cannot go on.
    fn end(&mut self, conn: &Arc<Conn>, status: i32) {
        if let Some(socket) = &self.socket {
            socket.end_both();
        }
        self.stop();
        self.flush(conn, true, true);
        conn.note_end(status, None);
    }

    /// The connection cannot be made.
    fn fail(&mut self, conn: &Arc<Conn>, error: Error) {
        let expecting = match &self.stage {
            Stage::Securing(next) => matches!(**next, Stage::Expecting(_)),
            stage => matches!(stage, Stage::Expecting(_)),
        };
        if let Some(socket) = &self.socket {
            socket.end_both();
        }
        self.stop();
        self.flush(conn, true, true);
        if expecting {
            conn.abandon();
        } else if error == errno::econnrefused() {
            // Nobody listens there.
            conn.note_end(error.to_errno(), Some(KVec::new()));
        } else {
            conn.note_end(error.to_errno(), None);
        }
    }

    /// Whether frames travel.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
    }

    /// Sends and takes nothing from here on.
    pub(crate) fn stop(&mut self) {
        self.stage = Stage::Stopped;
    }

    /// Tells the peer in an orderly way, as far as that goes without waiting.
    pub(crate) fn say_goodbye(&mut self, conn: &Arc<Conn>) {
        match &mut self.stage {
            Stage::Deciding(_) => {
                let _ = self.refuse(Reason::CONSUMER, &[]);
            }
            Stage::Open(link) => {
                if let (Some(socket), Some(tx)) = (&self.socket, &mut self.tx) {
                    let sent = tx.finish(conn, socket, link);
                    // A reset would take along what we have sent last.
                    let _ = socket.read(&mut Nowhere);
                    if sent {
                        socket.end();
                    } else {
                        socket.abort_on_close();
                    }
                }
            }
            _ => {}
        }
        self.stage = Stage::Stopped;
    }

    /// Completes what is outstanding with -ECANCELED, and leaves the endpoint in error.
    pub(crate) fn flush(&mut self, conn: &Arc<Conn>, tx: bool, rx: bool) {
        let Some(ep) = conn.endpoint() else {
            return;
        };
        // First, so that who posts behind this sees it, and wakes the work item.
        conn.enter_error();
        if tx {
            if let Some(tx) = &mut self.tx {
                // What the socket keeps is the consumer's again.
                if let Some(socket) = self.socket.as_ref().filter(|socket| tx.has_lent(socket)) {
                    socket.reset();
                }
                tx.flush(conn, ep);
            }
        }
        if rx {
            if let Some(receives) = &mut self.receives {
                receives.flush(conn, ep);
            }
        }
    }
}

/// Why an established connection goes on no longer.
pub(super) enum Stop {
    /// The peer has broken a rule.
    Fault(Fault),
    /// It has ended, with this status.
    Ended(i32),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Ended(error.to_errno())
    }
}
