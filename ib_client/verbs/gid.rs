// SPDX-License-Identifier: GPL-2.0-only

//! GIDs: the addresses that a port has in InfiniBand's terms.
//!
//! C header: [`include/rdma/ib_cache.h`](srctree/include/rdma/ib_cache.h)

use super::{
    addr::Net,
    device::{
        Device,
        DeviceGate,
        DeviceGuard, //
    }, //
};
use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    sync::Arc, //
};

/// Sixteen bytes in network order.
pub type GidBytes = [u8; 16];

/// The C form of a GID.
pub(super) fn to_raw(gid: &GidBytes) -> bindings::ib_gid {
    // SAFETY: A union, one member of which is these bytes.
    unsafe { core::mem::transmute::<GidBytes, bindings::ib_gid>(*gid) }
}

/// The bytes of a GID.
pub(super) fn bytes_of(gid: &bindings::ib_gid) -> GidBytes {
    // CAST: A union, one member of which is these bytes.
    // SAFETY: As above.
    unsafe { core::ptr::from_ref(gid).cast::<GidBytes>().read() }
}

/// An entry of the table of GIDs of a port, which stays as it is while it is held. So does the device: the removal waits.
///
/// Wraps the kernel's C `struct ib_gid_attr`.
///
/// # Invariants
///
/// Owns a reference to the entry, which is of the device of `guard`.
pub struct Gid {
    entry: NonNull<bindings::ib_gid_attr>,
    /// Given up behind the entry, which does not keep the device.
    guard: DeviceGuard,
}

// SAFETY: Entries may be used and given up from any thread.
unsafe impl Send for Gid {}
// SAFETY: As above.
unsafe impl Sync for Gid {}

impl Gid {
    /// The C object.
    pub fn as_raw(&self) -> *const bindings::ib_gid_attr {
        self.entry.as_ptr()
    }

    /// The port, from 1.
    pub fn port(&self) -> u32 {
        // SAFETY: By the type invariant the entry is there; this does not change.
        unsafe { (*self.as_raw()).port_num }
    }

    /// The address.
    pub fn bytes(&self) -> GidBytes {
        // SAFETY: As above.
        bytes_of(unsafe { &(*self.as_raw()).gid })
    }

    /// Its type.
    pub fn kind(&self) -> bindings::ib_gid_type {
        // SAFETY: As above.
        unsafe { (*self.as_raw()).gid_type }
    }

    /// The device.
    pub fn device(&self) -> &Device {
        self.guard.device()
    }

    /// What keeps the device.
    pub(super) fn gate(&self) -> &Arc<DeviceGate> {
        self.guard.gate()
    }
}

impl Drop for Gid {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours.
        unsafe { bindings::rdma_put_gid_attr(self.as_raw()) };
    }
}

impl Device {
    /// Whether connections by the CM of InfiniBand, with addresses of AF_IB, are possible at a port.
    fn has_af_ib(&self, port: u32) -> bool {
        // SAFETY: `as_raw()` points to a device by the type invariant, which has this port.
        unsafe { bindings::rdma_port_has_af_ib(self.as_raw(), port) }
    }

    /// Whether a port, which the device has, is of a partition, and whether it is up.
    fn port_in(&self, port: u32, pkey: u16) -> (bool, bool) {
        let (mut index, mut state) = (0, bindings::ib_port_state_IB_PORT_NOP);
        // SAFETY: `as_raw()` points to a device by the type invariant, whose caches are there until it is freed.
        unsafe {
            (
                bindings::ib_find_cached_pkey(self.as_raw(), port, pkey, &mut index) == 0,
                bindings::ib_get_cached_port_state(self.as_raw(), port, &mut state) == 0
                    && state == bindings::ib_port_state_IB_PORT_ACTIVE,
            )
        }
    }

    /// The ports that a namespace may use in a partition, for addresses of AF_IB.
    fn ports_for<'a>(&'a self, net: &Net, pkey: u16) -> impl Iterator<Item = u32> + 'a {
        // SAFETY: Both are there.
        let seen = unsafe { bindings::rdma_dev_access_netns(self.as_raw(), net.as_raw()) };
        (1..=self.num_ports())
            .filter(move |port| seen && self.has_af_ib(*port) && self.port_in(*port, pkey).0)
    }

    /// The GIDs of a port.
    fn gids(&self, port: u32) -> impl Iterator<Item = GidBytes> + '_ {
        // SAFETY: `as_raw()` points to a device by the type invariant, which has this port.
        let entries = unsafe { bindings::rdma_port_gids(self.as_raw(), port) };
        (0..entries).filter_map(move |index| {
            let mut gid = to_raw(&[0; 16]);
            // SAFETY: As above.
            let found = to_result(unsafe {
                bindings::rdma_query_gid(self.as_raw(), port, index, &mut gid)
            });
            found.is_ok().then(|| bytes_of(&gid))
        })
    }
}

/// Whether the first half of a GID says nothing of the subnet: those of IPv4, and of a link.
fn is_of_no_subnet(gid: &GidBytes) -> bool {
    gid[..8] == [0; 8] || gid[..8] == [0xfe, 0x80, 0, 0, 0, 0, 0, 0]
}

impl Gid {
    /// The entry of a GID at a port, for a namespace. Where there is more than one, the newest type goes first.
    fn new(gate: &Arc<DeviceGate>, net: &Net, port: u32, gid: &GidBytes) -> Option<Self> {
        let raw = to_raw(gid);
        [
            bindings::ib_gid_type_IB_GID_TYPE_ROCE_UDP_ENCAP,
            bindings::ib_gid_type_IB_GID_TYPE_ROCE,
            bindings::ib_gid_type_IB_GID_TYPE_IB,
        ]
        .into_iter()
        .find_map(|kind| {
            let guard = DeviceGate::enter(gate).ok()?;
            // SAFETY: The guard keeps the device; the GID is only read.
            let entry = from_err_ptr(unsafe {
                bindings::rdma_find_gid_by_port(
                    guard.device().as_raw(),
                    &raw,
                    kind,
                    port,
                    core::ptr::null_mut(),
                )
                .cast_mut()
            });
            // INVARIANT: Found entries come with a reference.
            let found = Self {
                entry: NonNull::new(entry.ok()?)?,
                guard,
            };
            // SAFETY: Both are there.
            unsafe { bindings::rdma_gid_in_net(found.as_raw(), net.as_raw()) }.then_some(found)
        })
    }

    /// The entry of a GID at the port that has it, or at `port` alone; `None` also when the device goes away. Context: any but
    /// hardirq.
    pub fn find(
        gate: &Arc<DeviceGate>,
        net: &Net,
        pkey: u16,
        port: Option<u32>,
        gid: &GidBytes,
    ) -> Option<Self> {
        gate.device()
            .ports_for(net, pkey)
            .filter(|at| port.is_none_or(|port| port == *at))
            .find_map(|at| Self::new(gate, net, at, gid))
    }

    /// A GID at a port that is up, in the subnet of `dst`; over RoCE those of IPv4 and of a link tell none. Context: any but
    /// hardirq.
    pub fn find_near(gate: &Arc<DeviceGate>, net: &Net, pkey: u16, dst: &GidBytes) -> Option<Self> {
        let device = gate.device();
        device
            .ports_for(net, pkey)
            .filter(|port| device.port_in(*port, pkey).1)
            .filter(|port| !device.is_roce(*port) || !is_of_no_subnet(dst))
            .find_map(|port| {
                device
                    .gids(port)
                    .filter(|gid| gid[..8] == dst[..8])
                    .find_map(|gid| Self::new(gate, net, port, &gid))
            })
    }
}
