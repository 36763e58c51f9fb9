// SPDX-License-Identifier: GPL-2.0-only

//! Memory regions.

#![deny(unsafe_code)]

use super::{
    api::mr::MrHead,
    conn::Conn,
    domain::Domain,
    pieces::Pieces,
    wire::{
        frame::{
            header::{
                Element,
                ELEMENTS, //
            },
            Fault, //
        },
        keys::{
            Access,
            Grant,
            Id, //
        }, //
    }, //
};
use crate::sys::{
    count::Count,
    irq_lock::{
        new_irq_lock,
        IrqLock, //
    },
    memory::Piece, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    }, //
};

/// What a region is made of. Before it changes the registration ends, and who has reached it before finds no memory.
struct Mapping {
    pieces: KVVec<Piece>,
    base: u64,
    len: u64,
}

/// Bits of an address within a region: more than the pages of any have.
const WINDOW: u32 = 40;

/// Where the addresses of a region begin. Those of different regions do not overlap, so that an address which goes with
/// another key is found out.
fn window(id: Id) -> u64 {
    (id.index() as u64).wrapping_add(1) << WINDOW
}

/// A memory region.
#[pin_data]
#[repr(C)]
pub(crate) struct Region {
    /// `struct kfi_mr`
    pub(crate) head: MrHead,
    domain: Arc<Domain>,
    id: Id,
    /// Takes memory with gaps between its pages.
    gaps: bool,
    #[pin]
    mapping: IrqLock<Mapping>,
    /// Number of the mapping; changes under its lock.
    version: Atomic<u32>,
    /// Transfers that use the memory.
    users: Count,
}

impl Region {
    /// A region of up to `room` pieces.
    pub(crate) fn new(domain: Arc<Domain>, room: u32, gaps: bool) -> Result<Arc<Self>> {
        let pieces = KVVec::with_capacity(room as usize, GFP_KERNEL)?;
        let id = domain.alloc()?;
        let home = domain.clone();
        let region: Result<Arc<Self>> = Arc::pin_init(
            pin_init!(Self {
                head: MrHead::new(),
                domain: home,
                id,
                gaps,
                mapping <- new_irq_lock!(Mapping { pieces, base: 0, len: 0 }, "kfi::Region"),
                version: Atomic::new(0),
                users: Count::new(),
            }),
            GFP_KERNEL,
        );
        match region {
            Ok(region) => {
                domain.set(id, region.clone());
                Ok(region)
            }
            Err(error) => {
                domain.free(id);
                Err(error)
            }
        }
    }

    /// Ends the region. Nobody touches its memory when this returns.
    pub(crate) fn free(&self) {
        self.domain.free(self.id);
        self.users.wait_all();
    }

    /// Ends what was registered, and starts a new mapping.
    pub(crate) fn unmap(&self) {
        // A consumer that invalidates a region when it needs it again maps it before that.
        self.domain.end(self.id);
        let mut mapping = self.mapping.lock();
        self.version.fetch_add(1, Relaxed);
        mapping.pieces.clear();
        mapping.len = 0;
    }

    /// Adds memory; returns whether the region takes it. `page` is the alignment of gaps, a power of two.
    pub(crate) fn map(&self, piece: Piece, page: u64) -> bool {
        let mut guard = self.mapping.lock();
        let mapping = &mut *guard;
        let Some(len) = mapping.len.checked_add(piece.len() as u64) else {
            return false;
        };
        match mapping.pieces.last_mut() {
            None => mapping.base = window(self.id) | piece.start_offset(page),
            Some(last) => {
                if let Some(joined) = last.join(&piece) {
                    *last = joined;
                    mapping.len = len;
                    return true;
                }
                if !self.gaps && (last.end_offset(page) != 0 || piece.start_offset(page) != 0) {
                    return false;
                }
            }
        }
        if mapping.pieces.push_within_capacity(piece).is_err() {
            return false;
        }
        mapping.len = len;
        true
    }

    /// Address of the first byte, and the length. The address tells peers nothing of ours.
    pub(crate) fn span(&self) -> (u64, u64) {
        let mapping = self.mapping.lock();
        (mapping.base, mapping.len)
    }

    /// Ends what was registered, and makes the key for the next registration.
    pub(crate) fn next_key(&self) -> u32 {
        self.domain.next_key(self.id)
    }

    /// Makes the memory reachable for the peer of connection `owner`.
    pub(crate) fn register(&self, owner: u64, key: u32, access: Access) -> Result<(), Fault> {
        let (base, len) = self.span();
        let grant = Grant {
            owner,
            access,
            base,
            len,
        };
        self.domain.register(self.id, key, &grant)
    }
}

/// A part of a region while a transfer uses it.
pub(crate) struct Reach {
    region: Arc<Region>,
    /// Of the mapping that was reached.
    version: u32,
    offset: u64,
    len: u64,
}

impl Reach {
    /// `offset` and `len` were checked. The caller holds the lock of the keys, so that the region is neither freed nor mapped
    /// anew meanwhile.
    pub(super) fn new(region: Arc<Region>, offset: u64, len: u64) -> Self {
        region.users.inc();
        Self {
            version: region.version.load(Relaxed),
            region,
            offset,
            len,
        }
    }

    /// Whether it is in that region.
    pub(crate) fn is_in(&self, id: Id) -> bool {
        self.region.id == id
    }

    /// Adds the memory behind `skip` bytes to `to`, until that has `want` bytes; returns whether it takes more.
    pub(crate) fn pieces(&self, skip: &mut u64, want: u64, to: &mut Pieces) -> bool {
        if *skip >= self.len {
            *skip = skip.saturating_sub(self.len);
            return true;
        }
        let left = self.len.saturating_sub(*skip);
        let mut at = self.offset.saturating_add(*skip);
        let limit = to.bytes().saturating_add(left).min(want);
        *skip = 0;
        let mapping = self.region.mapping.lock();
        if self.region.version.load(Relaxed) != self.version {
            return false;
        }
        for piece in mapping.pieces.iter() {
            if !to.add(piece, &mut at, limit) {
                break;
            }
        }
        // Full, or as much as is wanted, unless the part itself ends here.
        to.bytes() == limit && limit < want
    }
}

impl Drop for Reach {
    fn drop(&mut self) {
        self.region.users.dec();
    }
}

/// The memory that the elements of one frame name.
pub(crate) struct Scatter {
    parts: [Option<Reach>; ELEMENTS],
}

impl Scatter {
    /// Finds the memory of all elements, or of none.
    pub(crate) fn new(conn: &Conn, elements: &[Element], wanted: Access) -> Result<Self, Fault> {
        let mut parts = [const { None }; ELEMENTS];
        for (part, element) in parts.iter_mut().zip(elements) {
            *part = Some(conn.reach(element, wanted)?);
        }
        Ok(Self { parts })
    }

    /// Adds the memory behind `skip` bytes to `to`, until that has `want` bytes or is full.
    pub(crate) fn pieces(&self, mut skip: u64, want: u64, to: &mut Pieces) {
        for part in self.parts.iter().flatten() {
            if !part.pieces(&mut skip, want, to) {
                return;
            }
        }
    }

    /// Whether some of it is in that region.
    pub(crate) fn touches(&self, id: Id) -> bool {
        self.parts.iter().flatten().any(|part| part.is_in(id))
    }
}
