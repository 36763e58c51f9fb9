// SPDX-License-Identifier: GPL-2.0-only

//! RDMA verbs and connection management.
//!
//! # Who keeps what alive
//!
//! A client of the RDMA subsystem may use a device between `add` and `remove` of its
//! [`client::Client`]. Each type of this module that needs a working device holds a
//! [`device::DeviceGuard`], directly or through its protection domain, and `remove` does not return
//! while there is one. Leaking an object therefore delays the removal of its device for ever; it
//! never leads to the use of a device that is gone.
//!
//! ```text
//! Qp -> Arc<Pd> -> DeviceGuard         Drop of Qp: drain, destroy the queue pair; then the fields:
//!  |--> Arc<Cq> (2x) -> DeviceGuard      completion queues, shared receive queue and protection
//!  |--> Arc<Srq> -> Arc<Pd>              domain when no queue pair uses them any more,
//!  `--> Arc<CmId>                        identifier last
//! Mr -> Arc<Pd>
//! Buffer -> DeviceGuard
//! ```
//!
//! A work request in flight has no owner on the Rust side: its operation was moved into the queue
//! pair and comes back in [`wr::CqeHandler::done`].
//!
//! # Context
//!
//! Posting and polling run in any context. Everything that creates, modifies or destroys an object
//! sleeps, `Drop` included; so the last reference to an object must not be dropped in a completion
//! handler.
//!
//! C headers: [`include/rdma/ib_verbs.h`](srctree/include/rdma/ib_verbs.h),
//! [`include/rdma/rdma_cm.h`](srctree/include/rdma/rdma_cm.h)

// Each user of this module needs another part of it, and `pub` means the future crate's interface.
#![allow(dead_code, unreachable_pub)]

#[path = "verbs/addr.rs"]
pub mod addr;
#[path = "verbs/client.rs"]
pub mod client;
#[path = "verbs/cm.rs"]
pub mod cm;
#[path = "verbs/cm_event.rs"]
mod cm_event;
#[path = "verbs/cm_handler.rs"]
mod cm_handler;
#[path = "verbs/cq.rs"]
pub mod cq;
#[path = "verbs/device.rs"]
pub mod device;
#[path = "verbs/dma.rs"]
pub mod dma;
#[path = "verbs/drain.rs"]
mod drain;
#[path = "verbs/errno.rs"]
mod errno;
#[path = "verbs/gate.rs"]
pub mod gate;
#[path = "verbs/gate_state.rs"]
mod gate_state;
#[path = "verbs/gid.rs"]
pub mod gid;
#[path = "verbs/ib_id.rs"]
mod ib_id;
#[path = "verbs/mr.rs"]
pub mod mr;
#[path = "verbs/pd.rs"]
pub mod pd;
#[path = "verbs/qp.rs"]
pub mod qp;
#[path = "verbs/rw.rs"]
pub mod rw;
#[path = "verbs/srq.rs"]
pub mod srq;
#[path = "verbs/wc.rs"]
pub mod wc;
#[path = "verbs/wr.rs"]
pub mod wr;
