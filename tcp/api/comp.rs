// SPDX-License-Identifier: GPL-2.0-only

//! Completion contexts and callbacks.

use super::bindings;
use crate::tcp::{
    conn::Conn,
    op::Outcome, //
};
use core::ptr::NonNull;

/// `KFI_OP_RECV`
pub(crate) const OP_RECV: u16 = bindings::kfi_opcode_KFI_OP_RECV as u16;
/// `KFI_OP_RECV_WRITE_IMM`
pub(crate) const OP_RECV_WRITE_IMM: u16 = bindings::kfi_opcode_KFI_OP_RECV_WRITE_IMM as u16;
/// `KFI_COMP_IMM`
pub(crate) const COMP_IMM: u16 = bindings::KFI_COMP_IMM as u16;
/// `KFI_COMP_INV`
pub(crate) const COMP_INV: u16 = bindings::KFI_COMP_INV as u16;

/// A consumer's completion context while it is the provider's.
///
/// # Invariants
///
/// Valid, and its callback may be called once.
pub(crate) struct Ctx(NonNull<bindings::kfi_ctx>);

// SAFETY: A consumer wants its callback in whatever task.
unsafe impl Send for Ctx {}

impl Ctx {
    /// Takes the context of an operation or a receive on endpoint `ep`; `None` if there is none.
    ///
    /// # Safety
    ///
    /// The consumer posts it just now.
    #[inline]
    pub(super) unsafe fn posted(
        ctx: *mut bindings::kfi_ctx,
        ep: *mut bindings::kfi_ep,
    ) -> Option<Self> {
        let ctx = NonNull::new(ctx)?;
        // SAFETY: By the function's contract it is valid. An unsignaled one may be shared by operations of the same
        // endpoint, which write the same value.
        unsafe { (*ctx.as_ptr()).ep = ep };
        // INVARIANT: By the function's contract.
        Some(Self(ctx))
    }

    /// Calls the consumer back.
    #[inline]
    pub(crate) fn done(self, conn: &Conn, outcome: &Outcome) {
        let ctx = self.0.as_ptr();
        let mut comp = bindings::kfi_comp {
            ctx,
            ep: conn.ep.as_ptr(),
            status: outcome.status,
            opcode: outcome.opcode,
            flags: outcome.flags,
            len: outcome.len,
            data: outcome.data,
            prov_err: 0,
        };
        // SAFETY: By the type invariant; for a shared receive the endpoint is that of the message.
        unsafe {
            (*ctx).ep = comp.ep;
            if let Some(done) = (*ctx).done {
                done(ctx, &mut comp);
            }
        }
    }
}
