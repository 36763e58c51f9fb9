// SPDX-License-Identifier: GPL-2.0-only

//! A short list on the stack, which costs nothing to begin.

use core::mem::MaybeUninit;

/// Up to `N` values.
///
/// # Invariants
///
/// The first `len` places are initialised, and `len <= N`.
pub(crate) struct Few<T: Copy, const N: usize> {
    list: [MaybeUninit<T>; N],
    len: usize,
}

impl<T: Copy, const N: usize> Few<T, N> {
    /// None.
    #[inline]
    pub(crate) const fn new() -> Self {
        // INVARIANT: No place need be.
        Self {
            list: [const { MaybeUninit::uninit() }; N],
            len: 0,
        }
    }

    /// Adds a value; returns whether there was room.
    #[inline]
    pub(crate) fn push(&mut self, value: T) -> bool {
        let Some(place) = self.list.get_mut(self.len) else {
            return false;
        };
        place.write(value);
        // INVARIANT: `get_mut` has found a place at `len`, so `len` was below `N`.
        self.len = self.len.saturating_add(1);
        true
    }

    /// Values that may be added.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        N.saturating_sub(self.len)
    }

    /// The values.
    #[inline]
    pub(crate) fn get(&self) -> &[T] {
        // SAFETY: By the type invariant so many are initialised.
        unsafe { core::slice::from_raw_parts(self.list.as_ptr().cast(), self.len) }
    }

    /// The values, to be changed.
    #[inline]
    pub(crate) fn get_mut(&mut self) -> &mut [T] {
        // SAFETY: As above.
        unsafe { core::slice::from_raw_parts_mut(self.list.as_mut_ptr().cast(), self.len) }
    }
}
