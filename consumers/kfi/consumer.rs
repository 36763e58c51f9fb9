// SPDX-License-Identifier: GPL-2.0-only

//! What keeps a consumer's module loaded while kfi may still call into it.

use crate::bindings;
use core::{
    mem::ManuallyDrop,
    ops::{
        Deref,
        DerefMut, //
    },
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    sync::{
        Arc,
        Completion,
        Refcount, //
    },
    workqueue::{
        impl_has_work,
        new_work,
        Queue,
        Work,
        WorkItem, //
    },
};

/// The queue on which objects end whose last owner could not sleep, and the count of objects.
///
/// # Invariants
///
/// `queue` is a valid workqueue while `users` is not zero, and afterwards until [`Consumer::drop`] destroys it.
#[pin_data]
struct Gate {
    queue: NonNull<bindings::workqueue_struct>,
    users: Refcount,
    #[pin]
    idle: Completion,
}

// SAFETY: A workqueue may be used from any thread; the other fields are `Send` and `Sync`.
unsafe impl Send for Gate {}
// SAFETY: As for `Send`.
unsafe impl Sync for Gate {}

/// One for each consumer module, as the last field of its module structure.
///
/// Its drop waits until every object made with one of its handles has gone.
pub struct Consumer(ManuallyDrop<Handle>);

impl Consumer {
    /// Starts without any object.
    pub fn new() -> Result<Self> {
        // SAFETY: The name has no conversions, so no further arguments are read.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(
                c"kfi-consumer".as_char_ptr(),
                bindings::wq_flags_WQ_UNBOUND | bindings::wq_flags_WQ_MEM_RECLAIM,
                0,
            )
        };
        let queue = NonNull::new(queue).ok_or(ENOMEM)?;
        // INVARIANT: `queue` has just been allocated and `users` counts the handle below.
        let gate = Arc::pin_init(
            pin_init!(Gate {
                queue,
                users: Refcount::new(1),
                idle <- Completion::new(),
            }),
            GFP_KERNEL,
        );
        match gate {
            Ok(gate) => Ok(Self(ManuallyDrop::new(Handle(gate)))),
            Err(e) => {
                // SAFETY: Nothing has been queued and nobody else knows the queue.
                unsafe { bindings::destroy_workqueue(queue.as_ptr()) };
                Err(e)
            }
        }
    }

    /// What the constructors of this interface ask for.
    pub fn handle(&self) -> Handle {
        Handle::clone(&self.0)
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let gate = self.0 .0.clone();
        // SAFETY: The field is not used again.
        unsafe { ManuallyDrop::drop(&mut self.0) };
        gate.idle.wait_for_completion();
        // SAFETY: `users` is zero, so nothing can be queued any more. By the invariants of `Gate` nobody else destroys
        // the queue. This also waits for the end of work functions that have given up their handle.
        unsafe { bindings::destroy_workqueue(gate.queue.as_ptr()) };
    }
}

/// A reference on the [`Consumer`]. Each object holds one.
pub struct Handle(Arc<Gate>);

struct Call<F: FnOnce() + Send + 'static>(Option<F>);

impl<F: FnOnce() + Send + 'static> Drop for Call<F> {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
}

impl Handle {
    /// Calls `f` in a work item, which the [`Consumer`] waits for. Allocates.
    pub fn spawn<F: FnOnce() + Send + 'static>(&self, f: F) -> Result {
        drop(Later::new(self, || Ok(Call(Some(f))))?);
        Ok(())
    }

    fn queue(&self) -> &Queue {
        // SAFETY: By the invariants of `Gate` the queue is valid while this handle is counted.
        unsafe { Queue::from_raw(self.0.queue.as_ptr()) }
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        self.0.users.inc();
        Self(self.0.clone())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.0.users.dec_and_test() {
            self.0.idle.complete_all();
        }
    }
}

#[pin_data]
struct Node<T: Send + 'static> {
    #[pin]
    work: Work<Node<T>>,
    value: T,
    // Behind `value`, so that it is given up after the value has gone.
    handle: Handle,
}

impl_has_work! {
    impl{T: Send + 'static} HasWork<Self> for Node<T> { self.work }
}

impl<T: Send + 'static> WorkItem for Node<T> {
    type Pointer = Pin<KBox<Self>>;

    fn run(this: Self::Pointer) {
        drop(this);
    }
}

/// A value whose drop sleeps. When its owner lets go of it, in whatever context, a work item drops it.
pub(super) struct Later<T: Send + 'static>(ManuallyDrop<Pin<KBox<Node<T>>>>);

impl<T: Send + 'static> Later<T> {
    /// Allocates first, so that `make` can hand over what must not be lost.
    pub(super) fn new(handle: &Handle, make: impl FnOnce() -> Result<T>) -> Result<Self> {
        let memory = KBox::<Node<T>>::new_uninit(GFP_KERNEL)?;
        let value = make()?;
        let node = memory.write_pin_init(pin_init!(Node {
            work <- new_work!("kfi::Later"),
            value,
            handle: handle.clone(),
        }))?;
        Ok(Self(ManuallyDrop::new(node)))
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.0.handle
    }

    /// Drops the value here and now. Sleeps.
    pub(super) fn now(self) {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is neither used nor dropped again.
        drop(unsafe { ManuallyDrop::take(&mut this.0) });
    }
}

impl<T: Send + 'static> Drop for Later<T> {
    fn drop(&mut self) {
        // SAFETY: The field is not used again.
        let node = unsafe { ManuallyDrop::take(&mut self.0) };
        // The work item may run and give up its own handle before enqueue() returns.
        let handle = node.handle.clone();
        handle.queue().enqueue(node);
    }
}

impl<T: Send + 'static> Deref for Later<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: Send + 'static> DerefMut for Later<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().project().value
    }
}
