// SPDX-License-Identifier: GPL-2.0-only

//! What several tests need.

use crate::wire::frame::{Features, Format, Order};

/// CRC32C bit by bit, to compare the codec with the definition.
pub fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    let mut crc = seed;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 != 0 { 0x82f6_3b78 } else { 0 };
        }
    }
    crc
}

pub fn format(order: Order, features: Features) -> Format {
    Format {
        order,
        features,
        crc: crc32c,
    }
}

pub fn plain() -> Format {
    format(Order::Little, Features::NONE)
}

/// xorshift: the tests repeat exactly.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}
