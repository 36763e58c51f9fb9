// SPDX-License-Identifier: GPL-2.0-only

//! Addresses of sockets, and network namespaces.

use super::errno;
use crate::bindings;
use core::{
    mem::size_of,
    net::IpAddr,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    ffi::c_int,
    prelude::*,
    types::Opaque, //
};

/// A network namespace.
#[repr(transparent)]
pub(crate) struct Net(Opaque<bindings::net>);

// SAFETY: Only its address is used here.
unsafe impl Sync for Net {}

impl Net {
    /// # Safety
    ///
    /// `net` is a namespace that is there for `'a`.
    pub(crate) unsafe fn from_raw<'a>(net: *const bindings::net) -> &'a Net {
        // SAFETY: Promised by the caller; the layouts are the same.
        unsafe { &*net.cast() }
    }

    pub(crate) fn as_raw(&self) -> *mut bindings::net {
        self.0.get()
    }

    /// Tells namespaces apart while they are there.
    pub(crate) fn id(&self) -> usize {
        self.as_raw() as usize
    }
}

/// A network namespace that is held.
///
/// # Invariants
///
/// Owns a reference to the namespace.
pub(crate) struct HeldNet(NonNull<bindings::net>);

// SAFETY: Only its address is used here; the count has its own ordering.
unsafe impl Send for HeldNet {}
// SAFETY: As above.
unsafe impl Sync for HeldNet {}

impl HeldNet {
    /// Holds a namespace.
    pub(crate) fn new(net: &Net) -> Self {
        // SAFETY: It is there while it is borrowed.
        unsafe { bindings::kfi_get_net(net.as_raw()) };
        // INVARIANT: Taken just now.
        Self(NonNull::from(net).cast())
    }
}

impl Deref for HeldNet {
    type Target = Net;

    fn deref(&self) -> &Net {
        // SAFETY: By the type invariant it is there.
        unsafe { Net::from_raw(self.0.as_ptr()) }
    }
}

impl Drop for HeldNet {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours.
        unsafe { bindings::kfi_put_net(self.0.as_ptr()) };
    }
}

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const AF_IB: u16 = 27;

/// An IPv4 or IPv6 address with a port; `struct sockaddr_in` or `struct sockaddr_in6`.
///
/// # Invariants
///
/// The family is one of both, or 0 for no address.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(crate) struct Addr {
    family: u16,
    /// Network order.
    port: [u8; 2],
    /// IPv4: 4 bytes of address. IPv6: 4 of flow label, 16 of address, 4 of scope.
    rest: [u8; REST],
}

/// What `struct sockaddr_in6` has behind the port, up to the next multiple of the alignment. Connections keep addresses, so
/// they are not as large as `struct sockaddr_storage`.
const REST: usize = 28;

const _: () = assert!(size_of::<Addr>() == 4 + REST);
const _: () = assert!(size_of::<Addr>() <= size_of::<bindings::__kernel_sockaddr_storage>());

impl Addr {
    /// No address.
    pub(crate) const fn none() -> Self {
        Self {
            family: 0,
            port: [0; 2],
            rest: [0; REST],
        }
    }

    /// Copies an address.
    ///
    /// # Safety
    ///
    /// `addr` is valid, and as long as its family demands.
    pub(crate) unsafe fn from_raw(addr: *const bindings::sockaddr) -> Result<Self> {
        let mut copy = Self::none();
        // SAFETY: Promised by the caller.
        let len = match unsafe { (*addr).sa_family } {
            AF_INET => 16,
            AF_INET6 => 28,
            _ => return Err(errno::eafnosupport()),
        };
        // SAFETY: Promised by the caller; there is room for both.
        // INVARIANT: Checked above.
        unsafe {
            core::ptr::copy_nonoverlapping(
                addr.cast::<u8>(),
                core::ptr::from_mut(&mut copy).cast(),
                len,
            )
        };
        Ok(copy)
    }

    /// The GID of an address of AF_IB, which has the form of an IPv6 address.
    ///
    /// # Safety
    ///
    /// As for [`Addr::from_raw`].
    pub(crate) unsafe fn gid(addr: *const bindings::sockaddr) -> Option<IpAddr> {
        // SAFETY: Promised by the caller; behind the family, the partition and the flow label.
        unsafe {
            ((*addr).sa_family == AF_IB)
                .then(|| IpAddr::from(addr.cast::<u8>().add(8).cast::<[u8; 16]>().read()))
        }
    }

    /// The wildcard address of IPv6 or IPv4.
    pub(crate) const fn wildcard(v6: bool, port: u16) -> Self {
        Self {
            family: if v6 { AF_INET6 } else { AF_INET },
            port: port.to_be_bytes(),
            rest: [0; REST],
        }
    }

    pub(super) fn as_raw(&self) -> *mut bindings::sockaddr_unsized {
        core::ptr::from_ref(self).cast_mut().cast()
    }

    /// The C form.
    pub(crate) fn to_storage(self) -> bindings::__kernel_sockaddr_storage {
        let mut storage = bindings::__kernel_sockaddr_storage::default();
        // SAFETY: There is room, asserted above, and any bytes are valid.
        unsafe { core::ptr::from_mut(&mut storage).cast::<Self>().write(self) };
        storage
    }

    /// AF_INET, AF_INET6, or 0.
    pub(crate) fn family(&self) -> u16 {
        self.family
    }

    /// Whether it is of IPv6.
    pub(crate) fn is_v6(&self) -> bool {
        self.family == AF_INET6
    }

    /// Bytes of the C form.
    pub(super) fn len(&self) -> c_int {
        if self.is_v6() {
            28
        } else {
            16
        }
    }

    /// The port.
    pub(crate) fn port(&self) -> u16 {
        u16::from_be_bytes(self.port)
    }

    /// The same address with another port.
    pub(crate) fn with_port(mut self, port: u16) -> Self {
        self.port = port.to_be_bytes();
        self
    }

    /// The bytes of the address. An IPv4 address in IPv6 form is its 4 bytes.
    fn ip(&self) -> &[u8] {
        const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

        if !self.is_v6() {
            return self.rest.get(..4).unwrap_or(&[]);
        }
        match self.rest.get(4..20) {
            Some(ip) => ip.strip_prefix(&MAPPED).unwrap_or(ip),
            None => &[],
        }
    }

    /// The address without its port.
    pub(crate) fn to_ip(self) -> IpAddr {
        let ip = self
            .rest
            .get(4..20)
            .and_then(|ip| <[u8; 16]>::try_from(ip).ok());
        match ip {
            Some(ip) if self.is_v6() => IpAddr::from(ip),
            _ => {
                let [a, b, c, d, ..] = self.rest;
                IpAddr::from([a, b, c, d])
            }
        }
    }

    /// Number of the network device that a link-local address belongs to, or 0.
    fn scope(&self) -> u32 {
        let scope = self.rest.get(20..24).filter(|_| self.is_v6());
        let scope = scope.and_then(|scope| <[u8; 4]>::try_from(scope).ok());
        scope.map_or(0, u32::from_ne_bytes)
    }

    /// Whether it stands for all addresses of the host.
    pub(crate) fn is_wildcard(&self) -> bool {
        self.ip().iter().all(|byte| *byte == 0)
    }

    /// Whether a listener at this address takes a connection to the local address `to`. The wildcard of IPv6 takes IPv4
    /// unless `v6_only`.
    pub(crate) fn takes(&self, to: &Addr, v6_only: bool) -> bool {
        let (own, other) = (self.ip(), to.ip());
        if self.is_wildcard() {
            return if self.is_v6() {
                !v6_only || other.len() == 16
            } else {
                other.len() == 4
            };
        }
        // The same link-local address on another link is another one. Of others it does not matter.
        let elsewhere = self.scope() != 0 && to.scope() != 0 && self.scope() != to.scope();
        own == other && !elsewhere
    }

    /// Whether it is the same address and port.
    pub(crate) fn equals(&self, other: &Addr) -> bool {
        self.family == other.family
            && self.port == other.port
            && self.ip() == other.ip()
            && self.scope() == other.scope()
    }
}
