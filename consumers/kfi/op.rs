// SPDX-License-Identifier: GPL-2.0-only

//! Operations and their completions.
//!
//! # Who owns an operation
//!
//! 1. Made by [`Request::new`], or handed back by [`Op::done`] or in a [`Refused`]: the [`Request`] owns it, and dropping that
//!    frees it.
//! 2. Accepted by a post: nothing in Rust owns it. It belongs to the provider until the completion.
//! 3. In `done`: the request is the callback's to keep, to post again or to drop.

use super::{
    buffer::Memory,
    post::Ep, //
};
use crate::bindings;
use core::{
    marker::PhantomData,
    ops::{
        Deref,
        DerefMut, //
    },
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    prelude::*,
    types::{
        ForeignOwnable,
        Opaque, //
    },
};

/// What a consumer keeps with an operation, and what happens at its completion.
pub trait Op: Send + Sized + 'static {
    /// The memory that moves.
    type Mem: Memory;

    /// The operation is over. Runs where the completion queue's [`Poll`](super::Poll) says.
    fn done(request: Request<Self>, comp: Comp<'_>);
}

/// What every operation starts with, whatever its type.
#[repr(C)]
pub(super) struct Head {
    pub(super) ctx: Opaque<bindings::kfi_ctx>,
    /// Key that a completion of this operation as KFI_OP_MR_INV proves to have ended.
    pub(super) inv_key: u32,
}

/// Made by a [`Request`]; at the same address until that frees it.
#[repr(C)]
pub(super) struct Node<T: Op> {
    pub(super) head: Head,
    pub(super) mem: T::Mem,
    pub(super) data: T,
}

/// An operation that is not in flight.
pub struct Request<T: Op>(KBox<Node<T>>);

// SAFETY: `T` and its memory are `Send`; a context that is not posted is plain data.
unsafe impl<T: Op> Send for Request<T> {}
// SAFETY: A shared reference reaches `T` and its memory only.
unsafe impl<T: Op + Sync> Sync for Request<T> where T::Mem: Sync {}

impl<T: Op> Request<T> {
    /// Allocates an operation. It can be posted again and again.
    pub fn new(data: T, mem: T::Mem) -> Result<Self> {
        Ok(Self(KBox::new(
            Node {
                head: Head {
                    ctx: Opaque::new(bindings::kfi_ctx {
                        prov_done: core::ptr::null_mut(),
                        done: Some(done::<T>),
                        ep: core::ptr::null_mut(),
                    }),
                    inv_key: 0,
                },
                mem,
                data,
            },
            GFP_KERNEL,
        )?))
    }

    /// The memory.
    pub fn mem(&self) -> &T::Mem {
        &self.0.mem
    }

    /// The memory, to be changed or replaced.
    pub fn mem_mut(&mut self) -> &mut T::Mem {
        &mut self.0.mem
    }

    /// Data and memory at once.
    pub fn parts_mut(&mut self) -> (&mut T, &mut T::Mem) {
        let node = &mut *self.0;
        (&mut node.data, &mut node.mem)
    }

    /// Takes it apart.
    pub fn into_parts(self) -> (T, T::Mem) {
        let node = KBox::into_inner(self.0);
        (node.data, node.mem)
    }

    pub(super) fn set_inv_key(&mut self, key: u32) {
        self.0.head.inv_key = key;
    }

    #[inline]
    pub(super) fn into_raw(self) -> NonNull<Node<T>> {
        let node = KBox::into_raw(self.0);
        // SAFETY: A box is never null.
        unsafe { NonNull::new_unchecked(node) }
    }

    /// # Safety
    ///
    /// `node` is from [`Request::into_raw`], and nobody else has it.
    #[inline]
    pub(super) unsafe fn from_raw(node: NonNull<Node<T>>) -> Self {
        // SAFETY: As the caller promises.
        Self(unsafe { KBox::from_raw(node.as_ptr()) })
    }
}

impl<T: Op> Deref for Request<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.data
    }
}

impl<T: Op> DerefMut for Request<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0.data
    }
}

// SAFETY: The pointer is that of the box, which is valid and aligned.
unsafe impl<T: Op> ForeignOwnable for Request<T> {
    const FOREIGN_ALIGN: usize = align_of::<Node<T>>();

    type Borrowed<'a> = &'a T;
    type BorrowedMut<'a> = &'a mut T;

    fn into_foreign(self) -> *mut c_void {
        self.into_raw().as_ptr().cast()
    }

    unsafe fn from_foreign(ptr: *mut c_void) -> Self {
        // SAFETY: As the caller promises, from `into_foreign()`, which never returns null.
        unsafe { Self::from_raw(NonNull::new_unchecked(ptr.cast())) }
    }

    unsafe fn borrow<'a>(ptr: *mut c_void) -> &'a T {
        // SAFETY: As the caller promises.
        unsafe { &(*ptr.cast::<Node<T>>()).data }
    }

    unsafe fn borrow_mut<'a>(ptr: *mut c_void) -> &'a mut T {
        // SAFETY: As the caller promises.
        unsafe { &mut (*ptr.cast::<Node<T>>()).data }
    }
}

/// A post that was not accepted: the reason, and the operation back.
pub struct Refused<T: Op> {
    /// Why.
    pub error: Error,
    /// What was to be posted.
    pub request: Request<T>,
}

impl<T: Op> From<Refused<T>> for Error {
    fn from(refused: Refused<T>) -> Self {
        refused.error
    }
}

/// The completion callback of every operation of type `T`.
///
/// # Safety
///
/// Called by a provider, once for each accepted operation, with the context it was posted with.
unsafe extern "C" fn done<T: Op>(ctx: *mut bindings::kfi_ctx, comp: *mut bindings::kfi_comp) {
    // CAST: The context is the first field of `Head`, which is the first of `Node<T>`, both `repr(C)`; this function is
    // the callback of operations of type `T` only.
    let node = ctx.cast::<Node<T>>();
    // SAFETY: The post leaked the node to the provider, which gives it back by this call, once.
    let mut request = unsafe { Request::<T>::from_raw(NonNull::new_unchecked(node)) };
    request.0.mem.completed();
    let comp = Comp {
        // SAFETY: Valid for the call, which no `Comp` outlives.
        comp: unsafe { &*comp },
        inv_key: request.0.head.inv_key,
        _context: PhantomData,
    };
    T::done(request, comp);
}

/// A completion. Lives in [`Op::done`] and cannot leave it.
#[derive(Clone, Copy)]
pub struct Comp<'a> {
    comp: &'a bindings::kfi_comp,
    inv_key: u32,
    // Neither `Send` nor `Sync`.
    _context: PhantomData<*mut ()>,
}

impl<'a> Comp<'a> {
    /// Whether it succeeded, and if so what else there is to know.
    #[inline]
    pub fn ok(self) -> Result<CompOk<'a>> {
        to_result(self.comp.status)?;
        Ok(CompOk(self))
    }

    /// 0 or a negative errno, the same on every provider.
    #[inline]
    pub fn status(&self) -> i32 {
        self.comp.status
    }

    /// The provider's own error code, for messages.
    pub fn provider_error(&self) -> u32 {
        self.comp.prov_err
    }

    /// The endpoint: to post to.
    #[inline]
    pub fn ep(&self) -> &'a Ep {
        // SAFETY: The endpoint of a completion is valid during the callback, and by `Op` every endpoint that our
        // operations are posted to is one of ours.
        unsafe { Ep::from_raw(self.comp.ep) }
    }
}

/// A completion with success.
#[derive(Clone, Copy)]
pub struct CompOk<'a>(Comp<'a>);

impl<'a> CompOk<'a> {
    /// Bytes received; of a receive.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.comp.len as usize
    }

    /// Whether the message had no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this is a receive that the peer's write with immediate data used up.
    pub fn is_write(&self) -> bool {
        u32::from(self.0.comp.opcode) == bindings::kfi_opcode_KFI_OP_RECV_WRITE_IMM
    }

    /// The peer's immediate data.
    pub fn immediate(&self) -> Option<u32> {
        (u32::from(self.0.comp.flags) & bindings::KFI_COMP_IMM != 0).then_some(self.0.comp.data)
    }

    /// Evidence that a remote key has ended: the peer has invalidated it, or the operation was
    /// [`Ep::invalidate`](super::Ep::invalidate).
    pub fn fenced(self) -> Option<Fenced<'a>> {
        let comp = self.0.comp;
        let (key, by_peer) = if u32::from(comp.flags) & bindings::KFI_COMP_INV != 0 {
            (comp.data, true)
        } else if u32::from(comp.opcode) == bindings::kfi_opcode_KFI_OP_MR_INV {
            (self.0.inv_key, false)
        } else {
            return None;
        };
        Some(Fenced {
            key,
            by_peer,
            // SAFETY: The endpoint of a completion is valid during the callback.
            domain: unsafe { (*comp.ep).domain },
            _comp: PhantomData,
        })
    }
}

/// Evidence that the key `key` of a domain has ended. Cannot leave the callback, so it cannot outlast the key's next life.
pub struct Fenced<'a> {
    pub(super) key: u32,
    pub(super) by_peer: bool,
    pub(super) domain: *const bindings::kfi_domain,
    _comp: PhantomData<&'a ()>,
}
