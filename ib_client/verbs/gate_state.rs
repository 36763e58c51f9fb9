// SPDX-License-Identifier: GPL-2.0-only

//! The counting behind a gate, free of anything of the kernel so that it can be tested anywhere.

/// Number of users and whether new ones are refused, in one word that is changed atomically.
///
/// # Invariants
///
/// The lower 31 bits are the number of users.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct State(u32);

impl State {
    const CLOSED: u32 = 1 << 31;

    /// Open, without users.
    pub(super) const OPEN: State = State(0);

    /// The state that `word` stands for.
    pub(super) const fn from_word(word: u32) -> State {
        State(word)
    }

    /// The word that stands for this state.
    pub(super) const fn word(self) -> u32 {
        self.0
    }

    /// Number of users.
    pub(super) const fn users(self) -> u32 {
        self.0 & !Self::CLOSED
    }

    /// Whether new users are refused.
    pub(super) const fn is_closed(self) -> bool {
        self.0 & Self::CLOSED != 0
    }

    /// One user more; `None` when closed or when the count is at its limit.
    pub(super) const fn enter(self) -> Option<State> {
        if self.is_closed() || self.users() == Self::CLOSED - 1 {
            return None;
        }
        // INVARIANT: The count is below its limit, so it does not reach the flag.
        Some(State(self.0.wrapping_add(1)))
    }

    /// One user less. There must be one; without any the state stays as it is.
    pub(super) const fn leave(self) -> State {
        if self.users() == 0 {
            return self;
        }
        State(self.0.wrapping_sub(1))
    }

    /// New users are refused from here on.
    pub(super) const fn close(self) -> State {
        State(self.0 | Self::CLOSED)
    }

    /// Closed and without users: it stays so for ever.
    pub(super) const fn is_idle(self) -> bool {
        self.0 == Self::CLOSED
    }
}

#[cfg(test)]
mod tests {
    use super::State;

    #[test]
    fn counts_users() {
        let s = State::OPEN.enter().unwrap().enter().unwrap();
        assert_eq!(s.users(), 2);
        assert_eq!(s.leave().leave(), State::OPEN);
    }

    #[test]
    fn closed_refuses_and_becomes_idle_once() {
        let s = State::OPEN.enter().unwrap().close();
        assert!(s.is_closed() && !s.is_idle());
        assert_eq!(s.enter(), None);
        assert!(s.leave().is_idle());
        assert!(s.leave().close().is_idle());
        assert!(State::OPEN.close().is_idle());
    }

    #[test]
    fn refuses_at_the_limit() {
        let s = State::from_word((1 << 31) - 1);
        assert_eq!(s.enter(), None);
        assert!(!s.leave().enter().unwrap().is_closed());
    }

    #[test]
    fn leaving_an_empty_gate_changes_nothing() {
        assert_eq!(State::OPEN.leave(), State::OPEN);
        assert!(State::OPEN.close().leave().is_idle());
    }

    #[test]
    fn word_is_the_state() {
        let s = State::OPEN.enter().unwrap().close();
        assert_eq!(State::from_word(s.word()), s);
    }
}
