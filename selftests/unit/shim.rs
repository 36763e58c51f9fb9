// SPDX-License-Identifier: GPL-2.0-only

//! Tests of kfi.ko's pure logic on the host: rustc --test selftests/unit/shim.rs

#![allow(dead_code)]

#[path = "../../shim/check.rs"]
mod check;
#[path = "../../shim/registry/order.rs"]
mod order;
#[path = "../../shim/policy.rs"]
mod policy;
#[path = "../../shim/strerror.rs"]
mod strerror;

#[path = "shim/check.rs"]
mod test_check;
#[path = "shim/order.rs"]
mod test_order;
#[path = "shim/policy.rs"]
mod test_policy;
#[path = "shim/strerror.rs"]
mod test_strerror;
