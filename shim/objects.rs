// SPDX-License-Identifier: GPL-2.0-only

//! What the calls of kfi.h do beside asking the provider: check the arguments against the device.

#![deny(unsafe_code)]

use crate::{
    check,
    observe::counts::Counts,
    registry,
    sys::{
        device::{
            Device,
            PortId, //
        },
        domain::Domain,
        endpoint::{
            Ep,
            EpAttr, //
        },
        errno,
        info::Info,
        module::ModuleRef,
        own::Own,
        queue::Cq,
        region::Mr,
        rma::{
            Metadata,
            Rma,
            Transfer, //
        },
        srx::Srx,
        Consumer, //
    }, //
};
use kernel::{
    ffi::c_void,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    }, //
};

/// kfi_domain_open()
pub(crate) fn domain_open(device: &Device, flags: u32, consumer: Consumer) -> Result<ARef<Domain>> {
    check::domain(&device.limits(), flags)?;
    let (counts, owner) = domain_admit(device)?;
    Domain::open(device, flags, owner, counts, consumer)
}

/// kfi_device_port_id()
pub(crate) fn port_id(device: &Device, port: u32, id: &mut PortId) -> Result {
    // A call into the provider, so its module has to stay.
    let _admitted = domain_admit(device)?;
    device.port_id(port, id)
}

/// What a domain holds of its device: the counts, and a reference to the provider's module.
pub(crate) fn domain_admit(device: &Device) -> Result<(Arc<Counts>, ModuleRef)> {
    let counts = registry::device_counts(|entry| core::ptr::eq(entry.device(), device))?;
    Ok((counts, device.owner().get().ok_or(ENODEV)?))
}

/// kfi_cq_alloc(), kfi_cq_pool_get()
pub(crate) fn cq_alloc(
    domain: &Domain,
    private: *mut c_void,
    nr_cqe: u32,
    vector: i32,
    poll: u32,
    pool: bool,
    consumer: Consumer,
) -> Result<Own<Cq>> {
    check::cq(&domain.device().limits(), nr_cqe, vector, poll, pool)?;
    Cq::alloc(domain, private, nr_cqe, vector, poll, pool, consumer)
}

/// kfi_mr_alloc()
pub(crate) fn mr_alloc(domain: &Domain, kind: u32, max_sg: u32) -> Result<Own<Mr>> {
    check::mr(&domain.device().limits(), kind, max_sg)?;
    Mr::alloc(domain, kind, max_sg)
}

/// kfi_mr_remote_inv()
#[inline]
pub(crate) fn mr_remote_inv(mr: &Mr, key: u32) -> Result {
    if !check::remote_inv(mr.rkey(), key) {
        return Err(errno::eproto());
    }
    mr.invalidated();
    Ok(())
}

/// kfi_srx_alloc()
pub(crate) fn srx_alloc(domain: &Domain, max_rx: u32, max_sge: u32) -> Result<Own<Srx>> {
    check::srx(&domain.device().limits(), max_rx, max_sge)?;
    Srx::alloc(domain, max_rx, max_sge)
}

/// kfi_ep_open(): on failure the info comes back.
pub(crate) fn ep_open(
    info: Own<Info>,
    domain: &Domain,
    attr: &mut EpAttr<'_>,
) -> Result<Own<Ep>, (Error, Own<Info>)> {
    if let Err(error) = ep_check(&info, domain, attr) {
        return Err((error, info));
    }
    Info::ep_open(info, domain, attr)
}

fn ep_check(info: &Info, domain: &Domain, attr: &EpAttr<'_>) -> Result {
    let device = info.device().ok_or(EINVAL)?;
    let here = |other: &Domain| core::ptr::eq(other.device(), device);

    attr.numbers().check(&device.limits())?;
    let (Some(tx_cq), Some(rx_cq)) = (attr.tx_cq(), attr.rx_cq()) else {
        return Err(EINVAL);
    };
    if !attr.has_event()
        || !here(domain)
        || !here(tx_cq.domain())
        || !here(rx_cq.domain())
        || !attr.srx().is_none_or(|srx| here(srx.domain()))
    {
        return Err(EINVAL);
    }
    // A close knows that a shared receive has left the completion queue by what completes behind it there, and on the
    // endpoint's own account only operations do.
    if attr.srx().is_some() && !core::ptr::eq(tx_cq, rx_cq) {
        return Err(EINVAL);
    }
    Ok(())
}

/// kfi_ep_drain()
pub(crate) fn ep_drain(ep: &Ep, which: u32) {
    if let Some(which) = check::directions(which) {
        ep.drain(which);
    }
}

/// kfi_rma_init()
pub(crate) fn rma_init(rma: &Rma, ep: &Ep, transfer: &Transfer) -> Result {
    check::rma(
        &ep.domain().device().limits(),
        transfer.nents,
        transfer.way(),
    )?;
    rma.init(ep, transfer)
}

/// kfi_rma_init_pi()
pub(crate) fn rma_init_pi(rma: &Rma, ep: &Ep, transfer: &Transfer, meta: &Metadata) -> Result {
    check::rma_pi(
        &ep.domain().device().limits(),
        transfer.nents,
        meta.nents,
        transfer.way(),
    )?;
    rma.init_pi(ep, transfer, meta)
}
