// SPDX-License-Identifier: GPL-2.0-only

//! The data path.

use super::{
    buffer::{
        Memory,
        Sgl, //
    },
    endpoint::Core,
    op::{
        Node,
        Op,
        Refused,
        Request, //
    },
};
use crate::bindings;
use core::{
    mem::MaybeUninit,
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    prelude::*,
    sync::Arc,
    types::Opaque, //
};

/// Memory of the peer.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Remote {
    /// Its address.
    pub addr: u64,
    /// The key that the peer has given for it.
    pub key: u32,
}

/// An open endpoint, as operations see it.
///
/// All operations: any context, interrupts off included. What is refused comes back with the reason.
///
/// # Invariants
///
/// Made by [`Endpoint::open`](super::Endpoint::open), and not closed while the reference lives.
#[repr(transparent)]
pub struct Ep(Opaque<bindings::kfi_ep>);

// SAFETY: Posts to one endpoint may run concurrently, everywhere.
unsafe impl Send for Ep {}
// SAFETY: As for `Send`.
unsafe impl Sync for Ep {}

/// How an operation differs from a plain send.
struct What {
    opcode: u32,
    flags: u32,
    data: u32,
    remote: Remote,
}

impl What {
    #[inline]
    fn new(opcode: bindings::kfi_opcode) -> Self {
        Self {
            opcode,
            flags: bindings::KFI_OP_SIGNALED,
            data: 0,
            remote: Remote::default(),
        }
    }
}

impl Ep {
    /// # Safety
    ///
    /// `ep` is as the invariants of the type say, for the lifetime `'a`.
    #[inline]
    pub(super) unsafe fn from_raw<'a>(ep: *mut bindings::kfi_ep) -> &'a Self {
        // SAFETY: As the caller promises; `Ep` is transparent.
        unsafe { &*ep.cast() }
    }

    #[inline]
    pub(super) fn as_ptr(&self) -> *mut bindings::kfi_ep {
        self.0.get()
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        // SAFETY: By the invariants of the type `priv` is what `Endpoint::open` has put there, which lives until after
        // the close and starts with the core.
        unsafe { &*(*self.as_ptr()).priv_.cast::<Arc<Core>>() }
    }

    /// An address with a foreign domain's key must not reach a device: it could name any memory there.
    #[inline]
    fn check_domain(&self, domain: *const bindings::kfi_domain) -> Result {
        // SAFETY: A valid endpoint, whose domain does not change.
        if domain.is_null() || core::ptr::eq(domain, unsafe { (*self.as_ptr()).domain }) {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }

    /// # Safety
    ///
    /// What `op` names is valid until its completion.
    #[inline]
    pub(super) unsafe fn post_raw(&self, op: *mut bindings::kfi_op) -> Result {
        let ep = self.as_ptr();
        // SAFETY: A valid endpoint; every operations table starts with its data path, all of whose entries are set. The
        // rest is the caller's promise.
        to_result(unsafe {
            let ops = (*ep).ops.cast::<bindings::kfi_ep_data_ops>();
            (*ops).post.unwrap_unchecked()(ep, op, core::ptr::null_mut())
        })
    }

    #[inline]
    fn post<T: Op>(
        &self,
        mut request: Request<T>,
        len: usize,
        what: What,
    ) -> Result<(), Refused<T>> {
        if let Err(error) = self.check_domain(request.mem().domain()) {
            return Err(Refused { error, request });
        }
        if what.opcode == bindings::kfi_opcode_KFI_OP_MR_INV {
            request.set_inv_key(what.data);
        }
        let sgl = match request.mem().sgl(len) {
            Ok(sgl) => sgl,
            Err(error) => return Err(Refused { error, request }),
        };
        let sgl = sgl.elements();
        let node = request.into_raw();
        let mut op = MaybeUninit::<bindings::kfi_op>::uninit();
        let op = op.as_mut_ptr();
        // SAFETY: `op` is writable; the fields written are all that a provider reads of these opcodes.
        unsafe {
            (&raw mut (*op).next).write(core::ptr::null_mut());
            (&raw mut (*op).ctx).write(ctx(node));
            (&raw mut (*op).sgl).write(sgl.as_ptr());
            // CAST: Lists have a handful of elements, opcodes and flags fit by definition.
            (&raw mut (*op).nsge).write(sgl.len() as u16);
            (&raw mut (*op).opcode).write(what.opcode as u8);
            (&raw mut (*op).flags).write(what.flags as u8);
            (&raw mut (*op).data).write(what.data);
            (&raw mut (*op).raddr).write(what.remote.addr);
            (&raw mut (*op).rkey).write(what.remote.key);
        }
        // SAFETY: By `Memory` what the list names is valid while the node is leaked, which it is from here until the
        // completion.
        unsafe { self.post_raw(op) }.map_err(|error| Refused {
            error,
            // SAFETY: The operation was not accepted, so the node is still ours.
            request: unsafe { Request::from_raw(node) },
        })
    }

    /// Sends the first `len` bytes as a message.
    #[inline]
    pub fn send<T: Op>(&self, request: Request<T>, len: usize) -> Result<(), Refused<T>> {
        self.post(request, len, What::new(bindings::kfi_opcode_KFI_OP_SEND))
    }

    /// Sends a message that also invalidates the peer's key `key`.
    pub fn send_inv<T: Op>(
        &self,
        request: Request<T>,
        len: usize,
        key: u32,
    ) -> Result<(), Refused<T>> {
        let what = What {
            data: key,
            ..What::new(bindings::kfi_opcode_KFI_OP_SEND_WITH_INV)
        };
        self.post(request, len, what)
    }

    /// Sends a message with immediate data.
    pub fn send_imm<T: Op>(
        &self,
        request: Request<T>,
        len: usize,
        imm: u32,
    ) -> Result<(), Refused<T>> {
        let what = What {
            data: imm,
            ..What::new(bindings::kfi_opcode_KFI_OP_SEND_WITH_IMM)
        };
        self.post(request, len, what)
    }

    /// Writes the first `len` bytes to the peer's memory.
    #[inline]
    pub fn write<T: Op>(
        &self,
        request: Request<T>,
        len: usize,
        remote: Remote,
    ) -> Result<(), Refused<T>> {
        let what = What {
            remote,
            ..What::new(bindings::kfi_opcode_KFI_OP_WRITE)
        };
        self.post(request, len, what)
    }

    /// The same, and the peer gets a receive completion with immediate data.
    pub fn write_imm<T: Op>(
        &self,
        request: Request<T>,
        len: usize,
        remote: Remote,
        imm: u32,
    ) -> Result<(), Refused<T>> {
        let what = What {
            remote,
            data: imm,
            ..What::new(bindings::kfi_opcode_KFI_OP_WRITE_WITH_IMM)
        };
        self.post(request, len, what)
    }

    /// Reads `len` bytes of the peer's memory.
    ///
    /// On a device with [`caps::READ_NEEDS_RKEY`](super::caps::READ_NEEDS_RKEY) the memory must be a region exposed for
    /// remote writes.
    #[inline]
    pub fn read<T: Op>(
        &self,
        request: Request<T>,
        len: usize,
        remote: Remote,
    ) -> Result<(), Refused<T>> {
        let what = What {
            remote,
            ..What::new(bindings::kfi_opcode_KFI_OP_READ)
        };
        self.post(request, len, what)
    }

    /// Takes its place in the order of operations and moves nothing; with `fence` behind earlier reads.
    pub fn nop<T: Op>(&self, request: Request<T>, fence: bool) -> Result<(), Refused<T>> {
        let mut what = What::new(bindings::kfi_opcode_KFI_OP_NOP);
        if fence {
            what.flags |= bindings::KFI_OP_FENCE;
        }
        self.post(request, 0, what)
    }

    /// Ends the key of the region that the request carries. Its completion is the evidence for
    /// [`Mr::fence`](super::Mr::fence). [`EINVAL`] when another endpoint has exposed it: the two operations would have no
    /// order.
    pub fn invalidate<T: Op<Mem = super::Mr<super::Exposed>>>(
        &self,
        mut request: Request<T>,
    ) -> Result<(), Refused<T>> {
        if !request.mem().is_of(self.core()) {
            return Err(Refused {
                error: EINVAL,
                request,
            });
        }
        let key = request.mem().key();
        let needed = request.mem_mut().set_need_inval(false);
        let what = What {
            data: key,
            ..What::new(bindings::kfi_opcode_KFI_OP_MR_INV)
        };
        self.post(request, 0, what).map_err(|mut refused| {
            refused.request.mem_mut().set_need_inval(needed);
            refused
        })
    }

    /// Posts a receive for a message of up to `len` bytes.
    #[inline]
    pub fn recv<T: Op>(&self, request: Request<T>, len: usize) -> Result<(), Refused<T>> {
        if let Err(error) = self.check_domain(request.mem().domain()) {
            return Err(Refused { error, request });
        }
        let ep = self.as_ptr();
        let post = |rx: *mut bindings::kfi_rx| {
            // SAFETY: As in `post_raw()`; `post_rx()` keeps the node leaked until the completion.
            unsafe {
                let ops = (*ep).ops.cast::<bindings::kfi_ep_data_ops>();
                (*ops).recv.unwrap_unchecked()(ep, rx, core::ptr::null_mut())
            }
        };
        post_rx(request, len, post)
    }
}

#[inline]
pub(super) fn ctx<T: Op>(node: NonNull<Node<T>>) -> *mut bindings::kfi_ctx {
    // SAFETY: The node is valid; this only computes an address.
    unsafe { (&raw mut (*node.as_ptr()).head.ctx).cast() }
}

/// Hands a receive to `post`, which returns 0 exactly when it was accepted.
#[inline]
pub(super) fn post_rx<T: Op>(
    request: Request<T>,
    len: usize,
    post: impl FnOnce(*mut bindings::kfi_rx) -> c_int,
) -> Result<(), Refused<T>> {
    let sgl = match request.mem().sgl(len) {
        Ok(sgl) => sgl,
        Err(error) => return Err(Refused { error, request }),
    };
    let sgl = sgl.elements();
    let node = request.into_raw();
    let mut rx = MaybeUninit::<bindings::kfi_rx>::uninit();
    let rx = rx.as_mut_ptr();
    // SAFETY: `rx` is writable; the fields written are all that a provider reads.
    unsafe {
        (&raw mut (*rx).next).write(core::ptr::null_mut());
        (&raw mut (*rx).ctx).write(ctx(node));
        (&raw mut (*rx).sgl).write(sgl.as_ptr());
        // CAST: Lists have a handful of elements.
        (&raw mut (*rx).nsge).write(sgl.len() as u32);
    }
    to_result(post(rx)).map_err(|error| Refused {
        error,
        // SAFETY: The receive was not accepted, so the node is still ours.
        request: unsafe { Request::from_raw(node) },
    })
}
