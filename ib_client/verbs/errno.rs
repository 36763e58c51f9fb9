// SPDX-License-Identifier: GPL-2.0-only

//! Error codes that the `kernel` crate does not name.

use crate::bindings;
use kernel::prelude::*;

// CAST: Error numbers are small.
pub(super) const ECONNABORTED: c_int = -(bindings::ECONNABORTED as c_int);
pub(super) const ECONNREFUSED: c_int = -(bindings::ECONNREFUSED as c_int);
pub(super) const EOPNOTSUPP: c_int = -(bindings::EOPNOTSUPP as c_int);
const EADDRINUSE: c_int = -(bindings::EADDRINUSE as c_int);
const EAFNOSUPPORT: c_int = -(bindings::EAFNOSUPPORT as c_int);

/// Address, or service, in use.
pub(super) fn eaddrinuse() -> Error {
    Error::from_errno(EADDRINUSE)
}

/// Given up.
pub(super) fn econnaborted() -> Error {
    Error::from_errno(ECONNABORTED)
}

/// Address family not supported.
pub(super) fn eafnosupport() -> Error {
    Error::from_errno(EAFNOSUPPORT)
}

/// Operation not supported.
pub(super) fn eopnotsupp() -> Error {
    Error::from_errno(EOPNOTSUPP)
}
