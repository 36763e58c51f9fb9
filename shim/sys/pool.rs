// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_mr_pool`: a list of free regions behind a spinlock that may be taken in any context.

use super::{
    own::Own,
    region::Mr, //
};
use crate::bindings;
use core::ptr::{
    self,
    addr_of_mut,
    NonNull, //
};
use kernel::{
    alloc::KVVec,
    container_of,
    prelude::*,
    types::Opaque, //
};

/// A pool of regions.
///
/// # Invariants
///
/// `all` is NULL, or the buffer of a `KVVec<Own<Mr>>` with `nr` elements; then `lock` and `free` are initialised, and
/// `free` links regions of `all` through their `node`, under `lock`.
#[repr(transparent)]
pub(crate) struct Pool(Opaque<bindings::kfi_mr_pool>);

impl Pool {
    /// # Safety
    ///
    /// `pool` is valid for `'a` and does not move. Unless it is given to [`Self::fill`] next, it is zeroed or was filled.
    pub(crate) unsafe fn from_raw<'a>(pool: NonNull<bindings::kfi_mr_pool>) -> &'a Self {
        // SAFETY: Promised by the caller; the layouts are the same.
        unsafe { pool.cast().as_ref() }
    }

    fn as_raw(&self) -> *mut bindings::kfi_mr_pool {
        self.0.get()
    }

    /// Puts regions into a pool that is not in use. All of them are free.
    pub(crate) fn fill(&self, regions: KVVec<Own<Mr>>) -> Result {
        let nr = u32::try_from(regions.len())?;
        let pool = self.as_raw();
        // SAFETY: The pool is not in use, so nobody else looks at it.
        unsafe {
            bindings::kfi_spin_lock_init(addr_of_mut!((*pool).lock));
            let head = addr_of_mut!((*pool).free);
            (*head).next = head;
            (*head).prev = head;
        }
        // The first one is taken first.
        for mr in regions.iter().rev() {
            self.push(mr);
        }
        let (all, _, _) = regions.into_raw_parts();
        // SAFETY: As above.
        // INVARIANT: The buffer is that of the vector, and its elements are linked above.
        unsafe {
            (*pool).nr = nr;
            (*pool).all = all.cast();
        }
        Ok(())
    }

    /// Takes all regions out again, those in use too. An empty pool has none.
    pub(crate) fn take(&self) -> KVVec<Own<Mr>> {
        let pool = self.as_raw();
        // SAFETY: Nobody uses a pool that is destroyed. By the type invariant the buffer is that of a vector.
        // INVARIANT: The pool is empty afterwards.
        unsafe {
            let all = core::mem::replace(&mut (*pool).all, ptr::null_mut());
            if all.is_null() {
                return KVVec::new();
            }
            let nr = core::mem::replace(&mut (*pool).nr, 0) as usize;
            KVVec::from_raw_parts(all.cast(), nr, nr)
        }
    }

    /// Takes a free region.
    #[inline]
    pub(crate) fn pop(&self) -> *mut bindings::kfi_mr {
        let pool = self.as_raw();
        // SAFETY: By the type invariant the list is that of free regions, and the lock is held around it.
        unsafe {
            let flags = bindings::kfi_spin_lock_irqsave(addr_of_mut!((*pool).lock));
            let head = addr_of_mut!((*pool).free);
            let node = (*head).next;
            let mr = if node == head {
                ptr::null_mut()
            } else {
                let next = (*node).next;
                (*head).next = next;
                (*next).prev = head;
                container_of!(node, bindings::kfi_mr, node)
            };
            bindings::kfi_spin_unlock_irqrestore(addr_of_mut!((*pool).lock), flags);
            mr
        }
    }

    /// Gives a region back.
    #[inline]
    pub(crate) fn push(&self, mr: &Mr) {
        let pool = self.as_raw();
        let mr = mr.as_raw();
        // SAFETY: As in `pop`; the region is not in the list, so its node is free.
        unsafe {
            let node = addr_of_mut!((*mr).node);
            let flags = bindings::kfi_spin_lock_irqsave(addr_of_mut!((*pool).lock));
            let head = addr_of_mut!((*pool).free);
            let next = (*head).next;
            (*node).next = next;
            (*node).prev = head;
            (*next).prev = node;
            (*head).next = node;
            bindings::kfi_spin_unlock_irqrestore(addr_of_mut!((*pool).lock), flags);
        }
    }
}
