// SPDX-License-Identifier: GPL-2.0-only

//! Tests of the TCP provider's pure logic on the host: rustc --test selftests/unit/tcp.rs

#![allow(dead_code)]

#[path = "../../tcp/wire.rs"]
mod wire;

#[path = "tcp/frame.rs"]
mod test_frame;
#[path = "tcp/keys.rs"]
mod test_keys;
#[path = "tcp/state.rs"]
mod test_state;
#[path = "tcp/util.rs"]
mod util;
