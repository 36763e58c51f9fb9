// SPDX-License-Identifier: GPL-2.0-only

//! What the loops need of a transport. Each loop is written once and compiled for each of them.

#![deny(unsafe_code)]

use super::{
    flow::{
        Flow,
        Slot, //
    },
    params::Params,
    server::Server, //
};
use crate::kfi::Handle;
use kernel::{
    prelude::*,
    sync::Arc,
    types::ForeignOwnable, //
};

/// Memory of the peer.
#[derive(Clone, Copy, Default)]
pub struct Remote {
    /// Address.
    pub addr: u64,
    /// Key.
    pub key: u32,
}

/// A post that was refused, and the operation back.
pub type Refused<X> = (Error, <X as Transport>::Req);

/// One way to move messages and remote memory.
pub trait Transport: Sized + Send + Sync + 'static {
    /// An operation, owned, with a [`Slot`] and memory in it. At its completion the transport calls [`Flow::complete`].
    type Req: ForeignOwnable + Send;
    /// What operations are posted to.
    type Post: ?Sized;
    /// What an operation holds to find its flow.
    type Link: Send + Sync;
    /// A connection, owned. Its drop closes it, in process context: all operations have completed then.
    type Conn: Send + Sync;
    /// Memory that the peer can reach.
    type Region: Send + Sync;
    /// What listens. Its drop ends that, in process context.
    type Listener: Send;
    /// A peer's request to connect.
    type Request<'a>;

    /// The slot of an operation.
    fn slot(req: &mut Self::Req) -> &mut Slot<Self>;
    /// Shows the first `len` bytes of the memory to `f`, and lets it change them.
    fn bytes<R>(req: &mut Self::Req, len: usize, f: impl FnOnce(&mut [u8]) -> R) -> Result<R>;

    /// Sends a message.
    fn send(post: &Self::Post, req: Self::Req, len: usize) -> Result<(), Refused<Self>>;
    /// Posts a receive.
    fn recv(post: &Self::Post, req: Self::Req, len: usize) -> Result<(), Refused<Self>>;
    /// Writes to the peer's memory.
    fn write(
        post: &Self::Post,
        req: Self::Req,
        len: usize,
        remote: Remote,
    ) -> Result<(), Refused<Self>>;
    /// Reads the peer's memory.
    fn read(
        post: &Self::Post,
        req: Self::Req,
        len: usize,
        remote: Remote,
    ) -> Result<(), Refused<Self>>;

    /// Finds the path to the server of `params`. Events go to `flow`.
    fn open(handle: &Handle, params: &Params, flow: &Arc<Flow<Self>>) -> Result<Self::Conn>;
    /// Asks the server to connect; [`Flow::established`] or [`Flow::ended`] follows.
    fn connect(conn: &Self::Conn, hello: &[u8]) -> Result;
    /// Listens at the address of `params`; requests go to [`Server::request`].
    fn listen(
        handle: &Handle,
        params: &Params,
        server: Arc<Server<Self>>,
    ) -> Result<Self::Listener>;
    /// What the peer sent with its request.
    fn hello<'r>(request: &'r Self::Request<'_>) -> &'r [u8];
    /// Makes a connection of a request. Events go to `flow`, and an end to `server` too.
    fn take(
        params: &Params,
        request: Self::Request<'_>,
        flow: &Arc<Flow<Self>>,
        server: &Arc<Server<Self>>,
    ) -> Result<Self::Conn>;
    /// Accepts it. Operations may be posted from here on.
    fn accept(conn: &Self::Conn) -> Result;

    /// What to post to.
    fn post(conn: &Self::Conn) -> Result<&Self::Post>;
    /// An operation with `len` bytes of memory.
    fn request(conn: &Self::Conn, index: usize, len: usize) -> Result<Self::Req>;
    /// An operation whose memory can be the sink of a read; the connection is established.
    fn sink(conn: &Self::Conn, index: usize, len: usize) -> Result<Self::Req>;
    /// Exposes `len` bytes to the peer, each `unit` of them filled in by `fill`; the connection is established.
    fn expose(
        conn: &Self::Conn,
        len: usize,
        unit: usize,
        fill: impl Fn(&mut [u8]),
    ) -> Result<(Self::Region, Remote)>;
    /// Runs the completions that have arrived, where nobody else does.
    fn poll(conn: &Self::Conn);
}

/// Operations that a connection can have outstanding.
pub struct Limits {
    /// Operations.
    pub max_tx: u32,
    /// Receives.
    pub max_rx: u32,
    /// Entries of the completion queue.
    pub nr_cqe: u32,
}

impl Limits {
    /// For a connection that does what `params` say, on either side.
    pub fn new(params: &Params) -> Self {
        let max_tx = params.depth.saturating_mul(2).saturating_add(16);
        let max_rx = params.depth.saturating_mul(2).saturating_add(16);
        Self {
            max_tx,
            max_rx,
            nr_cqe: max_tx.saturating_add(max_rx).saturating_add(8),
        }
    }
}
