// SPDX-License-Identifier: GPL-2.0-only

//! Reading and writing byte arrays without an index that could be wrong, and filling them in pieces.

#![deny(unsafe_code)]

use super::Order;

/// Reads integers from the front of a slice.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    order: Order,
}

impl<'a> Reader<'a> {
    /// Reads `bytes` in byte order `order`.
    pub(crate) fn new(bytes: &'a [u8], order: Order) -> Self {
        Reader { rest: bytes, order }
    }

    /// Takes the next `N` bytes, or nothing when there are fewer.
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }

    /// Takes one byte.
    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(u8::from_le_bytes)
    }

    /// Takes 16 bits.
    pub(crate) fn u16(&mut self) -> Option<u16> {
        let b = self.array()?;
        Some(match self.order {
            Order::Little => u16::from_le_bytes(b),
            Order::Big => u16::from_be_bytes(b),
        })
    }

    /// Takes 32 bits.
    pub(crate) fn u32(&mut self) -> Option<u32> {
        let b = self.array()?;
        Some(match self.order {
            Order::Little => u32::from_le_bytes(b),
            Order::Big => u32::from_be_bytes(b),
        })
    }

    /// Takes 64 bits.
    pub(crate) fn u64(&mut self) -> Option<u64> {
        let b = self.array()?;
        Some(match self.order {
            Order::Little => u64::from_le_bytes(b),
            Order::Big => u64::from_be_bytes(b),
        })
    }
}

/// Writes integers to the front of a slice. What does not fit is dropped and remembered.
pub(crate) struct Writer<'a> {
    rest: &'a mut [u8],
    order: Order,
    overflow: bool,
}

impl<'a> Writer<'a> {
    /// Writes to `bytes` in byte order `order`.
    pub(crate) fn new(bytes: &'a mut [u8], order: Order) -> Self {
        Writer {
            rest: bytes,
            order,
            overflow: false,
        }
    }

    /// Appends bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let rest = core::mem::take(&mut self.rest);
        match rest.split_at_mut_checked(bytes.len()) {
            Some((head, rest)) => {
                head.copy_from_slice(bytes);
                self.rest = rest;
            }
            None => self.overflow = true,
        }
    }

    /// Appends one byte.
    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes(&[value]);
    }

    /// Appends 16 bits.
    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes(&self.order.u16(value));
    }

    /// Appends 32 bits.
    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(&match self.order {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        });
    }

    /// Appends 64 bits.
    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes(&match self.order {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        });
    }

    /// Whether everything fitted.
    pub(crate) fn complete(&self) -> bool {
        !self.overflow
    }
}

/// A byte array that is filled in pieces of any size, as a stream delivers them.
///
/// # Invariants
///
/// `len <= N`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Partial<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Partial<N> {
    /// An empty one.
    pub(crate) const fn new() -> Self {
        Partial {
            bytes: [0; N],
            len: 0,
        }
    }

    /// Forgets its contents.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// What it holds.
    pub(crate) fn get(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// Number of bytes it holds.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The free places, up to `want` bytes in all, to be filled from the front; see [`Self::filled`].
    pub(crate) fn space(&mut self, want: usize) -> &mut [u8] {
        self.bytes
            .get_mut(self.len..want.min(N))
            .unwrap_or_default()
    }

    /// Notes that so many bytes were written to [`Self::space`].
    pub(crate) fn filled(&mut self, count: usize) {
        // INVARIANT: At most N.
        self.len = self.len.saturating_add(count).min(N);
    }

    /// Takes bytes from the front of `input` until it holds `want` (or `N`) of them, and removes these from `input`.
    ///
    /// Returns whether it holds `want` bytes now.
    pub(crate) fn fill(&mut self, want: usize, input: &mut &[u8]) -> bool {
        let take = want.min(N).saturating_sub(self.len).min(input.len());
        let (head, rest) = input.split_at_checked(take).unwrap_or((input, &[]));
        if let Some(free) = self.bytes.get_mut(self.len..) {
            if let Some(free) = free.get_mut(..head.len()) {
                free.copy_from_slice(head);
                // INVARIANT: `free` lies within `bytes` and starts at `len`.
                self.len = self.len.saturating_add(head.len());
                *input = rest;
            }
        }
        self.len >= want
    }
}
