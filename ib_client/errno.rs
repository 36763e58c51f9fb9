// SPDX-License-Identifier: GPL-2.0-only

//! Error codes that the `kernel` crate does not name.

#![deny(unsafe_code)]

use kernel::{
    bindings,
    error::Error,
    ffi::c_int, //
};

/// A named error. Converted when it is returned, since [`Error`] cannot be made in a constant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(c_int);

impl Errno {
    const fn new(number: u32) -> Self {
        // Error numbers are small.
        Self(-(number as c_int))
    }

    /// The negative number.
    #[inline]
    pub(crate) const fn to_errno(self) -> c_int {
        self.0
    }

    /// The error.
    #[inline]
    pub(crate) fn err(self) -> Error {
        Error::from_errno(self.0)
    }
}

/// Flushed.
pub(crate) const ECANCELED: Errno = Errno::new(bindings::ECANCELED);
/// Taken in part.
pub(crate) const ECONNABORTED: Errno = Errno::new(bindings::ECONNABORTED);
/// Connection refused.
pub(crate) const ECONNREFUSED: Errno = Errno::new(bindings::ECONNREFUSED);
/// Connection reset.
pub(crate) const ECONNRESET: Errno = Errno::new(bindings::ECONNRESET);
/// Protection information is not what it should be.
pub(crate) const EILSEQ: Errno = Errno::new(bindings::EILSEQ);
/// No route.
pub(crate) const EHOSTUNREACH: Errno = Errno::new(bindings::EHOSTUNREACH);
/// No receive at the peer.
pub(crate) const ENOBUFS: Errno = Errno::new(bindings::ENOBUFS);
/// Not connected.
pub(crate) const ENOTCONN: Errno = Errno::new(bindings::ENOTCONN);
/// Not supported.
pub(crate) const EOPNOTSUPP: Errno = Errno::new(bindings::EOPNOTSUPP);
/// The peer reported an error.
pub(crate) const EREMOTEIO: Errno = Errno::new(bindings::EREMOTEIO);
/// Closed.
pub(crate) const ESHUTDOWN: Errno = Errno::new(bindings::ESHUTDOWN);
