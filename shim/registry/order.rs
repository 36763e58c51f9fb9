// SPDX-License-Identifier: GPL-2.0-only

//! Who is told first, and which provider is tried next. Pure: also built on the host by selftests/unit.

#![deny(unsafe_code)]

/// A client that has accepted a device.
///
/// A list of these in the order of the calls is all that it takes to remove in the opposite order: clients of one device
/// are added in the order of their registration, so reading the list backwards removes the last registered one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told<C, D> {
    /// The client.
    pub(crate) client: C,
    /// The device.
    pub(crate) device: D,
}

/// Which entry of `told` is removed next, when `device` goes away.
pub(crate) fn next_of_device<C, D: PartialEq>(told: &[Told<C, D>], device: &D) -> Option<usize> {
    told.iter().rposition(|entry| entry.device == *device)
}

/// Which entry of `told` is removed next, when `client` unregisters.
pub(crate) fn next_of_client<C: PartialEq, D>(told: &[Told<C, D>], client: &C) -> Option<usize> {
    told.iter().rposition(|entry| entry.client == *client)
}

/// Place of a provider: high priority first, then in the order of registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rank {
    /// `kfi_provider.priority`
    pub(crate) priority: i32,
    /// Number of the registration.
    pub(crate) serial: u64,
}

impl Rank {
    /// Is a provider of rank `self` tried before one of rank `other`?
    pub(crate) fn before(self, other: Rank) -> bool {
        (core::cmp::Reverse(self.priority), self.serial)
            < (core::cmp::Reverse(other.priority), other.serial)
    }
}

/// Which of `ranks` is tried next after `last`; the first of all when nothing was tried yet.
pub(crate) fn next_provider(ranks: impl Iterator<Item = Rank>, last: Option<Rank>) -> Option<Rank> {
    ranks
        .filter(|rank| last.is_none_or(|last| last.before(*rank)))
        .reduce(|best, rank| if rank.before(best) { rank } else { best })
}

/// Does a provider's answer let the next one try? Only when it cannot reach the address at all: a peer that refuses or
/// does not answer has spoken for every way to reach it.
pub(crate) fn falls_back(errno: i32) -> bool {
    const ENODEV: i32 = 19;

    errno.unsigned_abs() == ENODEV.unsigned_abs()
}
