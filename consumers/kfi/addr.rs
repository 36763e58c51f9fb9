// SPDX-License-Identifier: GPL-2.0-only

//! Between `core::net` and C socket addresses.

use crate::bindings;
use core::net::{
    IpAddr,
    Ipv4Addr,
    Ipv6Addr,
    SocketAddr,
    SocketAddrV6, //
};
use kernel::prelude::*;

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// `struct sockaddr_in` and `struct sockaddr_in6` as bytes: family in host order, then port and address in network order.
pub(crate) type Storage = bindings::__kernel_sockaddr_storage;

const LEN: usize = size_of::<Storage>();

fn put(bytes: &mut [u8; LEN], at: usize, from: &[u8]) {
    for (to, from) in bytes.iter_mut().skip(at).zip(from) {
        *to = *from;
    }
}

fn get<const N: usize>(bytes: &[u8; LEN], at: usize) -> [u8; N] {
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(bytes.iter().skip(at)) {
        *to = *from;
    }
    out
}

/// The C form of `addr`.
pub(crate) fn to_storage(addr: &SocketAddr) -> Storage {
    let mut bytes = [0u8; LEN];
    put(&mut bytes, 2, &addr.port().to_be_bytes());
    match addr {
        SocketAddr::V4(v4) => {
            put(&mut bytes, 0, &AF_INET.to_ne_bytes());
            put(&mut bytes, 4, &v4.ip().octets());
        }
        SocketAddr::V6(v6) => {
            put(&mut bytes, 0, &AF_INET6.to_ne_bytes());
            put(&mut bytes, 8, &v6.ip().octets());
            put(&mut bytes, 24, &v6.scope_id().to_ne_bytes());
        }
    }
    // SAFETY: The type is plain data of this size: every bit pattern is valid.
    unsafe { core::mem::transmute::<[u8; LEN], Storage>(bytes) }
}

/// The Rust form of `storage`, if it is an IP address.
pub(crate) fn from_storage(storage: &Storage) -> Result<SocketAddr> {
    // SAFETY: `storage` is valid for reads of its size, and providers give it out wholly initialised.
    let bytes: [u8; LEN] = unsafe { core::ptr::from_ref(storage).cast::<[u8; LEN]>().read() };
    let port = u16::from_be_bytes(get(&bytes, 2));
    match u16::from_ne_bytes(get(&bytes, 0)) {
        AF_INET => Ok(SocketAddr::new(
            IpAddr::V4(Ipv4Addr::from(get::<4>(&bytes, 4))),
            port,
        )),
        AF_INET6 => Ok(SocketAddr::V6(SocketAddrV6::new(
            Ipv6Addr::from(get::<16>(&bytes, 8)),
            port,
            0,
            u32::from_ne_bytes(get(&bytes, 24)),
        ))),
        _ => Err(EINVAL),
    }
}
