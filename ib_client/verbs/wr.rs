// SPDX-License-Identifier: GPL-2.0-only

//! Work requests, and the operations that own what they name.
//!
//! An operation is a type of the user's with a [`Cqe`] in it. It owns the buffers that its work
//! request names, is moved into the queue pair by a post, and is handed back to
//! [`CqeHandler::done`], from where it may be posted again. Nothing is allocated in between.
//!
//! The states of an operation:
//!
//! 1. *Owned* by the user, as a `KBox`. It can be changed, dropped and posted.
//! 2. *In flight* after a successful post: nobody on the Rust side owns it, so it can neither be
//!    touched nor freed.
//! 3. *Done*: ownership has passed to `done`; state 1 again.
//!
//! A post that fails leaves it in state 1: [`PostError`] hands it back.
//!
//! To post again from `done` without a lock, operations may hold references to their queue pair, if
//! its owner calls [`super::qp::Qp::drain`] before dropping its own: then the operations are handed
//! back, flushed, and dropped while the owner still has a reference, so that none of theirs is the
//! last one.
//!
//! ```ignore
//! struct Ping {
//!     cqe: Cqe<Ping>,
//!     buf: Buffer,
//!     conn: Arc<Conn>,
//! }
//!
//! impl_has_cqe! { impl HasCqe<Self> for Ping { self.cqe } }
//!
//! impl CqeHandler for Ping {
//!     fn done(this: KBox<Self>, wc: Wc<'_>) {
//!         if wc.ok().is_ok() {
//!             let conn = this.conn.clone();
//!             let _ = conn.qp.post_send(this, |op| Ok(SendWr::send([op.buf.sge(0..64)?])));
//!         }
//!     }
//! }
//! ```

use super::{
    device::Device,
    wc::Wc, //
};
use crate::bindings;
use core::marker::PhantomData;
use kernel::{
    prelude::*,
    types::Opaque, //
};

/// The completion entry of an operation of type `T`.
///
/// An operation that takes part in several kinds of work requests has one for each, told apart by
/// `ID`.
///
/// Wraps the kernel's C `struct ib_cqe`.
///
/// # Invariants
///
/// `done` is [`done_callback`] for this `T` and `ID`.
#[repr(transparent)]
pub struct Cqe<T, const ID: u64 = 0> {
    raw: Opaque<bindings::ib_cqe>,
    _op: PhantomData<fn(T)>,
}

// SAFETY: The function pointer inside is never changed.
unsafe impl<T, const ID: u64> Send for Cqe<T, ID> {}
// SAFETY: As above.
unsafe impl<T, const ID: u64> Sync for Cqe<T, ID> {}

impl<T: CqeHandler<ID>, const ID: u64> Cqe<T, ID> {
    /// A completion entry for the field of `T` that `ID` stands for.
    #[inline]
    #[allow(
        clippy::new_without_default,
        reason = "an entry means nothing outside of its operation"
    )]
    pub const fn new() -> Self {
        // INVARIANT: As required.
        Self {
            raw: Opaque::new(bindings::ib_cqe {
                done: Some(done_callback::<T, ID>),
            }),
            _op: PhantomData,
        }
    }
}

/// Calls the handler of an operation.
///
/// # Safety
///
/// Called by the polling layer with a completion whose `wr_cqe` is the `Cqe<T, ID>` in an operation
/// that was leaked to the queue pair by a post, once for each successful post.
unsafe extern "C" fn done_callback<T: CqeHandler<ID>, const ID: u64>(
    _cq: *mut bindings::ib_cq,
    wc: *mut bindings::ib_wc,
) {
    // SAFETY: The polling layer passes a completion that is filled in and does not change during
    // the call.
    let cqe = unsafe { (*wc).__bindgen_anon_1.bindgen_union_field } as usize as *mut Cqe<T, ID>;
    // SAFETY: `cqe` is the field in an operation of type `T`: that is what posts put into `wr_cqe`.
    let op = unsafe { T::cqe_container_of(cqe) };
    // SAFETY: The post has leaked the box, and this is the only completion of it.
    let op = unsafe { KBox::from_raw(op) };
    // SAFETY: As for `wc` above.
    T::done(op, unsafe { Wc::from_raw(wc) });
}

/// Hands an operation over to the device: leaks it and calls `post`, which gets what to put into
/// `wr_cqe`.
///
/// # Safety
///
/// If `post` succeeds, exactly one completion for that `wr_cqe` follows; if it fails, none.
#[inline]
pub(super) unsafe fn hand_over<T: CqeHandler<ID>, const ID: u64>(
    op: KBox<T>,
    post: impl FnOnce(*mut bindings::ib_cqe) -> Result,
) -> core::result::Result<(), PostError<T>> {
    let op = KBox::into_raw(op);
    // CAST: `Cqe` is a transparent wrapper of `ib_cqe`.
    // SAFETY: `op` points to an operation.
    let cqe = unsafe { T::raw_get_cqe(op) }.cast();
    post(cqe).map_err(|error| PostError {
        error,
        // SAFETY: No completion follows, so the box is still ours.
        op: unsafe { KBox::from_raw(op) },
    })
}

/// Declares that a type has a [`Cqe`]; made by [`impl_has_cqe!`].
///
/// # Safety
///
/// The two functions return valid pointers and are inverses of each other.
pub unsafe trait HasCqe<T, const ID: u64 = 0> {
    /// The field in an operation.
    ///
    /// # Safety
    ///
    /// `ptr` points to an operation of this type.
    unsafe fn raw_get_cqe(ptr: *mut Self) -> *mut Cqe<T, ID>;

    /// The operation around a field.
    ///
    /// # Safety
    ///
    /// `ptr` points to this field in an operation of this type.
    unsafe fn cqe_container_of(ptr: *mut Cqe<T, ID>) -> *mut Self;
}

/// Implements [`HasCqe`] for a type and a field of it. It only compiles if the field has the right
/// type.
macro_rules! impl_has_cqe {
    ($(impl$({$($generics:tt)*})?
       HasCqe<$cqe_type:ty $(, $id:tt)?>
       for $self:ty
       { self.$field:ident }
    )*) => {$(
        #[allow(unsafe_code)]
        // SAFETY: `raw_get_cqe` only compiles if the field has the right type, and the other is its
        // inverse.
        unsafe impl$(<$($generics)+>)? $crate::verbs::wr::HasCqe<$cqe_type $(, $id)?> for $self {
            #[inline]
            unsafe fn raw_get_cqe(
                ptr: *mut Self,
            ) -> *mut $crate::verbs::wr::Cqe<$cqe_type $(, $id)?> {
                // SAFETY: The caller promises that the pointer is not dangling.
                unsafe { &raw mut (*ptr).$field }
            }

            #[inline]
            unsafe fn cqe_container_of(
                ptr: *mut $crate::verbs::wr::Cqe<$cqe_type $(, $id)?>,
            ) -> *mut Self {
                // SAFETY: The caller promises that the pointer is this field in a value of this
                // type.
                unsafe { ::kernel::container_of!(ptr, Self, $field) }
            }
        }
    )*};
}
#[allow(
    unused_imports,
    reason = "not every user of this module has operations of its own"
)]
pub(crate) use impl_has_cqe;

/// An operation that wants to hear of its completion.
///
/// The completion runs on any CPU, hence `Send`.
pub trait CqeHandler<const ID: u64 = 0>: HasCqe<Self, ID> + Send + Sized + 'static {
    /// The operation has completed and is the handler's from here on.
    ///
    /// Context: that of the completion queue, see [`super::cq::PollContext`]; it may be any. It may
    /// post. It must not drop the last reference to anything whose drop sleeps.
    fn done(this: KBox<Self>, wc: Wc<'_>);
}

/// A piece of mapped memory that the device reads.
#[derive(Clone, Copy)]
pub struct Sge<'a> {
    addr: u64,
    length: u32,
    /// `None` means the queue pair's key for mapped memory.
    lkey: Option<u32>,
    device: *const Device,
    _mem: PhantomData<&'a [u8]>,
}

impl Sge<'_> {
    /// A piece of mapped memory.
    ///
    /// # Safety
    ///
    /// The memory is mapped for `device`, or registered with it under `lkey`, and readable by it,
    /// for as long as the operation owns what was borrowed for `'a`.
    #[inline]
    pub(super) unsafe fn new(addr: u64, length: u32, lkey: Option<u32>, device: &Device) -> Self {
        Self {
            addr,
            length,
            lkey,
            device,
            _mem: PhantomData,
        }
    }
}

/// A piece of mapped memory that the device writes to.
pub struct SgeMut<'a> {
    sge: Sge<'a>,
    _mem: PhantomData<&'a mut [u8]>,
}

impl SgeMut<'_> {
    /// A piece of mapped memory.
    ///
    /// # Safety
    ///
    /// As for [`Sge::new`], and writable by the device, and borrowed exclusively.
    #[inline]
    pub(super) unsafe fn new(addr: u64, length: u32, lkey: Option<u32>, device: &Device) -> Self {
        Self {
            // SAFETY: As the caller promises; nothing reads it as an `Sge`.
            sge: unsafe { Sge::new(addr, length, lkey, device) },
            _mem: PhantomData,
        }
    }
}

/// The elements of a work request, in the form that the device takes.
///
/// # Invariants
///
/// Each element is memory that is mapped for `device`, and that what was borrowed for `'a` owns.
struct SgList<'a, const N: usize> {
    sges: [bindings::ib_sge; N],
    keyed: [bool; N],
    same_device: bool,
    device: *const Device,
    _mem: PhantomData<&'a mut [u8]>,
}

impl<const N: usize> SgList<'_, N> {
    #[inline]
    fn new(src: [&Sge<'_>; N]) -> Self {
        let device = src.first().map_or(core::ptr::null(), |s| s.device);
        Self {
            same_device: src.iter().all(|s| core::ptr::eq(s.device, device)),
            sges: src.map(|s| bindings::ib_sge {
                addr: s.addr,
                length: s.length,
                lkey: s.lkey.unwrap_or(0),
            }),
            keyed: src.map(|s| s.lkey.is_some()),
            device,
            _mem: PhantomData,
        }
    }

    /// Fills in the local key and returns the list, or `EINVAL` if memory is mapped for another
    /// device.
    #[inline]
    fn prepare(&mut self, device: &Device, lkey: u32) -> Result<*mut bindings::ib_sge> {
        if N == 0 {
            return Ok(core::ptr::null_mut());
        }
        if !self.same_device || !core::ptr::eq(self.device, device) {
            return Err(EINVAL);
        }
        for (sge, keyed) in self.sges.iter_mut().zip(self.keyed) {
            if !keyed {
                sge.lkey = lkey;
            }
        }
        Ok(self.sges.as_mut_ptr())
    }
}

/// Memory of the peer, as the peer has told us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Remote {
    /// Address.
    pub addr: u64,
    /// Key.
    pub rkey: u32,
}

/// A work request for the send queue.
///
/// It lives from the closure given to [`super::qp::Qp::post_send`] to the end of that call.
pub struct SendWr<'a, const N: usize> {
    sgl: SgList<'a, N>,
    opcode: bindings::ib_wr_opcode,
    flags: bindings::ib_send_flags,
    ex: u32,
    remote: Remote,
}

impl<'a, const N: usize> SendWr<'a, N> {
    #[inline]
    fn new(src: [&Sge<'_>; N], opcode: bindings::ib_wr_opcode, ex: u32, remote: Remote) -> Self {
        Self {
            sgl: SgList::new(src),
            opcode,
            flags: bindings::ib_send_flags_IB_SEND_SIGNALED,
            ex,
            remote,
        }
    }

    const NOWHERE: Remote = Remote { addr: 0, rkey: 0 };

    /// A message.
    #[inline]
    pub fn send(sges: [Sge<'a>; N]) -> Self {
        Self::new(
            sges.each_ref(),
            bindings::ib_wr_opcode_IB_WR_SEND,
            0,
            Self::NOWHERE,
        )
    }

    /// A message with 32 bits of immediate data, in host byte order.
    #[inline]
    pub fn send_with_imm(sges: [Sge<'a>; N], imm: u32) -> Self {
        Self::new(
            sges.each_ref(),
            bindings::ib_wr_opcode_IB_WR_SEND_WITH_IMM,
            imm.to_be(),
            Self::NOWHERE,
        )
    }

    /// A message that invalidates a key of the peer's.
    #[inline]
    pub fn send_with_inv(sges: [Sge<'a>; N], rkey: u32) -> Self {
        Self::new(
            sges.each_ref(),
            bindings::ib_wr_opcode_IB_WR_SEND_WITH_INV,
            rkey,
            Self::NOWHERE,
        )
    }

    /// An RDMA write.
    #[inline]
    pub fn write(sges: [Sge<'a>; N], remote: Remote) -> Self {
        Self::new(
            sges.each_ref(),
            bindings::ib_wr_opcode_IB_WR_RDMA_WRITE,
            0,
            remote,
        )
    }

    /// An RDMA write that also uses up a receive of the peer's and gives it immediate data, in host
    /// byte order.
    #[inline]
    pub fn write_with_imm(sges: [Sge<'a>; N], remote: Remote, imm: u32) -> Self {
        Self::new(
            sges.each_ref(),
            bindings::ib_wr_opcode_IB_WR_RDMA_WRITE_WITH_IMM,
            imm.to_be(),
            remote,
        )
    }

    /// An RDMA read.
    ///
    /// The memory is named by the local key for mapped memory; over iWARP the sink of a read needs
    /// a registered region, see [`super::mr::Exposed::sge_mut`], and devices may refuse this.
    #[inline]
    pub fn read(sges: [SgeMut<'a>; N], remote: Remote) -> Self {
        Self::new(
            sges.each_ref().map(|s| &s.sge),
            bindings::ib_wr_opcode_IB_WR_RDMA_READ,
            0,
            remote,
        )
    }

    /// Starts only after earlier RDMA reads of the queue pair are done.
    #[inline]
    pub fn fenced(mut self) -> Self {
        self.flags |= bindings::ib_send_flags_IB_SEND_FENCE;
        self
    }

    /// Calls `post` with the work request in the form that the device takes.
    ///
    /// What it gets is valid during the call only.
    #[inline]
    pub(super) fn with_raw(
        mut self,
        device: &Device,
        lkey: u32,
        cqe: *mut bindings::ib_cqe,
        post: impl FnOnce(*mut bindings::ib_send_wr) -> Result,
    ) -> Result {
        let sg_list = self.sgl.prepare(device, lkey)?;
        let mut wr = bindings::ib_rdma_wr {
            wr: bindings::ib_send_wr {
                next: core::ptr::null_mut(),
                __bindgen_anon_1: Default::default(),
                sg_list,
                num_sge: N as c_int,
                opcode: self.opcode,
                send_flags: self.flags as c_int,
                ex: Default::default(),
            },
            remote_addr: self.remote.addr,
            rkey: self.remote.rkey,
        };
        wr.wr.__bindgen_anon_1.bindgen_union_field = cqe as usize as u64;
        wr.wr.ex.bindgen_union_field = self.ex;
        // CAST: Drivers find the rest of an RDMA work request by its first member, which this is.
        post((&raw mut wr).cast())
    }
}

/// A work request for the receive queue.
pub struct RecvWr<'a, const N: usize> {
    sgl: SgList<'a, N>,
}

impl<'a, const N: usize> RecvWr<'a, N> {
    /// A receive into these pieces of memory; without any, for messages without payload.
    #[inline]
    pub fn new(sges: [SgeMut<'a>; N]) -> Self {
        Self {
            sgl: SgList::new(sges.each_ref().map(|s| &s.sge)),
        }
    }

    /// Calls `post` with the work request in the form that the device takes.
    ///
    /// What it gets is valid during the call only.
    #[inline]
    pub(super) fn with_raw(
        mut self,
        device: &Device,
        lkey: u32,
        cqe: *mut bindings::ib_cqe,
        post: impl FnOnce(*mut bindings::ib_recv_wr) -> Result,
    ) -> Result {
        let mut wr = bindings::ib_recv_wr {
            next: core::ptr::null_mut(),
            __bindgen_anon_1: Default::default(),
            sg_list: self.sgl.prepare(device, lkey)?,
            num_sge: N as c_int,
        };
        wr.__bindgen_anon_1.bindgen_union_field = cqe as usize as u64;
        post(&mut wr)
    }
}

/// A post that was refused; the operation comes back.
pub struct PostError<T> {
    /// Why.
    pub error: Error,
    /// The operation.
    pub op: KBox<T>,
}

impl<T> From<PostError<T>> for Error {
    fn from(e: PostError<T>) -> Error {
        e.error
    }
}
