// SPDX-License-Identifier: GPL-2.0-only

//! Memory regions.

#![deny(unsafe_code)]

use crate::{
    api::{
        import::UlpMr,
        mr::MrHead, //
    },
    bindings,
    client::Attachment,
    roster::Ticket,
    verbs::{
        mr::{
            Mr,
            MrType, //
        },
        pd::Pd, //
    }, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    }, //
};

/// A memory region.
#[pin_data]
pub(crate) struct Region {
    pub(crate) head: MrHead,
    #[pin]
    inner: Mutex<Inner>,
    /// `None` for one that belongs to an ULP.
    home: Option<Arc<Attachment>>,
}

struct Inner {
    source: Source,
    ticket: Option<Ticket>,
}

/// Where the verbs region comes from.
enum Source {
    /// Ours.
    Own { _mr: Mr },
    /// On an imported domain.
    Ulp { _mr: UlpMr },
    /// The device has gone.
    Gone,
}

/// The verbs form of `enum kfi_mr_type`.
fn mr_type(kind: bindings::kfi_mr_type) -> Result<MrType> {
    match kind {
        bindings::kfi_mr_type_KFI_MR_MEM_REG => Ok(MrType::MemReg),
        bindings::kfi_mr_type_KFI_MR_SG_GAPS => Ok(MrType::SgGaps),
        bindings::kfi_mr_type_KFI_MR_INTEGRITY => Ok(MrType::Integrity),
        _ => Err(EINVAL),
    }
}

impl Region {
    /// Allocates a region.
    pub(crate) fn new(
        home: &Arc<Attachment>,
        pd: Arc<Pd>,
        kind: bindings::kfi_mr_type,
        max_sg: u32,
    ) -> Result<Arc<Self>> {
        let mr = Mr::new(pd, mr_type(kind)?, max_sg)?;
        let head = MrHead::of(&mr);
        let region = Self::init(head, Source::Own { _mr: mr }, Some(home.clone()))?;
        let ticket = home.data().regions.add(region.clone())?;
        region.inner.lock().ticket = Some(ticket);
        Ok(region)
    }

    /// Views a region on an imported domain.
    pub(crate) fn import(mr: UlpMr) -> Result<Arc<Self>> {
        let head = MrHead::of_ulp(&mr);
        Self::init(head, Source::Ulp { _mr: mr }, None)
    }

    fn init(head: MrHead, source: Source, home: Option<Arc<Attachment>>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                head,
                inner <- new_mutex!(Inner { source, ticket: None }, "kfi::Region"),
                home,
            }),
            GFP_KERNEL,
        )
    }

    /// The device goes away: ends the use by the data path.
    pub(crate) fn kill(&self) {
        self.head.kill();
    }

    /// Gives the verbs region up.
    pub(crate) fn end(&self) {
        let source = core::mem::replace(&mut self.inner.lock().source, Source::Gone);
        // Outside of the lock: deregistration sleeps for long.
        drop(source);
    }

    /// The consumer has freed the region, and has fenced it before.
    pub(crate) fn free(self: Arc<Self>) {
        self.kill();
        if let Some(home) = &self.home {
            if let Some(ticket) = self.inner.lock().ticket.take() {
                home.data().regions.remove(ticket);
            }
        }
        self.end();
    }
}
