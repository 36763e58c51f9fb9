// SPDX-License-Identifier: GPL-2.0-only

//! How many objects are open. Kept by calls that open and close, never on the data path.

#![deny(unsafe_code)]

use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// Kinds of objects.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// struct kfi_domain
    Domain,
    /// struct kfi_cq
    Cq,
    /// struct kfi_mr
    Mr,
    /// struct kfi_srx
    Srx,
    /// struct kfi_ep
    Ep,
    /// struct kfi_info
    Info,
    /// struct kfi_pep
    Pep,
}

/// Numbers of open objects.
pub(crate) struct Counts {
    domains: Atomic<i32>,
    cqs: Atomic<i32>,
    mrs: Atomic<i32>,
    srxs: Atomic<i32>,
    eps: Atomic<i32>,
    infos: Atomic<i32>,
    peps: Atomic<i32>,
}

/// Those of all devices together, and those that belong to no device.
pub(crate) static TOTAL: Counts = Counts::new();

impl Counts {
    /// Nothing is open.
    pub(crate) const fn new() -> Self {
        Self {
            domains: Atomic::new(0),
            cqs: Atomic::new(0),
            mrs: Atomic::new(0),
            srxs: Atomic::new(0),
            eps: Atomic::new(0),
            infos: Atomic::new(0),
            peps: Atomic::new(0),
        }
    }

    fn of(&self, kind: Kind) -> &Atomic<i32> {
        match kind {
            Kind::Domain => &self.domains,
            Kind::Cq => &self.cqs,
            Kind::Mr => &self.mrs,
            Kind::Srx => &self.srxs,
            Kind::Ep => &self.eps,
            Kind::Info => &self.infos,
            Kind::Pep => &self.peps,
        }
    }

    /// An object was opened.
    pub(crate) fn inc(&self, kind: Kind) {
        self.of(kind).fetch_add(1, Relaxed);
    }

    /// An object was closed.
    pub(crate) fn dec(&self, kind: Kind) {
        self.of(kind).fetch_sub(1, Relaxed);
    }

    /// An object was opened on the device that these are the counts of.
    pub(crate) fn opened(&self, kind: Kind) {
        self.inc(kind);
        TOTAL.inc(kind);
    }

    /// An object was closed on the device that these are the counts of.
    pub(crate) fn closed(&self, kind: Kind) {
        self.dec(kind);
        TOTAL.dec(kind);
    }

    /// Number of open objects.
    pub(crate) fn get(&self, kind: Kind) -> i32 {
        self.of(kind).load(Relaxed)
    }
}
