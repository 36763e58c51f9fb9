// SPDX-License-Identifier: GPL-2.0-only

//! A gate: lets users in until it is closed, and then waits for those inside.

use super::gate_state::State;
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full, //
        },
        Completion, //
    },
    task::might_sleep, //
};

/// Lets users in until it is closed.
///
/// # Invariants
///
/// `idle` is completed exactly when `state` has become idle, that is closed and without users.
#[pin_data]
pub struct Gate {
    state: Atomic<u32>,
    #[pin]
    idle: Completion,
}

impl Gate {
    /// An open gate.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            state: Atomic::new(State::OPEN.word()),
            idle <- Completion::new(),
        })
    }

    /// Replaces the state by what `next` makes of it; returns the old and the new one, or `None`
    /// when `next` refuses.
    fn update(&self, next: impl Fn(State) -> Option<State>) -> Option<(State, State)> {
        let mut old = self.state.load(Acquire);
        loop {
            let from = State::from_word(old);
            let to = next(from)?;
            match self.state.cmpxchg(old, to.word(), Full) {
                Ok(_) => return Some((from, to)),
                Err(now) => old = now,
            }
        }
    }

    /// Goes in for as long as the guard lives.
    ///
    /// Fails with `ENODEV` when the gate is closed. Context: any.
    pub fn enter(&self) -> Result<GateGuard<'_>> {
        self.enter_raw()?;
        // INVARIANT: A user was counted just now.
        Ok(GateGuard(self))
    }

    /// Goes in without a guard. Each success must be followed by one [`Gate::leave_raw`].
    pub(super) fn enter_raw(&self) -> Result {
        self.update(State::enter).map(|_| ()).ok_or(ENODEV)
    }

    /// Goes out.
    ///
    /// # Safety
    ///
    /// It follows a successful [`Gate::enter_raw`] of this gate, one by one.
    pub(super) unsafe fn leave_raw(&self) {
        if let Some((_, to)) = self.update(|s| Some(s.leave())) {
            if to.is_idle() {
                // Nothing of the gate is touched after this: the waiter may free it.
                self.idle.complete_all();
            }
        }
    }

    /// Refuses new users from here on. Context: any.
    pub fn close(&self) {
        if let Some((from, to)) = self.update(|s| Some(s.close())) {
            if to.is_idle() && !from.is_idle() {
                self.idle.complete_all();
            }
        }
    }

    /// Waits until the gate is closed and all users have left.
    ///
    /// Any number of tasks may wait. Context: process, sleeps; not from a task that is inside.
    pub fn wait(&self) {
        might_sleep();
        self.idle.wait_for_completion();
    }

    /// Refuses new users and waits for those inside. Context: process, sleeps.
    pub fn close_and_wait(&self) {
        self.close();
        self.wait();
    }

    /// Whether new users are refused. Context: any.
    pub fn is_closed(&self) -> bool {
        State::from_word(self.state.load(Acquire)).is_closed()
    }

    /// Number of users inside; for reports only, it is old when it is returned. Context: any.
    pub fn users(&self) -> u32 {
        State::from_word(self.state.load(Acquire)).users()
    }
}

/// A user inside a [`Gate`].
///
/// # Invariants
///
/// The gate counts one user for this guard.
pub struct GateGuard<'a>(&'a Gate);

impl Drop for GateGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the gate counts a user for `self`, and `self` is dropped
        // once.
        unsafe { self.0.leave_raw() };
    }
}
