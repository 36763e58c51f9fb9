// SPDX-License-Identifier: GPL-2.0-only

//! Which bytes are legal when: the state of a connection.
//!
//! [`handshake`] is the exchange of connection messages, [`session`] what follows. Both see headers only and leave
//! sockets, memory and time to the caller.

#![deny(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

pub(crate) mod fifo;
pub(crate) mod handshake;
pub(crate) mod session;
