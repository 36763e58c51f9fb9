// SPDX-License-Identifier: GPL-2.0-only

//! Errnos that the kernel crate does not name.

use crate::bindings;
use kernel::error::Error;

/// -EOPNOTSUPP
pub(crate) fn eopnotsupp() -> Error {
    Error::from_errno(-(bindings::EOPNOTSUPP as i32))
}

/// -EAFNOSUPPORT
pub(crate) fn eafnosupport() -> Error {
    Error::from_errno(-(bindings::EAFNOSUPPORT as i32))
}

/// -EPROTO
pub(crate) fn eproto() -> Error {
    Error::from_errno(-(bindings::EPROTO as i32))
}

/// -ECANCELED
pub(crate) fn ecanceled() -> Error {
    Error::from_errno(-(bindings::ECANCELED as i32))
}
