// SPDX-License-Identifier: GPL-2.0-only

//! A connection with its flow, and the client's run.

#![deny(unsafe_code)]

use super::{
    flow::Flow,
    params::{
        Params,
        Role, //
    },
    server::Server,
    stats::{
        Histogram,
        Stats, //
    },
    transport::Transport, //
};
use crate::kfi::Handle;
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    },
    time::{
        Instant,
        Monotonic, //
    },
};

/// A flow whose idle operations go with it: they refer to the flow themselves.
struct Owned<X: Transport>(Arc<Flow<X>>);

impl<X: Transport> Drop for Owned<X> {
    fn drop(&mut self) {
        self.0.clear();
    }
}

/// A connection, its flow, and what it exposes. Its drop sleeps.
pub struct Session<X: Transport> {
    // Drop order: the close completes all operations; then nothing uses the region; then all operations are idle.
    conn: X::Conn,
    region: Option<X::Region>,
    flow: Owned<X>,
}

impl<X: Transport> Session<X> {
    fn new(conn: X::Conn, flow: Arc<Flow<X>>) -> Self {
        Self {
            conn,
            region: None,
            flow: Owned(flow),
        }
    }

    /// What happens on it.
    pub fn flow(&self) -> &Arc<Flow<X>> {
        &self.flow.0
    }

    /// A client's session, connected and ready to start.
    pub fn connect(
        handle: &Handle,
        params: &Params,
        stats: &Arc<Stats>,
        histogram: &Option<Arc<Histogram>>,
        abort: &Abort,
    ) -> Result<Self> {
        let flow = Flow::new(params, Role::Client, stats.clone(), histogram.clone())?;
        // A peer that does not answer keeps it waiting for a minute.
        abort.watch(flow.clone())?;
        let conn = X::open(handle, params, &flow).inspect_err(|e| flow.ended(*e))?;
        let session = Self::new(conn, flow);
        let (flow, conn) = (session.flow(), &session.conn);
        flow.prepare(conn)?;
        let hello = params.to_hello();
        // fi_pingpong has no use for one.
        let hello = if params.libfabric { &[] } else { &hello[..] };
        X::connect(conn, hello).inspect_err(|e| flow.ended(*e))?;
        flow.wait_connected()?;
        flow.greet(conn)?;
        flow.wait_greeted(conn)?;
        Ok(session)
    }

    /// A server's session for a request, to be accepted.
    pub fn take(
        params: &Params,
        stats: &Arc<Stats>,
        request: X::Request<'_>,
        server: &Arc<Server<X>>,
    ) -> Result<Self> {
        let flow = Flow::new(params, Role::Server, stats.clone(), None)?;
        let conn = X::take(params, request, &flow, server)?;
        Ok(Self::new(conn, flow))
    }

    /// Accepts it.
    pub fn accept(&mut self) -> Result {
        self.flow().prepare(&self.conn)?;
        X::accept(&self.conn)?;
        self.region = self.flow().expose(&self.conn)?;
        Ok(())
    }
}

/// What a run leaves behind.
pub struct Outcome {
    /// Counts.
    pub stats: Arc<Stats>,
    /// Times of the iterations, if asked for.
    pub histogram: Option<Arc<Histogram>>,
    /// The first error.
    pub error: Option<Error>,
    /// What it was asked to do.
    pub params: Params,
}

impl Outcome {
    /// Of a run that has not begun.
    pub fn new(params: &Params) -> Result<Self> {
        Ok(Self {
            stats: Arc::new(Stats::default(), GFP_KERNEL)?,
            histogram: match params.latency {
                true => Some(Arc::new(Histogram::new()?, GFP_KERNEL)?),
                false => None,
            },
            error: None,
            params: params.clone(),
        })
    }
}

/// How a run is ended before its time.
#[pin_data]
pub struct Abort {
    aborted: Atomic<bool>,
    #[pin]
    flows: Mutex<KVec<Arc<dyn Stop>>>,
}

/// What can be ended.
pub trait Stop: Send + Sync {
    /// Ends it.
    fn stop(&self);
}

impl<X: Transport> Stop for Flow<X> {
    fn stop(&self) {
        Flow::stop(self, EINTR);
    }
}

impl Abort {
    /// For one run.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            aborted: Atomic::new(false),
            flows <- new_mutex!(KVec::new(), "kfi_perf::Abort"),
        })
    }

    /// Ends the run.
    pub fn abort(&self) {
        self.aborted.store(true, Relaxed);
        for flow in self.flows.lock().iter() {
            flow.stop();
        }
    }

    fn check(&self) -> Result {
        if self.aborted.load(Relaxed) {
            Err(EINTR)
        } else {
            Ok(())
        }
    }

    /// Notes what is to be ended, until [`Self::forget`].
    pub fn watch<S: Stop + 'static>(&self, what: Arc<S>) -> Result {
        self.flows.lock().push(what.clone(), GFP_KERNEL)?;
        // It may have been aborted before the push.
        self.check().inspect_err(|_| what.stop())
    }

    /// Forgets all of that.
    pub fn forget(&self) {
        self.flows.lock().clear();
    }
}

/// Runs a client: `cycles` times `conns` connections at once.
pub fn run<X: Transport>(handle: &Handle, params: &Params, abort: &Abort) -> Result<Outcome> {
    params.check()?;
    let mut outcome = Outcome::new(params)?;
    for _ in 0..params.cycles {
        let result = cycle::<X>(handle, params, &outcome, abort);
        abort.forget();
        if let Err(e) = result {
            outcome.error.get_or_insert(e);
        }
        if abort.check().is_err() {
            break;
        }
    }
    Ok(outcome)
}

fn cycle<X: Transport>(
    handle: &Handle,
    params: &Params,
    outcome: &Outcome,
    abort: &Abort,
) -> Result {
    let mut sessions = KVec::with_capacity(params.conns as usize, GFP_KERNEL)?;
    let mut first = Ok(());
    for _ in 0..params.conns {
        abort.check()?;
        match Session::<X>::connect(handle, params, &outcome.stats, &outcome.histogram, abort) {
            Ok(session) => sessions.push(session, GFP_KERNEL)?,
            Err(e) => first = first.and(Err(e)),
        }
    }
    let begin = Instant::<Monotonic>::now();
    for session in &sessions {
        let flow = session.flow();
        if let Err(e) = flow.start(&session.conn) {
            flow.stop(e);
        }
    }
    for session in &sessions {
        let done = session.flow().wait_done(&session.conn);
        first = first.and(done);
    }
    let ns = begin.elapsed().as_nanos();
    outcome.stats.wall_ns.add(u64::try_from(ns).unwrap_or(0));
    first
}
