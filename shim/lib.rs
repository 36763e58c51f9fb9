// SPDX-License-Identifier: GPL-2.0-only

//! kfi: the kernel fabric interface.
//!
//! kfi.ko knows the providers, their devices and the consumers. It checks what consumers ask for, chooses the provider of
//! a connection, and hands every call to that provider. The data path goes from consumer to provider directly, by the
//! inline functions of include/kfi/kfi.h.
//!
//! C calls come in through [`api`] and leave through [`sys`]; nothing else holds unsafe code.

mod api;
mod bindings;
mod check;
mod errors;
mod mr_pool;
mod objects;
mod observe;
mod policy;
mod registry;
mod resolve;
mod strerror;
mod sys;
#[path = "../tcp/lib.rs"]
mod tcp;

use kernel::{
    prelude::*,
    sync::Arc, //
};
use observe::Root;

module! {
    type: Kfi,
    name: "kfi",
    authors: ["kfi"],
    description: "Kernel fabric interface",
    license: "GPL",
    params: {
        tcp: u8 {
            default: 1,
            description: "1: carry connections over TCP where no RDMA device does",
        },
        tcp_port: u16 {
            default: 20077,
            description: "TCP port behind which consumers listen by service number",
        },
        tcp_crc32c: u8 {
            default: 0,
            description: "1: protect TCP connections with peers that do the same by CRC32C",
        },
        tcp_credits: u8 {
            default: 0,
            description: "1: tell TCP peers that do the same of receives, so that a message without one holds up nothing",
        },
        tcp_timeout: u16 {
            default: 30,
            description: "seconds after which a TCP peer that answers nothing is dead",
        },
        tcp_backlog: u16 {
            default: 1024,
            description: "TCP connections of one port whose request has not come",
        },
    },
}

/// The module.
struct Kfi {
    _tcp: Option<tcp::api::provider::Registration>,
}

impl kernel::Module for Kfi {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        sys::locks::init();
        registry::init(Arc::new(Root::new()?, GFP_KERNEL)?);
        let tcp = if sys::compat::value::<u8>(module_parameters::tcp.value()) != 0 {
            Some(tcp::api::provider::Registration::new()?)
        } else {
            None
        };
        Ok(Kfi { _tcp: tcp })
    }
}

impl Drop for Kfi {
    fn drop(&mut self) {
        registry::clear();
    }
}
