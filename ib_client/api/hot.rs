// SPDX-License-Identifier: GPL-2.0-only

//! The part of an endpoint that the data path touches: one cache line.

use super::{
    bindings,
    comp, //
    post,
};
// The kernel's atomics are calls out of line, which the data path does not want for a load.
use crate::errno::{
    ENOTCONN,
    ESHUTDOWN, //
};
use core::sync::atomic::{
    AtomicU32,
    Ordering, //
};
use core::{
    cell::UnsafeCell,
    mem::{
        offset_of,
        size_of, //
    },
    ptr, //
};
use kernel::{
    prelude::*,
    sync::rcu,
    types::Opaque, //
};

/// What the data path may do; Documentation/kfi/lifetimes.rst has the table.
///
/// The order of the numbers is used: posting needs at least `Heard`, receiving at least `Open`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u32)]
pub(crate) enum DataState {
    /// No endpoint yet.
    Unopened = 0,
    /// The device has gone.
    Gone = 1,
    /// `kfi_ep_close()` has begun.
    Shut = 2,
    /// Receives only.
    Open = 4,
    /// A message has come before `KFI_EVENT_ESTABLISHED`: the device knows whether it can send already.
    Heard = 5,
    /// Connected.
    Active = 6,
    /// What is posted is flushed.
    Err = 7,
}

impl DataState {
    /// Being filled in; never seen outside of [`Hot::open`].
    const OPENING: u32 = 3;

    /// Whether the state may follow on a state of this number.
    fn may_follow(self, old: u32) -> bool {
        match self {
            Self::Unopened | Self::Open => false,
            Self::Heard => old == Self::Open as u32,
            Self::Active => old == Self::Open as u32 || old == Self::Heard as u32,
            Self::Err => (Self::Open as u32..=Self::Active as u32).contains(&old),
            Self::Gone | Self::Shut => old != Self::Gone as u32 && old != Self::Shut as u32,
        }
    }
}

/// A driver's function that posts operations.
type PostSend = unsafe extern "C" fn(
    *mut bindings::ib_qp,
    *const bindings::ib_send_wr,
    *mut *const bindings::ib_send_wr,
) -> c_int;

/// A driver's function that posts receives.
type PostRecv = unsafe extern "C" fn(
    *mut bindings::ib_qp,
    *const bindings::ib_recv_wr,
    *mut *const bindings::ib_recv_wr,
) -> c_int;

/// What the data path needs of an open endpoint. Written once.
struct Wired {
    qp: *mut bindings::ib_qp,
    post_send: Option<PostSend>,
    post_recv: Option<PostRecv>,
    max_tx_sge: u16,
    max_rx_sge: u16,
    max_read_sge: u16,
}

/// A number of elements, kept in few bits.
fn sge(limit: u32) -> u16 {
    u16::try_from(limit).unwrap_or(u16::MAX)
}

/// What [`Hot::open`] is told.
pub(crate) struct Limits {
    /// `KFI_CAP_*` of the device.
    pub(crate) caps: u32,
    /// Elements in an operation.
    pub(crate) max_tx_sge: u32,
    /// Elements in a receive; 0 with a shared receive context.
    pub(crate) max_rx_sge: u32,
    /// Elements in a read.
    pub(crate) max_read_sge: u32,
}

/// The public endpoint and what the data path needs.
///
/// # Invariants
///
/// - `wired` and `caps` are written while `state` is `OPENING` only, and `state` is that at most once.
/// - While `state` is at least `Open`, and until one RCU grace period later, `wired.qp` exists.
#[repr(C, align(64))]
pub(crate) struct Hot {
    public: Opaque<bindings::kfi_ep>,
    state: AtomicU32,
    caps: UnsafeCell<u32>,
    wired: UnsafeCell<Wired>,
}

const _: () = {
    assert!(offset_of!(Hot, public) == 0);
    assert!(size_of::<Hot>() == 64);
};

// SAFETY: The public part is the consumer's and kfi.ko's; the rest follows the type invariants.
unsafe impl Send for Hot {}
// SAFETY: As above.
unsafe impl Sync for Hot {}

impl Hot {
    /// An endpoint that is not open.
    pub(crate) fn new() -> Self {
        Self {
            public: Opaque::zeroed(),
            state: AtomicU32::new(DataState::Unopened as u32),
            caps: UnsafeCell::new(0),
            wired: UnsafeCell::new(Wired {
                qp: ptr::null_mut(),
                post_send: None,
                post_recv: None,
                max_tx_sge: 0,
                max_rx_sge: 0,
                max_read_sge: 0,
            }),
        }
    }

    /// The public endpoint.
    #[inline(always)]
    pub(super) fn public(&self) -> *mut bindings::kfi_ep {
        self.public.get()
    }

    /// The capabilities of the device. The endpoint must be open, else they are 0.
    #[inline(always)]
    pub(super) fn caps(&self) -> u32 {
        // SAFETY: Not written once the endpoint is open, by the type invariants; before that nobody posts.
        unsafe { *self.caps.get() }
    }

    #[inline(always)]
    fn wired(&self) -> &Wired {
        // SAFETY: As in `caps()`.
        unsafe { &*self.wired.get() }
    }

    /// Elements in an operation.
    #[inline(always)]
    pub(super) fn max_tx_sge(&self) -> u32 {
        self.wired().max_tx_sge.into()
    }

    /// Elements in a read.
    #[inline(always)]
    pub(super) fn max_read_sge(&self) -> u32 {
        self.wired().max_read_sge.into()
    }

    /// Gives a chain to the device.
    ///
    /// # Safety
    ///
    /// The queue pair exists until this returns, and `wr` is a chain that it may be given.
    #[inline(always)]
    pub(super) unsafe fn post_send(
        &self,
        wr: *const bindings::ib_send_wr,
        bad: &mut *const bindings::ib_send_wr,
    ) -> c_int {
        let wired = self.wired();
        match wired.post_send {
            // SAFETY: By the function's contract, and `post_send` is the driver's function for this queue pair.
            Some(post) => unsafe { post(wired.qp, wr, bad) },
            None => ENODEV.to_errno(),
        }
    }

    /// Makes an endpoint out of this: the public part is filled in by the caller, and from here on receives are taken.
    ///
    /// Fails with `ENODEV` or `ESHUTDOWN` when teardown came first, with `EINVAL` when it is open already.
    ///
    /// # Safety
    ///
    /// `qp` is a queue pair that is destroyed no earlier than one RCU grace period after the state has become `Gone` or
    /// `Shut`.
    pub(super) unsafe fn open(&self, qp: *mut bindings::ib_qp, limits: &Limits) -> Result {
        if self
            .state
            .compare_exchange(
                DataState::Unopened as u32,
                DataState::OPENING,
                Ordering::SeqCst,
                Ordering::SeqCst,
            )
            .is_err()
        {
            return Err(match self.refusal() {
                e if e == ENOTCONN.err() => EINVAL,
                e => e,
            });
        }
        // SAFETY: The caller passes a queue pair; its device's operations do not change.
        let ops = unsafe { &(*(*qp).device).ops };
        // SAFETY: Nobody else reads or writes while the state is `OPENING`, which it is for the only time.
        // INVARIANT: The caller promises what is claimed about `qp`.
        unsafe {
            *self.caps.get() = limits.caps;
            *self.wired.get() = Wired {
                qp,
                post_send: ops.post_send,
                post_recv: ops.post_recv,
                max_tx_sge: sge(limits.max_tx_sge),
                max_rx_sge: sge(limits.max_rx_sge),
                max_read_sge: sge(limits.max_read_sge),
            };
        }
        // Teardown may have come meanwhile; then this changes nothing.
        let _ = self.state.compare_exchange(
            DataState::OPENING,
            DataState::Open as u32,
            Ordering::SeqCst,
            Ordering::SeqCst,
        );
        Ok(())
    }

    /// Makes this the endpoint of an imported queue pair, on which everything is legal at once.
    ///
    /// # Safety
    ///
    /// `qp` exists as long as the endpoint is used.
    pub(super) unsafe fn import(&self, qp: *mut bindings::ib_qp, limits: &Limits) -> Result {
        // SAFETY: By the function's contract.
        unsafe { self.open(qp, limits) }?;
        self.advance(DataState::Active);
        Ok(())
    }

    /// Moves on to `next` and returns whether this call did it. Never moves back.
    pub(crate) fn advance(&self, next: DataState) -> bool {
        let mut old = self.state.load(Ordering::Acquire);
        while next.may_follow(old) {
            match self
                .state
                .compare_exchange(old, next as u32, Ordering::SeqCst, Ordering::SeqCst)
            {
                Ok(_) => return true,
                Err(now) => old = now,
            }
        }
        false
    }

    /// Whether it is connected.
    pub(crate) fn is_connected(&self) -> bool {
        let state = self.state.load(Ordering::Relaxed);
        state == DataState::Active as u32 || state == DataState::Heard as u32
    }

    /// Whether the device has all of these `KFI_CAP_*`. The endpoint is open.
    pub(crate) fn has_caps(&self, caps: u32) -> bool {
        self.caps() & caps == caps
    }

    /// A message of the peer's has come. Context: any.
    #[inline(always)]
    pub(super) fn heard(&self) {
        if self.state.load(Ordering::Relaxed) == DataState::Open as u32 {
            self.advance(DataState::Heard);
        }
    }

    /// The error of a post that the device has refused.
    #[cold]
    pub(super) fn refused_by_device(&self, errno: c_int) -> c_int {
        // The one thing that can be wrong then is the state of the queue pair, for which each driver has another error.
        if self.state.load(Ordering::Relaxed) == DataState::Heard as u32
            && errno != ENOMEM.to_errno()
        {
            return ENOTCONN.to_errno();
        }
        errno
    }

    /// The error of a call that the state does not allow.
    #[cold]
    pub(crate) fn refusal(&self) -> Error {
        match self.state.load(Ordering::Relaxed) {
            s if s == DataState::Gone as u32 => ENODEV,
            s if s == DataState::Shut as u32 => ESHUTDOWN.err(),
            _ => ENOTCONN.err(),
        }
    }

    /// The queue pair of an endpoint that was opened, whatever its state is.
    pub(super) fn qp_always(&self) -> *mut bindings::ib_qp {
        self.wired().qp
    }

    /// The queue pair behind a public endpoint; null when it is not open.
    pub(super) fn qp(&self) -> *mut bindings::ib_qp {
        if self.state.load(Ordering::Acquire) >= DataState::Open as u32 {
            self.wired().qp
        } else {
            ptr::null_mut()
        }
    }
}

/// `kfi_ep_data_ops.post`.
///
/// # Safety
///
/// `ep` is the head of a [`Hot`], the chain is valid, `bad` is null or valid.
pub(super) unsafe extern "C" fn ep_post(
    ep: *mut bindings::kfi_ep,
    first: *mut bindings::kfi_op,
    bad: *mut *mut bindings::kfi_op,
) -> c_int {
    // SAFETY: By the function's contract. CAST: the public part is at the head.
    let hot = unsafe { &*ep.cast_const().cast::<Hot>() };
    let rcu = rcu::read_lock();
    // Pairs with the release in `open()`; the queue pair is kept by RCU.
    if hot.state.load(Ordering::Acquire) < DataState::Heard as u32 {
        rcu.unlock();
        // SAFETY: By the function's contract.
        return unsafe { refuse(hot, first, bad) };
    }
    // SAFETY: The queue pair exists as long as the RCU read-side section lasts, by the invariants of `Hot`.
    let ret = unsafe { post::post(hot, first, bad) };
    rcu.unlock();
    ret
}

/// `kfi_ep_data_ops.recv`.
///
/// # Safety
///
/// As for [`ep_post`].
pub(super) unsafe extern "C" fn ep_recv(
    ep: *mut bindings::kfi_ep,
    first: *mut bindings::kfi_rx,
    bad: *mut *mut bindings::kfi_rx,
) -> c_int {
    // SAFETY: By the function's contract. CAST: the public part is at the head.
    let hot = unsafe { &*ep.cast_const().cast::<Hot>() };
    let rcu = rcu::read_lock();
    let state = hot.state.load(Ordering::Acquire);
    if state < DataState::Open as u32 {
        rcu.unlock();
        // SAFETY: By the function's contract.
        return unsafe { refuse(hot, first, bad) };
    }
    let done = if state < DataState::Active as u32 {
        comp::early_rx_done
    } else {
        comp::rx_done
    };
    // SAFETY: As in `ep_post()`; the endpoint is not imported.
    let ret = unsafe { recv(hot, ep, done, first, bad) };
    rcu.unlock();
    ret
}

/// `kfi_ep_data_ops.post` of an imported endpoint: its queue pair is the ULP's business.
///
/// # Safety
///
/// As for [`ep_post`]; the queue pair exists.
pub(super) unsafe extern "C" fn imported_post(
    ep: *mut bindings::kfi_ep,
    first: *mut bindings::kfi_op,
    bad: *mut *mut bindings::kfi_op,
) -> c_int {
    // SAFETY: By the function's contract. CAST: the public part is at the head.
    unsafe { post::post(&*ep.cast_const().cast::<Hot>(), first, bad) }
}

/// `kfi_ep_data_ops.recv` of an imported endpoint.
///
/// # Safety
///
/// As for [`imported_post`].
pub(super) unsafe extern "C" fn imported_recv(
    ep: *mut bindings::kfi_ep,
    first: *mut bindings::kfi_rx,
    bad: *mut *mut bindings::kfi_rx,
) -> c_int {
    // SAFETY: By the function's contract. CAST: the public part is at the head.
    unsafe {
        recv(
            &*ep.cast_const().cast::<Hot>(),
            ep,
            comp::rx_done,
            first,
            bad,
        )
    }
}

/// Posts receives to the queue pair of an endpoint.
///
/// # Safety
///
/// The queue pair exists until this returns, the chain is valid, and `done` is for receives of such endpoints.
#[inline(always)]
unsafe fn recv(
    hot: &Hot,
    ep: *mut bindings::kfi_ep,
    done: comp::Done,
    first: *mut bindings::kfi_rx,
    bad: *mut *mut bindings::kfi_rx,
) -> c_int {
    let wired = hot.wired();
    let Some(post_recv) = wired.post_recv else {
        return ENODEV.to_errno();
    };
    // SAFETY: By the function's contract.
    unsafe {
        post::recv(
            ep,
            done,
            wired.max_rx_sge.into(),
            first,
            bad,
            |wr, bad_wr| post_recv(wired.qp, wr, bad_wr),
        )
    }
}

/// Refuses a whole chain.
///
/// # Safety
///
/// `bad` is null or valid.
#[cold]
unsafe fn refuse<T>(hot: &Hot, first: *mut T, bad: *mut *mut T) -> c_int {
    if !bad.is_null() {
        // SAFETY: By the function's contract.
        unsafe { *bad = first };
    }
    hot.refusal().to_errno()
}
