// SPDX-License-Identifier: GPL-2.0-only

//! Memory that operations move.

use super::device::Domain;
use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    dma::DataDirection,
    page::PAGE_SIZE,
    prelude::*, //
};

/// A list of elements on the poster's stack.
#[doc(hidden)]
pub trait Sgl {
    /// The elements.
    fn elements(&self) -> &[bindings::kfi_sge];
}

impl<const N: usize> Sgl for [bindings::kfi_sge; N] {
    #[inline]
    fn elements(&self) -> &[bindings::kfi_sge] {
        self
    }
}

impl<S: Sgl> Sgl for Option<S> {
    fn elements(&self) -> &[bindings::kfi_sge] {
        self.as_ref().map_or(&[], S::elements)
    }
}

/// What an operation owns while it is in flight, besides its data.
///
/// # Safety
///
/// - The elements that [`Memory::sgl`] hands out stay valid for access by the device of [`Memory::domain`] until the value
///   is used mutably or dropped.
/// - Nothing but the value's owner can reach that memory.
pub unsafe trait Memory: Send + 'static {
    /// A list of elements.
    #[doc(hidden)]
    type Sgl: Sgl;

    /// The domain whose keys the elements carry; null if there are none.
    #[doc(hidden)]
    fn domain(&self) -> *const bindings::kfi_domain;

    /// The first `len` bytes. [`EMSGSIZE`] when there are not as many.
    #[doc(hidden)]
    fn sgl(&self, len: usize) -> Result<Self::Sgl>;

    /// The operation is over; its endpoint is still there.
    #[doc(hidden)]
    #[inline]
    fn completed(&mut self) {}
}

// SAFETY: There are no elements.
unsafe impl Memory for () {
    type Sgl = [bindings::kfi_sge; 0];

    fn domain(&self) -> *const bindings::kfi_domain {
        core::ptr::null()
    }

    fn sgl(&self, len: usize) -> Result<Self::Sgl> {
        if len == 0 {
            Ok([])
        } else {
            Err(EMSGSIZE)
        }
    }
}

// SAFETY: `M` is a `Memory`, and `None` has no elements.
unsafe impl<M: Memory> Memory for Option<M> {
    type Sgl = Option<M::Sgl>;

    fn domain(&self) -> *const bindings::kfi_domain {
        self.as_ref().map_or(core::ptr::null(), M::domain)
    }

    fn sgl(&self, len: usize) -> Result<Self::Sgl> {
        match self {
            Some(memory) => Ok(Some(memory.sgl(len)?)),
            None => ().sgl(len).map(|_| None),
        }
    }

    fn completed(&mut self) {
        if let Some(memory) = self {
            memory.completed();
        }
    }
}

/// One of two kinds of memory.
pub enum Either<A, B> {
    /// The one.
    Left(A),
    /// The other.
    Right(B),
}

impl<A: Sgl, B: Sgl> Sgl for Either<A, B> {
    #[inline]
    fn elements(&self) -> &[bindings::kfi_sge] {
        match self {
            Either::Left(a) => a.elements(),
            Either::Right(b) => b.elements(),
        }
    }
}

// SAFETY: Either is a `Memory`.
unsafe impl<A: Memory, B: Memory> Memory for Either<A, B> {
    type Sgl = Either<A::Sgl, B::Sgl>;

    #[inline]
    fn domain(&self) -> *const bindings::kfi_domain {
        match self {
            Either::Left(a) => a.domain(),
            Either::Right(b) => b.domain(),
        }
    }

    #[inline]
    fn sgl(&self, len: usize) -> Result<Self::Sgl> {
        Ok(match self {
            Either::Left(a) => Either::Left(a.sgl(len)?),
            Either::Right(b) => Either::Right(b.sgl(len)?),
        })
    }

    #[inline]
    fn completed(&mut self) {
        match self {
            Either::Left(a) => a.completed(),
            Either::Right(b) => b.completed(),
        }
    }
}

/// Zeroed memory in one piece: of kmalloc(), or pages when it is as long as one. Pages are what storage moves, and what a
/// provider may send without copying.
///
/// # Invariants
///
/// `start` is memory of `len` bytes that this value owns, of alloc_pages_exact() or, if there is one, of `small`.
struct Bytes {
    start: NonNull<u8>,
    len: usize,
    small: Option<KVec<u8>>,
}

// SAFETY: It owns plain memory.
unsafe impl Send for Bytes {}
// SAFETY: A shared reference gives read access only.
unsafe impl Sync for Bytes {}

impl Bytes {
    fn new(len: usize) -> Result<Self> {
        if len < PAGE_SIZE {
            let mut small = KVec::from_elem(0u8, len, GFP_KERNEL)?;
            // INVARIANT: The vector is not touched again, so its memory stays where it is.
            return Ok(Self {
                start: NonNull::new(small.as_mut_ptr()).ok_or(ENOMEM)?,
                len,
                small: Some(small),
            });
        }
        // SAFETY: It has no requirements.
        let start = unsafe {
            bindings::alloc_pages_exact_noprof(len, bindings::GFP_KERNEL | bindings::__GFP_ZERO)
        };
        // INVARIANT: Just made.
        Ok(Self {
            start: NonNull::new(start.cast()).ok_or(ENOMEM)?,
            len,
            small: None,
        })
    }

    fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: By the type invariant; the memory is initialised and borrowed like the value.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        if self.small.is_none() {
            // SAFETY: By the type invariant.
            unsafe { bindings::free_pages_exact(self.start.as_ptr().cast(), self.len) };
        }
    }
}

/// Contiguous memory, mapped for its domain's device in both directions.
///
/// # Invariants
///
/// `addr` is the DMA address of all of `mem` in `domain`.
pub struct Buffer {
    mem: Bytes,
    addr: u64,
    lkey: u32,
    domain: Domain,
}

impl Buffer {
    /// Allocates `len` zeroed bytes. Sleeps.
    pub fn new(domain: &Domain, len: usize) -> Result<Self> {
        if len == 0 {
            return Err(EINVAL);
        }
        u32::try_from(len)?;
        let mem = Bytes::new(len)?;
        // SAFETY: The memory is `len` bytes, which stay while they are mapped: `drop()` unmaps them.
        let addr = unsafe {
            bindings::__kfi_dma_map_single(
                domain.as_ptr(),
                mem.start.as_ptr().cast(),
                len,
                DataDirection::Bidirectional.into(),
            )
        };
        // SAFETY: `addr` is what mapping returned.
        kernel::error::to_result(unsafe {
            bindings::__kfi_dma_mapping_error(domain.as_ptr(), addr)
        })?;
        // INVARIANT: It has just been mapped there.
        Ok(Self {
            mem,
            addr,
            lkey: domain.local_dma_lkey(),
            domain: domain.clone(),
        })
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.mem.len
    }

    /// Always false.
    pub fn is_empty(&self) -> bool {
        self.mem.len == 0
    }

    /// Shows the bytes to `f`.
    pub fn read<R>(&mut self, f: impl FnOnce(&[u8]) -> R) -> R {
        self.write(|bytes| f(bytes))
    }

    /// Lets `f` look at the bytes and change them.
    pub fn write<R>(&mut self, f: impl FnOnce(&mut [u8]) -> R) -> R {
        let dir = DataDirection::Bidirectional.into();
        // SAFETY: By the invariants the arguments are those of the mapping.
        unsafe {
            bindings::__kfi_dma_sync_single_for_cpu(
                self.domain.as_ptr(),
                self.addr,
                self.mem.len,
                dir,
            )
        };
        let result = f(self.mem.as_mut_slice());
        // SAFETY: As above.
        unsafe {
            bindings::__kfi_dma_sync_single_for_device(
                self.domain.as_ptr(),
                self.addr,
                self.mem.len,
                dir,
            )
        };
        result
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: By the invariants the arguments are those of the mapping. No operation has the memory: it would own
        // this value.
        unsafe {
            bindings::__kfi_dma_unmap_single(
                self.domain.as_ptr(),
                self.addr,
                self.mem.len,
                DataDirection::Bidirectional.into(),
            )
        };
    }
}

// SAFETY: The mapping covers all of the memory, ends with the value, and `mem` is private and not shared.
unsafe impl Memory for Buffer {
    type Sgl = [bindings::kfi_sge; 1];

    #[inline]
    fn domain(&self) -> *const bindings::kfi_domain {
        self.domain.as_ptr()
    }

    #[inline]
    fn sgl(&self, len: usize) -> Result<Self::Sgl> {
        if len > self.mem.len {
            return Err(EMSGSIZE);
        }
        Ok([bindings::kfi_sge {
            addr: self.addr,
            // CAST: `new()` has checked that it fits.
            length: len as u32,
            lkey: self.lkey,
        }])
    }
}

/// Up to `N` elements.
#[doc(hidden)]
pub struct List<const N: usize> {
    sge: [bindings::kfi_sge; N],
    used: usize,
}

impl<const N: usize> Sgl for List<N> {
    fn elements(&self) -> &[bindings::kfi_sge] {
        self.sge.get(..self.used).unwrap_or(&[])
    }
}

// SAFETY: Each element is a `Memory`; all are owned by the array.
unsafe impl<const N: usize> Memory for [Buffer; N] {
    type Sgl = List<N>;

    fn domain(&self) -> *const bindings::kfi_domain {
        let mut domains = self.iter().map(Buffer::domain);
        let first = domains.next().unwrap_or(core::ptr::null());
        if domains.all(|domain| core::ptr::eq(domain, first)) {
            first
        } else {
            // No domain has this address, so such a mixture is refused.
            core::ptr::dangling()
        }
    }

    fn sgl(&self, len: usize) -> Result<Self::Sgl> {
        let mut list = List {
            sge: core::array::from_fn(|_| bindings::kfi_sge::default()),
            used: 0,
        };
        let mut left = len;
        for (sge, buffer) in list.sge.iter_mut().zip(self) {
            if left == 0 {
                break;
            }
            let part = left.min(buffer.len());
            [*sge] = buffer.sgl(part)?;
            left -= part;
            list.used += 1;
        }
        if left == 0 {
            Ok(list)
        } else {
            Err(EMSGSIZE)
        }
    }
}
