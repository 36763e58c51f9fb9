// SPDX-License-Identifier: GPL-2.0-only
//! Nothing can be posted to an endpoint that was drained.
//! error: E0382
include!("root.rs");

pub fn misuse<H: kfi::Handler>(ep: kfi::Endpoint<H>, request: kfi::Request<Message>) {
    let _ = ep.drain();
    let _ = ep.send(request, 64); // ERROR
}
