// SPDX-License-Identifier: GPL-2.0-only

//! kfi over RDMA verbs: the provider "verbs".
//!
//! Endpoints are reliable connected queue pairs, connections are made by rdma_cm. Documentation/kfi/lifetimes.rst,
//! locking.rst and removal.rst are the rules that this module follows.
//!
//! - [`verbs`] wraps the RDMA core in safe types and knows nothing of kfi;
//! - [`api`] is the C ABI: tables, data path, import;
//! - everything else is safe code between the two.

#![warn(unsafe_op_in_unsafe_fn)]

use kernel::prelude::*;

mod api;
mod attr;
#[path = "../shim/bindings.rs"]
mod bindings;
mod client;
#[path = "../shim/sys/compat.rs"]
mod compat;
mod conn;
mod cq;
mod domain;
mod errno;
mod listener;
mod mr;
mod roster;
mod srx;
mod verbs;

module! {
    type: Verbs,
    name: "kfi_verbs",
    authors: ["kfi"],
    description: "kfi provider over RDMA verbs",
    license: "GPL",
    imports_ns: ["KFI"],
}

/// The loaded module. Fields are dropped in this order.
struct Verbs {
    /// No new resolution and no new listener.
    _provider: api::provider::Registration,
    /// Unregistration returns when every device was taken away.
    _client: verbs::client::Registration<client::Client>,
    /// What was closed in a callback ends before this does.
    _teardown: api::sys::TeardownQueue,
}

impl kernel::Module for Verbs {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        api::import::ep::init();
        let teardown = api::sys::TeardownQueue::new()?;
        let client = verbs::client::Registration::new()?;
        Ok(Verbs {
            _provider: api::provider::Registration::new()?,
            _client: client,
            _teardown: teardown,
        })
    }
}
