// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_provider`.

use super::{
    from_provider,
    module::{
        ModuleRef,
        Owner, //
    },
    own::Own,
    pep::{
        Pep,
        PepAttr, //
    },
    Consumer, //
};
use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    str::CStr, //
};

/// A registered provider.
///
/// # Invariants
///
/// The structure is valid and constant, and none of its pointers but `owner` is NULL, until kfi_provider_del() has
/// returned. This value is not used after that.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Provider(NonNull<bindings::kfi_provider>);

// SAFETY: The structure is constant while it is registered.
unsafe impl Send for Provider {}
// SAFETY: As above.
unsafe impl Sync for Provider {}

impl Provider {
    /// Takes a provider that is about to be registered, if it is complete.
    ///
    /// # Safety
    ///
    /// `provider` is valid, and stays so and constant until it is deregistered.
    pub(crate) unsafe fn from_raw(provider: NonNull<bindings::kfi_provider>) -> Result<Self> {
        // SAFETY: Promised by the caller.
        let fields = unsafe { provider.as_ref() };
        if fields.name.is_null() || fields.resolve.is_none() || fields.pep_open.is_none() {
            return Err(EINVAL);
        }
        // INVARIANT: Checked above, or promised by the caller.
        Ok(Self(provider))
    }

    /// Is it this one?
    pub(crate) fn is(&self, provider: NonNull<bindings::kfi_provider>) -> bool {
        self.0 == provider
    }

    fn fields(&self) -> &bindings::kfi_provider {
        // SAFETY: The type invariant.
        unsafe { self.0.as_ref() }
    }

    /// "verbs"
    pub(crate) fn name(&self) -> &CStr {
        // SAFETY: The type invariant.
        unsafe { CStr::from_char_ptr(self.fields().name) }
    }

    /// Its module.
    pub(crate) fn owner(&self) -> Owner {
        // SAFETY: The module is loaded while the provider is registered.
        unsafe { Owner::from_raw(self.fields().owner) }
    }

    /// Higher is tried earlier.
    pub(crate) fn priority(&self) -> i32 {
        self.fields().priority
    }

    /// For people who watch.
    pub(crate) fn trace_added(&self) {
        // SAFETY: The type invariant.
        unsafe { bindings::kfi_trace_provider_added(self.0.as_ptr()) }
    }

    /// For people who watch.
    pub(crate) fn trace_removed(&self) {
        // SAFETY: The type invariant; kfi_provider_del() has not returned yet.
        unsafe { bindings::kfi_trace_provider_removed(self.0.as_ptr()) }
    }

    /// For people who watch: what the provider says at once when it is asked.
    ///
    /// # Safety
    ///
    /// `addr` is an IPv4 or IPv6 address.
    unsafe fn trace_asked<T>(
        &self,
        consumer: Consumer,
        addr: *const bindings::sockaddr,
        result: &Result<T>,
    ) {
        let status = result.as_ref().map_or_else(|error| error.to_errno(), |_| 0);

        // SAFETY: The type invariant; the rest is promised by the caller.
        unsafe {
            bindings::kfi_trace_provider_asked(self.0.as_ptr(), consumer.as_ptr(), addr, status)
        }
    }

    /// Listens.
    pub(crate) fn pep_open(
        &self,
        attr: &PepAttr<'_>,
        owner: ModuleRef,
        consumer: Consumer,
    ) -> Result<Own<Pep>> {
        let open = self.fields().pep_open.ok_or(EINVAL)?;
        // SAFETY: The provider is registered, the arguments are checked, the name outlives the result.
        let raw = from_provider(unsafe { open(attr.as_raw(), consumer.as_ptr()) });
        // SAFETY: The address is checked.
        unsafe { self.trace_asked(consumer, (*attr.as_raw()).addr, &raw) };
        let raw = raw?;
        // SAFETY: The provider has made it for this call.
        unsafe {
            Pep::init(raw, owner);
            Ok(Own::from_raw(raw))
        }
    }

    /// Starts a resolution.
    ///
    /// # Safety
    ///
    /// `attr` is checked, and its callback can be called with its argument until the result is dropped.
    pub(super) unsafe fn resolve(
        &self,
        attr: &bindings::kfi_resolve_attr,
        consumer: Consumer,
    ) -> Result<NonNull<bindings::kfi_info>> {
        let resolve = self.fields().resolve.ok_or(EINVAL)?;
        // SAFETY: The provider is registered, the name outlives the result; the rest is promised by the caller.
        let raw = from_provider(unsafe { resolve(attr, consumer.as_ptr()) });
        // SAFETY: The address is checked.
        unsafe { self.trace_asked(consumer, attr.dst, &raw) };
        raw
    }
}
