// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_info`.

use super::{
    device::Device,
    domain::Domain,
    endpoint::{
        Ep,
        EpAttr, //
    },
    from_provider,
    module::ModuleRef,
    own::{
        Object,
        Own, //
    }, //
};
use crate::{
    bindings,
    check::Limits,
    observe::counts::{
        Kind,
        TOTAL, //
    }, //
};
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    error::to_result,
    prelude::*,
    types::Opaque, //
};

/// A connection that has no endpoint yet.
///
/// # Invariants
///
/// - `ops` is valid as long as the info, and constant.
/// - `core.owner` is NULL or owns a reference to the provider's module.
#[repr(transparent)]
pub(crate) struct Info(Opaque<bindings::kfi_info>);

// SAFETY: Providers serialise their callbacks themselves; `device` is set before the consumer may look at it.
unsafe impl Send for Info {}
// SAFETY: As above.
unsafe impl Sync for Info {}

// SAFETY: Transparent over the C structure.
unsafe impl Object for Info {
    type C = bindings::kfi_info;

    unsafe fn release(this: NonNull<Self>) {
        // SAFETY: The caller owns the info.
        let info = unsafe { this.as_ref() };
        let _registration = info.deregister();
        if let Some(put) = info.ops().put {
            // SAFETY: Nobody uses the info after this.
            unsafe { put(info.as_raw()) }
        }
    }
}

/// What is left of an info when its memory has gone to the provider.
struct Registration {
    counted: bool,
    owner: ModuleRef,
}

impl Drop for Registration {
    fn drop(&mut self) {
        if self.counted {
            TOTAL.dec(Kind::Info);
        }
    }
}

impl Info {
    /// # Safety
    ///
    /// `info` is live for `'a`.
    pub(crate) unsafe fn from_raw<'a>(info: NonNull<bindings::kfi_info>) -> &'a Self {
        // SAFETY: Promised by the caller; the layouts are the same.
        unsafe { info.cast().as_ref() }
    }

    pub(crate) fn as_raw(&self) -> *mut bindings::kfi_info {
        self.0.get()
    }

    fn ops(&self) -> &bindings::kfi_info_ops {
        // SAFETY: The type invariant.
        unsafe { &*(*self.as_raw()).ops }
    }

    /// The device; [`None`] before the resolution is done.
    pub(crate) fn device(&self) -> Option<&Device> {
        // SAFETY: The provider sets the field before its callback, where the consumer learns that it may look.
        unsafe { NonNull::new((*self.as_raw()).device).map(|device| Device::from_raw(device)) }
    }

    /// Limits for an answer to a connect request.
    pub(crate) fn request_limits(&self) -> Result<Limits> {
        // SAFETY: The field is written before the consumer has the info.
        if !unsafe { (*self.as_raw()).core.request } || self.ops().reject.is_none() {
            return Err(EINVAL);
        }
        Ok(self.device().ok_or(EINVAL)?.limits())
    }

    /// Registers an info that a provider has made for a connect request.
    pub(crate) fn adopt(&self) -> Result {
        let owner = self.device().ok_or(EINVAL)?.owner().get().ok_or(ENODEV)?;
        // SAFETY: The provider has not handed the info out yet.
        // INVARIANT: The reference is the info's.
        unsafe {
            (*self.as_raw()).core.owner = owner.into_raw();
            (*self.as_raw()).core.counted = true;
            (*self.as_raw()).core.request = true;
        }
        TOTAL.inc(Kind::Info);
        Ok(())
    }

    /// Takes the module reference and the count out of it.
    fn deregister(&self) -> Registration {
        let raw = self.as_raw();
        // SAFETY: Only the owner of the info gets here. By the type invariant the reference is the info's.
        unsafe {
            Registration {
                counted: core::mem::replace(&mut (*raw).core.counted, false),
                owner: ModuleRef::from_raw(core::mem::replace(
                    &mut (*raw).core.owner,
                    ptr::null_mut(),
                )),
            }
        }
    }

    /// Puts back what [`Self::deregister`] has taken.
    fn register(&self, registration: Registration) {
        let mut registration = registration;
        let raw = self.as_raw();
        // SAFETY: Only the owner of the info gets here.
        // INVARIANT: The reference is the info's.
        unsafe {
            (*raw).core.counted = core::mem::replace(&mut registration.counted, false);
            (*raw).core.owner = core::mem::take(&mut registration.owner).into_raw();
        }
    }

    /// Turns an info into an endpoint; on failure it comes back. The arguments are in range.
    pub(crate) fn ep_open(
        this: Own<Self>,
        domain: &Domain,
        attr: &mut EpAttr<'_>,
    ) -> Result<Own<Ep>, (Error, Own<Self>)> {
        let Some(open) = this.ops().ep_open else {
            return Err((EINVAL, this));
        };
        // The endpoint may be closed by its event callback before the provider returns, so it gets its reference first.
        let parent = domain.adopt(Kind::Ep);
        let registration = this.deregister();
        // SAFETY: All arguments are live.
        let opened = from_provider(unsafe { open(this.as_raw(), parent, attr.as_raw()) });
        match opened {
            Ok(ep) => {
                // SAFETY: The caller borrows the domain; of the endpoint only the address is used.
                unsafe { bindings::kfi_trace_ep_opened(ep.as_ptr().cast(), domain.as_raw()) };
                // The provider has consumed the info.
                let _ = this.into_raw();
                // SAFETY: The provider has made the endpoint for this call.
                Ok(unsafe { Own::from_raw(ep) })
            }
            Err(error) => {
                this.register(registration);
                domain.disown(Kind::Ep);
                Err((error, this))
            }
        }
    }

    /// Refuses a connect request. The arguments are in range. With -EINVAL the info stays the consumer's.
    pub(crate) fn reject(this: Own<Self>, data: &[u8]) -> Result {
        let (Some(reject), Ok(len)) = (this.ops().reject, u32::try_from(data.len())) else {
            let _ = this.into_raw();
            return Err(EINVAL);
        };
        let _registration = this.deregister();
        // SAFETY: The info is live, and is the provider's from here on.
        let rejected = to_result(unsafe { reject(this.into_raw(), data.as_ptr().cast(), len) });
        // These two would tell the consumer that it still has the info.
        rejected.map_err(|error| match error {
            EINVAL | EMSGSIZE => EIO,
            error => error,
        })
    }
}
