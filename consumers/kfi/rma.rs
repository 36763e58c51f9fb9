// SPDX-License-Identifier: GPL-2.0-only

//! Bulk transfers: scatter lists of any length.

use super::{
    buffer::Memory,
    op::{
        Op,
        Refused,
        Request, //
    },
    pages::Pages,
    post::{
        ctx,
        Ep,
        Remote, //
    },
};
use crate::bindings;
use kernel::{
    dma::DataDirection,
    error::to_result,
    prelude::*,
    types::Opaque, //
};

/// Pages that are moved to or from the peer's memory as one operation, however many the provider makes of it.
///
/// # Invariants
///
/// `raw` is initialised, for all of `pages`, exactly while `dir` is set: from the post to the completion.
pub struct Rma {
    // Boxed, because providers keep pointers into it.
    raw: KBox<Opaque<bindings::kfi_rma>>,
    dir: Option<bindings::dma_data_direction>,
    pages: Pages,
}

// SAFETY: A context that is not in flight is plain memory.
unsafe impl Send for Rma {}
// SAFETY: A shared reference does not reach the context.
unsafe impl Sync for Rma {}

impl Rma {
    /// Prepares to move all of `pages`.
    pub fn new(pages: Pages) -> Result<Self> {
        Ok(Self {
            raw: KBox::new(Opaque::new(bindings::kfi_rma::default()), GFP_KERNEL)?,
            dir: None,
            pages,
        })
    }

    /// The memory.
    pub fn pages(&mut self) -> &mut Pages {
        &mut self.pages
    }

    fn finish(&mut self) {
        if let Some(dir) = self.dir.take() {
            let nents = self.pages.nents();
            // SAFETY: Initialised by the invariants, with these arguments; the operation is over or was not accepted, and
            // its endpoint is still there.
            unsafe {
                bindings::kfi_rma_fini(self.raw.get(), self.pages.sgl().as_ptr(), nents, dir)
            };
        }
    }
}

// SAFETY: There are no elements: the provider maps the pages itself, from the post to the completion.
unsafe impl Memory for Rma {
    type Sgl = [bindings::kfi_sge; 0];

    fn domain(&self) -> *const bindings::kfi_domain {
        core::ptr::null()
    }

    fn sgl(&self, len: usize) -> Result<Self::Sgl> {
        ().sgl(len)
    }

    fn completed(&mut self) {
        self.finish();
    }
}

impl Ep {
    /// Writes all pages of the request to the peer's memory. Needs
    /// [`EndpointAttr::max_rma`](super::EndpointAttr::max_rma).
    pub fn rma_write<T: Op<Mem = Rma>>(
        &self,
        request: Request<T>,
        remote: Remote,
    ) -> Result<(), Refused<T>> {
        self.rma(request, remote, DataDirection::ToDevice.into())
    }

    /// Fills all pages of the request from the peer's memory.
    pub fn rma_read<T: Op<Mem = Rma>>(
        &self,
        request: Request<T>,
        remote: Remote,
    ) -> Result<(), Refused<T>> {
        self.rma(request, remote, DataDirection::FromDevice.into())
    }

    fn rma<T: Op<Mem = Rma>>(
        &self,
        mut request: Request<T>,
        remote: Remote,
        dir: bindings::dma_data_direction,
    ) -> Result<(), Refused<T>> {
        let mem = request.mem_mut();
        let raw = mem.raw.get();
        let (sgl, nents) = (mem.pages.sgl().as_ptr(), mem.pages.nents());
        // SAFETY: A valid endpoint and list, and a context that is not initialised, by the invariants.
        let result = unsafe {
            bindings::kfi_rma_init(
                raw,
                self.as_ptr(),
                sgl,
                nents,
                0,
                remote.addr,
                remote.key,
                dir,
            )
        };
        if let Err(error) = to_result(result) {
            return Err(Refused { error, request });
        }
        // INVARIANT: It has just been initialised.
        mem.dir = Some(dir);
        let node = request.into_raw();
        // SAFETY: The context is initialised.
        let op = unsafe { bindings::kfi_rma_op(raw, ctx(node), core::ptr::null_mut()) };
        // SAFETY: The node, and with it the pages, is leaked until the completion.
        unsafe { self.post_raw(op) }.map_err(|error| {
            // SAFETY: The operation was not accepted, so the node is still ours.
            let mut request = unsafe { Request::from_raw(node) };
            request.mem_mut().finish();
            Refused { error, request }
        })
    }
}
