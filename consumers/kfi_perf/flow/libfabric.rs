// SPDX-License-Identifier: GPL-2.0-only

//! The data of fi_pingpong, the program of libfabric, so that it can be the other side of a ping-pong.
//!
//! Its endpoint carries nothing but the messages of the loop and, at the end, one word each way. Everything else it
//! tells its peer on a TCP connection of its own, which selftests/interop.py keeps.

#![deny(unsafe_code)]

use super::{
    Flow,
    Use, //
};
use crate::{
    params::Role,
    transport::Transport, //
};
use kernel::sync::atomic::Relaxed;

/// The last message of either side.
const FIN: &[u8] = b"fin\0";

const ALPHABET: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// Letters by which one message begins behind the one before.
const STEP: u64 = 7;

/// What message number `seq` consists of.
fn letters(seq: u64) -> impl Iterator<Item = u8> {
    // fi_pingpong counts with 32 bits.
    let first = u64::from((seq as u32).wrapping_mul(STEP as u32)) as usize;
    ALPHABET
        .iter()
        .copied()
        .cycle()
        .skip(first.checked_rem(ALPHABET.len()).unwrap_or(0))
}

/// Fills `data` with what belongs to message number `seq`.
pub(super) fn fill(seq: u64, data: &mut [u8]) {
    for (to, from) in data.iter_mut().zip(letters(seq)) {
        *to = from;
    }
}

fn is_right(seq: u64, data: &[u8]) -> bool {
    data.iter().copied().eq(letters(seq).take(data.len()))
}

impl<X: Transport> Flow<X> {
    /// A message of fi_pingpong's: one of the loop, or its last word.
    pub(super) fn libfabric_message(&self, mut req: X::Req, post: &X::Post, len: usize) {
        let seq = self.finished.get();
        if seq >= self.params.iterations {
            if !matches!(X::bytes(&mut req, len, |bytes| bytes == FIN), Ok(true)) {
                self.stats.mismatches.add(1);
            }
            self.park(req);
            return self.last_word();
        }
        let right = len == self.size()
            && (!self.params.verify
                || matches!(
                    X::bytes(&mut req, len, |bytes| is_right(seq, bytes)),
                    Ok(true)
                ));
        if !right {
            self.stats.mismatches.add(1);
        }
        self.iteration(self.ping.load(Relaxed));
        let last = seq.wrapping_add(1) == self.params.iterations;
        match self.role {
            // The answer is the same message: both sides count alike.
            Role::Server => self.send(post, req, Use::Send, len),
            Role::Client if last => self.park(req),
            Role::Client => self.next(post, req),
        }
        if last {
            self.say_last_word(post);
        }
    }

    fn say_last_word(&self, post: &X::Post) {
        let Some(mut req) = self.control() else {
            return;
        };
        let _ = X::bytes(&mut req, FIN.len(), |bytes| bytes.copy_from_slice(FIN));
        self.send(post, req, Use::Control, FIN.len());
    }

    /// Whether all messages of the loop have gone both ways, if this is fi_pingpong's.
    pub(super) fn libfabric_over(&self) -> bool {
        self.params.libfabric && self.finished.get() >= self.params.iterations
    }

    /// One of the two last words is here, or gone. With both of them the run is over.
    pub(super) fn last_word(&self) {
        if self.greetings.add(1) != 0 {
            self.finish();
        }
    }
}
