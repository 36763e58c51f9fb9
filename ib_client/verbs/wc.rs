// SPDX-License-Identifier: GPL-2.0-only

//! Work completions.

use crate::bindings;
use core::marker::PhantomData;
use kernel::{
    prelude::*,
    types::NotThreadSafe, //
};

/// A completion, while its handler runs.
#[derive(Clone, Copy)]
pub struct Wc<'a> {
    wc: &'a bindings::ib_wc,
    _not_send: NotThreadSafe,
}

impl<'a> Wc<'a> {
    /// Borrows a completion from its C pointer.
    ///
    /// # Safety
    ///
    /// `wc` points to a completion that the subsystem has filled in and that does not change for
    /// `'a`.
    #[inline]
    pub unsafe fn from_raw(wc: *const bindings::ib_wc) -> Self {
        Self {
            // SAFETY: As the caller promises.
            wc: unsafe { &*wc },
            _not_send: NotThreadSafe,
        }
    }

    /// The outcome. Only a success has more to tell.
    #[inline]
    pub fn ok(&self) -> core::result::Result<WcOk<'a>, WcError> {
        if self.wc.status == bindings::ib_wc_status_IB_WC_SUCCESS {
            Ok(WcOk {
                wc: self.wc,
                _not_send: NotThreadSafe,
            })
        } else {
            Err(WcError {
                status: self.wc.status,
                vendor: self.wc.vendor_err,
            })
        }
    }
}

/// A successful completion, while its handler runs.
#[derive(Clone, Copy)]
pub struct WcOk<'a> {
    wc: &'a bindings::ib_wc,
    _not_send: PhantomData<*mut ()>,
}

/// What has completed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opcode {
    /// A send.
    Send,
    /// An RDMA write.
    Write,
    /// An RDMA read.
    Read,
    /// An invalidation of a key.
    LocalInv,
    /// A registration of a memory region.
    RegMr,
    /// A receive.
    Recv,
    /// A receive that was used up by an RDMA write with immediate data.
    RecvWriteImm,
    /// Something else.
    Other(u32),
}

impl WcOk<'_> {
    /// What has completed.
    #[inline]
    pub fn opcode(&self) -> Opcode {
        match self.wc.opcode {
            bindings::ib_wc_opcode_IB_WC_SEND => Opcode::Send,
            bindings::ib_wc_opcode_IB_WC_RDMA_WRITE => Opcode::Write,
            bindings::ib_wc_opcode_IB_WC_RDMA_READ => Opcode::Read,
            bindings::ib_wc_opcode_IB_WC_LOCAL_INV => Opcode::LocalInv,
            bindings::ib_wc_opcode_IB_WC_REG_MR => Opcode::RegMr,
            bindings::ib_wc_opcode_IB_WC_RECV => Opcode::Recv,
            bindings::ib_wc_opcode_IB_WC_RECV_RDMA_WITH_IMM => Opcode::RecvWriteImm,
            other => Opcode::Other(other),
        }
    }

    /// Number of bytes received or read.
    #[inline]
    pub fn byte_len(&self) -> u32 {
        self.wc.byte_len
    }

    fn has(&self, flag: bindings::ib_wc_flags) -> bool {
        // CAST: The flags are an enumeration of single bits.
        self.wc.wc_flags & flag as c_int != 0
    }

    /// Immediate data that came with a message, in host byte order.
    #[inline]
    pub fn imm_data(&self) -> Option<u32> {
        // The union holds immediate data exactly if the flag says so.
        self.has(bindings::ib_wc_flags_IB_WC_WITH_IMM)
            .then(|| u32::from_be(self.wc.ex.bindgen_union_field))
    }

    /// The key of ours that the peer has invalidated with a message.
    #[inline]
    pub fn invalidated_rkey(&self) -> Option<u32> {
        // The union holds a key exactly if the flag says so.
        self.has(bindings::ib_wc_flags_IB_WC_WITH_INVALIDATE)
            .then_some(self.wc.ex.bindgen_union_field)
    }
}

/// A failed completion. Nothing else of it is defined.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WcError {
    status: bindings::ib_wc_status,
    vendor: u32,
}

impl WcError {
    /// The status, `enum ib_wc_status`.
    pub fn status(self) -> bindings::ib_wc_status {
        self.status
    }

    /// The vendor's own code, for messages.
    pub fn vendor_err(self) -> u32 {
        self.vendor
    }

    /// Whether the operation was flushed: the queue pair was in the error state before it was
    /// executed.
    #[inline]
    pub fn is_flushed(self) -> bool {
        self.status == bindings::ib_wc_status_IB_WC_WR_FLUSH_ERR
    }

    /// The status in words.
    pub fn message(self) -> &'static CStr {
        // SAFETY: The function returns static strings, for values out of range too.
        unsafe { CStr::from_char_ptr(bindings::ib_wc_status_msg(self.status)) }
    }
}
