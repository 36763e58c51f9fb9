// SPDX-License-Identifier: GPL-2.0-only

//! The C ABI of the provider: tables of functions, translation of what is posted, completions.
//!
//! This is the only place outside of [`crate::verbs`] that holds unsafe code. Functions here convert what C passes and call
//! the safe code of the other modules; what the data path uses is here as a whole.

mod comp;
pub(crate) mod conn;
pub(crate) mod cq;
pub(crate) mod device;
pub(crate) mod domain;
mod ep;
#[path = "../shim/provider/event.rs"]
pub(crate) mod event;
pub(crate) mod half;
pub(crate) mod hot;
pub(crate) mod import;
pub(crate) mod info;
pub(crate) mod mr;
#[path = "../shim/provider/object.rs"]
mod object;
pub(crate) mod pep;
mod post;
pub(crate) mod provider;
mod rma;
pub(crate) mod srx;
pub(crate) mod sys;

use crate::bindings;
use kernel::prelude::*;

/// The provider's name.
pub(crate) const PROVIDER_NAME: &CStr = c"verbs";

/// `THIS_MODULE`.
fn this_module() -> *mut bindings::module {
    crate::compat::THIS_MODULE.as_ptr()
}
