// SPDX-License-Identifier: GPL-2.0-only

//! What a device can do, in kfi's terms.

#![deny(unsafe_code)]

use crate::{
    bindings,
    verbs::device::Device, //
};

/// Bytes of a connect request on InfiniBand and RoCE, less the header of rdma_cm.
const IB_PRIVATE_DATA: u32 = bindings::KFI_PRIVATE_DATA_MIN;
/// MPA has room for more, but drivers count its header and the data in one byte.
const IWARP_PRIVATE_DATA: u32 = 248;
/// Work requests that kfi needs itself in each direction: the mark of a drain.
pub(crate) const DRAIN_WR: u32 = 1;

/// A limit as the RDMA core has it: an int in some kernel series, unsigned in others.
pub(crate) fn positive(n: impl TryInto<u32>) -> u32 {
    n.try_into().unwrap_or(0)
}

/// The attributes of a device.
pub(crate) fn of(device: &Device) -> bindings::kfi_device_attr {
    let attrs = device.attrs();
    let iwarp = device.is_iwarp(1);

    let mut caps = bindings::KFI_CAP_RMA_READ
        | bindings::KFI_CAP_RMA_WRITE
        | bindings::KFI_CAP_UNSAFE_GLOBAL_RKEY;
    if iwarp {
        caps |= bindings::KFI_CAP_READ_NEEDS_RKEY;
    } else {
        caps |= bindings::KFI_CAP_IMM | bindings::KFI_CAP_WRITE_IMM;
    }
    if device.has_caps(bindings::ib_device_cap_flags_IB_DEVICE_MEM_MGT_EXTENSIONS as u64) {
        caps |= bindings::KFI_CAP_SEND_INV | bindings::KFI_CAP_MR;
    }
    let pi = device.has_kernel_caps(bindings::ib_kernel_cap_flags_IBK_INTEGRITY_HANDOVER.into());
    if pi {
        caps |= bindings::KFI_CAP_PI;
    }
    if device.has_kernel_caps(bindings::ib_kernel_cap_flags_IBK_SG_GAPS_REG.into()) {
        caps |= bindings::KFI_CAP_SG_GAPS;
    }
    if device.has_srq() && attrs.max_srq > 0 {
        caps |= bindings::KFI_CAP_SRX;
    }
    if device.uses_virt_dma() {
        caps |= bindings::KFI_CAP_VIRT_DMA;
    }
    if device.maps_pci_p2p() {
        caps |= bindings::KFI_CAP_P2P;
    }

    bindings::kfi_device_attr {
        caps,
        max_tx: positive(attrs.max_qp_wr).saturating_sub(DRAIN_WR),
        max_rx: positive(attrs.max_qp_wr).saturating_sub(DRAIN_WR),
        max_tx_sge: positive(attrs.max_send_sge),
        max_rx_sge: positive(attrs.max_recv_sge),
        max_read_sge: match positive(attrs.max_sge_rd) {
            0 => positive(attrs.max_send_sge),
            n => n,
        },
        max_cqe: positive(attrs.max_cqe),
        max_mr_pages: attrs.max_fast_reg_page_list_len,
        max_pi_pages: if pi {
            attrs.max_pi_fast_reg_page_list_len
        } else {
            0
        },
        max_ird: positive(attrs.max_qp_rd_atom),
        max_ord: positive(attrs.max_qp_init_rd_atom),
        max_srx: positive(attrs.max_srq),
        max_srx_wr: positive(attrs.max_srq_wr),
        max_private_data: if iwarp {
            IWARP_PRIVATE_DATA
        } else {
            IB_PRIVATE_DATA
        },
        nr_vectors: device.num_comp_vectors(),
        numa_node: device.numa_node(),
    }
}
