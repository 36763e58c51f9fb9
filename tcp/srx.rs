// SPDX-License-Identifier: GPL-2.0-only

//! Shared receive contexts.

#![deny(unsafe_code)]

use super::{
    api::srx::SrxHead,
    conn::Conn,
    op::RxOp, //
};
use crate::sys::{
    irq_lock::{
        new_irq_lock,
        IrqLock, //
    },
    ring::{
        Ring,
        Taker, //
    }, //
};
use kernel::{
    alloc::KVVec,
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    }, //
};

struct Waiting {
    /// Connections whose peer waits for a receive. Has room for all members.
    list: KVVec<Arc<Conn>>,
    members: usize,
}

/// A shared receive context.
#[pin_data]
#[repr(C)]
pub(crate) struct Srx {
    /// `struct kfi_srx`
    pub(crate) head: SrxHead,
    /// Where receives are posted.
    pub(crate) ring: Arc<Ring<RxOp>>,
    /// What connections take them from.
    #[pin]
    taker: Mutex<Taker<RxOp>>,
    #[pin]
    waiting: IrqLock<Waiting>,
    /// Receives outstanding at most.
    pub(crate) max: u32,
    /// Elements of a receive at most.
    pub(crate) sges: u32,
}

impl Srx {
    /// A context for `max` receives of up to `sges` elements.
    pub(crate) fn new(max: u32, sges: u32) -> Result<Arc<Self>> {
        let taker = Ring::allocate(max, || RxOp::new(sges))?;
        Arc::pin_init(
            pin_init!(Self {
                head: SrxHead::new(),
                ring: taker.ring(),
                taker <- new_mutex!(taker, "kfi::Srx"),
                waiting <- new_irq_lock!(
                    Waiting { list: KVVec::new(), members: 0 },
                    "kfi::Srx::waiting"
                ),
                max,
                sges,
            }),
            GFP_KERNEL,
        )
    }

    /// Makes room for one more connection that may have to wait.
    pub(crate) fn join(&self) -> Result {
        loop {
            let (members, have) = {
                let mut waiting = self.waiting.lock();
                let members = waiting.members.saturating_add(1);
                if members <= waiting.list.capacity() {
                    waiting.members = members;
                    return Ok(());
                }
                (members, waiting.list.capacity())
            };
            let mut list = KVVec::with_capacity(members.saturating_mul(2), GFP_KERNEL)?;
            let mut waiting = self.waiting.lock();
            // Somebody else may have been faster.
            if waiting.list.capacity() == have {
                while let Some(conn) = waiting.list.pop() {
                    // There is more room than before.
                    let _ = list.push_within_capacity(conn);
                }
                core::mem::swap(&mut waiting.list, &mut list);
            }
            drop(waiting);
            drop(list);
        }
    }

    /// Undoes [`Self::join`]. The connection waits no more.
    pub(crate) fn leave(&self, conn: &Arc<Conn>) {
        let mut waiting = self.waiting.lock();
        waiting.members = waiting.members.saturating_sub(1);
        let place = waiting.list.iter().position(|c| Arc::ptr_eq(c, conn));
        let gone = place.and_then(|at| waiting.list.remove(at).ok());
        drop(waiting);
        drop(gone);
    }

    /// Moves the oldest receive to `to`. If there is none, the connection is woken when there is.
    pub(crate) fn take(&self, conn: &Arc<Conn>, to: &mut RxOp) -> bool {
        let mut taker = self.taker.lock();
        if taker.len() == 0 {
            let mut waiting = self.waiting.lock();
            if !waiting.list.iter().any(|c| Arc::ptr_eq(c, conn)) {
                // The connection has joined, so there is room.
                let _ = waiting.list.push_within_capacity(conn.clone());
            }
        }
        // Looked at again, because one may have been posted before we were in the list.
        let Some(op) = taker.get(0) else {
            return false;
        };
        core::mem::swap(op, to);
        taker.retire();
        true
    }

    /// Wakes the connections that wait. Any context.
    pub(crate) fn posted(&self) {
        // All of it under the lock that leave() takes, so that no reference here is the last one: who
        // closes a connection holds one until it has left.
        let mut waiting = self.waiting.lock();
        while let Some(conn) = waiting.list.pop() {
            Conn::wake(conn.as_arc_borrow());
        }
    }
}
