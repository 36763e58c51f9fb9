// SPDX-License-Identifier: GPL-2.0-only

//! The connection message: one each way before any data.

#![deny(unsafe_code)]

use super::{
    cursor::{Partial, Reader, Writer},
    Fault,
    Features,
    Order,
    VERSION, //
};

/// Bytes before the private data.
pub(crate) const LEN: usize = 32;
/// Largest private data.
pub(crate) const PRIVATE_MAX: usize = 256;
/// Largest connection message.
pub(crate) const MAX: usize = LEN + PRIVATE_MAX;
/// What a kfi peer puts where libfabric has zeros: "kfi-tcp1".
const MAGIC: u64 = 0x6b66_692d_7463_7031;

/// What a connection message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// From the active side: please.
    Request,
    /// From the passive side: yes.
    Accept,
    /// From the passive side: no; it closes behind it.
    Reject,
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Kind::Request => 0,
            Kind::Accept => 1,
            Kind::Reject => 6,
        }
    }

    fn from_code(code: u8) -> Result<Self, Fault> {
        match code {
            0 => Ok(Kind::Request),
            1 => Ok(Kind::Accept),
            6 => Ok(Kind::Reject),
            _ => Err(Fault::Kind),
        }
    }
}

/// Why the passive side refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reason(pub(crate) u8);

impl Reason {
    /// The consumer said no; its private data says why.
    pub(crate) const CONSUMER: Reason = Reason(0);
    /// Nobody listens for this service number.
    pub(crate) const SERVICE: Reason = Reason(1);
    /// Too many connections wait for a decision.
    pub(crate) const BUSY: Reason = Reason(2);
    /// The listener speaks TLS only.
    pub(crate) const TLS: Reason = Reason(3);
    /// The listener needs an addition that the request does not offer.
    pub(crate) const FEATURES: Reason = Reason(4);
}

/// kfi's part of a connection message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extension {
    /// Which consumer the request is for, on a port that several share; 0 on a port of its own.
    pub(crate) service: u32,
    /// In a request what the sender can do; in an accept what both will do.
    pub(crate) features: Features,
    /// Messages that the receiver of this may send at once; with [`Features::CREDITS`] only.
    pub(crate) credits: u16,
    /// RMA reads that the receiver of this may have outstanding at its sender.
    pub(crate) ird: u8,
    /// RMA reads that the sender wants to have outstanding at the receiver of this.
    pub(crate) ord: u8,
    /// In a reject: why.
    pub(crate) reason: Reason,
}

/// A connection message without its private data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    /// What it says.
    pub(crate) kind: Kind,
    /// Length of the private data, at most [`PRIVATE_MAX`].
    pub(crate) private_len: u16,
    /// The sender's byte-order probe as it travels.
    pub(crate) probe: [u8; 8],
    /// kfi's part; `None` from libfabric.
    pub(crate) ext: Option<Extension>,
}

impl Hello {
    /// Writes the message without its private data.
    ///
    /// [`Fault::PrivateData`] when it announces more private data than allowed.
    pub(crate) fn encode(&self) -> Result<[u8; LEN], Fault> {
        let mut out = [0; LEN];

        if usize::from(self.private_len) > PRIVATE_MAX {
            return Err(Fault::PrivateData);
        }
        // All of it but the probe is in network order always.
        let mut w = Writer::new(&mut out, Order::Big);
        w.u8(VERSION);
        w.u8(self.kind.code());
        w.u16(self.private_len);
        match &self.ext {
            Some(ext) => {
                w.u32(ext.service);
                w.u64(MAGIC);
                w.u16(ext.features.bits());
                w.u16(ext.credits);
                w.u8(ext.ird);
                w.u8(ext.ord);
                w.u8(ext.reason.0);
                w.u8(0);
            }
            None => w.bytes(&[0; 20]),
        }
        w.bytes(&self.probe);
        Ok(out)
    }

    /// Reads the message without its private data.
    pub(crate) fn decode(bytes: &[u8; LEN]) -> Result<Hello, Fault> {
        Self::parse(&mut Reader::new(bytes, Order::Big)).ok_or(Fault::Truncated)?
    }

    // `None` cannot happen with LEN bytes; it stands for "ran out of bytes".
    fn parse(r: &mut Reader<'_>) -> Option<Result<Hello, Fault>> {
        if r.u8()? != VERSION {
            return Some(Err(Fault::Version));
        }
        let kind = match Kind::from_code(r.u8()?) {
            Ok(kind) => kind,
            Err(fault) => return Some(Err(fault)),
        };
        let private_len = r.u16()?;
        if usize::from(private_len) > PRIVATE_MAX {
            return Some(Err(Fault::PrivateData));
        }
        let service = r.u32()?;
        let magic = r.u64()?;
        let features = Features::from_bits(r.u16()?);
        let credits = r.u16()?;
        let ird = r.u8()?;
        let ord = r.u8()?;
        let reason = Reason(r.u8()?);
        r.u8()?;
        Some(Ok(Hello {
            kind,
            private_len,
            probe: r.array()?,
            // Anything but the magic means a peer without kfi's additions, whatever it has put here.
            ext: (magic == MAGIC).then_some(Extension {
                service,
                features,
                credits,
                ird,
                ord,
                reason,
            }),
        }))
    }
}

/// Collects a connection message from pieces of any size.
pub(crate) struct Collector {
    head: Partial<LEN>,
    hello: Option<Hello>,
    private: Partial<PRIVATE_MAX>,
}

impl Collector {
    /// One that has nothing yet.
    pub(crate) const fn new() -> Self {
        Collector {
            head: Partial::new(),
            hello: None,
            private: Partial::new(),
        }
    }

    /// Whether it has nothing yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.head.len() == 0
    }

    /// Bytes that are missing: never more, so that what follows the message stays in the stream.
    pub(crate) fn missing(&self) -> usize {
        match &self.hello {
            None => LEN.saturating_sub(self.head.len()),
            Some(hello) => usize::from(hello.private_len).saturating_sub(self.private.len()),
        }
    }

    /// Takes what it needs from the front of `input`, and returns the message once it is whole.
    ///
    /// The head is checked as soon as it is there, so that nobody waits for the private data of nonsense.
    pub(crate) fn push(&mut self, input: &mut &[u8]) -> Result<Option<Hello>, Fault> {
        let hello = match self.hello {
            Some(hello) => hello,
            None => {
                if !self.head.fill(LEN, input) {
                    return Ok(None);
                }
                let head = self.head.get().first_chunk().ok_or(Fault::Truncated)?;
                let hello = Hello::decode(head)?;
                self.hello = Some(hello);
                hello
            }
        };
        if self.private.fill(usize::from(hello.private_len), input) {
            Ok(Some(hello))
        } else {
            Ok(None)
        }
    }

    /// The private data received so far.
    pub(crate) fn private(&self) -> &[u8] {
        self.private.get()
    }
}
