// SPDX-License-Identifier: GPL-2.0-only
//! Evidence that a key has ended cannot be kept for the key's next life.
//! error: E0521
include!("root.rs");

pub struct Keeps;

fn keep(_evidence: kfi::Fenced<'static>) {}

impl kfi::Op for Keeps {
    type Mem = ();

    fn done(_request: kfi::Request<Self>, comp: kfi::Comp<'_>) {
        let outcome = comp.ok(); // ERROR
        let Ok(ok) = outcome else {
            return;
        };
        if let Some(evidence) = ok.fenced() {
            keep(evidence);
        }
    }
}
