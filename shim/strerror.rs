// SPDX-License-Identifier: GPL-2.0-only

//! What a status means, as text. Pure: also built on the host by selftests/unit.

#![deny(unsafe_code)]

use core::ffi::CStr;

/// The numbers of include/uapi/asm-generic/errno*.h that kfi uses, and what they mean.
const TEXTS: &[(i32, &CStr)] = &[
    (0, c"success"),
    (5, c"input/output error"),
    (11, c"too many transfers in use"),
    (12, c"out of memory"),
    (13, c"remote key, range or permission refused"),
    (14, c"local memory or key refused"),
    (17, c"already there"),
    (19, c"device is gone, or no device reaches the address"),
    (22, c"invalid argument"),
    (71, c"peer broke the protocol"),
    (90, c"message too long"),
    (95, c"not supported"),
    (97, c"address family not supported"),
    (98, c"address in use"),
    (99, c"address not available"),
    (101, c"network unreachable"),
    (103, c"taken in part"),
    (104, c"connection reset by peer"),
    (105, c"peer has posted no receive"),
    (107, c"not connected"),
    (108, c"endpoint is closed"),
    (110, c"peer does not answer"),
    (111, c"connection refused"),
    (113, c"no route to host"),
    (121, c"peer reported an error"),
    (125, c"flushed"),
];

/// Text for `status`: 0, or an errno with either sign.
pub(crate) fn text(status: i32) -> &'static CStr {
    let errno = status.unsigned_abs();

    TEXTS
        .iter()
        .find(|(number, _)| number.unsigned_abs() == errno)
        .map_or(c"unknown error", |&(_, text)| text)
}
