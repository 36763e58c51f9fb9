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
    conn::{
        Conn,
        Endpoint, //
    },
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
        enqueue_on,
        yield_cpu,
        AsSoftirq,
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

/// Something that has completed, in the queue.
struct Entry {
    /// Whose it is.
    conn: Arc<Conn>,
    done: Done,
}

/// The completion of a round of a connection that has one only: it need not go through the queue.
pub(crate) struct Hand {
    done: Option<Done>,
    /// There was more than one.
    full: bool,
}

/// Keeps everybody else from running a queue's callbacks, until what it holds is delivered. Its task is not preempted until then, so
/// that the queue's other connections do not wait for long.
pub(crate) struct Claim {
    done: Done,
    softirq: AsSoftirq,
}

/// Something that has completed, of a connection that is known.
struct Done {
    direction: Direction,
    /// What was posted.
    ctx: Ctx,
    /// How it ended.
    outcome: Outcome,
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
    fn push(&self, entry: Entry) {
        let pushed = self.entries.lock().list.push(entry);
        Self::pushed(pushed);
    }

    fn pushed(result: Result<(), Entry>) {
        if let Err(entry) = result {
            pr_err!("tcp: a completion queue is full\n");
            entry.deliver();
        }
    }

    /// Adds a completion, or gives it back: nobody runs callbacks then but the caller, who has to call [`Self::run_with`]
    /// at once.
    fn push_or_claim(&self, conn: &Arc<Conn>, done: Done) -> Option<Claim> {
        let softirq = (self.poll == Poll::Softirq).then(AsSoftirq::begin);
        let mut entries = self.entries.lock();
        match softirq {
            Some(softirq) if !entries.running && entries.list.len() == 0 => {
                entries.running = true;
                return Some(Claim { done, softirq });
            }
            _ => {}
        }
        let pushed = entries.list.push(done.of(conn.clone()));
        drop(entries);
        Self::pushed(pushed);
        None
    }

    /// Runs the callback of what [`Hand::claim`] has returned, and of all that has been pushed since. Process context.
    pub(crate) fn run_with(self: &Arc<Self>, conn: &Conn, claim: Claim) {
        claim.done.deliver(conn);
        let more = self.run_claimed(BUDGET);
        drop(claim.softirq);
        if more == BUDGET {
            yield_cpu();
            self.kick();
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
            Poll::Softirq => loop {
                let softirq = AsSoftirq::begin();
                let done = self.run_some(BUDGET);
                drop(softirq);
                if done < BUDGET {
                    break;
                }
                yield_cpu();
            },
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
        let entry = {
            let mut entries = self.entries.lock();
            if entries.running || budget == 0 {
                return 0;
            }
            let Some(entry) = entries.list.pop() else {
                return 0;
            };
            entries.running = true;
            entry
        };
        entry.deliver();
        self.run_claimed(budget.saturating_sub(1)).saturating_add(1)
    }

    /// The same for the one who runs callbacks, and then does no longer.
    fn run_claimed(&self, budget: usize) -> usize {
        let mut done = 0;

        loop {
            let entry = {
                let mut entries = self.entries.lock();
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

impl Hand {
    /// Nothing so far.
    pub(crate) const fn new() -> Self {
        Self {
            done: None,
            full: false,
        }
    }

    /// For who runs no callbacks: all goes through the queues.
    pub(crate) const fn full() -> Self {
        Self {
            done: None,
            full: true,
        }
    }

    /// Tells the consumer: see [`Self::claim`].
    pub(crate) fn put(
        &mut self,
        conn: &Arc<Conn>,
        ep: &Endpoint,
        direction: Direction,
        ctx: Ctx,
        outcome: Outcome,
    ) {
        let done = Done {
            direction,
            ctx,
            outcome,
        };
        if !self.full && self.done.is_none() {
            self.done = Some(done);
            return;
        }
        self.spill(conn, ep);
        ep.queue(direction).push(done.of(conn.clone()));
    }

    /// From here on all goes through the queues.
    pub(crate) fn spill(&mut self, conn: &Arc<Conn>, ep: &Endpoint) {
        self.full = true;
        if let Some(done) = self.done.take() {
            ep.queue(done.direction).push(done.of(conn.clone()));
        }
    }

    /// At the end of the round, with the connection's lock, so that nothing overtakes: returns what the caller has to deliver
    /// by [`Queue::run_with`] when it has let go of the lock.
    pub(crate) fn claim(self, conn: &Arc<Conn>, ep: &Endpoint) -> Option<Claim> {
        let done = self.done?;
        ep.queue(done.direction).push_or_claim(conn, done)
    }
}

impl Claim {
    /// In which direction.
    #[inline]
    pub(crate) fn direction(&self) -> Direction {
        self.done.direction
    }
}

impl Done {
    fn of(self, conn: Arc<Conn>) -> Entry {
        Entry { conn, done: self }
    }

    fn deliver(self, conn: &Conn) {
        // Before the callback, which may post again.
        conn.room(self.direction);
        self.ctx.done(conn, &self.outcome);
        conn.settled(self.direction);
    }
}

impl Entry {
    fn deliver(self) {
        self.done.deliver(&self.conn);
    }
}
