// SPDX-License-Identifier: GPL-2.0-only

//! The C ABI of the TCP provider: tables, heads of objects, the data path. All unsafe code of the provider is here.

pub(crate) mod comp;
pub(crate) mod conn;
pub(crate) mod cq;
pub(crate) mod device;
pub(crate) mod domain;
mod ep;
#[path = "../shim/provider/event.rs"]
pub(crate) mod event;
mod head;
mod hot;
mod info;
pub(crate) mod mr;
#[path = "../shim/provider/object.rs"]
mod object;
pub(crate) mod pep;
pub(crate) mod provider;
pub(crate) mod rma;
pub(crate) mod srx;

use crate::bindings;
