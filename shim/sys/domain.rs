// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_domain`: life, counts, DMA mapping.

use super::{
    device::Device,
    from_provider,
    module::ModuleRef,
    Consumer, //
};
use crate::{
    bindings,
    observe::counts::{
        Counts,
        Kind, //
    }, //
};
use core::{
    ffi::c_void,
    ptr::{
        addr_of_mut,
        NonNull, //
    }, //
};
use kernel::{
    ffi::c_int,
    prelude::*,
    sync::{
        aref::{
            ARef,
            AlwaysRefCounted, //
        },
        Arc,
        ArcBorrow,
        Refcount, //
    },
    types::Opaque, //
};

/// A protection domain.
///
/// # Invariants
///
/// - `ops` and `device` are valid as long as the domain, and constant.
/// - `core.refs` counts the references, `core.owner` owns a reference to the provider's module.
/// - `core.record` owns a reference to the counts of the device.
#[repr(transparent)]
pub(crate) struct Domain(Opaque<bindings::kfi_domain>);

// SAFETY: All that changes is the reference count.
unsafe impl Send for Domain {}
// SAFETY: As above.
unsafe impl Sync for Domain {}

// SAFETY: A domain is made with one reference and freed with the last one.
unsafe impl AlwaysRefCounted for Domain {
    fn inc_ref(&self) {
        self.refs().inc();
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller owns a reference.
        let this = unsafe { obj.as_ref() };
        if !this.refs().dec_and_test() {
            return;
        }
        let raw = this.as_raw();
        // SAFETY: The last reference is gone, so the domain is ours; by the type invariant both are owned by it.
        let (_owner, counts) = unsafe {
            (
                ModuleRef::from_raw((*raw).core.owner),
                Arc::<Counts>::from_raw((*raw).core.record.cast()),
            )
        };
        // SAFETY: The domain is still whole.
        unsafe { bindings::kfi_trace_domain_closed(raw) };
        if let Some(free) = this.ops().free {
            // SAFETY: Nobody else uses the domain.
            unsafe { free(raw) }
        }
        counts.closed(Kind::Domain);
    }
}

/// Has its domain in a field, and holds a reference to it there.
pub(super) struct Parent(ARef<Domain>);

impl Parent {
    /// Takes the reference over that an object holds in a field.
    ///
    /// # Safety
    ///
    /// `domain` was made by [`Parent::into_raw`], and is not used again.
    pub(super) unsafe fn from_raw(domain: *mut bindings::kfi_domain) -> Option<Self> {
        // SAFETY: Promised by the caller; the layouts are the same.
        NonNull::new(domain.cast()).map(|domain| Self(unsafe { ARef::from_raw(domain) }))
    }

    /// The object of kind `kind` is gone.
    pub(super) fn closed(self, kind: Kind) {
        self.0.counts().closed(kind);
    }
}

impl Domain {
    /// # Safety
    ///
    /// `domain` is live for `'a`.
    pub(crate) unsafe fn from_raw<'a>(domain: NonNull<bindings::kfi_domain>) -> &'a Self {
        // SAFETY: Promised by the caller; the layouts are the same.
        unsafe { domain.cast().as_ref() }
    }

    /// Takes a reference over from C.
    ///
    /// # Safety
    ///
    /// The caller owns a reference to `domain` and gives it away.
    pub(crate) unsafe fn own(domain: NonNull<bindings::kfi_domain>) -> ARef<Self> {
        // SAFETY: Promised by the caller.
        unsafe { ARef::from_raw(domain.cast()) }
    }

    /// Gives a reference to C.
    pub(crate) fn into_raw(this: ARef<Self>) -> *mut bindings::kfi_domain {
        ARef::into_raw(this).as_ptr().cast()
    }

    pub(crate) fn as_raw(&self) -> *mut bindings::kfi_domain {
        self.0.get()
    }

    fn ops(&self) -> &bindings::kfi_domain_ops {
        // SAFETY: The type invariant; providers do not hand out a domain without ops.
        unsafe { &*(*self.as_raw()).ops }
    }

    fn refs(&self) -> &Refcount {
        // SAFETY: `Refcount` is transparent over `refcount_t`, and nothing else touches the field.
        unsafe { &*addr_of_mut!((*self.as_raw()).core.refs).cast() }
    }

    /// The device.
    pub(crate) fn device(&self) -> &Device {
        // SAFETY: The type invariant.
        unsafe { Device::from_raw(NonNull::new_unchecked((*self.as_raw()).device)) }
    }

    fn counts(&self) -> ArcBorrow<'_, Counts> {
        // SAFETY: The type invariant.
        unsafe { ArcBorrow::from_raw((*self.as_raw()).core.record.cast::<Counts>()) }
    }

    /// A reference for an object of kind `kind` to keep in its field `domain`.
    pub(super) fn adopt(&self, kind: Kind) -> *mut bindings::kfi_domain {
        self.counts().opened(kind);
        Self::into_raw(ARef::from(self))
    }

    /// Undoes [`Self::adopt`] for an object that was not made.
    pub(super) fn disown(&self, kind: Kind) {
        // SAFETY: `adopt` has taken the reference; the caller borrows the domain, so it is not the last one.
        if let Some(parent) = unsafe { Parent::from_raw(self.as_raw()) } {
            parent.closed(kind);
        }
    }

    /// Opens a domain on a device; the flags are checked.
    pub(crate) fn open(
        device: &Device,
        flags: u32,
        owner: ModuleRef,
        counts: Arc<Counts>,
        consumer: Consumer,
    ) -> Result<ARef<Self>> {
        let raw = device.domain_open(flags, consumer)?;
        // SAFETY: The provider has made the domain for this call, and nobody else has seen it.
        Ok(unsafe { Self::init(raw, device, owner, counts, consumer) })
    }

    /// Makes a domain of a structure that the provider has set up.
    ///
    /// # Safety
    ///
    /// `raw` is live, `ops` are set, nobody else uses it, and it is the caller's to give away.
    pub(crate) unsafe fn init(
        raw: NonNull<bindings::kfi_domain>,
        device: &Device,
        owner: ModuleRef,
        counts: Arc<Counts>,
        consumer: Consumer,
    ) -> ARef<Self> {
        counts.opened(Kind::Domain);
        let domain = raw.as_ptr();
        // SAFETY: Promised by the caller.
        // INVARIANT: Each field receives what the type invariant wants of it.
        unsafe {
            (*domain).device = device.as_raw();
            (*domain).core.owner = owner.into_raw();
            (*domain).core.consumer = consumer.as_ptr();
            (*domain).core.record = Arc::into_raw(counts).cast_mut().cast();
            // SAFETY: The layouts are the same.
            (*addr_of_mut!((*domain).core.refs).cast::<Refcount>()).set(1);
            bindings::kfi_trace_domain_opened(domain);
            Self::own(raw)
        }
    }

    pub(super) fn cq_alloc(
        &self,
        nr_cqe: u32,
        vector: i32,
        poll: bindings::kfi_poll,
        pool: bool,
        consumer: Consumer,
    ) -> Result<NonNull<bindings::kfi_cq>> {
        let alloc = self.ops().cq_alloc.ok_or(EINVAL)?;
        // SAFETY: The domain is live while it is borrowed, the arguments are in range.
        from_provider(unsafe {
            alloc(self.as_raw(), nr_cqe, vector, poll, pool, consumer.as_ptr())
        })
    }

    pub(super) fn mr_alloc(
        &self,
        kind: bindings::kfi_mr_type,
        max_sg: u32,
    ) -> Result<NonNull<bindings::kfi_mr>> {
        let alloc = self.ops().mr_alloc.ok_or(EINVAL)?;
        // SAFETY: As in `cq_alloc`.
        from_provider(unsafe { alloc(self.as_raw(), kind, max_sg) })
    }

    pub(super) fn srx_alloc(
        &self,
        max_rx: u32,
        max_sge: u32,
    ) -> Result<NonNull<bindings::kfi_srx>> {
        let alloc = self.ops().srx_alloc.ok_or(EINVAL)?;
        // SAFETY: As in `cq_alloc`.
        from_provider(unsafe { alloc(self.as_raw(), max_rx, max_sge) })
    }

    /// kfi_dma_map_single(): an address, or one that [`Self::dma_mapping_error`] knows.
    ///
    /// # Safety
    ///
    /// `ptr` is valid for `size` bytes until it is unmapped.
    #[inline]
    pub(crate) unsafe fn dma_map_single(&self, ptr: *mut c_void, size: usize, dir: Dir) -> u64 {
        match self.ops().dma_map_single {
            // SAFETY: The domain is live while it is borrowed; the rest is promised by the caller.
            Some(map) => unsafe { map(self.as_raw(), ptr, size, dir) },
            None => u64::MAX,
        }
    }

    /// kfi_dma_unmap_single()
    ///
    /// # Safety
    ///
    /// The arguments are those of [`Self::dma_map_single`] and what it returned.
    #[inline]
    pub(crate) unsafe fn dma_unmap_single(&self, addr: u64, size: usize, dir: Dir) {
        if let Some(unmap) = self.ops().dma_unmap_single {
            // SAFETY: As in `dma_map_single`.
            unsafe { unmap(self.as_raw(), addr, size, dir) }
        }
    }

    /// kfi_dma_mapping_error()
    #[inline]
    pub(crate) fn dma_mapping_error(&self, addr: u64) -> c_int {
        match self.ops().dma_mapping_error {
            // SAFETY: The domain is live while it is borrowed; the callback only looks at the number.
            Some(error) => unsafe { error(self.as_raw(), addr) },
            None => ENOMEM.to_errno(),
        }
    }

    /// kfi_dma_map_sg()
    ///
    /// # Safety
    ///
    /// `sg` is a scatter list of `nents` elements, valid until it is unmapped.
    #[inline]
    pub(crate) unsafe fn dma_map_sg(
        &self,
        sg: *mut bindings::scatterlist,
        nents: c_int,
        dir: Dir,
    ) -> c_int {
        match self.ops().dma_map_sg {
            // SAFETY: As in `dma_map_single`.
            Some(map) => unsafe { map(self.as_raw(), sg, nents, dir) },
            None => EIO.to_errno(),
        }
    }

    /// kfi_dma_unmap_sg()
    ///
    /// # Safety
    ///
    /// The arguments are those of [`Self::dma_map_sg`], which had succeeded.
    #[inline]
    pub(crate) unsafe fn dma_unmap_sg(
        &self,
        sg: *mut bindings::scatterlist,
        nents: c_int,
        dir: Dir,
    ) {
        if let Some(unmap) = self.ops().dma_unmap_sg {
            // SAFETY: As in `dma_map_single`.
            unsafe { unmap(self.as_raw(), sg, nents, dir) }
        }
    }

    /// kfi_dma_sync_single_for_cpu() and its counterpart.
    ///
    /// # Safety
    ///
    /// The range is within one that [`Self::dma_map_single`] has mapped.
    #[inline]
    pub(crate) unsafe fn dma_sync_single(&self, addr: u64, size: usize, dir: Dir, for_cpu: bool) {
        if let Some(sync) = self.ops().dma_sync_single {
            // SAFETY: As in `dma_map_single`.
            unsafe { sync(self.as_raw(), addr, size, dir, for_cpu) }
        }
    }
}

/// `enum dma_data_direction`
pub(crate) type Dir = bindings::dma_data_direction;
