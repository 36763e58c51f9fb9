// SPDX-License-Identifier: GPL-2.0-only

//! Performance, stress and correctness of kfi, and of raw verbs and raw sockets by the same loops.
//!
//! Documentation/kfi/perf.rst is the guide.

use kernel::{
    configfs,
    prelude::*, //
};

#[path = "../../shim/bindings.rs"]
mod bindings;
#[path = "../../shim/sys/compat.rs"]
mod compat;
#[path = "../kfi.rs"]
pub mod kfi;
#[cfg(CONFIG_INFINIBAND_ADDR_TRANS)]
#[path = "../../ib_client/verbs.rs"]
pub mod verbs;

pub mod config;
pub mod flow;
pub mod over_kfi;
pub mod over_sock;
#[cfg(not(CONFIG_INFINIBAND_ADDR_TRANS))]
#[path = "no_verbs.rs"]
pub mod over_verbs;
#[cfg(CONFIG_INFINIBAND_ADDR_TRANS)]
pub mod over_verbs;
pub mod params;
pub mod report;
pub mod server;
pub mod session;
pub mod stats;
pub mod sys;
pub mod transport;
pub mod verify;

module! {
    type: Perf,
    name: "kfi_perf",
    authors: ["kfi"],
    description: "Performance and stress tests of kfi",
    license: "GPL",
    imports_ns: ["KFI"],
}

/// The module.
#[pin_data]
pub struct Perf {
    // Drop order: no test is left, no new one comes; verbs are given up; the consumer waits for its objects.
    #[pin]
    config: configfs::Subsystem<config::Root>,
    verbs: over_verbs::Registration,
    consumer: kfi::Consumer,
}

impl kernel::InPlaceModule for Perf {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            consumer: kfi::Consumer::new()?,
            verbs: over_verbs::Registration::new()?,
            config <- config::Root::new(consumer.handle()),
        })
    }
}
