// SPDX-License-Identifier: GPL-2.0-only

//! Texts of statuses.

use crate::strerror::text;

/// What include/kfi/kfi.h says a status can be.
const STATUSES: [i32; 21] = [
    -125, // ECANCELED
    -90,  // EMSGSIZE
    -14,  // EFAULT
    -13,  // EACCES
    -110, // ETIMEDOUT
    -121, // EREMOTEIO
    -105, // ENOBUFS
    -5,   // EIO
    -107, // ENOTCONN
    -19,  // ENODEV
    -108, // ESHUTDOWN
    -12,  // ENOMEM
    -22,  // EINVAL
    -95,  // EOPNOTSUPP
    -71,  // EPROTO
    -113, // EHOSTUNREACH
    -111, // ECONNREFUSED
    -104, // ECONNRESET
    -98,  // EADDRINUSE
    -99,  // EADDRNOTAVAIL
    -97,  // EAFNOSUPPORT
];

#[test]
fn every_status_has_its_own_text() {
    let mut texts: Vec<_> = STATUSES.iter().map(|&status| text(status)).collect();

    assert!(!texts.contains(&c"unknown error"));
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), STATUSES.len());
}

#[test]
fn either_sign() {
    for status in STATUSES {
        assert_eq!(text(status), text(-status));
    }
}

#[test]
fn success_and_nonsense() {
    assert_eq!(text(0), c"success");
    for status in [1, -9999, i32::MIN, i32::MAX] {
        assert_eq!(text(status), c"unknown error");
    }
}
