// SPDX-License-Identifier: GPL-2.0-only

//! Module parameters of the provider.

#![deny(unsafe_code)]

use super::wire::frame::Features;
use crate::sys::compat::value;

/// The port that the consumers of a network namespace share.
pub(crate) fn port() -> u16 {
    value::<u16>(crate::module_parameters::tcp_port.value())
}

/// Seconds after which a peer that answers nothing is dead.
pub(crate) fn timeout() -> u32 {
    value::<u16>(crate::module_parameters::tcp_timeout.value()).into()
}

/// Connections of one port whose request has not come, and connections that wait to be taken.
pub(crate) fn backlog() -> u16 {
    value::<u16>(crate::module_parameters::tcp_backlog.value()).max(1)
}

/// Whether peers are told of receives.
pub(crate) fn credits() -> bool {
    value::<u8>(crate::module_parameters::tcp_credits.value()) != 0
}

/// Additions to the protocol that are offered and taken.
pub(crate) fn features() -> Features {
    let mut features = Features::SEND_INV.union(Features::ERRORS);
    if value::<u8>(crate::module_parameters::tcp_crc32c.value()) != 0 {
        features = features.union(Features::CRC32C);
    }
    features
}
