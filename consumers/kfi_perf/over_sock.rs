// SPDX-License-Identifier: GPL-2.0-only

//! The loops over a raw kernel socket: what the TCP provider is compared with.
//!
//! A thread on each side that blocks in sendmsg() and recvmsg(), one call for each message, without headers and
//! completions. One connection, and data that nobody checks.
//!
//! - Ping-pong: a message there, a message back.
//! - Rate and write: a stream of messages; for each `depth` of them the server sends an acknowledgement, and the client
//!   is ahead by twice as many at most.
//! - Read: requests of [`REQUEST`] bytes, `depth` of them ahead, and answers.
//!
//! With many connections, which only ping-pong at depth 1 has, there is still one thread on each side. The client's sends on
//! each of them before it receives on each, and the server's answers them in that order, so that hardly any message needs a
//! wake-up: what TCP alone costs when the connections do not fit into the processor's cache.

#![deny(unsafe_code)]

use super::{
    params::{
        Loop,
        Params,
        HELLO, //
    },
    session::{
        Abort,
        Outcome,
        Stop, //
    },
    stats::{
        Histogram,
        Stats, //
    },
    sys::Socket, //
};
use crate::kfi::Handle;
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Completion,
        Mutex, //
    },
    time::{
        Instant,
        Monotonic, //
    },
};

/// Bytes of a read request: as many as the TCP provider sends for one.
const REQUEST: usize = 40;
/// Bytes of an acknowledgement: as above.
const ACK: usize = 16;
/// Longest message on many connections.
const MANY: u32 = 4096;
/// The byte of the hello, unused otherwise, that says who serves the connection.
const TURN: usize = 7;
/// A thread of its own.
const ALONE: u8 = 0;
/// A later one's.
const FOLLOWS: u8 = 1;
/// Its own, together with all those that follow.
const LAST: u8 = 2;

impl Stop for Socket {
    fn stop(&self) {
        self.shutdown();
    }
}

/// Memory for the messages that may be under way, as the other transports have it.
fn buffers(count: u32, size: usize) -> Result<KVec<KVec<u8>>> {
    let mut list = KVec::with_capacity(count as usize, GFP_KERNEL)?;
    for _ in 0..count {
        list.push(KVec::from_elem(0u8, size, GFP_KERNEL)?, GFP_KERNEL)?;
    }
    Ok(list)
}

fn nanoseconds(since: &Instant<Monotonic>) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(0)
}

/// One iteration is over.
fn count(params: &Params, stats: &Stats) {
    stats.ops.add(1);
    stats.bytes.add(params.size.into());
}

/// What a client does on its connections.
struct Client<'a> {
    socks: &'a [Arc<Socket>],
    /// The first of them.
    sock: &'a Socket,
    params: &'a Params,
    stats: &'a Stats,
    histogram: Option<&'a Histogram>,
}

impl Client<'_> {
    fn run(&self) -> Result {
        let params = self.params;
        let mut buffers = buffers(params.depth, params.size as usize)?;

        let mut hello = params.to_hello();
        for (at, sock) in self.socks.iter().enumerate() {
            hello[TURN] = match self.socks.len() - at {
                1 if at == 0 => ALONE,
                1 => LAST,
                _ => FOLLOWS,
            };
            sock.send(&hello)?;
            // The server is there, and has its memory.
            sock.recv(&mut [0; ACK])?;
        }
        let begin = Instant::now();
        let result = match params.what {
            Loop::PingPong if params.conns > 1 => self.pingpong_on_all(&mut buffers),
            Loop::PingPong => self.pingpong(&mut buffers),
            Loop::Rate | Loop::Write => self.stream(&buffers),
            Loop::Read => self.read(&mut buffers),
        };
        let ns = nanoseconds(&begin);
        self.stats.ns.add(ns);
        self.stats.wall_ns.add(ns);
        result
    }

    fn pingpong(&self, buffers: &mut [KVec<u8>]) -> Result {
        let mut ahead = 0;
        let mut left = self.params.iterations;
        while left != 0 {
            for buffer in &mut *buffers {
                let since = Instant::now();
                if ahead < left {
                    self.sock.send(buffer)?;
                    ahead += 1;
                }
                // Up to `depth` of them are under way.
                if ahead < u64::from(self.params.depth).min(left) {
                    continue;
                }
                self.sock.recv(buffer)?;
                ahead -= 1;
                left -= 1;
                count(self.params, self.stats);
                if let Some(histogram) = self.histogram {
                    histogram.add(nanoseconds(&since));
                }
                if left == 0 {
                    break;
                }
            }
        }
        Ok(())
    }

    fn pingpong_on_all(&self, buffers: &mut [KVec<u8>]) -> Result {
        let buffer = buffers.first_mut().ok_or(EINVAL)?;
        for _ in 0..self.params.iterations {
            for sock in self.socks {
                sock.send(buffer)?;
            }
            for sock in self.socks {
                sock.recv(buffer)?;
                count(self.params, self.stats);
            }
        }
        Ok(())
    }

    fn stream(&self, buffers: &[KVec<u8>]) -> Result {
        let depth = u64::from(self.params.depth);
        let mut unacked = 0;
        let mut left = self.params.iterations;
        while left != 0 {
            for buffer in buffers.iter().take(left.min(depth) as usize) {
                self.sock.send(buffer)?;
                count(self.params, self.stats);
                left -= 1;
                unacked += 1;
            }
            if unacked >= 2 * depth {
                self.sock.recv(&mut [0; ACK])?;
                unacked -= depth;
            }
        }
        while unacked >= depth {
            self.sock.recv(&mut [0; ACK])?;
            unacked -= depth;
        }
        Ok(())
    }

    fn read(&self, buffers: &mut [KVec<u8>]) -> Result {
        let depth = u64::from(self.params.depth);
        let mut ahead = 0;
        let mut left = self.params.iterations;
        while left != 0 {
            for buffer in &mut *buffers {
                while ahead < depth.min(left) {
                    self.sock.send(&[0; REQUEST])?;
                    ahead += 1;
                }
                if left == 0 {
                    break;
                }
                self.sock.recv(buffer)?;
                count(self.params, self.stats);
                ahead -= 1;
                left -= 1;
            }
        }
        Ok(())
    }
}

/// Runs a client.
pub fn run(params: &Params, abort: &Abort) -> Result<Outcome> {
    params.check()?;
    // All of them send before one receives, so that what they send has to fit into the sockets.
    let many = params.what == Loop::PingPong && params.depth == 1 && params.size <= MANY;
    if (params.conns != 1 && !many) || params.verify {
        return Err(EINVAL);
    }
    let mut outcome = Outcome::new(params)?;
    for _ in 0..params.cycles {
        let result = cycle(params, &outcome, abort);
        abort.forget();
        if let Err(e) = result {
            outcome.error = Some(e);
            break;
        }
    }
    Ok(outcome)
}

fn cycle(params: &Params, outcome: &Outcome, abort: &Abort) -> Result {
    let mut socks = KVec::new();
    for _ in 0..params.conns {
        let sock = connect(params, abort).inspect_err(|_| {
            outcome.stats.connect_errors.add(1);
        })?;
        outcome.stats.connected.add(1);
        socks.push(sock, GFP_KERNEL)?;
    }
    let client = Client {
        socks: &socks,
        sock: socks.first().ok_or(EINVAL)?,
        params,
        stats: &outcome.stats,
        histogram: outcome.histogram.as_deref(),
    };
    client.run()
}

fn connect(params: &Params, abort: &Abort) -> Result<Arc<Socket>> {
    let addr = params.addr.ok_or(EINVAL)?;
    let sock = Arc::new(Socket::new(&addr)?, GFP_KERNEL)?;
    abort.watch(sock.clone())?;
    if let Some(src) = &params.src {
        sock.bind(src)?;
    }
    sock.connect(&addr)?;
    Ok(sock)
}

/// What the threads of a server have in common.
#[pin_data]
struct Shared {
    params: Params,
    stats: Arc<Stats>,
    listener: Socket,
    /// `None` once it is stopped.
    #[pin]
    conns: Mutex<Option<KVec<Arc<Socket>>>>,
    /// Connections that wait for the one whose thread serves them.
    #[pin]
    follow: Mutex<KVec<Arc<Socket>>>,
    #[pin]
    ended: Completion,
}

/// A server that listens. Its drop stops that and ends every connection.
pub struct Running(Arc<Shared>);

impl Running {
    /// Starts to listen.
    pub fn start(handle: &Handle, params: &Params) -> Result<Self> {
        params.check()?;
        let addr = params.addr.ok_or(EINVAL)?;
        let listener = Socket::new(&addr)?;
        listener.bind(&addr)?;
        listener.listen(128)?;
        let shared = Arc::pin_init(
            pin_init!(Shared {
                params: params.clone(),
                stats: Arc::new(Stats::default(), GFP_KERNEL)?,
                listener,
                conns <- new_mutex!(Some(KVec::new()), "kfi_perf::Shared"),
                follow <- new_mutex!(KVec::new(), "kfi_perf::Shared::follow"),
                ended <- Completion::new(),
            }? Error),
            GFP_KERNEL,
        )?;
        let (thread, spawner) = (shared.clone(), handle.clone());
        handle.spawn(move || {
            while let Ok(sock) = thread.listener.accept() {
                // Without memory its client sees the end of the connection.
                let _ = thread.take(&spawner, sock);
            }
            thread.ended.complete_all();
        })?;
        Ok(Self(shared))
    }

    /// The counts so far.
    pub fn stats(&self) -> &Arc<Stats> {
        &self.0.stats
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.listener.shutdown();
        self.0.ended.wait_for_completion();
        if let Some(conns) = self.0.conns.lock().take() {
            for sock in &conns {
                sock.shutdown();
            }
        }
    }
}

impl Shared {
    fn take(self: &Arc<Self>, handle: &Handle, sock: Socket) -> Result {
        let sock = Arc::new(sock, GFP_KERNEL)?;
        let this = self.clone();
        match &mut *self.conns.lock() {
            Some(conns) => conns.push(sock.clone(), GFP_KERNEL)?,
            None => return Err(EPIPE),
        }
        handle.spawn(move || {
            this.stats.connected.add(1);
            // A client ends by closing.
            if this.serve(&sock).is_err() {
                this.forget(&sock);
            }
        })
    }

    fn forget(&self, sock: &Arc<Socket>) {
        self.stats.disconnected.add(1);
        sock.shutdown();
        if let Some(conns) = &mut *self.conns.lock() {
            if let Some(at) = conns.iter().position(|conn| Arc::ptr_eq(conn, sock)) {
                let _ = conns.remove(at);
            }
        }
    }

    /// Returns an error when the connection is over, and nothing when the thread of another one ends it.
    fn serve(&self, sock: &Arc<Socket>) -> Result {
        let mut hello = [0; HELLO];
        sock.recv(&mut hello)?;
        let params = self.params.for_client(&hello)?;
        if hello[TURN] != ALONE {
            return self.serve_in_turn(sock, hello[TURN], &params);
        }
        let count = |len: usize| {
            self.stats.ops.add(1);
            self.stats.bytes.add(len as u64);
        };
        // As many as there are receives, or one region.
        let room = match params.what {
            Loop::PingPong | Loop::Rate => params.depth.saturating_mul(2),
            Loop::Read | Loop::Write => 1,
        };
        let mut buffers = buffers(room, params.size as usize)?;
        let mut unacked = 0;

        sock.send(&[0; ACK])?;
        loop {
            for buffer in &mut buffers {
                match params.what {
                    Loop::PingPong => {
                        sock.recv(buffer)?;
                        sock.send(buffer)?;
                    }
                    Loop::Read => {
                        sock.recv(&mut [0; REQUEST])?;
                        sock.send(buffer)?;
                    }
                    Loop::Rate | Loop::Write => {
                        sock.recv(buffer)?;
                        unacked += 1;
                        if unacked == params.depth {
                            sock.send(&[0; ACK])?;
                            unacked = 0;
                        }
                    }
                }
                count(buffer.len());
            }
        }
    }

    /// Serves all connections of a client when `sock` is the last of them.
    fn serve_in_turn(&self, sock: &Arc<Socket>, turn: u8, params: &Params) -> Result {
        let mut buffer = KVec::from_elem(0u8, params.size as usize, GFP_KERNEL)?;
        self.follow.lock().push(sock.clone(), GFP_KERNEL)?;
        // If it fails, so does the first receive.
        let _ = sock.send(&[0; ACK]);
        if turn != LAST {
            return Ok(());
        }
        let mut all = core::mem::take(&mut *self.follow.lock());
        while !all.is_empty() {
            let mut at = 0;
            while let Some(sock) = all.get(at) {
                if sock
                    .recv(&mut buffer)
                    .and_then(|()| sock.send(&buffer))
                    .is_ok()
                {
                    self.stats.ops.add(1);
                    self.stats.bytes.add(buffer.len() as u64);
                    at += 1;
                } else {
                    self.forget(sock);
                    let _ = all.remove(at);
                }
            }
        }
        Ok(())
    }
}
