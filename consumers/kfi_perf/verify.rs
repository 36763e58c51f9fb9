// SPDX-License-Identifier: GPL-2.0-only

//! Data that can be checked.

#![deny(unsafe_code)]

/// Bytes before the pattern: a sequence number and the CRC32C of everything else.
const HEAD: usize = 12;

/// The smallest amount of data that can be checked.
pub const SIZE_MIN: u32 = 16;

const fn table() -> [u32; 256] {
    let mut table = [0u32; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 != 0 {
                (crc >> 1) ^ 0x82f6_3b78
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
}

static TABLE: [u32; 256] = table();

fn crc32c(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(crc, |crc, byte| {
        // The index is a byte, so it is in the table.
        let entry = TABLE
            .get(usize::from(crc as u8 ^ byte))
            .copied()
            .unwrap_or(0);
        (crc >> 8) ^ entry
    })
}

fn checksum(seq: &[u8], body: &[u8]) -> u32 {
    !crc32c(crc32c(!0, seq), body)
}

/// Fills `data` with what belongs to `seq`.
pub fn fill(seq: u64, data: &mut [u8]) {
    let Some((head, body)) = data.split_at_mut_checked(HEAD) else {
        return;
    };
    let mut state = seq.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for chunk in body.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        for (to, from) in chunk.iter_mut().zip(state.to_le_bytes()) {
            *to = from;
        }
    }
    let seq = seq.to_le_bytes();
    let crc = checksum(&seq, body).to_le_bytes();
    for (to, from) in head.iter_mut().zip(seq.iter().chain(&crc)) {
        *to = *from;
    }
}

/// The sequence number of data that are whole.
pub fn check(data: &[u8]) -> Option<u64> {
    let (seq, rest) = data.split_first_chunk::<8>()?;
    let (crc, body) = rest.split_first_chunk::<4>()?;
    (u32::from_le_bytes(*crc) == checksum(seq, body)).then_some(u64::from_le_bytes(*seq))
}
