// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_srx`.

use super::{
    bindings,
    head::head,
    hot,
    object::{
        self,
        Table, //
    }, //
};
use crate::tcp::srx::Srx;

head! {
    /// The public shared receive context.
    SrxHead, bindings::kfi_srx, bindings::kfi_srx {
        ops: OPS.as_ptr(),
        ..Default::default()
    }
}

/// # Safety
///
/// None: kfi.ko has checked the arguments.
pub(super) unsafe extern "C" fn alloc(
    _domain: *mut bindings::kfi_domain,
    max_rx: u32,
    max_sge: u32,
) -> *mut bindings::kfi_srx {
    object::into_ptr(Srx::new(max_rx, max_sge).map(object::give))
}

/// # Safety
///
/// `srx` is of this provider and not used any more.
unsafe extern "C" fn free(srx: *mut bindings::kfi_srx) {
    // SAFETY: By the function's contract.
    drop(unsafe { object::take::<_, Srx>(srx) });
}

object::object!(Srx, head, bindings::kfi_srx);

static OPS: Table<bindings::kfi_srx_ops> = Table(bindings::kfi_srx_ops {
    data: bindings::kfi_srx_data_ops {
        recv: Some(hot::srx_recv),
    },
    free: Some(free),
});

/// Whether a shared receive context is of this provider.
///
/// # Safety
///
/// `srx` is valid.
pub(super) unsafe fn is_ours(srx: *const bindings::kfi_srx) -> bool {
    // SAFETY: By the function's contract.
    unsafe { (*srx).ops == OPS.as_ptr() }
}
