// SPDX-License-Identifier: GPL-2.0-only

//! The exchange of connection messages, from either side.

#![deny(unsafe_code)]

use super::super::frame::{
    hello::{Extension, Hello, Kind, Reason},
    Fault,
    Features,
    Order, //
};

/// What two peers have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreement {
    /// Byte order of headers.
    pub(crate) order: Order,
    /// Additions in use; none with libfabric.
    pub(crate) features: Features,
    /// Whether the peer is kfi.
    pub(crate) kfi: bool,
    /// Messages that we may send at once.
    pub(crate) credits: u16,
    /// Reads the peer may have outstanding at us; `None` when it does not say.
    pub(crate) ird: Option<u8>,
    /// Reads we may have outstanding at the peer; `None` when it does not say.
    pub(crate) ord: Option<u8>,
}

/// The peer's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Connected.
    Accepted(Agreement),
    /// Refused; the message's private data is the consumer's.
    Rejected(Reason),
}

/// The side that connects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Active {
    /// Byte order of this host.
    pub(crate) order: Order,
    /// What is offered; `None` offers nothing, and connects as libfabric would.
    pub(crate) offer: Option<Extension>,
}

impl Active {
    /// The request, to be followed by `private_len` bytes.
    pub(crate) fn request(&self, private_len: u16) -> Hello {
        Hello {
            kind: Kind::Request,
            private_len,
            probe: self.order.probe(),
            ext: self.offer,
        }
    }

    /// Judges the answer to it.
    pub(crate) fn answer(&self, hello: &Hello) -> Result<Answer, Fault> {
        match hello.kind {
            Kind::Request => Err(Fault::Kind),
            // libfabric rejects with a probe of zeros.
            Kind::Reject => Ok(Answer::Rejected(
                hello.ext.map_or(Reason::CONSUMER, |ext| ext.reason),
            )),
            Kind::Accept => self.accepted(hello).map(Answer::Accepted),
        }
    }

    fn accepted(&self, hello: &Hello) -> Result<Agreement, Fault> {
        let order = self.order.agree(hello.probe)?;
        match (self.offer, hello.ext) {
            (Some(offer), Some(ext)) => {
                if !offer.features.has(ext.features) || ext.ird > offer.ord || ext.ord > offer.ird {
                    return Err(Fault::Features);
                }
                Ok(Agreement {
                    order,
                    features: ext.features,
                    kfi: true,
                    credits: ext.credits,
                    ird: Some(ext.ord),
                    ord: Some(ext.ird),
                })
            }
            (None, Some(_)) => Err(Fault::Features),
            // The listener is not kfi, so it cannot have understood which service this was for.
            (Some(offer), None) if offer.service != 0 => Err(Fault::Features),
            (_, None) => Ok(plain(order)),
        }
    }
}

const fn plain(order: Order) -> Agreement {
    Agreement {
        order,
        features: Features::NONE,
        kfi: false,
        credits: 0,
        ird: None,
        ord: None,
    }
}

/// The side that is connected to, once it has a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passive {
    own: Order,
    agreed: Order,
    request: Option<Extension>,
}

impl Passive {
    /// Judges a request on a host of byte order `order`.
    pub(crate) fn request(order: Order, hello: &Hello) -> Result<Passive, Fault> {
        if hello.kind != Kind::Request {
            return Err(Fault::Kind);
        }
        Ok(Passive {
            own: order,
            agreed: order.agree(hello.probe)?,
            request: hello.ext,
        })
    }

    /// What a kfi peer has offered; `None` from libfabric.
    pub(crate) fn offer(&self) -> Option<&Extension> {
        self.request.as_ref()
    }

    /// The acceptance, to be followed by `private_len` bytes, and what is agreed on.
    ///
    /// `own` says what this side can do, the credits it grants and the reads it can take and wants.
    pub(crate) fn accept(&self, own: &Extension, private_len: u16) -> (Hello, Agreement) {
        let (ext, agreement) = match &self.request {
            None => (None, plain(self.agreed)),
            Some(offer) => {
                // What the peer offers and this version does not know is left out here.
                let features = offer.features.and(own.features);
                let credits = features.has(Features::CREDITS);
                let reply = Extension {
                    service: offer.service,
                    features,
                    credits: if credits { own.credits } else { 0 },
                    ird: own.ird.min(offer.ord),
                    ord: own.ord.min(offer.ird),
                    reason: Reason::default(),
                };
                let agreement = Agreement {
                    order: self.agreed,
                    features,
                    kfi: true,
                    credits: if credits { offer.credits } else { 0 },
                    ird: Some(reply.ird),
                    ord: Some(reply.ord),
                };
                (Some(reply), agreement)
            }
        };
        (self.hello(Kind::Accept, private_len, ext), agreement)
    }

    /// The refusal, to be followed by `private_len` bytes.
    pub(crate) fn reject(&self, reason: Reason, private_len: u16) -> Hello {
        let ext = self.request.map(|offer| Extension {
            service: offer.service,
            reason,
            ..Extension::default()
        });
        self.hello(Kind::Reject, private_len, ext)
    }

    fn hello(&self, kind: Kind, private_len: u16, ext: Option<Extension>) -> Hello {
        Hello {
            kind,
            private_len,
            probe: self.own.probe(),
            ext,
        }
    }
}
