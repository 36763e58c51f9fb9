// SPDX-License-Identifier: GPL-2.0-only

//! What a test is asked to do.

#![deny(unsafe_code)]

use crate::kfi::{
    Poll,
    Tls, //
};
use core::net::SocketAddr;
use kernel::prelude::*;

/// What is repeated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Loop {
    /// A message there, a message back.
    PingPong,
    /// Messages in one direction.
    Rate,
    /// RMA reads by the client.
    Read,
    /// RMA writes by the client.
    Write,
}

impl Loop {
    /// All of them, with their names.
    pub const NAMES: [(&'static str, Loop); 4] = [
        ("pingpong", Loop::PingPong),
        ("rate", Loop::Rate),
        ("read", Loop::Read),
        ("write", Loop::Write),
    ];

    /// As a number on the wire.
    pub fn to_wire(self) -> u8 {
        match self {
            Loop::PingPong => 0,
            Loop::Rate => 1,
            Loop::Read => 2,
            Loop::Write => 3,
        }
    }

    /// From a number on the wire.
    pub fn from_wire(value: u8) -> Result<Self> {
        Ok(match value {
            0 => Loop::PingPong,
            1 => Loop::Rate,
            2 => Loop::Read,
            3 => Loop::Write,
            _ => return Err(EINVAL),
        })
    }
}

/// Which transport.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// kfi.
    Kfi,
    /// Raw verbs.
    #[cfg(CONFIG_INFINIBAND_ADDR_TRANS)]
    Verbs,
    /// Raw sockets.
    Sock,
}

/// Which side.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Connects and runs the loop.
    Client,
    /// Listens and answers.
    Server,
}

/// Whether and how TLS protects the connections.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Not at all.
    None,
    /// With certificates, those of the handshake agent's configuration.
    X509,
    /// With certificates: serial numbers of a keyring, and of our certificate and private key in it.
    Keys(i32, i32, i32),
    /// With the pre-shared key of that serial number.
    Psk(i32),
}

/// Largest name of a provider.
pub const NAME_MAX: usize = 31;

/// Everything that can be asked for.
#[derive(Clone)]
pub struct Params {
    /// Which transport.
    pub kind: Kind,
    /// Which side.
    pub role: Role,
    /// The server's address and port.
    pub addr: Option<SocketAddr>,
    /// The client's own address.
    pub src: Option<SocketAddr>,
    /// The only kfi provider to use, with a NUL behind it; empty for any.
    pub provider: [u8; NAME_MAX + 1],
    /// Whether TLS is used by a client, and required by a server.
    pub tls: Security,
    /// The name that the server's certificate has to have; as `provider`.
    pub tls_name: [u8; NAME_MAX + 1],
    /// What is repeated.
    pub what: Loop,
    /// Bytes of a message or transfer.
    pub size: u32,
    /// Operations outstanding.
    pub depth: u32,
    /// How often, for each connection.
    pub iterations: u64,
    /// Where completions are handled.
    pub poll: Poll,
    /// Whether the data are checked.
    pub verify: bool,
    /// Whether the time of each iteration is kept.
    pub latency: bool,
    /// Connections at the same time.
    pub conns: u32,
    /// How often all of that.
    pub cycles: u32,
    /// Type of service of the client's connections, or -1.
    pub tos: i16,
    /// A server at the wildcard address of IPv6 takes no connections of IPv4.
    pub afonly: bool,
    /// Over TCP the port of `addr` is one of the network.
    pub own_port: bool,
    /// The other side is fi_pingpong of libfabric.
    pub libfabric: bool,
}

/// Largest [`Params::size`].
pub const SIZE_MAX: u32 = 1 << 20;
/// Largest [`Params::depth`].
pub const DEPTH_MAX: u32 = 1024;
/// Largest [`Params::conns`].
pub const CONNS_MAX: u32 = 1 << 16;

impl Default for Params {
    fn default() -> Self {
        Self {
            kind: Kind::Kfi,
            role: Role::Client,
            addr: None,
            src: None,
            provider: [0; NAME_MAX + 1],
            tls: Security::None,
            tls_name: [0; NAME_MAX + 1],
            what: Loop::PingPong,
            size: 64,
            depth: 1,
            iterations: 1000,
            poll: Poll::Softirq,
            verify: false,
            latency: false,
            conns: 1,
            cycles: 1,
            tos: -1,
            afonly: false,
            own_port: false,
            libfabric: false,
        }
    }
}

fn named(name: &[u8]) -> Option<&CStr> {
    match CStr::from_bytes_until_nul(name) {
        Ok(name) if !name.to_bytes().is_empty() => Some(name),
        _ => None,
    }
}

impl Params {
    /// The provider as a C string, if one was named.
    pub fn provider(&self) -> Option<&CStr> {
        named(&self.provider)
    }

    /// The keys for TLS, if it is to be used.
    pub fn tls(&self) -> Option<Tls<'_>> {
        let (keyring, cert, privkey, psk) = match self.tls {
            Security::None => return None,
            Security::X509 => (0, 0, 0, 0),
            Security::Keys(keyring, cert, privkey) => (keyring, cert, privkey, 0),
            Security::Psk(serial) => (0, 0, 0, serial),
        };
        Some(Tls {
            peername: named(&self.tls_name),
            keyring,
            cert,
            privkey,
            psk,
        })
    }

    /// What the client tells the server with its request.
    pub fn to_hello(&self) -> [u8; HELLO] {
        let mut hello = [0; HELLO];
        let [size, depth] = [self.size, self.depth].map(u32::to_be_bytes);
        let head = [
            b'k',
            b'f',
            b'i',
            b'p',
            1,
            self.what.to_wire(),
            u8::from(self.verify),
            0,
        ];
        for (to, from) in hello
            .iter_mut()
            .zip([&head[..], &size[..], &depth[..]].into_iter().flatten())
        {
            *to = *from;
        }
        hello
    }

    /// What a server does for a client that has sent `hello`. It may be padded.
    pub fn for_client(&self, hello: &[u8]) -> Result<Params> {
        if self.libfabric {
            // It sends none: both sides are told on the command line.
            return Ok(self.clone());
        }
        let (head, rest) = hello.split_first_chunk::<8>().ok_or(EINVAL)?;
        let (size, rest) = rest.split_first_chunk::<4>().ok_or(EINVAL)?;
        let (depth, _) = rest.split_first_chunk::<4>().ok_or(EINVAL)?;
        let [b'k', b'f', b'i', b'p', 1, what, verify, _] = *head else {
            return Err(EINVAL);
        };
        let params = Params {
            what: Loop::from_wire(what)?,
            verify: verify != 0,
            size: u32::from_be_bytes(*size),
            depth: u32::from_be_bytes(*depth),
            ..self.clone()
        };
        params.check()?;
        Ok(params)
    }

    /// Whether the numbers are in their ranges.
    pub fn check(&self) -> Result {
        let ok = (1..=SIZE_MAX).contains(&self.size)
            && (1..=DEPTH_MAX).contains(&self.depth)
            && (1..=CONNS_MAX).contains(&self.conns)
            && self.iterations > 0
            && self.cycles > 0
            && (!self.verify || self.libfabric || self.size >= super::verify::SIZE_MIN)
            && (!self.libfabric || (self.what == Loop::PingPong && self.depth == 1))
            && u64::from(self.size).saturating_mul(u64::from(self.depth)) <= 1 << 28;
        if ok {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }
}

/// Bytes of [`Params::to_hello`].
pub const HELLO: usize = 16;
