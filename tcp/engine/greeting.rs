// SPDX-License-Identifier: GPL-2.0-only

//! Connection messages: what this side says, and taking what the peer says.

#![deny(unsafe_code)]

use super::super::{
    conn::{
        control::ConnParam,
        Conn, //
    },
    params,
    wire::{
        frame::{
            hello::{
                self,
                Extension,
                Hello,
                Reason, //
            },
            Fault,
            Features,
            Order, //
        },
        state::handshake::Active, //
    }, //
};
use crate::sys::{
    errno,
    socket::{
        Received,
        Sink,
        Socket, //
    }, //
};
use kernel::prelude::*;

/// What the active side sends first.
pub(crate) struct Offer {
    pub(super) active: Active,
    pub(super) hello: KVec<u8>,
}

/// The request: connection message and private data, in one piece.
pub(super) fn message(hello: &Hello, private: &[u8]) -> Result<KVec<u8>> {
    let mut bytes = KVec::with_capacity(hello::MAX, GFP_KERNEL)?;
    let head = hello.encode().map_err(|_| EINVAL)?;
    bytes.extend_from_slice(&head, GFP_KERNEL)?;
    bytes.extend_from_slice(private, GFP_KERNEL)?;
    Ok(bytes)
}

/// What this side can do. Only receives of its own can be promised to a peer.
pub(super) fn extension(conn: &Conn, service: u32, param: &ConnParam<'_>) -> Extension {
    let posted = conn.receives_posted().filter(|_| params::credits());
    let features = params::features();
    Extension {
        service,
        features: match posted {
            Some(_) => features.union(Features::CREDITS),
            None => features,
        },
        credits: posted.map_or(0, |posted| u16::try_from(posted).unwrap_or(u16::MAX)),
        ird: param.ird,
        ord: param.ord,
        reason: Reason::default(),
    }
}

impl Offer {
    /// What `param` asks for `conn` of the service with that number; 0 for a port of its own.
    pub(crate) fn new(conn: &Conn, service: u32, param: &ConnParam<'_>) -> Result<Self> {
        let active = Active {
            order: Order::NATIVE,
            offer: Some(extension(conn, service, param)),
        };
        let len = u16::try_from(param.private.len())?;
        let hello = message(&active.request(len), param.private)?;
        Ok(Self { active, hello })
    }
}

/// Takes exactly a connection message.
struct HelloSink<'a> {
    collector: &'a mut hello::Collector,
    result: Result<Option<Hello>, Fault>,
}

impl Sink for HelloSink<'_> {
    fn take(&mut self, data: &Received<'_>) -> usize {
        let mut buf = [0; hello::MAX];
        let mut taken = 0;
        // Twice at most: the head, then the private data.
        while matches!(self.result, Ok(None)) && taken < data.len() {
            let want = self
                .collector
                .missing()
                .min(data.len().saturating_sub(taken));
            let Some(bytes) = buf.get_mut(..want) else {
                break;
            };
            if want == 0 || !data.copy(taken, bytes) {
                break;
            }
            let mut rest: &[u8] = bytes;
            self.result = self.collector.push(&mut rest);
            taken = taken.saturating_add(want);
        }
        taken
    }
}

/// The peer's connection message, if all of it is here. After the end of the stream, or an error, it will not be.
pub(super) fn read_hello(
    socket: &Socket<Conn>,
    collector: &mut hello::Collector,
) -> Result<Option<Hello>> {
    let ended = socket.peer_ended();
    let mut sink = HelloSink {
        collector,
        result: Ok(None),
    };
    socket.read(&mut sink)?;
    let hello = sink.result.map_err(|_| errno::eproto())?;
    if hello.is_none() {
        socket.error()?;
        if ended {
            return Err(errno::econnreset());
        }
    }
    Ok(hello)
}

/// Takes everything and forgets it.
pub(super) struct Nowhere;

impl Sink for Nowhere {
    fn take(&mut self, data: &Received<'_>) -> usize {
        data.len()
    }
}
