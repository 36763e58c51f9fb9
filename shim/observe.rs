// SPDX-License-Identifier: GPL-2.0-only

//! What people can see of kfi.

#![deny(unsafe_code)]

pub(crate) mod counts;
