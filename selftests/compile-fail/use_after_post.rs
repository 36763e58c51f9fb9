// SPDX-License-Identifier: GPL-2.0-only
//! A buffer cannot be looked at while the device has it.
//! error: E0382
include!("root.rs");

pub fn misuse(ep: &kfi::Ep, mut request: kfi::Request<Message>) {
    let _ = ep.send(request, 64);
    request.mem_mut().write(|bytes| bytes.fill(0)); // ERROR
}
