// SPDX-License-Identifier: GPL-2.0-only

//! Socket addresses and network namespaces.

use super::errno;
use crate::bindings;
use core::{
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    types::Opaque, //
};

/// A network namespace.
///
/// Wraps the kernel's C `struct net`.
#[repr(transparent)]
pub struct Net(Opaque<bindings::net>);

// SAFETY: Only its address is used here.
unsafe impl Sync for Net {}

impl Net {
    /// The first network namespace.
    pub fn init() -> &'static Net {
        // CAST: `Net` is a transparent wrapper.
        // SAFETY: It lives as long as the kernel.
        unsafe { &*(&raw const bindings::init_net).cast() }
    }

    /// Borrows a namespace from its C pointer.
    ///
    /// # Safety
    ///
    /// `ptr` points to a namespace that is there for `'a`.
    pub unsafe fn from_raw<'a>(ptr: *const bindings::net) -> &'a Net {
        // CAST: `Net` is a transparent wrapper.
        // SAFETY: As the caller promises.
        unsafe { &*ptr.cast() }
    }

    /// The C object.
    pub fn as_raw(&self) -> *mut bindings::net {
        self.0.get()
    }
}

/// A namespace that stays for as long as this does.
pub struct HeldNet(NonNull<bindings::net>);

// SAFETY: A reference may be given up by any thread; only the address is used otherwise.
unsafe impl Send for HeldNet {}
// SAFETY: As above.
unsafe impl Sync for HeldNet {}

impl HeldNet {
    /// Holds a namespace.
    pub fn new(net: &Net) -> Self {
        // SAFETY: The namespace is there.
        unsafe { bindings::rdma_get_net(net.as_raw()) };
        Self(NonNull::from(net).cast())
    }
}

impl Deref for HeldNet {
    type Target = Net;

    fn deref(&self) -> &Net {
        // SAFETY: It is held.
        unsafe { Net::from_raw(self.0.as_ptr()) }
    }
}

impl Drop for HeldNet {
    fn drop(&mut self) {
        // SAFETY: The reference is ours.
        unsafe { bindings::rdma_put_net(self.0.as_ptr()) };
    }
}

/// What an address of AF_IB says, in the byte order of the host but for the GID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IbAddr {
    /// The port's, in network order.
    pub gid: [u8; 16],
    /// Partition.
    pub pkey: u16,
    /// Flow label.
    pub flow: u32,
    /// Service ID.
    pub service: u64,
}

/// A socket address of any family.
///
/// It has the layout of the kernel's C `struct sockaddr_storage`.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub struct SockAddr {
    family: u16,
    /// What follows the family, as it is in memory.
    data: [u8; Self::SIZE - 2],
}

/// Copies `parts`, one behind the other, to the begin of `data`.
fn fill(data: &mut [u8], parts: &[&[u8]]) {
    for (to, from) in data.iter_mut().zip(parts.iter().copied().flatten()) {
        *to = *from;
    }
}

impl SockAddr {
    const SIZE: usize = 128;

    /// An IPv4 address and port.
    pub fn v4(addr: [u8; 4], port: u16) -> Self {
        let mut data = [0; Self::SIZE - 2];
        fill(&mut data, &[&port.to_be_bytes(), &addr]);
        Self {
            // CAST: The families are small numbers.
            family: bindings::AF_INET as u16,
            data,
        }
    }

    /// An IPv6 address and port; `scope` is the index of the network device for link-local
    /// addresses.
    pub fn v6(addr: [u8; 16], port: u16, scope: u32) -> Self {
        let mut data = [0; Self::SIZE - 2];
        let flow = [0; 4];
        fill(
            &mut data,
            &[&port.to_be_bytes(), &flow, &addr, &scope.to_ne_bytes()],
        );
        Self {
            // CAST: The families are small numbers.
            family: bindings::AF_INET6 as u16,
            data,
        }
    }

    /// An address of AF_IB.
    pub fn from_ib(ib: &IbAddr) -> Self {
        let mut data = [0; Self::SIZE - 2];
        let mask = if ib.service == 0 { 0 } else { u64::MAX };
        fill(
            &mut data,
            &[
                &ib.pkey.to_be_bytes(),
                &ib.flow.to_be_bytes(),
                &ib.gid,
                &ib.service.to_be_bytes(),
                &mask.to_be_bytes(),
            ],
        );
        Self {
            // CAST: The families are small numbers.
            family: bindings::AF_IB as u16,
            data,
        }
    }

    fn bytes<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.data.get(at..)?.first_chunk().copied()
    }

    /// What it says if it is of AF_IB.
    pub fn ib(&self) -> Option<IbAddr> {
        if u32::from(self.family) != bindings::AF_IB {
            return None;
        }
        Some(IbAddr {
            pkey: u16::from_be_bytes(self.bytes(0)?),
            flow: u32::from_be_bytes(self.bytes(2)?),
            gid: self.bytes(6)?,
            service: u64::from_be_bytes(self.bytes(22)?),
        })
    }

    /// Whether it is one of the loopback device's.
    pub fn is_loopback(&self) -> bool {
        match u32::from(self.family) {
            // Behind the port, and behind the flow label.
            bindings::AF_INET => self.data[2] == 127,
            bindings::AF_INET6 => {
                self.data[6..22] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
            }
            _ => false,
        }
    }

    /// Copies an address; `EAFNOSUPPORT` for families other than IPv4, IPv6 and AF_IB.
    ///
    /// # Safety
    ///
    /// `ptr` points to an address of the length that its family has.
    pub unsafe fn from_raw(ptr: *const bindings::sockaddr) -> Result<Self> {
        // SAFETY: Every address starts with its family.
        let family = unsafe { ptr.cast::<u16>().read_unaligned() };
        let len = match u32::from(family) {
            bindings::AF_INET => 16,
            bindings::AF_INET6 => 28,
            bindings::AF_IB => 48,
            _ => return Err(errno::eafnosupport()),
        };
        let mut addr = Self {
            family,
            data: [0; Self::SIZE - 2],
        };
        // SAFETY: The caller promises that the source has this length; the destination is longer.
        unsafe {
            core::ptr::copy_nonoverlapping(ptr.cast::<u8>(), (&raw mut addr).cast(), len);
        }
        Ok(addr)
    }

    /// The family, `AF_INET`, `AF_INET6` or `AF_IB`.
    pub fn family(&self) -> u16 {
        self.family
    }

    /// The port of IPv4 and IPv6; 0 when there is none yet.
    pub fn port(&self) -> u16 {
        // IPv4 and IPv6 have it in the same place.
        match self.data {
            [hi, lo, ..] => u16::from_be_bytes([hi, lo]),
        }
    }

    /// The C form.
    pub fn as_ptr(&self) -> *const bindings::sockaddr {
        core::ptr::from_ref(self).cast()
    }

    /// The C form.
    pub(super) fn as_mut_ptr(&mut self) -> *mut bindings::sockaddr {
        core::ptr::from_mut(self).cast()
    }
}
