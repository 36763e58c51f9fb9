// SPDX-License-Identifier: GPL-2.0-only

//! Views of shared receive queues, as shared receive contexts.

use super::{
    as_declared,
    ulp_pd, //
};
use crate::{
    api::{
        bindings,
        comp,
        object::{
            self,
            Table, //
        },
        post, //
    },
    errno::EOPNOTSUPP, //
};
use core::{
    mem::offset_of,
    ptr, //
};
use kernel::{
    prelude::*,
    types::Opaque, //
};

/// A view of a shared receive queue.
///
/// # Invariants
///
/// `srq` exists as long as this.
#[repr(C)]
struct UlpSrx {
    public: Opaque<bindings::kfi_srx>,
    srq: *mut bindings::ib_srq,
    max_sge: u32,
}

const _: () = assert!(offset_of!(UlpSrx, public) == 0);

/// # Safety
///
/// As include/kfi/import.h says.
#[no_mangle]
pub(crate) unsafe extern "C" fn kfi_srx_import(
    domain: *mut bindings::kfi_domain,
    srq: *mut bindings::ib_srq,
) -> *mut bindings::kfi_srx {
    let import = || -> Result<*mut bindings::kfi_srx> {
        // SAFETY: The caller holds the domain, and the queue is there.
        if unsafe { ulp_pd(domain) } != Some(unsafe { (*srq).pd }) {
            return Err(EINVAL);
        }
        let public = bindings::kfi_srx {
            ops: ULP_SRX_OPS.as_ptr(),
            ..Default::default()
        };
        // INVARIANT: The ULP keeps the queue until it has freed the view.
        let srx = KBox::new(
            UlpSrx {
                public: Opaque::new(public),
                srq,
                // SAFETY: As above; the device's attributes do not change.
                max_sge: unsafe { (*(*domain).device).attr.max_rx_sge },
            },
            GFP_KERNEL,
        )?;
        // Freed by `ulp_free()`, which finds the box by its first field.
        let public = KBox::into_raw(srx).cast::<bindings::kfi_srx>();
        // SAFETY: The view was made just now, and `domain` is held by the caller.
        unsafe { bindings::kfi_srx_adopt(public, domain) };
        Ok(public)
    };
    object::into_ptr(import())
}

/// # Safety
///
/// `srx` is a view, the chain is valid, `bad` is null or valid.
unsafe extern "C" fn ulp_recv(
    srx: *mut bindings::kfi_srx,
    first: *mut bindings::kfi_rx,
    bad: *mut *mut bindings::kfi_rx,
) -> c_int {
    // SAFETY: By the function's contract. CAST: the public part is at the head.
    let view = unsafe { &*srx.cast_const().cast::<UlpSrx>() };
    // SAFETY: The queue exists by the type invariant, and the chain is the caller's.
    unsafe {
        post::recv(
            ptr::null_mut(),
            comp::raw_srq_done,
            view.max_sge,
            first,
            bad,
            |wr, bad_wr| match (*(*view.srq).device).ops.post_srq_recv {
                Some(post) => post(view.srq, wr, bad_wr),
                None => EOPNOTSUPP.to_errno(),
            },
        )
    }
}

/// # Safety
///
/// `srx` is a view that the ULP does not use any more.
unsafe extern "C" fn ulp_free(srx: *mut bindings::kfi_srx) {
    // SAFETY: By the function's contract. CAST: the public part is at the head.
    drop(unsafe { KBox::from_raw(srx.cast::<UlpSrx>()) });
}

/// The table of imported shared receive contexts.
static ULP_SRX_OPS: Table<bindings::kfi_srx_ops> = Table(bindings::kfi_srx_ops {
    data: bindings::kfi_srx_data_ops {
        recv: Some(ulp_recv),
    },
    free: Some(ulp_free),
});

as_declared!(kfi_srx_import);
