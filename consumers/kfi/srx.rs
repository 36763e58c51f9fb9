// SPDX-License-Identifier: GPL-2.0-only

//! Receives shared by endpoints.

use super::{
    consumer::Later,
    device::Domain,
    op::{
        Op,
        Refused,
        Request, //
    },
    post::post_rx, //
};
use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    error::from_err_ptr,
    prelude::*,
    sync::Arc, //
};

struct RawSrx {
    srx: NonNull<bindings::kfi_srx>,
    domain: Domain,
}

// SAFETY: A shared receive context may be used from any thread.
unsafe impl Send for RawSrx {}
// SAFETY: As for `Send`.
unsafe impl Sync for RawSrx {}

impl Drop for RawSrx {
    fn drop(&mut self) {
        // SAFETY: Each endpoint holds an `Arc` of its context until it is closed, so none uses this one any more.
        unsafe { bindings::kfi_srx_free(self.srx.as_ptr()) };
    }
}

/// A shared receive context.
///
/// Receives that no message has used up when it goes are never completed, and their memory is not freed.
pub struct Srx(Later<RawSrx>);

impl Srx {
    /// Allocates a context for `max_rx` receives of one element. Sleeps.
    pub fn new(domain: &Domain, max_rx: u32) -> Result<Arc<Self>> {
        let raw = Later::new(domain.handle(), || {
            // SAFETY: A valid domain.
            let srx = from_err_ptr(unsafe { bindings::kfi_srx_alloc(domain.as_ptr(), max_rx, 1) })?;
            Ok(RawSrx {
                srx: NonNull::new(srx).ok_or(ENOMEM)?,
                domain: domain.clone(),
            })
        })?;
        Ok(Arc::new(Self(raw), GFP_KERNEL)?)
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::kfi_srx {
        self.0.srx.as_ptr()
    }

    /// Posts a receive for a message of up to `len` bytes. Any context.
    pub fn recv<T: Op>(&self, request: Request<T>, len: usize) -> Result<(), Refused<T>> {
        use super::buffer::Memory as _;

        let domain = request.mem().domain();
        if !domain.is_null() && !core::ptr::eq(domain, self.0.domain.as_ptr()) {
            return Err(Refused {
                error: EINVAL,
                request,
            });
        }
        let srx = self.as_ptr();
        post_rx(request, len, |rx| {
            // SAFETY: The context is valid; every operations table starts with its data path, all of whose entries are
            // set. `post_rx()` keeps the node leaked until the completion.
            unsafe {
                let ops = (*srx).ops.cast::<bindings::kfi_srx_data_ops>();
                (*ops).recv.unwrap_unchecked()(srx, rx, core::ptr::null_mut())
            }
        })
    }
}
