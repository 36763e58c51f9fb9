// SPDX-License-Identifier: GPL-2.0-only

//! Protection domains: the keys of their regions.

#![deny(unsafe_code)]

use super::{
    api::domain::DomainHead,
    region::{
        Reach,
        Region, //
    },
    wire::{
        frame::{
            header::Element,
            Fault, //
        },
        keys::{
            Access,
            Grant,
            Id,
            Slot,
            Table,
            MAX_SLOTS,
            NO_KEY, //
        }, //
    }, //
};
use crate::sys::{
    irq_lock::{
        new_irq_lock,
        IrqLock, //
    },
    workq::random, //
};
use kernel::{
    alloc::KVVec,
    prelude::*,
    sync::Arc, //
};

/// Regions that a domain has room for at first.
const FIRST: usize = 16;

/// Storage of the key table.
struct Store(KVVec<Slot>);

impl AsRef<[Slot]> for Store {
    fn as_ref(&self) -> &[Slot] {
        &self.0
    }
}

impl AsMut<[Slot]> for Store {
    fn as_mut(&mut self) -> &mut [Slot] {
        &mut self.0
    }
}

struct Keys {
    table: Table<Store>,
    /// The region of each slot.
    regions: KVVec<Option<Arc<Region>>>,
}

/// A protection domain.
#[pin_data]
#[repr(C)]
pub(crate) struct Domain {
    /// `struct kfi_domain`
    pub(crate) head: DomainHead,
    #[pin]
    keys: IrqLock<Keys>,
}

fn storage(size: usize) -> Result<(Store, KVVec<Option<Arc<Region>>>)> {
    let mut slots = KVVec::with_capacity(size, GFP_KERNEL)?;
    let mut regions = KVVec::with_capacity(size, GFP_KERNEL)?;
    for _ in 0..size {
        slots.push(Slot::new(), GFP_KERNEL)?;
        regions.push(None, GFP_KERNEL)?;
    }
    Ok((Store(slots), regions))
}

impl Domain {
    /// A domain without regions.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let (store, regions) = storage(FIRST)?;
        let table = Table::new(store, random());
        Arc::pin_init(
            pin_init!(Self {
                head: DomainHead::new(),
                keys <- new_irq_lock!(Keys { table, regions }, "kfi::Domain"),
            }),
            GFP_KERNEL,
        )
    }

    /// A place for a region.
    pub(crate) fn alloc(&self) -> Result<Id> {
        loop {
            let size = {
                let mut keys = self.keys.lock();
                if let Some(id) = keys.table.alloc() {
                    return Ok(id);
                }
                keys.table.capacity()
            };
            if size >= MAX_SLOTS {
                return Err(ENOMEM);
            }
            // The lock must not be held while memory is allocated and freed. Somebody else may grow the table first.
            let (store, regions) = storage(size.saturating_mul(2))?;
            let retired = {
                let mut guard = self.keys.lock();
                let keys = &mut *guard;
                let mut regions = regions;
                if regions.len() > keys.regions.len() {
                    for (to, from) in regions.iter_mut().zip(keys.regions.iter_mut()) {
                        *to = from.take();
                    }
                    core::mem::swap(&mut keys.regions, &mut regions);
                }
                (keys.table.grow(store), regions)
            };
            drop(retired);
        }
    }

    /// Says which region a place is for.
    pub(crate) fn set(&self, id: Id, region: Arc<Region>) {
        if let Some(place) = self.keys.lock().regions.get_mut(id.index()) {
            *place = Some(region);
        }
    }

    /// Gives a place back. The caller holds the region.
    pub(crate) fn free(&self, id: Id) {
        let region = {
            let mut keys = self.keys.lock();
            keys.table.free(id);
            keys.regions.get_mut(id.index()).and_then(Option::take)
        };
        drop(region);
    }

    /// Ends a registration.
    pub(crate) fn end(&self, id: Id) {
        self.keys.lock().table.end(id);
    }

    /// Ends a registration, and makes the key for the next one.
    pub(crate) fn next_key(&self, id: Id) -> u32 {
        self.keys.lock().table.next_key(id)
    }

    /// Makes a region reachable.
    pub(crate) fn register(&self, id: Id, key: u32, grant: &Grant) -> Result<(), Fault> {
        self.keys.lock().table.register(id, key, grant)
    }

    /// Ends a registration by its key, as the consumer's operation says.
    pub(crate) fn retire(&self, owner: u64, key: u32) -> Result<Id, Fault> {
        if key == NO_KEY {
            return Err(Fault::Key);
        }
        self.keys.lock().table.retire(owner, key)
    }

    /// The same, as the peer says.
    pub(crate) fn invalidate(&self, owner: u64, key: u32) -> Result<Id, Fault> {
        if key == NO_KEY {
            return Err(Fault::Key);
        }
        self.keys.lock().table.invalidate(owner, key)
    }

    /// Finds the memory that an element names, for the peer of connection `owner`.
    pub(crate) fn reach(
        &self,
        owner: u64,
        element: &Element,
        wanted: Access,
    ) -> Result<Reach, Fault> {
        let keys = self.keys.lock();
        let hit = keys
            .table
            .check(owner, element.key, element.addr, element.len, wanted)?;
        let region = keys
            .regions
            .get(hit.id.index())
            .and_then(Option::as_ref)
            .ok_or(Fault::Key)?;
        // Under the lock, so that the region is not freed before it knows of this user.
        Ok(Reach::new(region.clone(), hit.offset, element.len))
    }
}
