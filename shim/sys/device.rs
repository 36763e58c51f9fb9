// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_device`.

use super::{
    errno,
    from_provider,
    module::Owner,
    Consumer, //
};
use crate::{
    bindings,
    check::Limits, //
};
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    prelude::*,
    str::CStr,
    types::Opaque, //
};

/// What tells a port of a device from those of other hosts.
pub(crate) type PortId = [u8; bindings::KFI_PORT_ID_SIZE as usize];

/// A device, as the provider has announced it. Constant while it can be seen.
#[repr(transparent)]
pub(crate) struct Device(Opaque<bindings::kfi_device>);

// SAFETY: The structure is constant while it can be seen.
unsafe impl Send for Device {}
// SAFETY: As above.
unsafe impl Sync for Device {}

impl Device {
    /// # Safety
    ///
    /// `device` is valid and constant for `'a`, and was set up as kfi_device_add() demands.
    pub(crate) unsafe fn from_raw<'a>(device: NonNull<bindings::kfi_device>) -> &'a Self {
        // SAFETY: Promised by the caller; the layouts are the same.
        unsafe { device.cast().as_ref() }
    }

    pub(crate) fn as_raw(&self) -> *mut bindings::kfi_device {
        self.0.get()
    }

    fn fields(&self) -> &bindings::kfi_device {
        // SAFETY: Constant while it can be seen.
        unsafe { &*self.0.get() }
    }

    /// Its name, "rxe0".
    pub(crate) fn name(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.fields().name).unwrap_or(c"?")
    }

    /// The provider's name.
    pub(crate) fn provider_name(&self) -> &CStr {
        // SAFETY: kfi_device_add() refuses NULL; a constant string.
        unsafe { CStr::from_char_ptr(self.fields().provider_name) }
    }

    /// The provider's module.
    pub(crate) fn owner(&self) -> Owner {
        // SAFETY: The device's module is loaded while the device can be seen.
        unsafe { Owner::from_raw(self.fields().core.owner) }
    }

    /// What the device can do, as far as checks need it.
    pub(crate) fn limits(&self) -> Limits {
        let attr = &self.fields().attr;
        let has = |cap: u32| attr.caps & cap != 0;

        Limits {
            rma_read: has(bindings::KFI_CAP_RMA_READ),
            rma_write: has(bindings::KFI_CAP_RMA_WRITE),
            mr: has(bindings::KFI_CAP_MR),
            sg_gaps: has(bindings::KFI_CAP_SG_GAPS),
            srx: has(bindings::KFI_CAP_SRX),
            pi: has(bindings::KFI_CAP_PI),
            global_rkey: has(bindings::KFI_CAP_UNSAFE_GLOBAL_RKEY),
            max_tx: attr.max_tx,
            max_rx: attr.max_rx,
            max_tx_sge: attr.max_tx_sge,
            max_rx_sge: attr.max_rx_sge,
            max_cqe: attr.max_cqe,
            max_mr_pages: attr.max_mr_pages,
            max_pi_pages: attr.max_pi_pages,
            max_srx_wr: attr.max_srx_wr,
            max_ird: attr.max_ird,
            max_ord: attr.max_ord,
            max_private_data: attr.max_private_data,
        }
    }

    /// For people who watch.
    pub(crate) fn trace_added(&self) {
        // SAFETY: The device is there while it is borrowed.
        unsafe { bindings::kfi_trace_device_added(self.as_raw()) }
    }

    /// For people who watch.
    pub(crate) fn trace_removed(&self) {
        // SAFETY: The device is there while it is borrowed.
        unsafe { bindings::kfi_trace_device_removed(self.as_raw()) }
    }

    /// `KFI_CAP_*`
    pub(crate) fn caps(&self) -> u32 {
        self.fields().attr.caps
    }

    /// Each number of the attributes with its name, for people.
    pub(crate) fn each_attr(&self, mut show: impl FnMut(&str, i64)) {
        let attr = &self.fields().attr;

        show("max_tx", attr.max_tx.into());
        show("max_rx", attr.max_rx.into());
        show("max_tx_sge", attr.max_tx_sge.into());
        show("max_rx_sge", attr.max_rx_sge.into());
        show("max_read_sge", attr.max_read_sge.into());
        show("max_cqe", attr.max_cqe.into());
        show("max_mr_pages", attr.max_mr_pages.into());
        show("max_pi_pages", attr.max_pi_pages.into());
        show("max_ird", attr.max_ird.into());
        show("max_ord", attr.max_ord.into());
        show("max_srx", attr.max_srx.into());
        show("max_srx_wr", attr.max_srx_wr.into());
        show("max_private_data", attr.max_private_data.into());
        show("nr_vectors", attr.nr_vectors.into());
        show("numa_node", attr.numa_node.into());
    }

    /// What tells a port from those of other hosts.
    pub(crate) fn port_id(&self, port: u32, id: &mut PortId) -> Result {
        // SAFETY: kfi_device_add() refuses NULL; the table lives as long as the device.
        let port_id = unsafe { (*self.fields().ops).port_id }.ok_or_else(errno::eopnotsupp)?;
        // SAFETY: The device is there while it is borrowed; `id` has room for what is filled in.
        to_result(unsafe { port_id(self.as_raw(), port, id.as_mut_ptr()) })
    }

    /// Asks the provider for a domain. Nothing of kfi's own is set in it yet.
    pub(super) fn domain_open(
        &self,
        flags: u32,
        consumer: Consumer,
    ) -> Result<NonNull<bindings::kfi_domain>> {
        // SAFETY: kfi_device_add() refuses NULL; the table lives as long as the device.
        let open = unsafe { (*self.fields().ops).domain_open }.ok_or_else(errno::eopnotsupp)?;
        // SAFETY: The device is there while it is borrowed; the name outlives the domain.
        from_provider(unsafe { open(self.as_raw(), flags, consumer.as_ptr()) })
    }
}

/// A device in the registry.
///
/// # Invariants
///
/// The device is valid and constant from kfi_device_add() until kfi_device_del() has returned. This value is not used
/// after that.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Announced(NonNull<bindings::kfi_device>);

// SAFETY: The structure is constant while it is announced.
unsafe impl Send for Announced {}
// SAFETY: As above.
unsafe impl Sync for Announced {}

impl Announced {
    /// Takes a device that is about to be announced, if it is complete, and notes its module.
    ///
    /// # Safety
    ///
    /// `device` is valid, nobody else uses it yet, and it stays valid and constant until kfi_device_del() has returned.
    /// `owner` is NULL or the module that provides it.
    pub(crate) unsafe fn from_raw(
        mut device: NonNull<bindings::kfi_device>,
        owner: *mut bindings::module,
    ) -> Result<Self> {
        // SAFETY: Promised by the caller.
        let fields = unsafe { device.as_mut() };
        if fields.ops.is_null() || fields.provider_name.is_null() || !fields.name.contains(&0) {
            return Err(EINVAL);
        }
        fields.core.owner = owner;
        // INVARIANT: Promised by the caller.
        Ok(Self(device))
    }

    /// Is it this one?
    pub(crate) fn is(&self, device: NonNull<bindings::kfi_device>) -> bool {
        self.0 == device
    }

    /// The device.
    pub(crate) fn device(&self) -> &Device {
        // SAFETY: The type invariant.
        unsafe { Device::from_raw(self.0) }
    }
}
