// SPDX-License-Identifier: GPL-2.0-only

//! Operations and receives while they are the provider's.

#![deny(unsafe_code)]

use super::{
    api::comp::Ctx,
    api::rma::List,
    conn::Conn,
    pieces::Pieces,
    region::{
        Reach,
        Region, //
    },
    wire::{
        frame::{
            header::Element,
            Fault, //
        },
        keys::Access, //
    }, //
};
use crate::sys::memory::Sge;
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// What an operation does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Message.
    Send,
    /// RMA write.
    Write,
    /// RMA read.
    Read,
    /// Nothing.
    Nop,
    /// Makes a region reachable.
    Register,
    /// Ends that.
    Invalidate,
}

/// How far an operation has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    /// Not begun.
    Queued,
    /// Its frame is with the socket, or waits for it.
    Sending,
    /// The peer has to acknowledge.
    AwaitsAck,
    /// The peer has to send its memory.
    AwaitsData,
    /// Over.
    Done,
}

/// Where an operation's local memory is listed.
pub(crate) enum Memory {
    /// Here.
    Own(KVec<Sge>),
    /// In a transfer that lives until the operation has completed; the vector waits for the next operation.
    Listed(List, KVec<Sge>),
}

impl Memory {
    /// Room for so many elements.
    pub(crate) fn new(room: u32) -> Result<Self> {
        Ok(Self::Own(KVec::with_capacity(room as usize, GFP_KERNEL)?))
    }

    /// Forgets what it lists.
    pub(crate) fn clear(&mut self) {
        if let Self::Listed(..) = self {
            *self = Self::Own(self.take());
        }
        if let Self::Own(own) = self {
            own.clear();
        }
    }

    fn take(&mut self) -> KVec<Sge> {
        match self {
            Self::Own(own) | Self::Listed(_, own) => core::mem::take(own),
        }
    }

    /// Adds an element; [`EINVAL`] when it is full.
    pub(crate) fn push(&mut self, sge: Sge) -> Result {
        match self {
            Self::Own(own) => own.push_within_capacity(sge).map_err(|_| EINVAL),
            Self::Listed(..) => Err(EINVAL),
        }
    }

    /// Uses the list of a transfer.
    pub(crate) fn refer(&mut self, list: List) {
        let own = self.take();
        *self = Self::Listed(list, own);
    }

    fn list(&self) -> &[Sge] {
        match self {
            Self::Own(own) => own,
            Self::Listed(list, _) => list.get(),
        }
    }

    /// Bytes of all elements.
    pub(crate) fn bytes(&self) -> u64 {
        self.list()
            .iter()
            .fold(0, |sum: u64, sge| sum.saturating_add(sge.len().into()))
    }

    /// Looks for elements that name no memory for that purpose: [`Fault::Key`] and the like.
    fn check(&self, conn: &Conn, wanted: Access) -> Result<(), Fault> {
        for sge in self.list() {
            if sge.len() != 0 && sge.piece().is_none() {
                reach(conn, sge, wanted)?;
            }
        }
        Ok(())
    }

    /// Adds the memory from byte `skip` on to `to`, until that has `want` bytes or is full.
    ///
    /// [`Fault::Key`] and the like for an element that names no memory for what is `wanted`.
    pub(crate) fn pieces(
        &self,
        conn: &Conn,
        wanted: Access,
        mut skip: u64,
        want: u64,
        to: &mut Pieces,
    ) -> Result<(), Fault> {
        for sge in self.list() {
            let len = u64::from(sge.len());
            if skip >= len {
                skip = skip.saturating_sub(len);
                continue;
            }
            let more = match sge.piece() {
                Some(piece) => to.add(&piece, &mut skip, want),
                None => reach(conn, sge, wanted)?.pieces(&mut skip, want, to),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }
}

/// The memory of an element that is in a region.
fn reach(conn: &Conn, sge: &Sge, wanted: Access) -> Result<Reach, Fault> {
    let (key, addr) = sge.region();
    let element = Element {
        addr,
        len: sge.len().into(),
        key: key.into(),
    };
    conn.reach(&element, wanted)
}

/// An operation.
pub(crate) struct TxOp {
    /// Completion context.
    pub(crate) ctx: Option<Ctx>,
    /// What it does.
    pub(crate) kind: Kind,
    /// `enum kfi_opcode`, for the completion.
    pub(crate) opcode: u16,
    /// Completes through the queue on success too.
    pub(crate) signaled: bool,
    /// Starts after all reads.
    pub(crate) fence: bool,
    /// Immediate data.
    pub(crate) imm: Option<u32>,
    /// Key of the peer's to invalidate with a message, or of ours.
    pub(crate) invalidate: Option<u32>,
    /// Remote address.
    pub(crate) raddr: u64,
    /// Remote key, or the key of a registration.
    pub(crate) rkey: u32,
    /// What a registration grants.
    pub(crate) access: Access,
    /// The region to register.
    pub(crate) region: Option<Arc<Region>>,
    /// Local memory.
    pub(crate) memory: Memory,
    /// Bytes of it.
    pub(crate) len: u64,
    /// How far it is.
    pub(crate) progress: Progress,
    /// The peer was asked to acknowledge.
    pub(crate) acked: bool,
    /// The socket keeps its memory, until the peer's TCP has everything before this place in the stream.
    pub(crate) lent: Option<u32>,
    /// Number among the operations that the peer counts, once it is sent.
    pub(crate) ordinal: u32,
    /// The outcome, once it is over.
    pub(crate) status: i32,
}

impl TxOp {
    /// A free slot for operations of up to `sges` elements.
    pub(crate) fn new(sges: u32) -> Result<Self> {
        Ok(Self {
            ctx: None,
            kind: Kind::Nop,
            opcode: 0,
            signaled: false,
            fence: false,
            imm: None,
            invalidate: None,
            raddr: 0,
            rkey: 0,
            access: Access::NONE,
            region: None,
            memory: Memory::new(sges)?,
            len: 0,
            progress: Progress::Queued,
            acked: false,
            lent: None,
            ordinal: 0,
            status: 0,
        })
    }

    /// Whether the socket may keep its memory instead of copying it: not before the peer has acknowledged is it over.
    pub(crate) fn may_lend(&self) -> bool {
        self.kind == Kind::Write && self.acked
    }

    /// What is done with its memory.
    fn wanted(&self) -> Access {
        if self.kind == Kind::Read {
            Access::FILL
        } else {
            Access::NONE
        }
    }

    /// Looks for elements that name no memory.
    pub(crate) fn check(&self, conn: &Conn) -> Result<(), Fault> {
        self.memory.check(conn, self.wanted())
    }

    /// Adds its memory from byte `skip` on to `to`. If there is none at that place, the operation is at fault.
    pub(crate) fn pieces(
        &mut self,
        conn: &Conn,
        skip: u64,
        want: u64,
        to: &mut Pieces,
    ) -> Result<(), Fault> {
        let wanted = self.wanted();
        self.memory
            .pieces(conn, wanted, skip, want, to)
            .map_err(|fault| {
                pr_debug!("tcp: connection {}: local {:?}\n", conn.id, fault);
                self.status = EFAULT.to_errno();
                Fault::Local
            })
    }
}

/// A receive.
pub(crate) struct RxOp {
    /// Completion context.
    pub(crate) ctx: Option<Ctx>,
    /// Where the message goes.
    pub(crate) memory: Memory,
    /// Bytes of it.
    pub(crate) len: u64,
}

impl RxOp {
    /// A free slot for receives of up to `sges` elements.
    pub(crate) fn new(sges: u32) -> Result<Self> {
        Ok(Self {
            ctx: None,
            memory: Memory::new(sges)?,
            len: 0,
        })
    }
}

/// How an operation or a receive ended.
#[derive(Clone, Copy, Default)]
pub(crate) struct Outcome {
    /// 0 or a negative errno.
    pub(crate) status: i32,
    /// `enum kfi_opcode`
    pub(crate) opcode: u16,
    /// `KFI_COMP_*`
    pub(crate) flags: u16,
    /// Bytes received.
    pub(crate) len: u32,
    /// Immediate data or invalidated key.
    pub(crate) data: u32,
}
