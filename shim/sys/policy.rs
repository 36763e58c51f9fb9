// SPDX-License-Identifier: GPL-2.0-only

//! The policy that is in force: the module parameter `policy`.

use super::{
    addr::Addr,
    Consumer, //
};
use crate::{
    bindings,
    policy::{
        Policy,
        Verdict,
        Wrong, //
    }, //
};
use core::{
    cell::UnsafeCell,
    fmt::Write, //
};
use kernel::{
    ffi::{
        c_char,
        c_int, //
    },
    page::PAGE_SIZE,
    prelude::*,
    str::CStr, //
};

/// # Invariants
///
/// Read and written only under the lock of the module's parameters.
struct InForce(UnsafeCell<Policy>);

// SAFETY: The type invariant.
unsafe impl Sync for InForce {}

// INVARIANT: Both functions for the parameter are called with the lock, and `with` takes it.
static IN_FORCE: InForce = InForce(UnsafeCell::new(Policy::new()));

/// Shows the policy that is in force. Sleeps.
pub(crate) fn with<R>(f: impl FnOnce(&Policy) -> R) -> R {
    // SAFETY: The module's parameters can be locked while it is loaded.
    unsafe { bindings::kfi_policy_lock() };
    // SAFETY: With the lock nobody writes it.
    let result = f(unsafe { &*IN_FORCE.0.get() });
    // SAFETY: Locked above.
    unsafe { bindings::kfi_policy_unlock() };
    result
}

/// What the policy says about an address, with a trace of it if it says anything. Sleeps.
///
/// # Safety
///
/// `addr` is valid, and as long as its family demands.
pub(super) unsafe fn verdict(addr: *const bindings::sockaddr, consumer: Consumer) -> Verdict {
    // SAFETY: Promised by the caller.
    let known = unsafe {
        Addr::from_raw(addr)
            .map(Addr::to_ip)
            .ok()
            .or(Addr::gid(addr))
    };
    let Some(known) = known else {
        return Verdict::Any;
    };
    let verdict = with(|policy| policy.verdict(known));
    if verdict != Verdict::Any {
        let mut text = [0; 32];
        let _ = write!(
            Text {
                page: &mut text,
                len: 0
            },
            "{verdict}\0"
        );
        // SAFETY: All three live through the call; the text ends with a NUL.
        unsafe { bindings::kfi_trace_policy(consumer.as_ptr(), addr, text.as_ptr().cast()) };
    }
    verdict
}

/// Sets the parameter; also before module init.
///
/// # Safety
///
/// The parameters are locked; `text` is a string.
#[no_mangle]
unsafe extern "C" fn kfi_policy_set(text: *const c_char) -> c_int {
    // SAFETY: Promised by the caller.
    let text = unsafe { CStr::from_char_ptr(text) };
    let policy = match text.to_str().map(Policy::parse) {
        Ok(Ok(policy)) => policy,
        Ok(Err(Wrong::TooMany)) => return ENOSPC.to_errno(),
        _ => return EINVAL.to_errno(),
    };
    // SAFETY: With the lock nobody else uses it.
    unsafe { *IN_FORCE.0.get() = policy };
    0
}

struct Text<'a> {
    page: &'a mut [u8],
    len: usize,
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let end = self.len.checked_add(text.len()).ok_or(core::fmt::Error)?;
        let to = self.page.get_mut(self.len..end).ok_or(core::fmt::Error)?;
        to.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Prints the parameter, and returns the number of bytes.
///
/// # Safety
///
/// The parameters are locked; `page` has room for a page.
#[no_mangle]
unsafe extern "C" fn kfi_policy_get(page: *mut c_char) -> c_int {
    // SAFETY: Promised by the caller.
    let page = unsafe { core::slice::from_raw_parts_mut(page.cast::<u8>(), PAGE_SIZE) };
    let mut text = Text { page, len: 0 };
    // SAFETY: With the lock nobody writes it.
    let printed = writeln!(text, "{}", unsafe { &*IN_FORCE.0.get() });
    match printed {
        // Not more than a page.
        Ok(()) => text.len as c_int,
        Err(_) => ENOSPC.to_errno(),
    }
}
