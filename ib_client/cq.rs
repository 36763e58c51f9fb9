// SPDX-License-Identifier: GPL-2.0-only

//! Completion queues.

#![deny(unsafe_code)]

use crate::{
    api::{
        cq::CqHead,
        import::UlpCq, //
    },
    bindings,
    client::Attachment,
    roster::Ticket,
    verbs::{
        cq::{
            Cq,
            PollContext, //
        },
        pd::Caller, //
    }, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    }, //
};

/// A completion queue that kfi has made, or its share of one.
#[pin_data]
pub(crate) struct Queue {
    #[pin]
    pub(crate) head: CqHead,
    #[pin]
    inner: Mutex<Inner>,
    /// `None` for one on an imported domain.
    home: Option<Arc<Attachment>>,
}

struct Inner {
    source: Source,
    ticket: Option<Ticket>,
}

/// Where the verbs queue comes from.
enum Source {
    /// Ours.
    Own(Arc<Cq>),
    /// On an imported domain.
    Ulp { _cq: UlpCq },
    /// The device has gone.
    Gone,
}

/// The verbs form of `enum kfi_poll`.
fn poll_context(poll: bindings::kfi_poll) -> Result<PollContext> {
    match poll {
        bindings::kfi_poll_KFI_POLL_SOFTIRQ => Ok(PollContext::Softirq),
        bindings::kfi_poll_KFI_POLL_WORKQUEUE => Ok(PollContext::Workqueue),
        bindings::kfi_poll_KFI_POLL_UNBOUND_WORKQUEUE => Ok(PollContext::UnboundWorkqueue),
        bindings::kfi_poll_KFI_POLL_DIRECT => Ok(PollContext::Direct),
        _ => Err(EINVAL),
    }
}

/// Entries to allocate for `nr_cqe` of the consumer's.
///
/// The marks of a drain take one entry for each direction of each endpoint. How many endpoints there will be is not known
/// here: as many as there are entries if they are few, and otherwise not more than one for each sixteen of them.
fn with_drain_room(nr_cqe: u32, limit: u32) -> u32 {
    let marks = nr_cqe.saturating_mul(2).min(64 + nr_cqe / 8);
    nr_cqe.saturating_add(marks).saturating_add(2).min(limit)
}

impl Queue {
    /// Allocates a queue, or takes a share of a common one.
    pub(crate) fn new(
        home: &Arc<Attachment>,
        nr_cqe: u32,
        vector: c_int,
        poll: bindings::kfi_poll,
        pool: bool,
        caller: Caller,
    ) -> Result<Arc<Self>> {
        let poll = poll_context(poll)?;
        let device = home.device();
        let limit = crate::attr::positive(device.attrs().max_cqe);
        if nr_cqe == 0 || nr_cqe > limit {
            return Err(EINVAL);
        }
        let nr = with_drain_room(nr_cqe, limit);
        let vectors = device.num_comp_vectors().max(1);
        let vector = u32::try_from(vector).ok().map(|v| v % vectors);
        let guard = home.enter()?;
        let cq = if pool {
            Cq::from_pool(guard, nr, vector, poll)?
        } else {
            Cq::new(guard, nr, vector.unwrap_or(0), poll, caller)?
        };
        let head = CqHead::of(&cq);
        let queue = Self::init(head, Source::Own(cq), Some(home.clone()))?;
        let ticket = home.data().queues.add(queue.clone())?;
        queue.inner.lock().ticket = Some(ticket);
        Ok(queue)
    }

    /// Views a queue on an imported domain.
    pub(crate) fn import(cq: UlpCq) -> Result<Arc<Self>> {
        let head = CqHead::of_ulp(&cq);
        Self::init(head, Source::Ulp { _cq: cq }, None)
    }

    fn init(
        head: impl PinInit<CqHead>,
        source: Source,
        home: Option<Arc<Attachment>>,
    ) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                head <- head,
                inner <- new_mutex!(Inner { source, ticket: None }, "kfi::Queue"),
                home,
            }),
            GFP_KERNEL,
        )
    }

    /// The verbs queue; `ENODEV` when the device has gone, `EINVAL` for one on an imported domain.
    pub(crate) fn cq(&self) -> Result<Arc<Cq>> {
        match &self.inner.lock().source {
            Source::Own(cq) => Ok(cq.clone()),
            Source::Ulp { .. } => Err(EINVAL),
            Source::Gone => Err(ENODEV),
        }
    }

    /// The device goes away: ends polling by the consumer.
    pub(crate) fn kill(&self) {
        self.head.kill();
    }

    /// Gives the verbs queue up.
    pub(crate) fn end(&self) {
        self.head.wait_pollers();
        let source = core::mem::replace(&mut self.inner.lock().source, Source::Gone);
        // Outside of the lock: destruction waits for completion handlers.
        drop(source);
    }

    /// The consumer has freed the queue.
    pub(crate) fn free(self: Arc<Self>) {
        self.kill();
        if let Some(home) = &self.home {
            if let Some(ticket) = self.inner.lock().ticket.take() {
                home.data().queues.remove(ticket);
            }
        }
        self.end();
    }
}
