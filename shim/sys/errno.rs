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

/// -EINPROGRESS
pub(crate) fn einprogress() -> Error {
    Error::from_errno(-(bindings::EINPROGRESS as i32))
}

/// -ENOTCONN
pub(crate) fn enotconn() -> Error {
    Error::from_errno(-(bindings::ENOTCONN as i32))
}

/// -ESHUTDOWN
pub(crate) fn eshutdown() -> Error {
    Error::from_errno(-(bindings::ESHUTDOWN as i32))
}

/// -ECONNRESET
pub(crate) fn econnreset() -> Error {
    Error::from_errno(-(bindings::ECONNRESET as i32))
}

/// -ECONNREFUSED
pub(crate) fn econnrefused() -> Error {
    Error::from_errno(-(bindings::ECONNREFUSED as i32))
}

/// -EMSGSIZE
pub(crate) fn emsgsize() -> Error {
    Error::from_errno(-(bindings::EMSGSIZE as i32))
}

/// -EREMOTEIO
pub(crate) fn eremoteio() -> Error {
    Error::from_errno(-(bindings::EREMOTEIO as i32))
}

/// -ENETUNREACH
pub(crate) fn enetunreach() -> Error {
    Error::from_errno(-(bindings::ENETUNREACH as i32))
}

/// -EHOSTUNREACH
pub(crate) fn ehostunreach() -> Error {
    Error::from_errno(-(bindings::EHOSTUNREACH as i32))
}

/// -EADDRINUSE
pub(crate) fn eaddrinuse() -> Error {
    Error::from_errno(-(bindings::EADDRINUSE as i32))
}

/// -ECONNABORTED
pub(crate) fn econnaborted() -> Error {
    Error::from_errno(-(bindings::ECONNABORTED as i32))
}
