// SPDX-License-Identifier: GPL-2.0-only
//! Memory is moved into an operation, never lent to it.
//! error: E0277
include!("root.rs");

fn moved<M: kfi::Memory>(_mem: M) {}

pub fn misuse(buffer: &kfi::Buffer) {
    moved(buffer); // ERROR
}
