// SPDX-License-Identifier: GPL-2.0-only

//! The part of the TCP provider that knows no kernel: what it says and what it believes.
//!
//! Included by path, so that the same files make up kfi.ko, the unit tests and the fuzzer.

#![deny(unsafe_code)]

pub(crate) mod frame;
pub(crate) mod keys;
pub(crate) mod state;
