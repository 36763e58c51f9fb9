// SPDX-License-Identifier: GPL-2.0-only

//! Fuzz target: what a hostile peer can make of the TCP provider's codec, state and key table.
//!
//! The first byte chooses one of the parts below, the rest drives it. Each part compares the code with something
//! simpler, or with itself on another path; a difference, a panic and an overflow are findings.
//! Run it by selftests/fuzz/run.

#![no_main]
#![allow(dead_code)]

#[path = "tcp/headers.rs"]
mod headers;
#[path = "tcp/hellos.rs"]
mod hellos;
#[path = "tcp/keys.rs"]
mod keys;
#[path = "tcp/sessions.rs"]
mod sessions;
#[path = "../../tcp/wire.rs"]
mod wire;

/// Takes bytes from the input; zeros when it is used up.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let n = N.min(self.0.len());
        out[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        out
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Stands for CRC32C: the fuzzer cannot invert that one, and whether it is right is not the question here.
pub fn no_crc(seed: u32, _bytes: &[u8]) -> u32 {
    seed
}

fn format(byte: u8) -> wire::frame::Format {
    wire::frame::Format {
        order: if byte & 0x10 == 0 {
            wire::frame::Order::Little
        } else {
            wire::frame::Order::Big
        },
        features: wire::frame::Features::from_bits(u16::from(byte & 0x0f)),
        crc: no_crc,
    }
}

#[no_mangle]
pub extern "C" fn LLVMFuzzerTestOneInput(data: *const u8, len: usize) -> i32 {
    if len == 0 {
        return 0;
    }
    // SAFETY: libFuzzer passes `len` readable bytes that it does not change during the call.
    let mut input = Input(unsafe { core::slice::from_raw_parts(data, len) });
    match input.byte() & 3 {
        0 => hellos::run(&mut input),
        1 => headers::run(&mut input),
        2 => sessions::run(&mut input),
        _ => keys::run(&mut input),
    }
    0
}
