// SPDX-License-Identifier: GPL-2.0-only

//! The objects of one kind that live on one device, for its removal to find.

#![deny(unsafe_code)]

use kernel::{
    new_mutex,
    prelude::*,
    rbtree::RBTree,
    sync::{
        Arc,
        Mutex, //
    }, //
};

/// Objects of type `T`.
#[pin_data]
pub(crate) struct Roster<T> {
    #[pin]
    inner: Mutex<Inner<T>>,
}

struct Inner<T> {
    closed: bool,
    next: u64,
    objects: RBTree<u64, Arc<T>>,
}

/// An object's place in a [`Roster`].
#[derive(Clone, Copy)]
pub(crate) struct Ticket(u64);

impl<T> Roster<T> {
    /// An empty roster.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            inner <- new_mutex!(Inner { closed: false, next: 0, objects: RBTree::new() }, "kfi::Roster"),
        })
    }

    /// Adds an object; `ENODEV` when the device is being removed.
    pub(crate) fn add(&self, object: Arc<T>) -> Result<Ticket> {
        let mut inner = self.inner.lock();
        if inner.closed {
            return Err(ENODEV);
        }
        let ticket = inner.next;
        inner
            .objects
            .try_create_and_insert(ticket, object, GFP_KERNEL)?;
        // 2^64 objects are never reached.
        inner.next = ticket.wrapping_add(1);
        Ok(Ticket(ticket))
    }

    /// Removes an object, if removal has not taken it already.
    pub(crate) fn remove(&self, ticket: Ticket) {
        let object = self.inner.lock().objects.remove(&ticket.0);
        // Outside of the lock: it may be the last reference.
        drop(object);
    }

    /// Takes no more objects.
    pub(crate) fn close(&self) {
        self.inner.lock().closed = true;
    }

    /// Removes the oldest object and returns it.
    pub(crate) fn pop(&self) -> Option<Arc<T>> {
        let mut inner = self.inner.lock();
        let (_, node) = inner.objects.cursor_front_mut()?.remove_current();
        Some(node.to_key_value().1)
    }

    /// Calls `f` for each object, with the lock of the roster held.
    pub(crate) fn for_each(&self, f: impl FnMut(&Arc<T>)) {
        self.inner.lock().objects.values().for_each(f);
    }
}
