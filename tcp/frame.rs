// SPDX-License-Identifier: GPL-2.0-only

//! What travels on a kfi TCP connection: the codec.
//!
//! Protocol version 3 of libfabric's `tcp` provider, and the additions that two kfi peers agree on in the connection
//! message. The specification is [`Documentation/kfi/wire.rst`]; names here are the names there.
//!
//! Pure logic: `core` only, no allocation, no unsafe code, no arithmetic and no index that can panic on what a peer
//! sends. So the same files are compiled into kfi.ko, into the unit tests and into the fuzzer.
//!
//! [`Documentation/kfi/wire.rst`]: ../../Documentation/kfi/wire.rst

#![deny(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

pub(crate) mod cursor;
pub(crate) mod error;
pub(crate) mod header;
pub(crate) mod hello;

/// Version of the connection message and of the data header.
pub(crate) const VERSION: u8 = 3;

/// Byte order of the integers in data headers; the sender's own for two hosts of the same kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Little endian.
    Little,
    /// Big endian, which is network order.
    Big,
}

impl Order {
    /// The byte order of this machine.
    pub(crate) const NATIVE: Order = if cfg!(target_endian = "little") {
        Order::Little
    } else {
        Order::Big
    };

    /// The probe that a host of this byte order puts into its connection message: the integer 1.
    pub(crate) const fn probe(self) -> [u8; 8] {
        match self {
            Order::Little => 1u64.to_le_bytes(),
            Order::Big => 1u64.to_be_bytes(),
        }
    }

    /// The bytes of an integer, as they travel.
    pub(crate) fn u16(self, value: u16) -> [u8; 2] {
        match self {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        }
    }

    /// The order that a host of order `self` uses with a peer that sent `probe`.
    ///
    /// Hosts of one kind use their own order, others network order. Anything but the integer 1 is refused.
    pub(crate) fn agree(self, probe: [u8; 8]) -> Result<Order, Fault> {
        if probe == self.probe() {
            Ok(self)
        } else if probe == Order::Little.probe() || probe == Order::Big.probe() {
            Ok(Order::Big)
        } else {
            Err(Fault::Probe)
        }
    }
}

/// A set of kfi's additions to the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Features(u16);

impl Features {
    /// None: the plain protocol.
    pub(crate) const NONE: Features = Features(0);
    /// Messages may invalidate a key of the receiver.
    pub(crate) const SEND_INV: Features = Features(0x0001);
    /// Messages are sent only into receives that the peer has announced.
    pub(crate) const CREDITS: Features = Features(0x0002);
    /// Headers and payloads carry a CRC32C.
    pub(crate) const CRC32C: Features = Features(0x0004);
    /// Whoever closes because of a fault says why first.
    pub(crate) const ERRORS: Features = Features(0x0008);
    /// All that this version knows.
    pub(crate) const ALL: Features = Features(0x000f);

    /// The set with exactly these bits; those that this version does not know are kept.
    pub(crate) const fn from_bits(bits: u16) -> Features {
        Features(bits)
    }

    /// The bits as they travel.
    pub(crate) const fn bits(self) -> u16 {
        self.0
    }

    /// Everything in either set.
    pub(crate) const fn union(self, other: Features) -> Features {
        Features(self.0 | other.0)
    }

    /// What both sets hold.
    pub(crate) const fn and(self, other: Features) -> Features {
        Features(self.0 & other.0)
    }

    /// What `self` holds and `other` does not.
    pub(crate) const fn without(self, other: Features) -> Features {
        Features(self.0 & !other.0)
    }

    /// Whether every member of `other` is in `self`.
    pub(crate) const fn has(self, other: Features) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the set is empty.
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// A CRC32C function: continues `seed` over `bytes`, with neither initial nor final inversion, as crc32c() of the kernel.
pub(crate) type Crc = fn(seed: u32, bytes: &[u8]) -> u32;

/// The CRC32C of `bytes` as it travels: starts from all ones and ends inverted.
pub(crate) fn crc_of(crc: Crc, bytes: &[u8]) -> u32 {
    !crc(!0, bytes)
}

/// How the two ends of one connection write headers.
#[derive(Clone, Copy)]
pub(crate) struct Format {
    /// Byte order of integers.
    pub(crate) order: Order,
    /// Additions in use.
    pub(crate) features: Features,
    /// CRC32C; used with [`Features::CRC32C`] only.
    pub(crate) crc: Crc,
}

/// Why a peer's bytes are refused. Each ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Version other than 3.
    Version,
    /// Type of connection message that is unknown or out of place.
    Kind,
    /// More private data than the protocol carries.
    PrivateData,
    /// Byte-order probe that is not the integer 1.
    Probe,
    /// Additions in a reply that nobody asked for.
    Features,
    /// Unknown operation, or one that was not agreed on.
    Op,
    /// Unknown flag, or one that the operation cannot have.
    Flags,
    /// Unknown value of the operation's own byte.
    OpData,
    /// Number of remote memory elements other than 1 to 4.
    Count,
    /// Header length that contradicts operation, flags and number of elements.
    HeaderLength,
    /// Size below the header length, or a payload that the operation cannot have.
    Size,
    /// CRC32C of a header or a payload is wrong.
    Digest,
    /// Acknowledgement of nothing.
    Ack,
    /// Read response without request, or of another length.
    Response,
    /// Message beyond the credits that were granted.
    Credits,
    /// Bytes that have no business in this phase of the connection.
    Phase,
    /// Remote key that names no region of this connection.
    Key,
    /// Address or length outside the region.
    Range,
    /// Access that the region does not grant.
    Access,
    /// More at once than the limits allow.
    Limit,
    /// The peer reported that it refuses to go on; see [`error::Report`].
    Reported,
    /// The stream ended in the middle of something.
    Truncated,
    /// Message longer than the receive that it fills.
    TooLong,
    /// Memory of this side's that its own consumer has named, and that is none. The peer has done nothing wrong.
    Local,
}
