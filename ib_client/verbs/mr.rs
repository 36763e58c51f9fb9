// SPDX-License-Identifier: GPL-2.0-only

//! Memory regions: memory that a peer may reach by a key.
//!
//! C header: [`include/rdma/ib_verbs.h`](srctree/include/rdma/ib_verbs.h)

use super::{
    cq::PollContext,
    device::Device,
    dma::Buffer,
    errno,
    pd::Pd,
    qp::Qp,
    wc::Wc,
    wr::{
        hand_over,
        impl_has_cqe,
        Cqe,
        CqeHandler,
        Remote,
        Sge,
        SgeMut, //
    },
};
use crate::bindings;
use core::{
    mem::ManuallyDrop,
    ops::Range,
    ptr::NonNull, //
};
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Release, //
        },
        Arc,
        Completion, //
    },
    task::might_sleep,
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// What lists a region takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MrType {
    /// Whole pages, but for the begin of the first and the end of the last.
    MemReg,
    /// Anything.
    SgGaps,
    /// Whole pages of data, and of its protection information.
    Integrity,
}

/// What a region may be used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Access(bindings::ib_access_flags);

impl Access {
    /// The device writes to it for ourselves.
    pub const LOCAL_WRITE: Access = Access(bindings::ib_access_flags_IB_ACCESS_LOCAL_WRITE);
    /// The peer may read.
    pub const REMOTE_READ: Access = Access(bindings::ib_access_flags_IB_ACCESS_REMOTE_READ);
    /// The peer may write; this needs local write access too.
    pub const REMOTE_WRITE: Access = Access(
        bindings::ib_access_flags_IB_ACCESS_REMOTE_WRITE
            | bindings::ib_access_flags_IB_ACCESS_LOCAL_WRITE,
    );

    /// The C value.
    pub fn to_raw(self) -> bindings::ib_access_flags {
        self.0
    }

    fn writes(self) -> bool {
        self.0 & Self::REMOTE_WRITE.0 != 0
    }
}

impl core::ops::BitOr for Access {
    type Output = Access;

    fn bitor(self, other: Access) -> Access {
        Access(self.0 | other.0)
    }
}

/// A memory region for fast registration.
///
/// Wraps the kernel's C `struct ib_mr`.
///
/// # Invariants
///
/// `raw` is a memory region of `pd`, owned by this object.
pub struct Mr {
    raw: NonNull<bindings::ib_mr>,
    /// Dropped by `destroy()`.
    pd: ManuallyDrop<Arc<Pd>>,
}

// SAFETY: Verbs may be called from any thread.
unsafe impl Send for Mr {}
// SAFETY: The functions that change a region are unsafe or take it by value.
unsafe impl Sync for Mr {}

impl Mr {
    /// Allocates a region for lists of up to `max_sg` pages. Context: process, sleeps.
    pub fn new(pd: Arc<Pd>, mr_type: MrType, max_sg: u32) -> Result<Self> {
        let mr_type = match mr_type {
            MrType::MemReg => bindings::ib_mr_type_IB_MR_TYPE_MEM_REG,
            MrType::SgGaps
                if pd
                    .device()
                    .has_kernel_caps(bindings::ib_kernel_cap_flags_IBK_SG_GAPS_REG.into()) =>
            {
                bindings::ib_mr_type_IB_MR_TYPE_SG_GAPS
            }
            MrType::Integrity
                if pd.device().has_kernel_caps(
                    bindings::ib_kernel_cap_flags_IBK_INTEGRITY_HANDOVER.into(),
                ) =>
            {
                bindings::ib_mr_type_IB_MR_TYPE_INTEGRITY
            }
            MrType::SgGaps | MrType::Integrity => return Err(errno::eopnotsupp()),
        };
        if max_sg == 0 {
            return Err(EINVAL);
        }
        // SAFETY: The domain keeps the device usable, and the device has this type.
        let raw = unsafe {
            match mr_type {
                bindings::ib_mr_type_IB_MR_TYPE_INTEGRITY => {
                    bindings::ib_alloc_mr_integrity(pd.as_raw(), max_sg, max_sg)
                }
                _ => bindings::ib_alloc_mr(pd.as_raw(), mr_type, max_sg),
            }
        };
        let raw = NonNull::new(from_err_ptr(raw)?).ok_or(ENOMEM)?;
        // INVARIANT: Allocated just now.
        Ok(Self {
            raw,
            pd: ManuallyDrop::new(pd),
        })
    }

    /// The C object.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::ib_mr {
        self.raw.as_ptr()
    }

    /// The device.
    pub fn device(&self) -> &Device {
        self.pd.device()
    }

    /// The local key.
    #[inline]
    pub fn lkey(&self) -> u32 {
        // SAFETY: By the type invariant the region is there.
        unsafe { (*self.as_raw()).lkey }
    }

    /// The remote key.
    #[inline]
    fn rkey(&self) -> u32 {
        // SAFETY: By the type invariant the region is there.
        unsafe { (*self.as_raw()).rkey }
    }

    /// Gives the region the next key, so that an old one is of no use to the peer. Context: any.
    ///
    /// # Safety
    ///
    /// The region is neither registered nor in flight, and nobody else uses it at the same time.
    #[inline]
    unsafe fn next_key(&self) {
        // SAFETY: By the type invariant the region is there, and nobody else uses it.
        unsafe {
            let next = bindings::rdma_inc_rkey((*self.as_raw()).rkey);
            // CAST: The lowest byte is the part of the key that consumers choose.
            bindings::rdma_update_fast_reg_key(self.as_raw(), next as u8);
        }
    }

    /// Registers `buf`, so that the peer can reach it, and waits until the device has done so.
    ///
    /// Fails with `EINVAL` when the buffer belongs to another device, is larger than the region or
    /// is not mapped for the access; with the error of the post, or `EIO` when the queue pair
    /// fails. Context: process, sleeps; not from a completion handler.
    pub fn expose(self, qp: &Qp, buf: Buffer, access: Access) -> Result<Exposed> {
        might_sleep();
        if !self.device().is_same(buf.device())
            || !self.device().is_same(qp.device())
            || (access.writes() && !buf.device_writes())
            || (access.0 & Access::REMOTE_READ.0 != 0 && !buf.device_reads())
        {
            return Err(EINVAL);
        }
        let len = u32::try_from(buf.len()).map_err(|_| EINVAL)?;
        // SAFETY: A region at hand is neither registered nor in flight; the buffer is mapped for
        // this device, and goes into the same `Exposed` as the region, which ends the registration
        // before it unmaps.
        let nr = unsafe {
            self.next_key();
            bindings::rdma_map_mr_linear(self.as_raw(), buf.dma_addr(), len)
        };
        // SAFETY: By the type invariant the region is there.
        if nr != 1 || unsafe { (*self.as_raw()).length } != u64::from(len) {
            return Err(EINVAL);
        }
        // INVARIANT: Nobody sees it before it is registered; dropping it earlier does no harm, as a
        // region that is not registered can be deregistered too.
        let region = Exposed {
            mr: ManuallyDrop::new(self),
            buf: ManuallyDrop::new(buf),
        };
        RegOp::run(region, qp, Step::Register(access))
    }
}

impl Mr {
    /// Ends the region; whether the device has let go of it.
    ///
    /// If it has not, what it may still use is leaked: the protection domain, and with it the guard
    /// of the device.
    ///
    /// # Safety
    ///
    /// The region is not used after this, nor is this called again.
    unsafe fn destroy(&mut self) -> bool {
        might_sleep();
        // Drop order: the region before its protection domain.
        // SAFETY: By the type invariant the region is ours, and it is not used after this.
        let ret = unsafe { bindings::ib_dereg_mr_user(self.as_raw(), core::ptr::null_mut()) };
        if ret != 0 {
            pr_err!("deregistration of a memory region failed: {}\n", ret);
            return false;
        }
        // SAFETY: The field is not used after this.
        unsafe { ManuallyDrop::drop(&mut self.pd) };
        true
    }
}

impl Drop for Mr {
    fn drop(&mut self) {
        // SAFETY: Nothing can use `self` any more.
        let _ = unsafe { self.destroy() };
    }
}

/// A buffer that the peer can reach.
///
/// The key exists as long as this does. Dropping it deregisters the region, after which the device
/// refuses the key; then the buffer is unmapped and freed. This sleeps, so an operation that owns
/// one must not be dropped in its completion handler.
///
/// # Invariants
///
/// `mr` is registered and covers `buf`. Both are there until `drop()`.
pub struct Exposed {
    mr: ManuallyDrop<Mr>,
    buf: ManuallyDrop<Buffer>,
}

impl Drop for Exposed {
    fn drop(&mut self) {
        // Drop order: the region before the buffer.
        // SAFETY: Nothing can use `self` any more.
        unsafe {
            if self.mr.destroy() {
                ManuallyDrop::drop(&mut self.buf);
            }
        }
    }
}

impl Exposed {
    /// Takes the parts out; the caller takes over what `drop()` does.
    fn into_parts(self) -> (ManuallyDrop<Mr>, ManuallyDrop<Buffer>) {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is never dropped, so what is taken out of it is not used again.
        unsafe {
            (
                ManuallyDrop::new(ManuallyDrop::take(&mut this.mr)),
                ManuallyDrop::new(ManuallyDrop::take(&mut this.buf)),
            )
        }
    }

    /// Address and key, to be told to the peer.
    pub fn remote(&self) -> Remote {
        Remote {
            // SAFETY: The region is there and registered; its address does not change.
            addr: unsafe { (*self.mr.as_raw()).iova },
            rkey: self.mr.rkey(),
        }
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.buf.len()
    }

    /// Never true: there are no empty buffers.
    pub fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }

    /// A part that the device writes to, named by the key of the region. Context: any.
    ///
    /// Over iWARP this is what an RDMA read needs, with [`Access::REMOTE_WRITE`].
    pub fn sge_mut(&mut self, range: Range<usize>) -> Result<SgeMut<'_>> {
        if !self.buf.device_writes() {
            return Err(EINVAL);
        }
        let (addr, len) = self.part(range)?;
        // SAFETY: The part is inside of memory that is registered with this device and mapped in a
        // direction that allows it to write, and is borrowed exclusively.
        Ok(unsafe { SgeMut::new(addr, len, Some(self.mr.lkey()), self.mr.device()) })
    }

    /// A part that the device reads, named by the key of the region. Context: any.
    pub fn sge(&self, range: Range<usize>) -> Result<Sge<'_>> {
        if !self.buf.device_reads() {
            return Err(EINVAL);
        }
        let (addr, len) = self.part(range)?;
        // SAFETY: The part is inside of memory that is registered with this device and mapped in a
        // direction that allows it to read.
        Ok(unsafe { Sge::new(addr, len, Some(self.mr.lkey()), self.mr.device()) })
    }

    /// Address and length of a part, or `EINVAL` when it is not inside.
    fn part(&self, range: Range<usize>) -> Result<(u64, u32)> {
        let len = range.end.checked_sub(range.start).ok_or(EINVAL)?;
        if range.end > self.buf.len() {
            return Err(EINVAL);
        }
        // The whole length fits into 32 bits, so a part does; and an address inside the region does
        // not overflow.
        Ok((
            self.remote().addr.wrapping_add(range.start as u64),
            len as u32,
        ))
    }

    /// Copies bytes from `offset` on to `to`. The peer may be writing them: it is a snapshot that
    /// may be torn. Context: any.
    pub fn copy_to(&self, offset: usize, to: &mut [u8]) -> Result {
        self.buf.copy_shared_to(offset, to)
    }

    /// Copies `from` to the bytes from `offset` on, while the peer may use them. Context: any.
    pub fn copy_from(&mut self, offset: usize, from: &[u8]) -> Result {
        self.buf.copy_shared_from(offset, from)
    }

    /// Ends the access of the peer, and the region, and hands the buffer back.
    ///
    /// Fails with `EIO` if the device does not let go of it; the buffer is lost then.
    /// Context: process, sleeps.
    pub fn end(self) -> Result<Buffer> {
        let (mut mr, buf) = self.into_parts();
        // SAFETY: The region is not used after this.
        if unsafe { mr.destroy() } {
            Ok(ManuallyDrop::into_inner(buf))
        } else {
            Err(EIO)
        }
    }

    /// Ends the access of the peer by invalidating the key, waits until the device has done so, and
    /// hands region and buffer back.
    ///
    /// Fails with `EINVAL` when the queue pair belongs to another device; with the error of the
    /// post, or `EIO` when the queue pair fails. The access is ended then too, and region and
    /// buffer are gone. Context: process, sleeps; not from a completion handler.
    pub fn fence(self, qp: &Qp) -> Result<(Mr, Buffer)> {
        if !self.mr.device().is_same(qp.device()) {
            return Err(EINVAL);
        }
        let (mr, buf) = RegOp::run(self, qp, Step::Invalidate)?.into_parts();
        // The key is invalid, so the region is not registered any more.
        Ok((ManuallyDrop::into_inner(mr), ManuallyDrop::into_inner(buf)))
    }
}

/// What is done to a region.
#[derive(Clone, Copy)]
enum Step {
    Register(Access),
    Invalidate,
}

/// A registration or invalidation under way.
struct RegOp {
    cqe: Cqe<RegOp>,
    done: Arc<RegDone>,
    ok: bool,
    region: Exposed,
}

impl_has_cqe! { impl HasCqe<Self> for RegOp { self.cqe } }

impl RegOp {
    /// Posts a work request for a region and waits for its completion.
    fn run(region: Exposed, qp: &Qp, step: Step) -> Result<Exposed> {
        might_sleep();
        let done = Arc::pin_init(RegDone::new(), GFP_KERNEL)?;
        let op = KBox::new(
            Self {
                cqe: Cqe::new(),
                done: done.clone(),
                ok: false,
                region,
            },
            GFP_KERNEL,
        )?;
        let mut wr = bindings::ib_reg_wr::default();
        wr.wr.send_flags = bindings::ib_send_flags_IB_SEND_SIGNALED as c_int;
        let rkey = op.region.mr.rkey();
        match step {
            Step::Register(access) => {
                wr.wr.opcode = bindings::ib_wr_opcode_IB_WR_REG_MR;
                wr.mr = op.region.mr.as_raw();
                wr.key = rkey;
                wr.access = access.0 as c_int;
            }
            Step::Invalidate => {
                wr.wr.opcode = bindings::ib_wr_opcode_IB_WR_LOCAL_INV;
                wr.wr.ex.bindgen_union_field = rkey;
            }
        }
        let post = |cqe: *mut bindings::ib_cqe| {
            wr.wr.__bindgen_anon_1.bindgen_union_field = cqe as usize as u64;
            let wr: *const bindings::ib_reg_wr = &wr;
            // CAST: Drivers find the rest of a registration by its first member, which this is.
            // SAFETY: One initialised work request. The operation owns the region and its memory
            // until the completion.
            to_result(unsafe { qp.post_send_one(wr.cast()) })
        };
        // SAFETY: The work request is signaled, so a successful post is followed by one completion,
        // and a failed one by none.
        unsafe { hand_over(op, post) }?;
        done.wait(qp)
    }
}

impl CqeHandler for RegOp {
    fn done(mut this: KBox<Self>, wc: Wc<'_>) {
        this.ok = wc.ok().is_ok();
        let done = this.done.clone();
        // To the waiter, even after an error: dropping the region sleeps.
        done.op.store(KBox::into_raw(this), Release);
        done.complete.complete_all();
    }
}

/// Where a [`RegOp`] is handed back.
///
/// # Invariants
///
/// `op` is null or a leaked `KBox`.
#[pin_data(PinnedDrop)]
struct RegDone {
    op: Atomic<*mut RegOp>,
    #[pin]
    complete: Completion,
}

// SAFETY: The pointer owns a `RegOp`, which is `Send`.
unsafe impl Send for RegDone {}
// SAFETY: The pointer is only exchanged as a whole.
unsafe impl Sync for RegDone {}

impl RegDone {
    fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            op: Atomic::new(core::ptr::null_mut()),
            complete <- Completion::new(),
        })
    }

    fn take(&self) -> Option<KBox<RegOp>> {
        let op = self.op.xchg(core::ptr::null_mut(), Full);
        // SAFETY: By the type invariant it is a leaked box, and the exchange made it ours.
        (!op.is_null()).then(|| unsafe { KBox::from_raw(op) })
    }

    /// Waits for the completion and hands the region out.
    fn wait(&self, qp: &Qp) -> Result<Exposed> {
        while qp.send_cq().poll_context() == PollContext::Direct && self.op.load(Acquire).is_null()
        {
            qp.send_cq().process_direct(u32::MAX)?;
            fsleep(Delta::from_micros(50));
        }
        self.complete.wait_for_completion();
        let op = KBox::into_inner(self.take().ok_or(EIO)?);
        if !op.ok {
            return Err(EIO);
        }
        Ok(op.region)
    }
}

#[pinned_drop]
impl PinnedDrop for RegDone {
    fn drop(self: Pin<&mut Self>) {
        drop(self.take());
    }
}
