// SPDX-License-Identifier: GPL-2.0-only
//! What is known after a success only is not there before that was asked for.
//! error: E0599
include!("root.rs");

pub fn misuse(comp: kfi::Comp<'_>) -> usize {
    comp.len() // ERROR
}
