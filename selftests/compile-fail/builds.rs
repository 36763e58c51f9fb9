// SPDX-License-Identifier: GPL-2.0-only
//! The right order of each of the misuses beside this file. It builds.
//! error: none
include!("root.rs");

use kernel::prelude::*;
use kfi::{access, Drained, Endpoint, Ep, Exposed, Handler, Idle, Mr, Op, Pages, Remote, Request};

/// A post takes the buffer, and gives it back when it is refused.
pub fn post(ep: &Ep, request: Request<Message>) -> usize {
    match ep.send(request, 64) {
        Ok(()) => 0,
        Err(refused) => refused.request.mem().len(),
    }
}

/// The key is there while the region is exposed.
pub fn expose(ep: &Ep, mr: Mr<Idle>, pages: Pages) -> Result<(Mr<Exposed>, Remote)> {
    let mr = mr.map(pages).map_err(|(e, ..)| e)?;
    let mr = mr.expose(ep, access::REMOTE_READ).map_err(|(e, _)| e)?;
    let remote = mr.remote();
    Ok((mr, remote))
}

/// After the end of the endpoint the memory comes back.
pub fn reclaim<H: Handler>(ep: Endpoint<H>, mr: Mr<Exposed>) -> Result<Pages> {
    let drained: Drained = ep.drain()?;
    mr.reclaim(&drained).map_err(|(e, _)| e)
}

/// Ends a key.
pub struct Invalidate;

impl Op for Invalidate {
    type Mem = Mr<Exposed>;

    fn done(request: Request<Self>, comp: kfi::Comp<'_>) {
        let (_, mr) = request.into_parts();
        let Some(evidence) = comp.ok().ok().and_then(|ok| ok.fenced()) else {
            return;
        };
        if let Ok((idle, pages)) = mr.fence(evidence) {
            drop((idle, pages));
        }
    }
}
