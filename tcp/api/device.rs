// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_device`: the one of the provider.

use super::{
    bindings,
    object::{
        self,
        Table, //
    }, //
};
use crate::{
    sys::workq::Cpu,
    tcp::domain::Domain, //
};
use kernel::{
    error::to_result,
    ffi::{
        c_char,
        c_int, //
    },
    prelude::*,
    types::Opaque, //
};

/// What software over sockets can do. Limits are such that a consumer's mistake cannot ask for absurd amounts of memory.
const ATTR: bindings::kfi_device_attr = bindings::kfi_device_attr {
    caps: bindings::KFI_CAP_RMA_READ
        | bindings::KFI_CAP_RMA_WRITE
        | bindings::KFI_CAP_IMM
        | bindings::KFI_CAP_WRITE_IMM
        | bindings::KFI_CAP_SEND_INV
        | bindings::KFI_CAP_MR
        | bindings::KFI_CAP_SG_GAPS
        | bindings::KFI_CAP_SRX
        | bindings::KFI_CAP_VIRT_DMA,
    max_tx: 16384,
    max_rx: 16384,
    max_tx_sge: 32,
    max_rx_sge: 32,
    max_read_sge: 32,
    max_cqe: 1 << 20,
    max_mr_pages: 4096,
    max_pi_pages: 0,
    max_ird: 128,
    max_ord: 128,
    max_srx: 1 << 16,
    max_srx_wr: 32768,
    max_private_data: 256,
    // As many as CPUs: see `new()`.
    nr_vectors: 1,
    numa_node: -1,
};

/// The device, which kfi.ko uses while it is registered.
struct Device(Opaque<bindings::kfi_device>);

// SAFETY: Written before it is registered, by module initialisation, and not after that.
unsafe impl Sync for Device {}

static DEVICE: Device = Device(Opaque::zeroed());

/// The device.
pub(super) fn device() -> *mut bindings::kfi_device {
    DEVICE.0.get()
}

/// # Safety
///
/// Called by kfi.ko for the device.
unsafe extern "C" fn domain_open(
    _device: *mut bindings::kfi_device,
    _flags: u32,
    _owner: *const c_char,
) -> *mut bindings::kfi_domain {
    object::into_ptr(Domain::new().map(object::give))
}

/// # Safety
///
/// Called by kfi.ko for the device; `id` has room for KFI_PORT_ID_SIZE bytes.
unsafe extern "C" fn port_id(_device: *mut bindings::kfi_device, port: u32, id: *mut u8) -> c_int {
    if port > 1 {
        return EINVAL.to_errno();
    }
    // SAFETY: By the function's contract.
    unsafe { bindings::kfi_host_id(id) };
    0
}

static OPS: Table<bindings::kfi_device_ops> = Table(bindings::kfi_device_ops {
    domain_open: Some(domain_open),
    port_id: Some(port_id),
});

/// The device as long as clients see it.
pub(super) struct Registration(());

impl Registration {
    /// Announces the device. Called once, by module initialisation.
    pub(super) fn new() -> Result<Self> {
        let device = device();
        // SAFETY: Nobody else uses the structure yet.
        unsafe {
            (*device).ops = OPS.as_ptr();
            (*device).attr = ATTR;
            (*device).attr.nr_vectors = Cpu::vectors();
            for (to, from) in (*device).name.iter_mut().zip(c"tcp".to_bytes_with_nul()) {
                *to = *from;
            }
            (*device).provider_name = super::provider::NAME.as_char_ptr();
            to_result(bindings::kfi_device_add(device, super::provider::owner()))?;
        }
        Ok(Self(()))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: Announced by `new()`.
        unsafe { bindings::kfi_device_del(device()) };
    }
}
