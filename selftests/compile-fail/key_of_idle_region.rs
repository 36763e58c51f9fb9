// SPDX-License-Identifier: GPL-2.0-only
//! A region that is not exposed has no key.
//! error: E0599
include!("root.rs");

pub fn misuse(mr: &kfi::Mr<kfi::Idle>) -> kfi::Remote {
    mr.remote() // ERROR
}
