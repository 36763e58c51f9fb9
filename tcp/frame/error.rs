// SPDX-License-Identifier: GPL-2.0-only

//! What a peer that closes because of a fault says first, with [`Features::ERRORS`].
//!
//! [`Features::ERRORS`]: super::Features::ERRORS

#![deny(unsafe_code)]

use super::Fault;

/// The kinds of faults that a peer can do something about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// The rules of the protocol were broken.
    Protocol,
    /// The key names no region of the connection.
    Key,
    /// Address or length outside the region.
    Range,
    /// Access that the region does not grant.
    Access,
    /// CRC32C is wrong.
    Digest,
    /// The side that closes failed for a reason of its own.
    Local,
    /// A code of a later version.
    Other(u32),
}

/// Names an operation of the peer and what was wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// What was wrong.
    pub(crate) code: Code,
    /// How many messages, read requests and writes had come before the one at fault, modulo 2^32.
    pub(crate) ordinal: u32,
}

impl Report {
    /// As it travels.
    pub(crate) fn to_word(self) -> u64 {
        let code = match self.code {
            Code::Protocol => 1,
            Code::Key => 2,
            Code::Range => 3,
            Code::Access => 4,
            Code::Digest => 5,
            Code::Local => 6,
            Code::Other(code) => code,
        };
        (u64::from(code) << 32) | u64::from(self.ordinal)
    }

    /// Reads it back.
    pub(crate) fn from_word(word: u64) -> Report {
        // CAST: the upper and the lower half of the word, each 32 bits.
        let (code, ordinal) = ((word >> 32) as u32, word as u32);
        Report {
            code: match code {
                1 => Code::Protocol,
                2 => Code::Key,
                3 => Code::Range,
                4 => Code::Access,
                5 => Code::Digest,
                6 => Code::Local,
                other => Code::Other(other),
            },
            ordinal,
        }
    }
}

impl From<Fault> for Code {
    fn from(fault: Fault) -> Code {
        match fault {
            Fault::Key => Code::Key,
            Fault::Range | Fault::TooLong => Code::Range,
            Fault::Access => Code::Access,
            Fault::Digest => Code::Digest,
            Fault::Local => Code::Local,
            _ => Code::Protocol,
        }
    }
}
