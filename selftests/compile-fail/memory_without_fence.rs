// SPDX-License-Identifier: GPL-2.0-only
//! The memory of a region does not come back while a peer may use it.
//! error: E0599
include!("root.rs");

pub fn misuse(mr: kfi::Mr<kfi::Exposed>) -> kfi::Pages {
    mr.disarm().1 // ERROR
}
