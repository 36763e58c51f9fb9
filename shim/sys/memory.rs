// SPDX-License-Identifier: GPL-2.0-only

//! Memory of consumers, which software moves instead of a device.

use crate::bindings;
use kernel::ffi::c_void;

/// A piece of a consumer's memory.
///
/// # Invariants
///
/// It may be read and written until the operation or registration that it belongs to has ended. Whoever holds a piece
/// drops it before that.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Piece(bindings::kvec);

// SAFETY: By the type invariant it is memory, whoever looks at it.
unsafe impl Send for Piece {}
// SAFETY: As above.
unsafe impl Sync for Piece {}

impl Piece {
    /// # Safety
    ///
    /// `addr` is kernel memory that may be read and written for `len` bytes until what names it has ended.
    pub(crate) unsafe fn new(addr: u64, len: usize) -> Self {
        // INVARIANT: Promised by the caller.
        Self(bindings::kvec {
            iov_base: addr as usize as *mut c_void,
            iov_len: len,
        })
    }

    pub(super) fn to_raw(self) -> bindings::kvec {
        self.0
    }

    /// Number of bytes.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.0.iov_len
    }

    /// Address of the byte behind it.
    fn end(&self) -> usize {
        (self.0.iov_base as usize).wrapping_add(self.0.iov_len)
    }

    /// Both as one, if `next` follows at once.
    pub(crate) fn join(&self, next: &Piece) -> Option<Piece> {
        let len = self.len().checked_add(next.len())?;
        // INVARIANT: The memory of both.
        (self.end() == next.0.iov_base as usize).then_some(Self(bindings::kvec {
            iov_base: self.0.iov_base,
            iov_len: len,
        }))
    }

    /// The part from `skip` on, at most `len` bytes.
    #[inline]
    pub(crate) fn part(&self, skip: usize, len: usize) -> Piece {
        let skip = skip.min(self.len());
        // INVARIANT: Within the piece.
        Self(bindings::kvec {
            iov_base: self.0.iov_base.wrapping_byte_add(skip),
            iov_len: self.len().saturating_sub(skip).min(len),
        })
    }

    /// Whether a socket may keep the pages: they are counted, and neither slab's nor mapped elsewhere.
    pub(crate) fn may_lend(&self) -> bool {
        // SAFETY: By the type invariant it is memory of the kernel's.
        unsafe { bindings::kfi_sock_may_lend(self.0.iov_base, self.len()) }
    }

    /// Continues a CRC32C over the bytes.
    pub(crate) fn crc32c(&self, seed: u32) -> u32 {
        // SAFETY: By the type invariant it may be read.
        unsafe { bindings::kfi_crc32c(seed, self.0.iov_base, self.len()) }
    }

    /// Offset of the first byte in a page of `page` bytes, which is a power of two.
    pub(crate) fn start_offset(&self, page: u64) -> u64 {
        self.0.iov_base as u64 & page.wrapping_sub(1)
    }

    /// Offset in a page of the byte behind the last one.
    pub(crate) fn end_offset(&self, page: u64) -> u64 {
        self.end() as u64 & page.wrapping_sub(1)
    }
}

/// An element of an operation, as the consumer gave it.
///
/// # Invariants
///
/// With [`LOCAL_KEY`], `addr` is memory as for a [`Piece`], for as long as the operation has not completed.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Sge {
    addr: u64,
    len: u32,
    key: u32,
}

const _: () = assert!(core::mem::size_of::<Sge>() == core::mem::size_of::<bindings::kfi_sge>());

/// The key of memory that kfi_dma_map_*() has mapped. No region has it.
pub(crate) const LOCAL_KEY: u32 = 0;

impl Sge {
    /// # Safety
    ///
    /// The consumer posts `sge` just now, in an operation or receive that holds the result until it has completed.
    pub(crate) unsafe fn from_raw(sge: &bindings::kfi_sge) -> Self {
        // INVARIANT: What the consumer maps by kfi_dma_map_*() is at its virtual address.
        Self {
            addr: sge.addr,
            len: sge.length,
            key: sge.lkey,
        }
    }

    /// Memory at its virtual address.
    ///
    /// # Safety
    ///
    /// As for [`Piece::new`].
    pub(crate) unsafe fn local(addr: u64, len: u32) -> Self {
        // INVARIANT: Promised by the caller.
        Self {
            addr,
            len,
            key: LOCAL_KEY,
        }
    }

    /// Number of bytes.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// The memory, if it is not that of a region.
    #[inline]
    pub(crate) fn piece(&self) -> Option<Piece> {
        // SAFETY: The type invariant.
        (self.key == LOCAL_KEY).then(|| unsafe { Piece::new(self.addr, self.len as usize) })
    }

    /// Key and address in the region.
    pub(crate) fn region(&self) -> (u32, u64) {
        (self.key, self.addr)
    }
}

/// CRC32C of bytes of ours.
pub(crate) fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    // SAFETY: The slice is valid.
    unsafe { bindings::kfi_crc32c(seed, bytes.as_ptr().cast(), bytes.len()) }
}
