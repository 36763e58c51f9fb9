// SPDX-License-Identifier: GPL-2.0-only

//! Memory regions allocated ahead.

#![deny(unsafe_code)]

use crate::{
    objects,
    sys::{
        domain::Domain,
        pool::Pool, //
    }, //
};
use kernel::{
    alloc::KVVec,
    prelude::*, //
};

/// kfi_mr_pool_init(): all regions, or none.
pub(crate) fn init(pool: &Pool, domain: &Domain, nr: u32, kind: u32, max_sg: u32) -> Result {
    if nr == 0 {
        return Err(EINVAL);
    }
    let mut regions = KVVec::with_capacity(nr as usize, GFP_KERNEL)?;
    for _ in 0..nr {
        regions.push(objects::mr_alloc(domain, kind, max_sg)?, GFP_KERNEL)?;
    }
    pool.fill(regions)
}

/// kfi_mr_pool_destroy()
pub(crate) fn destroy(pool: &Pool) {
    drop(pool.take());
}
