// SPDX-License-Identifier: GPL-2.0-only
//! The pure logic of ib_client/verbs, on the host. Its tests are in the files themselves.

#![allow(dead_code)]

#[path = "../../ib_client/verbs/gate_state.rs"]
mod gate_state;
