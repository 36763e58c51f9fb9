// SPDX-License-Identifier: GPL-2.0-only

//! Transfers that the device has taken in part.
//!
//! A device takes the work requests of a transfer one by one and can run out of room among them. What it has taken cannot
//! be called back, so the transfer counts as accepted, and the connection ends. In the error state a mark goes behind what
//! was taken, with the context that the transfer, or what follows it, was posted with: it is flushed, and with it the
//! consumer hears of the transfer as of any other operation that a connection's end has cut off.

use super::bindings;
use crate::verbs::qp::Qp;
use core::{
    ptr,
    sync::atomic::{
        AtomicPtr,
        Ordering, //
    }, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::Mutex, //
};

/// The words of `kfi_op.priv`, in an operation of `kfi_rma_op()`: the first one is the chain's.
const LASTING: usize = 1;
const NEXT: usize = 2;
const CTX: usize = 3;

/// Says whether an operation stays where it is until its context completes, as one of `kfi_rma_op()` does. `kfi_op_native()`
/// says that it does not.
///
/// # Safety
///
/// `op` is a valid `KFI_OP_NATIVE`.
pub(super) unsafe fn set_lasting(op: *mut bindings::kfi_op) {
    // SAFETY: By the function's contract.
    unsafe { (*op).priv_[LASTING] = 1 };
}

/// # Safety
///
/// `op` is a valid `KFI_OP_NATIVE`.
pub(super) unsafe fn is_lasting(op: *const bindings::kfi_op) -> bool {
    // SAFETY: By the function's contract.
    unsafe { (*op).priv_[LASTING] != 0 }
}

/// The transfers of a connection whose marks are still to be posted.
///
/// # Invariants
///
/// `first` leads to a list of operations that [`Halves::add`] was given and that nobody else uses until their marks were
/// posted.
#[pin_data]
pub(crate) struct Halves {
    first: AtomicPtr<bindings::kfi_op>,
    /// Who holds it has the list, or a part of it, in his hands.
    #[pin]
    posting: Mutex<()>,
}

impl Halves {
    /// None.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            first: AtomicPtr::new(ptr::null_mut()),
            posting <- new_mutex!((), "kfi::Halves"),
        })
    }

    /// # Safety
    ///
    /// `op` is valid, and only the caller uses it.
    unsafe fn push(&self, op: *mut bindings::kfi_op) {
        let mut first = self.first.load(Ordering::Relaxed);
        loop {
            // SAFETY: By the function's contract. CAST: a pointer kept in a word.
            unsafe { (*op).priv_[NEXT] = first as u64 };
            match self
                .first
                .compare_exchange(first, op, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => first = now,
            }
        }
    }

    /// Takes a transfer, which is the list's until its mark was posted. Context: any.
    ///
    /// # Safety
    ///
    /// `op` is [lasting](is_lasting); `ctx` is the armed context of this or of an operation behind it, to be completed by the
    /// mark and by nothing else.
    pub(super) unsafe fn add(&self, op: *mut bindings::kfi_op, ctx: *mut bindings::kfi_ctx) {
        // INVARIANT: By the function's contract.
        // SAFETY: As above.
        unsafe {
            (*op).priv_[CTX] = ctx as u64;
            self.push(op);
        }
    }

    /// Whether there is none, nor one in somebody's hands. Context: process, sleeps.
    pub(crate) fn is_empty(&self) -> bool {
        let _posting = self.posting.lock();
        self.first.load(Ordering::Acquire).is_null()
    }

    /// Posts the marks that there is room for, to a queue pair in the error state; whether that were all. Context: process,
    /// sleeps.
    pub(crate) fn post_marks(&self, qp: &Qp) -> bool {
        let _posting = self.posting.lock();
        let mut op = self.first.swap(ptr::null_mut(), Ordering::Acquire);
        let mut all = true;
        while !op.is_null() {
            // SAFETY: By the type invariants. CAST: what `push()` and `add()` have put there.
            let (next, ctx) = unsafe {
                (
                    (*op).priv_[NEXT] as *mut bindings::kfi_op,
                    (*op).priv_[CTX] as *mut bindings::ib_cqe,
                )
            };
            // SAFETY: The context, which aliases a completion entry, is armed and completes by this alone.
            match unsafe { qp.post_mark(ctx) } {
                0 => {}
                e if e == ENOMEM.to_errno() => {
                    all = false;
                    // SAFETY: It is in our hands.
                    unsafe { self.push(op) };
                }
                // The queue pair completes nothing any more, this transfer neither.
                e => pr_warn!("kfi: a transfer was taken in part and is lost: {}\n", e),
            }
            op = next;
        }
        all
    }
}
