// SPDX-License-Identifier: GPL-2.0-only

//! Are the arguments of a call what include/kfi/kfi.h allows? Pure: also built on the host by selftests/unit.
//!
//! Providers rely on these checks: what gets past them is in range.

#![deny(unsafe_code)]

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// -EINVAL
    Invalid,
    /// -EOPNOTSUPP
    Unsupported,
    /// -EMSGSIZE
    TooLong,
    /// -EAFNOSUPPORT
    Family,
}

/// The outcome of a check.
pub(crate) type Check<T = ()> = core::result::Result<T, Refusal>;

/// struct kfi_device_attr, as far as checks need it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// `KFI_CAP_RMA_READ`
    pub(crate) rma_read: bool,
    /// `KFI_CAP_RMA_WRITE`
    pub(crate) rma_write: bool,
    /// `KFI_CAP_MR`
    pub(crate) mr: bool,
    /// `KFI_CAP_SG_GAPS`
    pub(crate) sg_gaps: bool,
    /// `KFI_CAP_SRX`
    pub(crate) srx: bool,
    /// `KFI_CAP_PI`
    pub(crate) pi: bool,
    /// `KFI_CAP_UNSAFE_GLOBAL_RKEY`
    pub(crate) global_rkey: bool,
    /// Operations of an endpoint.
    pub(crate) max_tx: u32,
    /// Receives of an endpoint.
    pub(crate) max_rx: u32,
    /// Elements in an operation.
    pub(crate) max_tx_sge: u32,
    /// Elements in a receive.
    pub(crate) max_rx_sge: u32,
    /// Entries in a completion queue.
    pub(crate) max_cqe: u32,
    /// Pages in a memory region.
    pub(crate) max_mr_pages: u32,
    /// Pages in one with protection information.
    pub(crate) max_pi_pages: u32,
    /// Receives in a shared receive context.
    pub(crate) max_srx_wr: u32,
    /// Reads a peer may have outstanding.
    pub(crate) max_ird: u32,
    /// Reads outstanding at a peer.
    pub(crate) max_ord: u32,
    /// Bytes of private data.
    pub(crate) max_private_data: u32,
}

/// `AF_INET`. The numbers of C that this file uses; sys.rs compares them with the headers.
pub(crate) const AF_INET: u16 = 2;
/// `AF_INET6`
pub(crate) const AF_INET6: u16 = 10;
/// `AF_IB`
pub(crate) const AF_IB: u16 = 27;
/// `KFI_POLL_DIRECT`, the last kind of polling; not for shared queues.
pub(crate) const POLL_DIRECT: u32 = 3;
/// `KFI_DOMAIN_UNSAFE_GLOBAL_RKEY`, the only flag of domains
pub(crate) const DOMAIN_GLOBAL_RKEY: u32 = 1;
/// `KFI_MR_MEM_REG`
pub(crate) const MR_MEM_REG: u32 = 0;
/// `KFI_MR_SG_GAPS`
pub(crate) const MR_SG_GAPS: u32 = 1;
/// `KFI_MR_INTEGRITY`
pub(crate) const MR_INTEGRITY: u32 = 2;
/// `KFI_EP_PI`, the only flag of endpoints
pub(crate) const EP_PI: u32 = 1;

/// Address family, as far as kfi knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// `AF_INET`
    V4,
    /// `AF_INET6`
    V6,
    /// `AF_IB`
    Ib,
}

impl Family {
    /// From `sa_family`.
    pub(crate) fn new(family: u16) -> Check<Self> {
        match family {
            AF_INET => Ok(Family::V4),
            AF_INET6 => Ok(Family::V6),
            AF_IB => Ok(Family::Ib),
            _ => Err(Refusal::Family),
        }
    }

    /// Size of the sockaddr that goes with it.
    pub(crate) fn sockaddr_len(self) -> usize {
        match self {
            Family::V4 => 16,
            Family::V6 => 28,
            Family::Ib => 48,
        }
    }
}

fn valid(condition: bool) -> Check {
    if condition {
        Ok(())
    } else {
        Err(Refusal::Invalid)
    }
}

fn supported(condition: bool) -> Check {
    if condition {
        Ok(())
    } else {
        Err(Refusal::Unsupported)
    }
}

/// `KFI_OWN_PORT`, the only flag of passive endpoints and resolutions.
pub(crate) const OWN_PORT: u32 = 1;

/// Flags that nobody has defined.
pub(crate) fn no_flags(flags: u32) -> Check {
    supported(flags == 0)
}

/// kfi_domain_open()
pub(crate) fn domain(limits: &Limits, flags: u32) -> Check {
    no_flags(flags & !DOMAIN_GLOBAL_RKEY)?;
    supported(flags & DOMAIN_GLOBAL_RKEY == 0 || limits.global_rkey)
}

/// kfi_resolve(): addresses and numbers.
pub(crate) struct Resolve {
    /// Family of the peer's address.
    pub(crate) dst: Family,
    /// Port, or service ID, of the peer's address.
    pub(crate) dst_port: u64,
    /// Family of the local address, if one is given.
    pub(crate) src: Option<Family>,
    /// `kfi_resolve_attr.timeout_ms`
    pub(crate) timeout_ms: u32,
    /// `kfi_resolve_attr.tos`
    pub(crate) tos: i32,
    /// `kfi_resolve_attr.flags`
    pub(crate) flags: u32,
}

impl Resolve {
    /// Checks them.
    pub(crate) fn check(&self) -> Check {
        supported(self.flags & !OWN_PORT == 0)?;
        valid(self.dst_port != 0)?;
        valid(self.src.is_none_or(|src| src == self.dst))?;
        valid(i32::try_from(self.timeout_ms).is_ok())?;
        valid((-1..=255).contains(&self.tos))
    }
}

/// kfi_pep_open(): numbers.
pub(crate) fn pep(flags: u32, backlog: i32) -> Check {
    supported(flags & !OWN_PORT == 0)?;
    valid(backlog >= 0)
}

/// kfi_pep_open(): IP addresses may come without a port, those of AF_IB not without a service ID; those that begin with 2 are
/// the InfiniBand CM's to give away.
pub(crate) fn listen_at(family: Family, port: u64) -> Check {
    valid(family != Family::Ib || port != 0 && port >> 56 != 2)
}

/// Private data: at least its pointer goes with its length.
pub(crate) fn private_data(limits: &Limits, is_null: bool, len: u32) -> Check {
    valid(!is_null || len == 0)?;
    if len > limits.max_private_data {
        return Err(Refusal::TooLong);
    }
    Ok(())
}

/// kfi_ep_connect() and kfi_ep_accept(): the retry counts are three bits wide on the wire.
pub(crate) fn retries(retry_count: u8, rnr_retry_count: u8) -> Check {
    valid(retry_count <= 7 && rnr_retry_count <= 7)
}

/// Cuts a number of reads to the device's limit.
pub(crate) fn cut(wanted: u8, limit: u32) -> u8 {
    u8::try_from(limit).map_or(wanted, |limit| wanted.min(limit))
}

/// kfi_ep_drain(): the directions that there are, of those asked for.
pub(crate) fn directions(which: u32) -> Option<u32> {
    const TX: u32 = 0x1;
    const RX: u32 = 0x2;

    Some(which & (TX | RX)).filter(|which| *which != 0)
}

/// kfi_ep_open(): numbers.
pub(crate) struct Endpoint {
    /// `kfi_ep_attr.max_tx`
    pub(crate) max_tx: u32,
    /// `kfi_ep_attr.max_rx`
    pub(crate) max_rx: u32,
    /// `kfi_ep_attr.max_tx_sge`
    pub(crate) max_tx_sge: u32,
    /// `kfi_ep_attr.max_rx_sge`
    pub(crate) max_rx_sge: u32,
    /// `kfi_ep_attr.max_rma`
    pub(crate) max_rma: u32,
    /// `kfi_ep_attr.flags`
    pub(crate) flags: u32,
    /// A shared receive context is given.
    pub(crate) srx: bool,
}

impl Endpoint {
    /// Checks them.
    pub(crate) fn check(&self, limits: &Limits) -> Check {
        no_flags(self.flags & !EP_PI)?;
        supported(self.flags & EP_PI == 0 || limits.pi)?;
        supported(!self.srx || limits.srx)?;
        supported(self.max_rma == 0 || limits.rma_read || limits.rma_write)?;
        valid(self.max_tx != 0 && self.max_tx <= limits.max_tx)?;
        valid(self.srx || self.max_rx <= limits.max_rx)?;
        valid(self.max_tx_sge <= limits.max_tx_sge)?;
        valid(self.srx || self.max_rx_sge <= limits.max_rx_sge)?;
        // Each transfer takes an operation, and has a scatter list.
        valid(self.max_rma <= limits.max_tx && (self.max_rma == 0 || self.max_tx_sge != 0))
    }
}

/// kfi_cq_alloc() and, with `pool`, kfi_cq_pool_get()
pub(crate) fn cq(limits: &Limits, nr_cqe: u32, vector: i32, poll: u32, pool: bool) -> Check {
    valid(nr_cqe != 0 && nr_cqe <= limits.max_cqe)?;
    valid(vector >= -1)?;
    valid(poll <= POLL_DIRECT && !(pool && poll == POLL_DIRECT))
}

/// kfi_mr_alloc()
pub(crate) fn mr(limits: &Limits, kind: u32, max_sg: u32) -> Check {
    let (has_type, max) = match kind {
        MR_MEM_REG => (true, limits.max_mr_pages),
        MR_SG_GAPS => (limits.sg_gaps, limits.max_mr_pages),
        MR_INTEGRITY => (limits.pi, limits.max_pi_pages),
        _ => return Err(Refusal::Invalid),
    };
    supported(limits.mr && has_type)?;
    valid(max_sg != 0 && max_sg <= max)
}

/// kfi_srx_alloc()
pub(crate) fn srx(limits: &Limits, max_rx: u32, max_sge: u32) -> Check {
    supported(limits.srx)?;
    valid(max_rx != 0 && max_rx <= limits.max_srx_wr && max_sge <= limits.max_rx_sge)
}

/// Which way the bytes of a transfer go.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    /// `DMA_TO_DEVICE`: to the peer.
    Write,
    /// `DMA_FROM_DEVICE`: from the peer.
    Read,
    /// A direction that means nothing here.
    Other,
}

/// kfi_rma_init()
pub(crate) fn rma(limits: &Limits, nents: u32, way: Way) -> Check {
    valid(nents != 0)?;
    match way {
        Way::Write => supported(limits.rma_write),
        Way::Read => supported(limits.rma_read),
        Way::Other => Err(Refusal::Invalid),
    }
}

/// Elements that the transfers of the RDMA core take with protection information, whatever the device can.
const MAX_PI_NENTS: u32 = 256;

/// kfi_rma_init_pi()
pub(crate) fn rma_pi(limits: &Limits, nr_data: u32, nr_meta: u32, way: Way) -> Check {
    supported(limits.pi)?;
    let limit = limits.max_pi_pages.min(MAX_PI_NENTS);
    valid(nr_data <= limit && nr_meta <= limit)?;
    rma(limits, nr_data, way)
}

/// kfi_mr_remote_inv(): did the peer invalidate the key it was asked to?
pub(crate) fn remote_inv(rkey: u32, key: u32) -> bool {
    rkey == key
}
