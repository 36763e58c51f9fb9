// SPDX-License-Identifier: GPL-2.0-only

//! Completion queues: who calls the consumer back, and when.
//!
//! Connections push what has completed; then somebody runs the queue. Callbacks of one queue never overlap: who finds it
//! running leaves its completions to the one who runs it.

#![deny(unsafe_code)]

use super::{
    api::{
        comp::Ctx,
        cq::CqHead, //
    },
    conn::Conn,
    deque::Deque,
    io_queue,
    op::Outcome,
    poll_queue, //
};
use crate::sys::{
    count::Count,
    irq_lock::{
        new_irq_lock,
        IrqLock, //
    },
    workq::{
        as_softirq,
        enqueue_on,
        yield_cpu,
        Cpu, //
    }, //
};
use kernel::{
    impl_has_work,
    prelude::*,
    sync::Arc,
    workqueue::{
        Work,
        WorkItem, //
    }, //
};

/// Callbacks before others get the CPU.
const BUDGET: usize = 64;

/// Who runs the callbacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Poll {
    /// Whoever completes something, as softirqs do.
    Softirq,
    /// A work item on the vector's CPU.
    Workqueue,
    /// A work item anywhere.
    Unbound,
    /// The consumer.
    Direct,
}

/// Which of an endpoint's two directions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    /// Operations.
    Tx,
    /// Receives.
    Rx,
}

/// Something that has completed.
pub(crate) struct Entry {
    /// Whose it is.
    pub(crate) conn: Arc<Conn>,
    /// In which direction.
    pub(crate) direction: Direction,
    /// What was posted.
    pub(crate) ctx: Ctx,
    /// How it ended.
    pub(crate) outcome: Outcome,
}

struct Entries {
    list: Deque<Entry>,
    /// Operations and receives that the endpoints may have, and so may complete.
    reserved: usize,
    /// Somebody runs callbacks.
    running: bool,
}

/// A completion queue.
#[pin_data]
#[repr(C)]
pub(crate) struct Queue {
    /// `struct kfi_cq`
    pub(crate) head: CqHead,
    poll: Poll,
    cpu: Cpu,
    #[pin]
    entries: IrqLock<Entries>,
    #[pin]
    work: Work<Queue>,
    /// Always one; waiting for it to end is a pause.
    nobody: Count,
}

impl_has_work! {
    impl HasWork<Self> for Queue { self.work }
}

impl WorkItem for Queue {
    type Pointer = Arc<Queue>;

    fn run(this: Arc<Queue>) {
        if this.run_some(BUDGET) == BUDGET {
            this.enqueue();
        }
    }
}

impl Queue {
    /// An empty queue.
    pub(crate) fn new(poll: Poll, cpu: Cpu) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                head: CqHead::new(),
                poll,
                cpu,
                entries <- new_irq_lock!(
                    Entries {
                        list: Deque::empty(),
                        reserved: 0,
                        running: false,
                    },
                    "kfi::Queue"
                ),
                work <- kernel::new_work!("kfi::Queue::work"),
                nobody: Count::one(),
            }),
            GFP_KERNEL,
        )
    }

    /// Where work for it runs: its own, and that of connections.
    #[inline]
    pub(crate) fn cpu(&self) -> Cpu {
        self.cpu
    }

    /// Who runs the callbacks.
    pub(crate) fn poll(&self) -> Poll {
        self.poll
    }

    /// Makes room for the completions of an endpoint that may have `count` operations and receives.
    pub(crate) fn reserve(&self, count: u32) -> Result {
        loop {
            let want = {
                let mut entries = self.entries.lock();
                let want = entries.reserved.checked_add(count as usize).ok_or(EINVAL)?;
                if want <= entries.list.room() {
                    entries.reserved = want;
                    return Ok(());
                }
                want
            };
            let size = want.checked_next_power_of_two().ok_or(EINVAL)?;
            // The lock must not be held while memory is allocated and freed.
            let larger = Deque::new(size, GFP_KERNEL)?;
            let retired = self.entries.lock().list.grow(larger);
            drop(retired);
        }
    }

    /// Undoes [`Self::reserve`].
    pub(crate) fn unreserve(&self, count: u32) {
        let mut entries = self.entries.lock();
        entries.reserved = entries.reserved.saturating_sub(count as usize);
    }

    /// Adds a completion. There is room, because the endpoint has reserved it.
    pub(crate) fn push(&self, entry: Entry) {
        let lost = self.entries.lock().list.push(entry).err();
        if let Some(entry) = lost {
            pr_err!("tcp: a completion queue is full\n");
            entry.deliver();
        }
    }

    fn enqueue(self: &Arc<Self>) {
        if self.poll == Poll::Workqueue {
            if let Some(queue) = io_queue() {
                enqueue_on(queue, self.cpu, self.clone());
            }
        } else if let Some(queue) = poll_queue() {
            // Queued already is fine too.
            let _ = queue.enqueue(self.clone());
        }
    }

    /// Sees to it that callbacks run for what was pushed. Process context.
    pub(crate) fn kick(self: &Arc<Self>) {
        match self.poll {
            Poll::Softirq => {
                while as_softirq(|| self.run_some(BUDGET)) == BUDGET {
                    yield_cpu();
                }
            }
            Poll::Workqueue | Poll::Unbound if self.entries.lock().list.len() != 0 => {
                self.enqueue();
            }
            _ => {}
        }
    }

    /// The consumer frees the queue: no callback runs when this returns.
    pub(crate) fn finish(&self) {
        // No endpoint is left, so everything was delivered. The one who did that may still be on its way out.
        while self.entries.lock().running {
            let _ = self.nobody.wait(1);
        }
    }

    /// Runs up to `budget` callbacks, unless somebody else does; returns how many.
    pub(crate) fn run_some(&self, budget: usize) -> usize {
        let mut done = 0;
        let mut first = true;

        loop {
            let entry = {
                let mut entries = self.entries.lock();
                if first && entries.running {
                    return 0;
                }
                first = false;
                let entry = if done < budget {
                    entries.list.pop()
                } else {
                    None
                };
                entries.running = entry.is_some();
                match entry {
                    Some(entry) => entry,
                    None => return done,
                }
            };
            entry.deliver();
            done = done.saturating_add(1);
        }
    }
}

impl Entry {
    fn deliver(self) {
        // Before the callback, which may post again.
        self.conn.room(self.direction);
        self.ctx.done(&self.conn, &self.outcome);
        self.conn.settled(self.direction);
    }
}
