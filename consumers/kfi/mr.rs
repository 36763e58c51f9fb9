// SPDX-License-Identifier: GPL-2.0-only

//! Memory regions.
//!
//! ```text
//! Mr<Idle> --map(Pages)--> Mr<Armed> --expose()--> Mr<Exposed> --fence(evidence)--> (Mr<Idle>, Pages)
//! ```
//!
//! The remote key exists in the state `Exposed` only, and the pages are out of reach from `map` to the fence. A region
//! dropped while exposed, or never heard of again, stays with its endpoint, which frees it after the close: only then is it
//! certain that the registration is not waiting in a queue.

use super::{
    buffer::Memory,
    consumer::Later,
    device::Domain,
    endpoint::{
        Core,
        Drained, //
    },
    op::Fenced,
    pages::Pages,
    post::{
        Ep,
        Remote, //
    },
};
use crate::bindings;
use core::{
    marker::PhantomData,
    mem::{
        ManuallyDrop,
        MaybeUninit, //
    },
    ptr::NonNull, //
};
use kernel::{
    dma::DataDirection,
    error::{
        from_err_ptr,
        to_result, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed,
            Release, //
        },
        Arc, //
    },
    types::Opaque, //
};

/// What a region lets the peer do.
pub mod access {
    /// The device may write to it; needed where it is the sink of our own reads.
    pub const LOCAL_WRITE: u32 = crate::bindings::KFI_ACCESS_LOCAL_WRITE;
    /// The peer may read it.
    pub const REMOTE_READ: u32 = crate::bindings::KFI_ACCESS_REMOTE_READ;
    /// The peer may write it.
    pub const REMOTE_WRITE: u32 = crate::bindings::KFI_ACCESS_REMOTE_WRITE;
}

/// The region has no memory.
pub struct Idle(());
/// The region has memory and no key.
pub struct Armed(());
/// The region has memory and a key that the peer can use.
pub struct Exposed(());

/// A region and its pages.
///
/// # Invariants
///
/// `pages` are mapped for the domain's device exactly while there are any.
struct Region {
    /// `None` once deregistered.
    mr: Option<NonNull<bindings::kfi_mr>>,
    pages: Option<Pages>,
    domain: Domain,
}

// SAFETY: A region may be used from any thread.
unsafe impl Send for Region {}
// SAFETY: A shared reference only reads.
unsafe impl Sync for Region {}

impl Region {
    /// Null once deregistered.
    fn mr(&self) -> *mut bindings::kfi_mr {
        self.mr.map_or(core::ptr::null_mut(), NonNull::as_ptr)
    }

    /// Ends the device's access. No operation that names the region is waiting.
    fn deregister(&mut self) {
        if let Some(mr) = self.mr.take() {
            // SAFETY: The region is ours, and used by nobody as the caller sees to: operations that name it own it, apart
            // from the registration, and that has either completed or gone with its endpoint.
            unsafe { bindings::kfi_mr_free(mr.as_ptr()) };
        }
    }

    fn unmap(&mut self) -> Option<Pages> {
        let mut pages = self.pages.take()?;
        // SAFETY: By the invariants they are mapped, by these arguments.
        unsafe {
            bindings::kfi_dma_unmap_sg(
                self.domain.as_ptr(),
                pages.sgl().as_ptr(),
                // CAST: It fits: `map()` has passed the same number.
                pages.nents() as c_int,
                DataDirection::Bidirectional.into(),
            )
        };
        Some(pages)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // Before unmapping, since it ends the device's access.
        self.deregister();
        self.unmap();
    }
}

/// What goes with a region for its life: how its registration is heard of, and how it waits to be freed by the endpoint
/// that exposed it.
///
/// Stays until the registration has completed: the endpoint's list keeps it until after the close, and the other ends of
/// the state [`Exposed`] prove the completion.
#[repr(C)]
struct Orphan {
    ctx: Opaque<bindings::kfi_ctx>,
    /// The registration of the present key has been carried out.
    registered: Atomic<bool>,
    region: Option<Later<Region>>,
    next: *mut Orphan,
}

/// # Safety
///
/// Called by a provider, with the context in an [`Orphan`] that a registration was posted with.
unsafe extern "C" fn registered(ctx: *mut bindings::kfi_ctx, comp: *mut bindings::kfi_comp) {
    // CAST: The context is the first field.
    // SAFETY: The orphan stays until the completion, which this is; the other is valid during the call.
    unsafe {
        if (*comp).status == 0 {
            (*ctx.cast::<Orphan>()).registered.store(true, Release);
        }
    }
}

/// The regions that were dropped while exposed by an endpoint, until its close.
pub(super) struct Orphans(Atomic<*mut Orphan>);

/// Head of the list once the endpoint is closed. No orphan has this address.
const CLOSED: *mut Orphan = core::ptr::dangling_mut();

impl Orphans {
    pub(super) fn new() -> Self {
        Self(Atomic::new(core::ptr::null_mut()))
    }

    fn push(&self, orphan: KBox<Orphan>) {
        let orphan = KBox::into_raw(orphan);
        let mut head = self.0.load(Relaxed);
        while head != CLOSED {
            // SAFETY: The orphan is ours until the exchange succeeds.
            unsafe { (*orphan).next = head };
            match self.0.cmpxchg(head, orphan, Full) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
        // SAFETY: From `into_raw()` above; the list has not taken it.
        drop(unsafe { KBox::from_raw(orphan) });
    }

    /// Frees them all, and from now on every further one at once. The endpoint is closed.
    pub(super) fn close(&self) {
        let mut head = self.0.xchg(CLOSED, Full);
        while !head.is_null() && head != CLOSED {
            // SAFETY: The list owned it; it is from `KBox::into_raw()`.
            let orphan = unsafe { KBox::from_raw(head) };
            head = orphan.next;
        }
    }
}

/// A memory region in the state `S`.
///
/// # Invariants
///
/// In the states [`Armed`] and [`Exposed`] the region has pages.
pub struct Mr<S>(ManuallyDrop<Inner>, PhantomData<S>);

struct Inner {
    region: Later<Region>,
    /// Allocated ahead, for a drop while exposed.
    orphan: KBox<Orphan>,
    /// The endpoint that exposed it; set exactly in the state `Exposed`.
    core: Option<Arc<Core>>,
}

// SAFETY: An orphan that is in no list is plain memory.
unsafe impl Send for Inner {}
// SAFETY: A shared reference does not reach the orphan.
unsafe impl Sync for Inner {}

impl Inner {
    /// The pages of a region that is in the state `Armed` or `Exposed` and leaves it.
    fn take(&mut self) -> Pages {
        // SAFETY: By the invariants of `Mr` there are some.
        unsafe { self.region.unmap().unwrap_unchecked() }
    }
}

impl<S> Mr<S> {
    fn into_inner(self) -> Inner {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not used again.
        unsafe { ManuallyDrop::take(&mut this.0) }
    }

    fn from_inner(inner: Inner) -> Self {
        Self(ManuallyDrop::new(inner), PhantomData)
    }

    fn raw(&self) -> *mut bindings::kfi_mr {
        self.0.region.mr()
    }
}

impl<S> Drop for Mr<S> {
    fn drop(&mut self) {
        // SAFETY: The field is not used again.
        let Inner {
            region,
            mut orphan,
            core,
        } = unsafe { ManuallyDrop::take(&mut self.0) };
        if let Some(core) = core {
            orphan.region = Some(region);
            core.orphans.push(orphan);
        }
    }
}

impl Mr<Idle> {
    /// Allocates a region for up to `max_pages` pages. Sleeps.
    pub fn new(domain: &Domain, max_pages: u32) -> Result<Self> {
        let orphan = KBox::new(
            Orphan {
                ctx: Opaque::new(bindings::kfi_ctx {
                    prov_done: core::ptr::null_mut(),
                    done: Some(registered),
                    ep: core::ptr::null_mut(),
                }),
                registered: Atomic::new(false),
                region: None,
                next: core::ptr::null_mut(),
            },
            GFP_KERNEL,
        )?;
        let region = Later::new(domain.handle(), || {
            // SAFETY: A valid domain.
            let mr = from_err_ptr(unsafe {
                bindings::kfi_mr_alloc(
                    domain.as_ptr(),
                    bindings::kfi_mr_type_KFI_MR_MEM_REG,
                    max_pages,
                )
            })?;
            Ok(Region {
                mr: Some(NonNull::new(mr).ok_or(ENOMEM)?),
                pages: None,
                domain: domain.clone(),
            })
        })?;
        Ok(Self::from_inner(Inner {
            region,
            orphan,
            core: None,
        }))
    }

    /// Gives the region its memory. On failure both come back.
    pub fn map(self, mut pages: Pages) -> Result<Mr<Armed>, (Error, Self, Pages)> {
        let mut inner = self.into_inner();
        match inner.region.map(&mut pages) {
            Ok(()) => {
                // INVARIANT: `Region::map` has mapped them.
                inner.region.pages = Some(pages);
                Ok(Mr::from_inner(inner))
            }
            Err(e) => Err((e, Self::from_inner(inner), pages)),
        }
    }
}

impl Region {
    fn map(&mut self, pages: &mut Pages) -> Result {
        let domain = self.domain.as_ptr();
        let dir = DataDirection::Bidirectional.into();
        let nents = c_int::try_from(pages.nents())?;
        let sgl = pages.sgl().as_ptr();
        // SAFETY: The domain is valid, and the list has `nents` elements.
        let mapped = unsafe { bindings::kfi_dma_map_sg(domain, sgl, nents, dir) };
        to_result(mapped)?;
        let mr = self.mr();
        let mut offset = 0;
        // SAFETY: The list is mapped; every operations table starts with its data path, all of whose entries are set.
        let taken = unsafe {
            let ops = (*mr).ops.cast::<bindings::kfi_mr_data_ops>();
            (*ops).map_sg.unwrap_unchecked()(mr, sgl, mapped, &mut offset, PAGE_SIZE as u32)
        };
        if mapped > 0 && taken == mapped {
            return Ok(());
        }
        // SAFETY: As mapped above.
        unsafe { bindings::kfi_dma_unmap_sg(domain, sgl, nents, dir) };
        to_result(taken)?;
        Err(EINVAL)
    }
}

impl Mr<Armed> {
    /// Takes the memory out again.
    pub fn disarm(self) -> (Mr<Idle>, Pages) {
        let mut inner = self.into_inner();
        let pages = inner.take();
        (Mr::from_inner(inner), pages)
    }

    /// Gives the region a new key, for operations behind this one on the same endpoint and for the peer.
    ///
    /// Takes one of [`EndpointAttr::max_tx`](super::EndpointAttr::max_tx), and a completion that the consumer does not see.
    /// Any context.
    pub fn expose(self, ep: &Ep, access: u32) -> Result<Mr<Exposed>, (Error, Self)> {
        let mut inner = self.into_inner();
        let mr = inner.region.mr();
        // SAFETY: The endpoint is valid, and its domain does not change.
        if unsafe { (*ep.as_ptr()).domain } != inner.region.domain.as_ptr() {
            return Err((EINVAL, Self::from_inner(inner)));
        }
        inner.orphan.registered.store(false, Relaxed);
        let mut op = MaybeUninit::<bindings::kfi_op>::uninit();
        let op = op.as_mut_ptr();
        // SAFETY: The region is ours and not registered; every operations table starts with its data path, all of whose
        // entries are set.
        let key = unsafe {
            let ops = (*mr).ops.cast::<bindings::kfi_mr_data_ops>();
            (*ops).next_key.unwrap_unchecked()(mr);
            (*mr).rkey
        };
        // SAFETY: `op` is writable; the fields written are all that a provider reads of KFI_OP_MR_REG.
        unsafe {
            (&raw mut (*op).next).write(core::ptr::null_mut());
            (&raw mut (*op).ctx).write(inner.orphan.ctx.get());
            (&raw mut (*op).sgl).write(core::ptr::null());
            (&raw mut (*op).nsge).write(0);
            (&raw mut (*op).opcode).write(bindings::kfi_opcode_KFI_OP_MR_REG as u8);
            (&raw mut (*op).flags).write(bindings::KFI_OP_SIGNALED as u8);
            (&raw mut (*op).data).write(0);
            (&raw mut (*op).raddr).write(0);
            (&raw mut (*op).rkey).write(key);
            (&raw mut (*op).access).write(access);
            (&raw mut (*op).mr).write(mr);
            (*mr).need_inval = true;
        }
        // SAFETY: From here on the region is freed only after a fence, which proves that the registration has been carried
        // out, or by its endpoint after the close.
        match unsafe { ep.post_raw(op) } {
            Ok(()) => {
                inner.core = Some(ep.core().clone());
                Ok(Mr::from_inner(inner))
            }
            Err(e) => {
                // SAFETY: The region is ours, and not registered after all.
                unsafe { (*mr).need_inval = false };
                Err((e, Self::from_inner(inner)))
            }
        }
    }
}

impl Mr<Exposed> {
    /// Whether `core`'s endpoint has exposed it.
    pub(super) fn is_of(&self, core: &Arc<Core>) -> bool {
        self.0
            .core
            .as_ref()
            .is_some_and(|mine| Arc::ptr_eq(mine, core))
    }

    pub(super) fn key(&self) -> u32 {
        // SAFETY: The region is ours; nothing changes its key in this state.
        unsafe { (*self.raw()).rkey }
    }

    pub(super) fn set_need_inval(&mut self, value: bool) -> bool {
        // SAFETY: The region is ours.
        unsafe { core::ptr::replace(&raw mut (*self.raw()).need_inval, value) }
    }

    /// What the peer has to know.
    pub fn remote(&self) -> Remote {
        Remote {
            // SAFETY: The region is ours; it does not change in this state.
            addr: unsafe { (*self.raw()).iova },
            key: self.key(),
        }
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.0.region.pages.as_ref().map_or(0, Pages::len)
    }

    /// Always false.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies bytes from `offset` on to `to`. The peer may be writing them: it is a snapshot that may be torn.
    pub fn copy_to(&mut self, offset: usize, to: &mut [u8]) -> Result {
        match &mut self.0.region.pages {
            Some(pages) => pages.copy_to(offset, to),
            None => Err(EINVAL),
        }
    }

    /// Copies `from` to the bytes from `offset` on, while the peer may read them.
    pub fn copy_from(&mut self, offset: usize, from: &[u8]) -> Result {
        match &mut self.0.region.pages {
            Some(pages) => pages.copy_from(offset, from),
            None => Err(EINVAL),
        }
    }

    /// Takes region and memory back, given evidence that the key has ended. [`EINVAL`] when it is another key's, [`EAGAIN`]
    /// when a peer claims to have ended a key whose registration is not known to have been carried out: it could have
    /// guessed the key, and the registration could follow. With one queue for both directions that is known in time.
    pub fn fence(self, evidence: Fenced<'_>) -> Result<(Mr<Idle>, Pages), (Error, Self)> {
        if evidence.key != self.key()
            || !core::ptr::eq(evidence.domain, self.0.region.domain.as_ptr())
        {
            return Err((EINVAL, self));
        }
        if evidence.by_peer {
            if !self.0.orphan.registered.load(Acquire) {
                return Err((EAGAIN, self));
            }
            // SAFETY: The region is ours.
            let result = unsafe { bindings::kfi_mr_remote_inv(self.raw(), evidence.key) };
            let result = to_result(result);
            if let Err(e) = result {
                return Err((e, self));
            }
        }
        let mut inner = self.into_inner();
        inner.core = None;
        let pages = inner.take();
        Ok((Mr::from_inner(inner), pages))
    }

    /// Takes the memory back after the end of the endpoint that exposed it, and frees the region: its key would still be
    /// good on other endpoints of the domain. Sleeps. [`EINVAL`] when it was another endpoint.
    pub fn reclaim(self, evidence: &Drained) -> Result<Pages, (Error, Self)> {
        match &self.0.core {
            Some(core) if Arc::ptr_eq(core, &evidence.0) => {}
            _ => return Err((EINVAL, self)),
        }
        let mut region = self.into_inner().region;
        region.deregister();
        let pages = region.unmap();
        region.now();
        // SAFETY: As in `take()`.
        Ok(unsafe { pages.unwrap_unchecked() })
    }
}

// SAFETY: The element covers mapped memory that the region owns. It is out of reach in this state.
unsafe impl Memory for Mr<Exposed> {
    type Sgl = [bindings::kfi_sge; 1];

    fn domain(&self) -> *const bindings::kfi_domain {
        self.0.region.domain.as_ptr()
    }

    fn sgl(&self, len: usize) -> Result<Self::Sgl> {
        if len > self.len() {
            return Err(EMSGSIZE);
        }
        let mr = self.raw();
        // SAFETY: The region is ours; these do not change in this state.
        let (addr, lkey) = unsafe { ((*mr).iova, (*mr).lkey) };
        Ok([bindings::kfi_sge {
            addr,
            length: u32::try_from(len)?,
            lkey,
        }])
    }
}
