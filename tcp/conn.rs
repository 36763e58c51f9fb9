// SPDX-License-Identifier: GPL-2.0-only

//! Connections: one object each, from `struct kfi_info` to the last event.
//!
//! Phases are those of Documentation/kfi/lifetimes.rst. What the socket does is in [`Engine`]; this is what the consumer
//! was told and may do:
//!
//! - [`control`]: open, connect, accept, reject, shutdown, abort, drain;
//! - [`events`]: what the consumer hears;
//! - [`teardown`]: the one way in which a connection ends.
//!
//! Locks, outermost first: `engine`, `control`, those of queues, rings and the domain. Neither mutex is held across a
//! callback of the consumer.

#![deny(unsafe_code)]

pub(crate) mod control;
pub(crate) mod events;
pub(crate) mod teardown;

use super::{
    api::{
        conn::{
            EpHead,
            InfoHead, //
        },
        event::{
            EventFn,
            ResolveFn, //
        }, //
    },
    domain::Domain,
    engine::Engine,
    io_queue,
    listen::{
        Pep,
        Port, //
    },
    op::{
        RxOp,
        TxOp, //
    },
    queue::{
        Direction,
        Queue, //
    },
    region::Reach,
    srx::Srx,
    wire::{
        frame::{
            header::Element,
            Fault, //
        },
        keys::Access, //
    }, //
};
use crate::sys::{
    addr::{
        Addr,
        HeldNet,
        Net, //
    },
    count::Count,
    errno,
    handoff::Places,
    ring::Ring,
    socket::{
        Socket,
        Watcher, //
    },
    tls::{
        Secured,
        Tls, //
    },
    workq, //
};
use events::Notices;
use kernel::{
    error::to_result,
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
    workqueue::{
        impl_has_delayed_work,
        impl_has_work,
        DelayedWork,
        Work,
        WorkItem, //
    }, //
};

/// What the consumer was told so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Before the resolve callback.
    Resolving,
    /// After it.
    Resolved,
    /// A peer has connected and asks, or is about to.
    Request,
    /// The endpoint is open.
    Idle,
    /// The connection is being made.
    Connecting,
    /// `KFI_EVENT_ESTABLISHED` is delivered or on its way.
    Connected,
    /// The last event is delivered or on its way.
    Ended,
}

/// Who has asked for the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    /// We do.
    Active,
    /// The peer does.
    Passive,
}

/// What the data path may do; Documentation/kfi/lifetimes.rst has the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub(crate) enum DataState {
    /// Receives only.
    Open = 0,
    /// Connected.
    Active = 1,
    /// What is posted is flushed.
    Err = 2,
}

/// What an open endpoint has.
pub(crate) struct Endpoint {
    /// Its domain.
    pub(crate) domain: Arc<Domain>,
    /// Completions of operations.
    pub(crate) tx_cq: Arc<Queue>,
    /// Completions of receives.
    pub(crate) rx_cq: Arc<Queue>,
    /// Shared receives.
    pub(crate) srx: Option<Arc<Srx>>,
    /// Where operations are posted.
    pub(crate) tx: Arc<Ring<TxOp>>,
    /// Where receives are posted.
    pub(crate) rx: Option<Arc<Ring<RxOp>>>,
    /// Operations outstanding at most.
    pub(crate) max_tx: i32,
    /// Receives outstanding at most.
    pub(crate) max_rx: i32,
    /// Transfers prepared at most.
    max_rma: i32,
    event: EventFn,
}

impl Endpoint {
    /// Completions of that direction.
    #[inline]
    pub(crate) fn queue(&self, direction: Direction) -> &Arc<Queue> {
        match direction {
            Direction::Tx => &self.tx_cq,
            Direction::Rx => &self.rx_cq,
        }
    }
}

/// A connection.
#[pin_data]
#[repr(C)]
pub(crate) struct Conn {
    /// `struct kfi_ep`
    pub(crate) ep: EpHead,
    state: Atomic<i32>,
    /// Operations that are posted and whose callback has not begun.
    tx_used: Atomic<i32>,
    /// The same for receives.
    rx_used: Atomic<i32>,
    /// Transfers that are prepared.
    rma_used: Atomic<i32>,
    /// Whether the work item runs; see [`Conn::wake`].
    turn: Atomic<i32>,
    /// The peer understands messages that invalidate a key.
    pub(crate) peer_invalidates: Atomic<bool>,
    /// The peer waits for a receive, so posting one has to wake the work item.
    pub(crate) starving: Atomic<bool>,
    endpoint: SetOnce<Endpoint>,
    #[pin]
    work: Work<Conn, 0>,
    /// For as long as a worker that has begun with `work` goes on with other connections.
    #[pin]
    other_work: Work<Conn, 4>,
    /// With which of them a worker has begun that goes on with other connections, if there is one: [`WITH_WORK`] ...
    begun_with: Atomic<i32>,
    /// Operations whose callback has not returned.
    tx_pending: Count,
    /// The same for receives.
    rx_pending: Count,
    /// `struct kfi_info`
    pub(crate) info: InfoHead,
    /// Who has asked for it.
    pub(crate) side: Side,
    /// Its network namespace.
    pub(crate) net: HeldNet,
    /// What keys are good for; never used twice.
    pub(crate) id: u64,
    /// The socket and what travels on it.
    #[pin]
    pub(crate) engine: Mutex<Engine>,
    #[pin]
    control: Mutex<Control>,
    /// Control calls that run; see [`control::Call`].
    calls: Count,
    /// Outcome of the TLS handshake, or [`PENDING`].
    tls_status: Atomic<i32>,
    /// Handshakes whose end we have not heard of.
    handshakes: Count,
    /// Callbacks of events that run.
    callbacks: Count,
    /// The task that runs one, or 0.
    callback_task: Atomic<usize>,
    #[pin]
    event_work: Work<Conn, 1>,
    #[pin]
    teardown_work: Work<Conn, 2>,
    #[pin]
    timer: DelayedWork<Conn, 3>,
}

/// What the consumer was told and has asked for.
pub(crate) struct Control {
    pub(crate) phase: Phase,
    /// The consumer has given it up: no more callbacks.
    closed: bool,
    /// The consumer's reference, when it was given up in a callback of its own.
    deferred: Option<Arc<Conn>>,
    resolve: Option<ResolveFn>,
    notices: Notices,
    /// Where a request came in.
    pub(crate) port: Option<Arc<Port>>,
    /// Who is asked about it.
    pub(crate) pep: Option<Arc<Pep>>,
    /// Active side: TLS is asked for. Passive side: the peer has started with it.
    pub(crate) tls: Option<Arc<Tls>>,
    /// Our address, as far as it is known.
    pub(crate) local: Addr,
    /// The peer's.
    pub(crate) peer: Addr,
    /// Service number, or 0 for a port of its own.
    pub(crate) service: u32,
    /// Active side: type of service, if it matters.
    tos: Option<u8>,
    /// Room was taken in the queues.
    reserved: Option<(u32, u32)>,
}

/// The TLS handshake has no outcome.
const PENDING: i32 = 1;

/// The work item is neither queued nor running.
const IDLE: i32 = 0;
/// It is, and looks at everything before it ends.
const BUSY: i32 = 1;
/// Something has happened since it has begun to look.
const AGAIN: i32 = 2;

impl_has_work! {
    impl HasWork<Self, 0> for Conn { self.work }
    impl HasWork<Self, 1> for Conn { self.event_work }
    impl HasWork<Self, 2> for Conn { self.teardown_work }
    impl HasWork<Self, 4> for Conn { self.other_work }
}

impl_has_delayed_work! {
    impl HasDelayedWork<Self, 3> for Conn { self.timer }
}

/// Times that the work item looks at everything before it queues up again behind others.
const ROUNDS: usize = 16;
/// Times before it lets others have the CPU.
const ROUNDS_AT_ONCE: usize = 4;
/// Times that a worker looks at connections, one after the other, before those are due that wait in the queue.
const ALL_ROUNDS: usize = 128;
/// Or, for connections that have much to do: whole ticks, of 1 to 10 ms.
const ALL_TICKS: usize = 1;

/// No worker that has begun with the connection goes on with others.
const NOBODY: i32 = 0;
/// One does that has begun with `work`, which no other worker can run meanwhile.
const WITH_WORK: i32 = 1;
/// One does that has begun with `other_work`.
const WITH_OTHER_WORK: i32 = 2;

/// What a worker has woken on its own CPU: it goes on with that.
static WOKEN: Places<Conn> = Places::new();

impl WorkItem<0> for Conn {
    type Pointer = Arc<Conn>;

    fn run(this: Arc<Conn>) {
        this.work_on(WITH_WORK);
    }
}

impl WorkItem<4> for Conn {
    type Pointer = Arc<Conn>;

    fn run(this: Arc<Conn>) {
        this.work_on(WITH_OTHER_WORK);
    }
}

impl WorkItem<3> for Conn {
    type Pointer = Arc<Conn>;

    fn run(this: Arc<Conn>) {
        this.timed_out();
    }
}

impl Watcher for Conn {
    const LISTENS: bool = false;

    fn woken(this: ArcBorrow<'_, Self>) {
        Self::wake(this);
    }
}

impl Secured for Conn {
    fn secured(this: ArcBorrow<'_, Self>, status: i32, peer: i32) {
        // The active side's agent has looked at the server's certificate.
        let admitted = this.side == Side::Active || this.tls().is_some_and(|tls| tls.admits(peer));
        let status = if status >= 0 && !admitted {
            EACCES.to_errno()
        } else {
            status.min(0)
        };
        this.tls_status.store(status, Release);
        Self::wake(this);
        this.handshakes.dec();
    }
}

static NEXT_ID: Atomic<u64> = Atomic::new(1);

impl Conn {
    fn new(net: &Net, side: Side, phase: Phase, engine: Engine) -> Result<Arc<Self>> {
        let net = HeldNet::new(net);
        let info = InfoHead::new(&net);
        Arc::pin_init(
            pin_init!(Self {
                ep: EpHead::new(),
                state: Atomic::new(DataState::Open as i32),
                tx_used: Atomic::new(0),
                rx_used: Atomic::new(0),
                rma_used: Atomic::new(0),
                turn: Atomic::new(IDLE),
                peer_invalidates: Atomic::new(false),
                starving: Atomic::new(false),
                endpoint: SetOnce::new(),
                work <- kernel::new_work!("kfi::Conn::work"),
                other_work <- kernel::new_work!("kfi::Conn::other_work"),
                begun_with: Atomic::new(NOBODY),
                tx_pending: Count::new(),
                rx_pending: Count::new(),
                info,
                side,
                net,
                id: NEXT_ID.fetch_add(1, Relaxed),
                engine <- new_mutex!(engine, "kfi::Conn::engine"),
                control <- new_mutex!(
                    Control {
                        phase,
                        closed: false,
                        deferred: None,
                        resolve: None,
                        notices: Notices::new(),
                        port: None,
                        pep: None,
                        tls: None,
                        local: Addr::none(),
                        peer: Addr::none(),
                        service: 0,
                        tos: None,
                        reserved: None,
                    },
                    "kfi::Conn::control"
                ),
                calls: Count::new(),
                tls_status: Atomic::new(PENDING),
                handshakes: Count::new(),
                callbacks: Count::new(),
                callback_task: Atomic::new(0),
                event_work <- kernel::new_work!("kfi::Conn::event_work"),
                teardown_work <- kernel::new_work!("kfi::Conn::teardown_work"),
                timer <- kernel::new_delayed_work!("kfi::Conn::timer"),
            }),
            GFP_KERNEL,
        )
    }

    /// What an open endpoint has.
    #[inline]
    pub(crate) fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    /// Receives that were posted to the endpoint so far, modulo 2^32. `None` when it shares them with others.
    pub(crate) fn receives_posted(&self) -> Option<u32> {
        Some(self.endpoint()?.rx.as_ref()?.published())
    }

    /// Looks at everything until nothing has happened meanwhile; returns whether it has come so far. Each time takes one from
    /// `left`.
    fn look(self: &Arc<Self>, left: &mut usize) -> bool {
        for round in 1..=ROUNDS.min(*left) {
            *left = left.saturating_sub(1);
            self.turn.xchg(BUSY, Full);
            let claim = self.engine.lock().run(self);
            if let Some(ep) = self.endpoint.as_ref() {
                match claim {
                    // The only one.
                    Some(claim) => ep.queue(claim.direction()).run_with(self, claim),
                    None => {
                        ep.rx_cq.kick();
                        if !Arc::ptr_eq(&ep.rx_cq, &ep.tx_cq) {
                            ep.tx_cq.kick();
                        }
                    }
                }
            }
            if self.turn.cmpxchg(BUSY, IDLE, Full).is_ok() {
                return true;
            }
            if round % ROUNDS_AT_ONCE == 0 {
                workq::yield_cpu();
            }
        }
        false
    }

    /// Looks at this connection, and then at those that the worker has woken meanwhile. `begun_with` is the work item.
    fn work_on(self: &Arc<Self>, begun_with: i32) {
        let worker = WOKEN.begin();
        let begun = workq::ticks();
        let mut left = ALL_ROUNDS;
        // Before `turn` says that it may be queued again. Both work items cannot be kept from other workers.
        let alone = self.begun_with.cmpxchg(NOBODY, begun_with, Relaxed).is_ok();
        workq::without_io(|| {
            self.look_or_enqueue(&mut left);
            while alone && left != 0 && workq::ticks().wrapping_sub(begun) <= ALL_TICKS {
                workq::yield_cpu();
                let Some(conn) = worker.next(Self::take_back) else {
                    break;
                };
                conn.look_or_enqueue(&mut left);
            }
        });
        if alone {
            self.begun_with.store(NOBODY, Relaxed);
        }
    }

    /// As [`Self::look`]; if it has not come so far the work item does the rest.
    fn look_or_enqueue(self: &Arc<Self>, left: &mut usize) {
        if !self.look(left) {
            self.clone().enqueue();
        }
    }

    /// Takes it from the queue of work, if it is still there.
    fn take_back(this: &Arc<Self>) -> Option<Arc<Self>> {
        // Not both are queued.
        if this.begun_with.load(Relaxed) == WITH_WORK {
            workq::take_back::<_, 4>(this).or_else(|| workq::take_back::<_, 0>(this))
        } else {
            workq::take_back::<_, 0>(this).or_else(|| workq::take_back::<_, 4>(this))
        }
    }

    /// Sees to it that the work item looks at everything once more. Any context.
    #[inline]
    pub(crate) fn wake(this: ArcBorrow<'_, Self>) {
        if this.turn.xchg(AGAIN, Full) == IDLE {
            let conn = Arc::<Self>::from(this);
            if conn.enqueue() {
                WOKEN.offer(this);
            }
        }
    }

    /// Has the work item run, on the CPU of its receives' completion vector; returns whether that is this one.
    #[inline]
    fn enqueue(self: Arc<Self>) -> bool {
        let Some(queue) = io_queue() else {
            return false;
        };
        let cpu = self
            .endpoint()
            .map_or(workq::Cpu::HERE, |ep| ep.rx_cq.cpu());
        if self.begun_with.load(Relaxed) == WITH_WORK {
            workq::enqueue_on::<_, 4>(queue, cpu, self);
        } else {
            workq::enqueue_on::<_, 0>(queue, cpu, self);
        }
        cpu.is_here()
    }

    /// What the data path may do.
    #[inline]
    pub(crate) fn state(&self) -> DataState {
        match self.state.load(Acquire) {
            0 => DataState::Open,
            1 => DataState::Active,
            _ => DataState::Err,
        }
    }

    /// Connected: operations may be posted.
    pub(crate) fn activate(&self) {
        // Not if it has failed meanwhile.
        let _ = self
            .state
            .cmpxchg(DataState::Open as i32, DataState::Active as i32, Full);
    }

    /// From here on what is posted is flushed.
    pub(crate) fn enter_error(&self) {
        // Full: what was posted before is seen by the flush behind this, or its poster sees the state.
        self.state.xchg(DataState::Err as i32, Full);
    }

    fn used(&self, direction: Direction) -> &Atomic<i32> {
        match direction {
            Direction::Tx => &self.tx_used,
            Direction::Rx => &self.rx_used,
        }
    }

    fn pending(&self, direction: Direction) -> &Count {
        match direction {
            Direction::Tx => &self.tx_pending,
            Direction::Rx => &self.rx_pending,
        }
    }

    /// Counts what is being posted; [`ENOMEM`] when there are `max` already. Under the ring's lock.
    #[inline]
    pub(crate) fn admit(&self, direction: Direction, max: i32) -> Result {
        let used = self.used(direction);
        if used.fetch_add(1, Relaxed) >= max {
            used.fetch_sub(1, Relaxed);
            return Err(ENOMEM);
        }
        self.pending(direction).inc();
        Ok(())
    }

    /// Counts a receive that was taken from a shared context, which has its own limit.
    pub(crate) fn admit_shared(&self) {
        self.rx_used.fetch_add(1, Relaxed);
        self.rx_pending.inc();
    }

    /// Another one may be posted.
    #[inline]
    pub(crate) fn room(&self, direction: Direction) {
        self.used(direction).fetch_sub(1, Relaxed);
    }

    /// The consumer has heard of one.
    #[inline]
    pub(crate) fn settled(&self, direction: Direction) {
        self.pending(direction).dec();
    }

    /// Finds memory of regions that are registered for this connection.
    pub(crate) fn reach(&self, element: &Element, wanted: Access) -> Result<Reach, Fault> {
        let endpoint = self.endpoint.as_ref().ok_or(Fault::Key)?;
        endpoint.domain.reach(self.id, element, wanted)
    }

    /// Both addresses.
    pub(crate) fn addr(&self, peer: bool) -> Result<Addr> {
        let control = self.control.lock();
        let addr = if peer { control.peer } else { control.local };
        if addr.family() == 0 {
            return Err(errno::enotconn());
        }
        Ok(addr)
    }

    /// Notes what the socket knows.
    pub(crate) fn know_addresses(&self, socket: &Socket<Self>) {
        let mut control = self.control.lock();
        if let Ok(addr) = socket.local() {
            control.local = addr;
        }
        if let Ok(addr) = socket.peer() {
            control.peer = match u16::try_from(control.service) {
                // The consumer connects to a service, and not to the port behind which it is.
                Ok(service) if service != 0 => addr.with_port(service),
                _ => addr,
            };
        }
    }

    /// The keys for TLS, if there is to be any.
    pub(crate) fn tls(&self) -> Option<Arc<Tls>> {
        self.control.lock().tls.clone()
    }

    /// Passive side: the peer has started with TLS. Takes the keys of the port; [`EPROTO`](errno::eproto) without.
    pub(crate) fn use_tls(&self) -> Result {
        let port = self.control.lock().port.clone();
        let tls = port.and_then(|port| port.tls()).ok_or_else(errno::eproto)?;
        self.control.lock().tls = Some(tls);
        Ok(())
    }

    /// A handshake is about to begin.
    pub(crate) fn handshake_begins(&self) {
        self.handshakes.inc();
    }

    /// It was not begun, or given up.
    pub(crate) fn handshake_canceled(&self) {
        self.handshakes.dec();
    }

    /// How the handshake has ended.
    pub(crate) fn handshake_result(&self) -> Option<Result> {
        match self.tls_status.load(Acquire) {
            PENDING => None,
            status => Some(to_result(status)),
        }
    }

    fn is_own_callback(&self) -> bool {
        self.callback_task.load(Acquire) == workq::current()
    }
}
