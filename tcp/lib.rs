// SPDX-License-Identifier: GPL-2.0-only

//! The TCP provider: endpoints over sockets, for hosts without RDMA and for user-space libfabric programs as peers.
//!
//! - [`wire`]: what travels and what is legal; knows no kernel. Documentation/kfi/wire.rst is its specification.
//! - [`conn`]: a connection, from `struct kfi_info` to its last event; [`listen`]: how peers come in.
//! - [`engine`], [`tx`], [`rx`]: what a connection's work item does.
//! - [`domain`], [`region`], [`queue`], [`srx`]: the other objects.
//! - [`api`]: the tables of provider.h and the data path; all unsafe code of the provider.
//!
//! One work item for each connection does everything that touches its socket, in process context, without allocating.
//! Posts only fill a slot of a ring and wake it; so do the socket's callbacks.

#![deny(unsafe_code)]

#[allow(unsafe_code)]
pub(crate) mod api;
pub(crate) mod conn;
pub(crate) mod deque;
pub(crate) mod domain;
pub(crate) mod engine;
pub(crate) mod listen;
pub(crate) mod op;
pub(crate) mod params;
pub(crate) mod pieces;
pub(crate) mod queue;
pub(crate) mod region;
pub(crate) mod rx;
pub(crate) mod srx;
pub(crate) mod tx;
#[path = "wire.rs"]
#[expect(dead_code, reason = "The codec is complete in both directions.")]
pub(crate) mod wire;

use crate::sys::workq::QueueSlot;
use kernel::workqueue::Queue;

/// `kfi_resolve_attr.flags` and `kfi_pep_attr.flags`: the port of the address is one of the network, and not the number of
/// a service behind the port that consumers share.
const OWN_PORT: u32 = 1;

/// Where the work of connections runs, and completion queues that poll on a CPU.
static IO: QueueSlot = QueueSlot::new();
/// Where completion queues run that poll anywhere. Not with what follows, which waits for them.
static POLL: QueueSlot = QueueSlot::new();
/// Where everything runs that may wait for a connection's work: events, listening sockets, teardown.
static CONTROL: QueueSlot = QueueSlot::new();

fn io_queue() -> Option<&'static Queue> {
    IO.get()
}

fn poll_queue() -> Option<&'static Queue> {
    POLL.get()
}

fn control_queue() -> Option<&'static Queue> {
    CONTROL.get()
}
