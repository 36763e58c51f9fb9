// SPDX-License-Identifier: GPL-2.0-only

//! The safe interface to kfi for consumers written in Rust.
//!
//! A consumer includes it as a module of its own crate and has the C bindings in `crate::bindings`:
//!
//! ```ignore
//! #[path = "../kfi.rs"]
//! pub mod kfi;
//! ```
//!
//! Nothing outside this module needs unsafe code. What it stands on:
//!
//! - Memory is moved into an operation ([`Request`]) and comes back with its completion ([`Op::done`]). While the
//!   operation is in flight nothing in Rust owns it, so it can be neither dropped nor looked at. A completion that never
//!   came would leak it; closing an endpoint completes everything before it returns.
//! - A region has a remote key only in the state [`Exposed`]; its memory comes back only against evidence
//!   that the key has ended: [`Fenced`] from a completion, or [`Drained`] from the end of the endpoint.
//! - What is known only after success is reached through [`Comp::ok`].
//! - Every drop may happen in any context: what has to sleep is done by a work item of the [`Consumer`], which waits for
//!   all of them before its module goes. A leaked object makes that wait endless, never a use after free.
//!
//! C header: `include/kfi/kfi.h`

#[path = "kfi/addr.rs"]
pub(crate) mod addr;
#[path = "kfi/buffer.rs"]
mod buffer;
#[path = "kfi/client.rs"]
mod client;
#[path = "kfi/consumer.rs"]
mod consumer;
#[path = "kfi/cq.rs"]
mod cq;
#[path = "kfi/device.rs"]
mod device;
#[path = "kfi/endpoint.rs"]
mod endpoint;
#[path = "kfi/info.rs"]
mod info;
#[path = "kfi/mailbox.rs"]
mod mailbox;
#[path = "kfi/mr.rs"]
mod mr;
#[path = "kfi/op.rs"]
mod op;
#[path = "kfi/pages.rs"]
mod pages;
#[path = "kfi/pep.rs"]
mod pep;
#[path = "kfi/post.rs"]
mod post;
#[path = "kfi/rma.rs"]
mod rma;
#[path = "kfi/srx.rs"]
mod srx;
#[path = "kfi/tls.rs"]
mod tls;

pub use self::{
    buffer::{
        Buffer,
        Either,
        List,
        Memory,
        Sgl, //
    },
    client::{
        Client,
        ClientRegistration, //
    },
    consumer::{
        Consumer,
        Handle, //
    },
    cq::{
        resched,
        Cq,
        Poll, //
    },
    device::{
        caps,
        Device,
        Domain, //
    },
    endpoint::{
        ConnParam,
        Drained,
        Endpoint,
        EndpointAttr,
        Event,
        Handler,
        OpenError, //
    },
    info::{
        Info,
        ResolveAttr, //
    },
    mailbox::Mailbox,
    mr::{
        access,
        Armed,
        Exposed,
        Idle,
        Mr, //
    },
    op::{
        Comp,
        CompOk,
        Fenced,
        Op,
        Refused,
        Request, //
    },
    pages::Pages,
    pep::{
        Listener,
        PassiveAttr,
        PassiveEndpoint,
        PassiveEvent, //
    },
    post::{
        Ep,
        Remote, //
    },
    rma::Rma,
    srx::Srx,
    tls::Tls,
};

/// The status of an operation that was flushed: never executed, or with an unknown outcome.
pub const ECANCELED: i32 = -(crate::bindings::ECANCELED as i32);

/// The status of a connection that the peer has refused.
pub const ECONNREFUSED: i32 = -(crate::bindings::ECONNREFUSED as i32);
