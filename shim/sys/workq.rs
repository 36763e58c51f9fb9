// SPDX-License-Identifier: GPL-2.0-only

//! Workqueues of our own, and the scopes that work runs in.

use crate::bindings;
use kernel::{
    cpu::CpuId,
    ffi::{
        c_int,
        c_uint, //
    },
    prelude::*,
    str::CStr,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Arc, //
    },
    types::NotThreadSafe,
    workqueue::{
        HasDelayedWork,
        HasWork,
        Queue,
        RawWorkItem,
        Work, //
    }, //
};

/// A workqueue that makes progress when memory is short.
///
/// # Invariants
///
/// The pointer is a workqueue that nobody else owns.
struct OwnQueue(*mut bindings::workqueue_struct);

// SAFETY: Workqueues may be used from any thread.
unsafe impl Send for OwnQueue {}
// SAFETY: As above.
unsafe impl Sync for OwnQueue {}

/// Where work of a queue runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the CPU that queues it, or that [`enqueue_on`] names.
    Here,
    /// Anywhere.
    Anywhere,
}

impl OwnQueue {
    /// Allocates a queue.
    fn new(name: &'static CStr, place: Place) -> Result<Self> {
        let place = match place {
            Place::Here => bindings::wq_flags_WQ_PERCPU,
            Place::Anywhere => bindings::wq_flags_WQ_UNBOUND,
        };
        let flags = place | bindings::wq_flags_WQ_MEM_RECLAIM;
        // SAFETY: The name has no format directives.
        let queue = unsafe { bindings::alloc_workqueue_noprof(name.as_char_ptr(), flags, 0) };
        if queue.is_null() {
            return Err(ENOMEM);
        }
        // INVARIANT: Allocated just now.
        Ok(Self(queue))
    }
}

impl Drop for OwnQueue {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the queue is ours. Runs what is queued before it returns.
        unsafe { bindings::destroy_workqueue(self.0) };
    }
}

/// A place for a queue that exists from module initialisation to module exit.
///
/// # Invariants
///
/// NULL, or a queue that nobody else owns.
pub(crate) struct QueueSlot(Atomic<*mut bindings::workqueue_struct>);

impl QueueSlot {
    /// Without queue.
    pub(crate) const fn new() -> Self {
        // INVARIANT: NULL.
        Self(Atomic::new(core::ptr::null_mut()))
    }

    /// Allocates the queue. Called once.
    pub(crate) fn start(&self, name: &'static CStr, place: Place) -> Result {
        let queue = core::mem::ManuallyDrop::new(OwnQueue::new(name, place)?);
        // INVARIANT: The queue is the slot's now.
        self.0.store(queue.0, Release);
        Ok(())
    }

    /// The queue, from module initialisation to module exit.
    #[inline]
    pub(crate) fn get(&self) -> Option<&Queue> {
        let queue = self.0.load(Acquire);
        // SAFETY: By the type invariant it is a queue; by the contract of `stop` it is not used after that.
        (!queue.is_null()).then(|| unsafe { Queue::from_raw(queue) })
    }

    /// Waits until what is queued now has run.
    pub(crate) fn flush(&self) {
        let queue = self.0.load(Acquire);
        if !queue.is_null() {
            // SAFETY: By the type invariant it is a queue; by the contract of `stop` it is not used after that.
            unsafe { bindings::__flush_workqueue(queue) };
        }
    }

    /// Runs what is queued and frees the queue.
    ///
    /// # Safety
    ///
    /// Called by module exit. Nobody but work of the queue uses a result of [`Self::get`] any more.
    pub(crate) unsafe fn stop(&self) {
        let queue = self.0.load(Acquire);
        if !queue.is_null() {
            // INVARIANT: Ours from the slot. Work that runs meanwhile may still queue more, so the slot is cleared last.
            drop(OwnQueue(queue));
            self.0.store(core::ptr::null_mut(), Release);
        }
    }
}

/// The CPU of a completion vector: it has been online.
#[derive(Clone, Copy)]
pub(crate) struct Cpu(c_int);

impl Cpu {
    /// Wherever work is queued.
    pub(crate) const HERE: Self = Self(bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int);

    /// Of a vector, or of none for -1.
    pub(crate) fn of_vector(vector: c_int) -> Self {
        match c_uint::try_from(vector) {
            // SAFETY: It has no requirements.
            Ok(vector) => Self(unsafe { bindings::kfi_vector_cpu(vector) }),
            Err(_) => Self::HERE,
        }
    }

    /// Whether work that is queued here and now runs on it.
    #[inline]
    pub(crate) fn is_here(self) -> bool {
        self.0 == Self::HERE.0
            || c_uint::try_from(self.0).is_ok_and(|cpu| cpu == CpuId::current().as_u32())
    }

    /// As many vectors as there may be CPUs.
    pub(crate) fn vectors() -> u32 {
        // SAFETY: It has no requirements.
        unsafe { bindings::kfi_num_possible_cpus() }
    }
}

/// Queues work to run on that CPU. That it is queued already is fine too.
#[inline]
pub(crate) fn enqueue_on<W, const ID: u64>(queue: &Queue, cpu: Cpu, work: W)
where
    W: RawWorkItem<ID> + Send + 'static,
{
    // CAST: A `Queue` is a `workqueue_struct` in place.
    let queue: *const Queue = queue;
    // SAFETY: As in `Queue::enqueue()`: the closure is called with work that is valid until it has run, and returns false only
    // if it was queued already. The CPU has been online.
    let _ = unsafe {
        work.__enqueue(|work| bindings::queue_work_on(cpu.0, queue.cast_mut().cast(), work))
    };
}

/// Takes delayed work back that has not begun to run.
pub(crate) fn cancel<T, const ID: u64>(object: &Arc<T>)
where
    T: HasDelayedWork<T, ID>,
{
    let ptr = Arc::as_ptr(object).cast_mut();
    // SAFETY: The object is valid; by the contract of `HasDelayedWork` its work is that of a `delayed_work`, at its start.
    let pending = unsafe {
        let work: *mut Work<T, ID> = T::raw_get_work(ptr);
        bindings::cancel_delayed_work(Work::raw_get(work).cast())
    };
    if pending {
        // SAFETY: Work that was queued owns a reference, which is ours now.
        drop(unsafe { Arc::from_raw(ptr) });
    }
}

/// Takes work back that has not begun to run. Any context.
pub(crate) fn take_back<T, const ID: u64>(object: &Arc<T>) -> Option<Arc<T>>
where
    T: HasWork<T, ID>,
{
    let ptr = Arc::as_ptr(object).cast_mut();
    // SAFETY: The object is valid.
    let pending = unsafe {
        let work: *mut Work<T, ID> = T::raw_get_work(ptr);
        bindings::cancel_work(Work::raw_get(work))
    };
    // SAFETY: Work that was queued owns a reference, which is ours now.
    pending.then(|| unsafe { Arc::from_raw(ptr) })
}

/// Runs `f` with allocations that do not wait for I/O.
pub(crate) fn without_io<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: Restored below, by the same task.
    let flags = unsafe { bindings::kfi_noio_save() };
    let result = f();
    // SAFETY: As saved above.
    unsafe { bindings::kfi_noio_restore(flags) };
    result
}

/// As long as it exists its task runs as softirqs run: it is not interrupted by them, nor preempted where those are not, and must
/// not sleep.
pub(crate) struct AsSoftirq(NotThreadSafe);

impl AsSoftirq {
    /// From here on.
    pub(crate) fn begin() -> Self {
        // SAFETY: Enabled again by `drop`, in the same task.
        unsafe { bindings::kfi_bh_disable() };
        Self(NotThreadSafe)
    }
}

impl Drop for AsSoftirq {
    fn drop(&mut self) {
        // SAFETY: Disabled by `begin`.
        unsafe { bindings::kfi_bh_enable() };
    }
}

/// The clock that costs nothing to read, modulo the size of a number.
#[inline]
pub(crate) fn ticks() -> usize {
    // SAFETY: It has no requirements.
    unsafe { bindings::kfi_jiffies() }
}

/// Lets others have the CPU if they want it.
pub(crate) fn yield_cpu() {
    kernel::task::might_sleep();
    // SAFETY: Process context, as checked above.
    unsafe { bindings::kfi_cond_resched() };
}

/// A number that tells tasks apart while they run.
pub(crate) fn current() -> usize {
    kernel::task::Task::current_raw() as usize
}

/// Random numbers.
pub(crate) fn random<const N: usize>() -> [u32; N] {
    let mut numbers = [0u32; N];
    // SAFETY: The array is valid for writes of its size.
    unsafe {
        bindings::get_random_bytes(
            numbers.as_mut_ptr().cast(),
            core::mem::size_of_val(&numbers),
        )
    };
    numbers
}
