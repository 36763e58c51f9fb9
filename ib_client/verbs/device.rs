// SPDX-License-Identifier: GPL-2.0-only

//! RDMA devices, and the time during which they may be used.

use super::gate::Gate;
use crate::bindings;
use core::{
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    prelude::*,
    sync::{
        aref::{
            ARef,
            AlwaysRefCounted, //
        },
        Arc, //
    },
    types::Opaque, //
};

/// An RDMA device.
///
/// A reference keeps the memory only. What touches the hardware needs a [`DeviceGuard`].
///
/// Wraps the kernel's C `struct ib_device`.
///
/// # Invariants
///
/// The device's own reference count is not zero while a `Device` is borrowed.
#[repr(transparent)]
pub struct Device(Opaque<bindings::ib_device>);

// SAFETY: `struct ib_device` is meant to be used from any thread; its reference count is atomic.
unsafe impl Send for Device {}
// SAFETY: As above; the fields that the accessors read do not change after registration.
unsafe impl Sync for Device {}

// SAFETY: `get_device()` and `put_device()` count references of the `struct device` inside, and the
// memory of the `struct ib_device` is freed by the release function of that.
unsafe impl AlwaysRefCounted for Device {
    fn inc_ref(&self) {
        // SAFETY: By the type invariant the count is not zero.
        unsafe { bindings::get_device(self.dev()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller owns a reference, so the device is there until the call below gives it
        // up.
        let dev = unsafe { obj.as_ref() }.dev();
        // SAFETY: The caller owns the reference that is given up here.
        unsafe { bindings::put_device(dev) };
    }
}

impl Device {
    /// Borrows a device from its C pointer.
    ///
    /// # Safety
    ///
    /// `ptr` points to a device whose reference count stays above zero for `'a`.
    pub unsafe fn from_raw<'a>(ptr: *const bindings::ib_device) -> &'a Self {
        // CAST: `Self` is a transparent wrapper of `Opaque<ib_device>`.
        // SAFETY: The caller promises that the device lives for `'a`.
        unsafe { &*ptr.cast() }
    }

    /// The C device.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::ib_device {
        self.0.get()
    }

    /// Its place in the device model; valid as long as the device's memory.
    pub fn dev(&self) -> *mut bindings::device {
        // CAST: `struct device dev` is the first member of its union.
        // SAFETY: `as_raw()` points to a device by the type invariant; only the address of a field
        // is taken.
        unsafe { (&raw mut (*self.as_raw()).__bindgen_anon_1).cast() }
    }

    /// A counted reference to this device.
    pub fn to_aref(&self) -> ARef<Device> {
        self.into()
    }

    /// Whether this is the device that `other` is. Devices are told apart by their address: GUIDs
    /// need not be unique.
    #[inline]
    pub fn is_same(&self, other: &Device) -> bool {
        core::ptr::eq(self, other)
    }

    /// Copies the name, "rxe0", into `buf` and returns what fits of it.
    ///
    /// A device can be renamed at any time, so it is copied. Context: any.
    pub fn name<'b>(&self, buf: &'b mut [u8; Self::NAME_MAX]) -> &'b CStr {
        // CAST: The name is an array of characters.
        // SAFETY: `as_raw()` points to a device by the type invariant; only the address of a field
        // is taken.
        let name: *const u8 = unsafe { (&raw const (*self.as_raw()).name).cast() };
        for (i, byte) in buf.iter_mut().enumerate() {
            // SAFETY: `name` is an array of `NAME_MAX` bytes. A rename may change it meanwhile,
            // hence one volatile read for each byte.
            *byte = unsafe { name.add(i).read_volatile() };
        }
        if let Some(last) = buf.last_mut() {
            *last = 0;
        }
        CStr::from_bytes_until_nul(buf).unwrap_or(c"")
    }

    /// Size of the longest name with its terminator.
    pub const NAME_MAX: usize = bindings::IB_DEVICE_NAME_MAX as usize;

    /// Limits and capabilities. They do not change.
    pub fn attrs(&self) -> &bindings::ib_device_attr {
        // SAFETY: The device lives as long as the borrow; drivers fill in the attributes before
        // they register it and do not change them afterwards.
        unsafe { &(*self.as_raw()).attrs }
    }

    /// Whether all of these `IBK_*` capabilities are there.
    pub fn has_kernel_caps(&self, caps: u64) -> bool {
        self.attrs().kernel_cap_flags & caps == caps
    }

    /// Whether all of these `IB_DEVICE_*` capabilities are there.
    pub fn has_caps(&self, caps: u64) -> bool {
        self.attrs().device_cap_flags & caps == caps
    }

    /// Whether the driver has shared receive queues.
    pub fn has_srq(&self) -> bool {
        // SAFETY: The device lives as long as the borrow, and its operations do not change after
        // registration.
        unsafe { (*self.as_raw()).ops.create_srq.is_some() }
    }

    /// Number of completion vectors.
    pub fn num_comp_vectors(&self) -> u32 {
        // SAFETY: The device lives as long as the borrow, and the number does not change after
        // registration.
        u32::try_from(unsafe { (*self.as_raw()).num_comp_vectors }).unwrap_or(0)
    }

    /// Number of ports; they are numbered from 1.
    pub fn num_ports(&self) -> u32 {
        // SAFETY: The device lives as long as the borrow, and the number does not change after
        // registration.
        unsafe { (*self.as_raw()).phys_port_cnt }
    }

    /// NUMA node, or `NUMA_NO_NODE`.
    pub fn numa_node(&self) -> c_int {
        // SAFETY: `as_raw()` points to a device by the type invariant.
        unsafe { bindings::rdma_dev_to_node(self.as_raw()) }
    }

    fn has_port(&self, port: u32) -> bool {
        (1..=self.num_ports()).contains(&port)
    }

    /// Whether a port speaks iWARP, where the sink of an RDMA read must be registered for remote
    /// writing.
    pub fn is_iwarp(&self, port: u32) -> bool {
        // SAFETY: The device is there and has this port; per-port data lives as long as the
        // device's memory.
        self.has_port(port) && unsafe { bindings::rdma_protocol_iwarp(self.as_raw(), port) }
    }

    /// Whether a port speaks RoCE.
    pub fn is_roce(&self, port: u32) -> bool {
        // SAFETY: The device is there and has this port; per-port data lives as long as the
        // device's memory.
        self.has_port(port) && unsafe { bindings::rdma_protocol_roce(self.as_raw(), port) }
    }

    /// The first GID of a port.
    ///
    /// To be called on a [`DeviceGuard`]; `EINVAL` when there is no such port.
    pub fn gid(&self, port: u32) -> Result<[u8; 16]> {
        let mut gid = [0; 16];
        // SAFETY: `as_raw()` points to a device by the type invariant, whose caches are there until
        // it is freed; the function checks the port, and fills in 16 bytes.
        to_result(unsafe { bindings::rdma_port_gid(self.as_raw(), port, gid.as_mut_ptr()) })?;
        Ok(gid)
    }

    /// What a GID of the device itself would be: the prefix of link-local addresses and the node GUID.
    pub fn node_id(&self) -> [u8; 16] {
        // SAFETY: The device lives as long as the borrow, and its GUID does not change after
        // registration.
        let guid = u64::from_be(unsafe { (*self.as_raw()).node_guid });
        (0xfe80 << 112 | u128::from(guid)).to_be_bytes()
    }

    /// Whether DMA addresses of this device are kernel virtual addresses, as software devices have
    /// them.
    pub fn uses_virt_dma(&self) -> bool {
        // SAFETY: `as_raw()` points to a device by the type invariant.
        unsafe { bindings::rdma_uses_virt_dma(self.as_raw()) }
    }

    /// Whether memory of PCI devices can be mapped for this device.
    pub fn maps_pci_p2p(&self) -> bool {
        // SAFETY: `as_raw()` points to a device by the type invariant.
        unsafe { bindings::rdma_dma_pci_p2p_supported(self.as_raw()) }
    }
}

/// A device together with the gate that its removal closes.
///
/// One is made for each device that a client is told of.
#[pin_data]
pub struct DeviceGate {
    device: ARef<Device>,
    #[pin]
    gate: Gate,
}

impl DeviceGate {
    /// An open gate for a device.
    ///
    /// # Safety
    ///
    /// The device stays usable until [`DeviceGate::close_and_wait`] has returned; the caller sees
    /// to it that this is called before the device goes.
    pub(super) unsafe fn new(device: &Device) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                device: device.to_aref(),
                gate <- Gate::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// The device. It may be on its way out: use [`DeviceGate::enter`].
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Keeps the device usable for as long as the guard lives.
    ///
    /// Fails with `ENODEV` when the device is being removed. Context: any.
    pub fn enter(this: &Arc<Self>) -> Result<DeviceGuard> {
        this.gate.enter_raw()?;
        // INVARIANT: A user was counted just now.
        Ok(DeviceGuard(this.clone()))
    }

    /// Whether the device is being removed. Context: any.
    pub fn is_closed(&self) -> bool {
        self.gate.is_closed()
    }

    /// Number of guards; for reports only, it is old when it is returned. Context: any.
    pub fn users(&self) -> u32 {
        self.gate.users()
    }

    /// Refuses new guards. Context: any.
    pub(super) fn close(&self) {
        self.gate.close();
    }

    /// Refuses new guards and waits until there is none. Context: process, sleeps.
    pub(super) fn close_and_wait(&self) {
        self.gate.close_and_wait();
    }
}

/// Keeps a device usable: its removal waits for every guard.
///
/// May be dropped in any context.
///
/// # Invariants
///
/// The gate counts one user for this guard.
pub struct DeviceGuard(Arc<DeviceGate>);

impl DeviceGuard {
    /// The device.
    #[inline]
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// The gate, to get further guards from.
    pub fn gate(&self) -> &Arc<DeviceGate> {
        &self.0
    }
}

impl Deref for DeviceGuard {
    type Target = Device;

    #[inline]
    fn deref(&self) -> &Device {
        self.device()
    }
}

impl Drop for DeviceGuard {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the gate counts a user for `self`, and `self` is dropped
        // once. The gate itself outlives the call: `self` still holds its reference.
        unsafe { self.0.gate.leave_raw() };
    }
}
