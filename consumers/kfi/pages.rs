// SPDX-License-Identifier: GPL-2.0-only

//! Scattered memory, for regions and for bulk transfers.

use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    page::{
        Page,
        PAGE_SIZE, //
    },
    prelude::*,
    types::Opaque, //
};

/// What a [`Pages`] owns. The list points to it.
enum Memory {
    /// Pages that need not be neighbours.
    Scattered(KVec<Page>),
    /// One piece.
    Contiguous(KVec<u8>),
}

/// Memory with a scatter list over it.
///
/// # Invariants
///
/// `table` is an initialised scatter list whose elements cover the first `len` bytes of `memory` and nothing else.
pub struct Pages {
    table: KBox<Opaque<bindings::sg_table>>,
    len: usize,
    // Behind the list that points to it.
    memory: Memory,
}

// SAFETY: The list is plain memory that this value owns.
unsafe impl Send for Pages {}
// SAFETY: A shared reference gives read access to the length only.
unsafe impl Sync for Pages {}

impl Pages {
    /// Allocates `len` zeroed bytes. Sleeps.
    ///
    /// With `scatter` every page is an element of its own even where pages happen to be neighbours.
    pub fn new(len: usize, scatter: bool) -> Result<Self> {
        let nr = len.div_ceil(PAGE_SIZE);
        if nr == 0 {
            return Err(EINVAL);
        }
        let mut pages = KVec::with_capacity(nr, GFP_KERNEL)?;
        let mut raw = KVec::with_capacity(nr, GFP_KERNEL)?;
        for _ in 0..nr {
            let page = Page::alloc_page(GFP_KERNEL | __GFP_ZERO)?;
            raw.push(page.as_ptr(), GFP_KERNEL)?;
            pages.push(page, GFP_KERNEL)?;
        }
        let max_segment = if scatter { PAGE_SIZE } else { PAGE_SIZE << 8 };
        let table = KBox::new(Opaque::new(bindings::sg_table::default()), GFP_KERNEL)?;
        // SAFETY: `raw` holds `nr` pages, which live as long as the list: both are fields of the value.
        to_result(unsafe {
            bindings::sg_alloc_table_from_pages_segment(
                table.get(),
                raw.as_mut_ptr(),
                u32::try_from(nr)?,
                0,
                len,
                u32::try_from(max_segment)?,
                bindings::GFP_KERNEL,
            )
        })?;
        // INVARIANT: As just made.
        Ok(Self {
            table,
            len,
            memory: Memory::Scattered(pages),
        })
    }

    /// Allocates `len` zeroed bytes in one piece. Sleeps.
    pub fn contiguous(len: usize) -> Result<Self> {
        if len == 0 {
            return Err(EINVAL);
        }
        let mut memory = KVec::from_elem(0u8, len, GFP_KERNEL)?;
        let table = KBox::new(Opaque::new(bindings::sg_table::default()), GFP_KERNEL)?;
        // SAFETY: The table is ours.
        to_result(unsafe { bindings::sg_alloc_table(table.get(), 1, bindings::GFP_KERNEL) })?;
        // SAFETY: The list has one element; the memory is of kmalloc() and lives as long as the list.
        unsafe {
            bindings::sg_init_one(
                (*table.get()).sgl,
                memory.as_mut_ptr().cast(),
                // CAST: kmalloc() gives no more than fits.
                len as c_uint,
            )
        };
        // INVARIANT: As just made.
        Ok(Self {
            table,
            len,
            memory: Memory::Contiguous(memory),
        })
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Always false.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of pages that a region needs for it.
    pub fn nr_pages(&self) -> usize {
        match &self.memory {
            Memory::Scattered(pages) => pages.len(),
            Memory::Contiguous(bytes) => {
                let begin = bytes.as_ptr() as usize % PAGE_SIZE;
                (begin + bytes.len()).div_ceil(PAGE_SIZE)
            }
        }
    }

    /// Number of elements of the scatter list.
    pub fn nents(&self) -> u32 {
        // SAFETY: An initialised table by the invariants.
        unsafe { (*self.table.get()).orig_nents }
    }

    pub(super) fn sgl(&mut self) -> NonNull<bindings::scatterlist> {
        // SAFETY: An initialised table by the invariants, which is not empty.
        unsafe { NonNull::new_unchecked((*self.table.get()).sgl) }
    }

    /// Copies bytes from `offset` on to `to`.
    pub fn copy_to(&mut self, offset: usize, to: &mut [u8]) -> Result {
        self.check(offset, to.len())?;
        // SAFETY: The list covers that range by the check. C copies the bytes, so it does no harm if a peer changes them
        // meanwhile, as it may while a region has the pages.
        unsafe {
            bindings::sg_pcopy_to_buffer(
                self.sgl().as_ptr(),
                self.nents(),
                to.as_mut_ptr().cast(),
                to.len(),
                to_off(offset)?,
            )
        };
        Ok(())
    }

    /// Copies `from` to the bytes from `offset` on.
    pub fn copy_from(&mut self, offset: usize, from: &[u8]) -> Result {
        self.check(offset, from.len())?;
        // SAFETY: As in `copy_to()`.
        unsafe {
            bindings::sg_pcopy_from_buffer(
                self.sgl().as_ptr(),
                self.nents(),
                from.as_ptr().cast(),
                from.len(),
                to_off(offset)?,
            )
        };
        Ok(())
    }

    fn check(&self, offset: usize, len: usize) -> Result {
        match offset.checked_add(len) {
            Some(end) if end <= self.len => Ok(()),
            _ => Err(EINVAL),
        }
    }
}

fn to_off(offset: usize) -> Result<bindings::off_t> {
    Ok(bindings::off_t::try_from(offset)?)
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: An initialised table by the invariants, not used again.
        unsafe { bindings::sg_free_table(self.table.get()) };
    }
}
