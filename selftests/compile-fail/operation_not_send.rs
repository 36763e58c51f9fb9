// SPDX-License-Identifier: GPL-2.0-only
//! A completion runs on any CPU, so an operation can be sent there.
//! error: E0277
include!("root.rs");

pub struct NotSend(pub *mut u8);

#[rustfmt::skip]
impl kfi::Op for NotSend { // ERROR
    type Mem = ();

    fn done(_request: kfi::Request<Self>, _comp: kfi::Comp<'_>) {}
}
