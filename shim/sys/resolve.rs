// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_resolve_attr`.

use crate::{
    bindings,
    check::{
        self,
        Family, //
    }, //
};
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    str::CStr, //
};

/// `struct kfi_resolve_attr`, checked.
pub(crate) struct ResolveAttr<'a>(&'a bindings::kfi_resolve_attr);

impl<'a> ResolveAttr<'a> {
    /// # Safety
    ///
    /// `attr` is valid for `'a`, and each of its pointers is NULL or valid for `'a`.
    pub(crate) unsafe fn new(attr: NonNull<bindings::kfi_resolve_attr>) -> Result<Self> {
        // SAFETY: Promised by the caller.
        let attr = unsafe { attr.as_ref() };
        if attr.net.is_null() || attr.done.is_none() {
            return Err(EINVAL);
        }
        let dst = NonNull::new(attr.dst.cast_mut()).ok_or(EINVAL)?;
        let src = NonNull::new(attr.src.cast_mut());
        // SAFETY: Promised by the caller.
        let (dst, src) = unsafe { (dst.as_ref(), src.map(|src| src.as_ref())) };
        check::Resolve {
            dst: Family::new(dst.sa_family)?,
            // SAFETY: The port has the same place in both families that are left, and the address has its size.
            dst_port: u16::from_be_bytes(unsafe {
                core::ptr::from_ref(dst)
                    .byte_add(2)
                    .cast::<[u8; 2]>()
                    .read()
            }),
            src: src.map(|src| Family::new(src.sa_family)).transpose()?,
            timeout_ms: attr.timeout_ms,
            tos: attr.tos,
            flags: attr.flags,
        }
        .check()?;
        Ok(Self(attr))
    }

    pub(super) fn as_raw(&self) -> *const bindings::kfi_resolve_attr {
        self.0
    }

    /// The only provider to use.
    pub(crate) fn provider(&self) -> Option<&CStr> {
        // SAFETY: Promised to `new`.
        NonNull::new(self.0.provider.cast_mut())
            .map(|name| unsafe { CStr::from_char_ptr(name.as_ptr()) })
    }
}
