// SPDX-License-Identifier: GPL-2.0-only

//! Errnos of refused calls.

#![deny(unsafe_code)]

use crate::{
    check::Refusal,
    sys::errno, //
};
use kernel::prelude::*;

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        match refusal {
            Refusal::Invalid => EINVAL,
            Refusal::Unsupported => errno::eopnotsupp(),
            Refusal::TooLong => EMSGSIZE,
            Refusal::Family => errno::eafnosupport(),
        }
    }
}
