// SPDX-License-Identifier: GPL-2.0-only

//! Memory mapped for RDMA devices.
//!
//! Software devices have no DMA device, so the kernel's general DMA types cannot be used here;
//! `ib_dma_*` knows both kinds.
//!
//! C header: [`include/rdma/ib_verbs.h`](srctree/include/rdma/ib_verbs.h)

use super::{
    device::{
        Device,
        DeviceGuard, //
    },
    wr::{
        Sge,
        SgeMut, //
    },
};
use crate::bindings;
use core::ops::{
    Deref,
    DerefMut,
    Range, //
};
use kernel::prelude::*;

pub use kernel::dma::DataDirection;

/// Whether the device reads memory that is mapped in this direction.
fn device_reads(dir: DataDirection) -> bool {
    matches!(dir, DataDirection::ToDevice | DataDirection::Bidirectional)
}

/// Whether the device writes to memory that is mapped in this direction.
fn device_writes(dir: DataDirection) -> bool {
    matches!(
        dir,
        DataDirection::FromDevice | DataDirection::Bidirectional
    )
}

/// Memory that is mapped for a device and owned by this object.
///
/// While the device uses it, it belongs to the operation that was posted, or to the memory region
/// that exposes it; so a `Buffer` at hand is one that the device does not write to. May be dropped
/// in any context.
///
/// # Invariants
///
/// `addr` is the DMA address of the whole of `mem`, mapped in direction `dir` for `guard`'s device.
/// `mem` is not reallocated.
pub struct Buffer {
    mem: KVec<u8>,
    addr: u64,
    dir: DataDirection,
    guard: DeviceGuard,
}

impl Buffer {
    /// Allocates `len` bytes of zeroes in one piece and maps them. Context: process, sleeps.
    pub fn new(guard: DeviceGuard, len: usize, dir: DataDirection) -> Result<Self> {
        if len == 0 || u32::try_from(len).is_err() || dir == DataDirection::None {
            return Err(EINVAL);
        }
        let mut mem = KVec::from_elem(0u8, len, GFP_KERNEL)?;
        // SAFETY: The memory is ours, in the linear map, and stays where it is until it is unmapped
        // in `drop()`.
        let addr = unsafe { map_single(&guard, mem.as_mut_ptr().cast(), len, dir) }?;
        // INVARIANT: Mapped just now.
        Ok(Self {
            mem,
            addr,
            dir,
            guard,
        })
    }

    /// Number of bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.mem.len()
    }

    /// Never true: there are no empty buffers.
    pub fn is_empty(&self) -> bool {
        self.mem.is_empty()
    }

    /// The device that the memory is mapped for.
    #[inline]
    pub fn device(&self) -> &Device {
        self.guard.device()
    }

    /// The direction that it is mapped for.
    pub fn direction(&self) -> DataDirection {
        self.dir
    }

    /// Whether the device may read it.
    pub fn device_reads(&self) -> bool {
        device_reads(self.dir)
    }

    /// Whether the device may write to it.
    pub fn device_writes(&self) -> bool {
        device_writes(self.dir)
    }

    /// The DMA address.
    pub fn dma_addr(&self) -> u64 {
        self.addr
    }

    /// Address and length of a part, or `EINVAL` when it is not inside.
    #[inline]
    fn part(&self, range: Range<usize>) -> Result<(u64, u32)> {
        let len = range.end.checked_sub(range.start).ok_or(EINVAL)?;
        if range.end > self.mem.len() {
            return Err(EINVAL);
        }
        // The whole length fits into 32 bits, so a part does; and an address inside the mapping
        // does not overflow.
        Ok((self.addr.wrapping_add(range.start as u64), len as u32))
    }

    /// A part that the device reads. Context: any.
    #[inline]
    pub fn sge(&self, range: Range<usize>) -> Result<Sge<'_>> {
        if !self.device_reads() {
            return Err(EINVAL);
        }
        let (addr, len) = self.part(range)?;
        // SAFETY: The part is inside of memory mapped for this device in a direction that allows it
        // to read.
        Ok(unsafe { Sge::new(addr, len, None, self.device()) })
    }

    /// A part that the device writes to. Context: any.
    #[inline]
    pub fn sge_mut(&mut self, range: Range<usize>) -> Result<SgeMut<'_>> {
        if !self.device_writes() {
            return Err(EINVAL);
        }
        let (addr, len) = self.part(range)?;
        // SAFETY: The part is inside of memory mapped for this device in a direction that allows it
        // to write, and is borrowed exclusively.
        Ok(unsafe { SgeMut::new(addr, len, None, self.device()) })
    }

    /// The content, for reading. Context: any.
    pub fn cpu(&self) -> CpuRef<'_> {
        self.sync(false);
        CpuRef(self)
    }

    /// The content, for reading and writing. Context: any.
    pub fn cpu_mut(&mut self) -> CpuMut<'_> {
        self.sync(false);
        CpuMut(self)
    }

    fn check(&self, offset: usize, len: usize) -> Result {
        match offset.checked_add(len) {
            Some(end) if end <= self.mem.len() => Ok(()),
            _ => Err(EINVAL),
        }
    }

    /// Copies bytes from `offset` on to `to`, while a peer may change them.
    pub(super) fn copy_shared_to(&self, offset: usize, to: &mut [u8]) -> Result {
        self.check(offset, to.len())?;
        self.sync(false);
        for (i, byte) in to.iter_mut().enumerate() {
            // SAFETY: Inside of the memory by the check. The device may change it at the same time,
            // hence volatile reads.
            *byte = unsafe { self.mem.as_ptr().add(offset + i).read_volatile() };
        }
        self.sync(true);
        Ok(())
    }

    /// Copies `from` to the bytes from `offset` on, while a peer may use them.
    pub(super) fn copy_shared_from(&mut self, offset: usize, from: &[u8]) -> Result {
        self.check(offset, from.len())?;
        self.sync(false);
        for (i, byte) in from.iter().enumerate() {
            // SAFETY: Inside of the memory by the check. The device may use it at the same time,
            // hence volatile writes.
            unsafe { self.mem.as_mut_ptr().add(offset + i).write_volatile(*byte) };
        }
        self.sync(true);
        Ok(())
    }

    fn sync(&self, to_device: bool) {
        let f = if to_device {
            bindings::rdma_dma_sync_single_for_device
        } else {
            bindings::rdma_dma_sync_single_for_cpu
        };
        // SAFETY: By the type invariant this is a mapping of the guard's device.
        unsafe {
            f(
                self.guard.as_raw(),
                self.addr,
                self.mem.len(),
                self.dir.into(),
            )
        };
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // Drop order: unmapped before the memory is freed, and both before the device may go.
        // SAFETY: By the type invariant this is a mapping of the guard's device. The device does
        // not use it: an operation or a region that does owns the buffer.
        unsafe {
            bindings::rdma_dma_unmap_single(
                self.guard.as_raw(),
                self.addr,
                self.mem.len(),
                self.dir.into(),
            )
        };
    }
}

/// A [`Buffer`] while the CPU reads it.
pub struct CpuRef<'a>(&'a Buffer);

impl Deref for CpuRef<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0.mem
    }
}

impl Drop for CpuRef<'_> {
    fn drop(&mut self) {
        self.0.sync(true);
    }
}

/// A [`Buffer`] while the CPU reads and writes it.
pub struct CpuMut<'a>(&'a mut Buffer);

impl Deref for CpuMut<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0.mem
    }
}

impl DerefMut for CpuMut<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0.mem
    }
}

impl Drop for CpuMut<'_> {
    fn drop(&mut self) {
        self.0.sync(true);
    }
}

/// Maps memory for a device. Context: any.
///
/// # Safety
///
/// - `ptr` points to `len` bytes in the kernel's linear map;
/// - the device is usable;
/// - on success the mapping is ended while the device is usable and the memory is there.
#[inline]
unsafe fn map_single(
    device: &Device,
    ptr: *mut c_void,
    len: usize,
    dir: DataDirection,
) -> Result<u64> {
    // SAFETY: As the caller promises.
    let addr = unsafe { bindings::rdma_dma_map_single(device.as_raw(), ptr, len, dir.into()) };
    // SAFETY: The address is one that the device's mapping function has returned.
    if unsafe { bindings::rdma_dma_mapping_error(device.as_raw(), addr) } != 0 {
        return Err(ENOMEM);
    }
    Ok(addr)
}
