// SPDX-License-Identifier: GPL-2.0-only
//! A completion does not outlive its handler.
//! error: E0521
include!("root.rs");

pub struct Keeps;

fn keep(_comp: kfi::Comp<'static>) {}

impl kfi::Op for Keeps {
    type Mem = ();

    fn done(_request: kfi::Request<Self>, comp: kfi::Comp<'_>) {
        keep(comp); // ERROR
    }
}
