// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_pep`, and where it listens.

use super::{
    addr::Addr,
    module::ModuleRef,
    own::{
        Object,
        Own, //
    },
    policy,
    resolve::port,
    Consumer, //
};
use crate::{
    bindings,
    check::{
        self,
        Family, //
    },
    observe::counts::{
        Kind,
        TOTAL, //
    },
    policy::Verdict, //
};
use core::ptr::NonNull;
use kernel::{
    new_mutex,
    prelude::*,
    str::CStr,
    sync::{
        Arc,
        Mutex, //
    },
    types::Opaque, //
};

/// A passive endpoint.
///
/// # Invariants
///
/// `core.owner` owns a reference to the provider's module.
#[repr(transparent)]
pub(crate) struct Pep(Opaque<bindings::kfi_pep>);

// SAFETY: All that a view allows is to end it.
unsafe impl Send for Pep {}
// SAFETY: As above.
unsafe impl Sync for Pep {}

// SAFETY: Transparent over the C structure.
unsafe impl Object for Pep {
    type C = bindings::kfi_pep;

    unsafe fn release(this: NonNull<Self>) {
        let raw: *mut bindings::kfi_pep = this.as_ptr().cast();
        // SAFETY: The caller owns the passive endpoint. By the type invariant the reference is its own.
        let (_owner, close) =
            unsafe { (ModuleRef::from_raw((*raw).core.owner), (*(*raw).ops).close) };
        // SAFETY: Only the address is used.
        unsafe { bindings::kfi_trace_pep_closed(raw.cast()) };
        if let Some(close) = close {
            // SAFETY: Nobody uses the passive endpoint after this.
            unsafe { close(raw) }
        }
        TOTAL.dec(Kind::Pep);
    }
}

impl Pep {
    /// Registers what a provider has made.
    ///
    /// # Safety
    ///
    /// `raw` is live, of the provider whose module is `owner`, and the caller's alone.
    pub(super) unsafe fn init(raw: NonNull<bindings::kfi_pep>, owner: ModuleRef) {
        TOTAL.inc(Kind::Pep);
        // SAFETY: Promised by the caller.
        // INVARIANT: The reference is the passive endpoint's.
        unsafe { (*raw.as_ptr()).core.owner = owner.into_raw() }
    }
}

/// `struct kfi_pep_attr`, checked.
#[derive(Clone, Copy)]
pub(crate) struct PepAttr<'a> {
    attr: &'a bindings::kfi_pep_attr,
}

impl<'a> PepAttr<'a> {
    /// # Safety
    ///
    /// `attr` is valid for `'a`, and each of its pointers is NULL or valid for `'a`.
    pub(crate) unsafe fn new(attr: NonNull<bindings::kfi_pep_attr>) -> Result<Self> {
        // SAFETY: Promised by the caller.
        let attr = unsafe { attr.as_ref() };
        check::pep(attr.flags, attr.backlog)?;
        if attr.net.is_null() || attr.event.is_none() {
            return Err(EINVAL);
        }
        let addr = NonNull::new(attr.addr.cast_mut()).ok_or(EINVAL)?;
        // SAFETY: Promised by the caller.
        let family = Family::new(unsafe { addr.as_ref() }.sa_family)?;
        // SAFETY: As above.
        check::listen_at(family, unsafe { port(family, addr.as_ptr()) })?;
        Ok(Self { attr })
    }

    pub(super) fn as_raw(&self) -> *const bindings::kfi_pep_attr {
        self.attr
    }

    /// What the administrator says about the address. Sleeps.
    pub(crate) fn verdict(&self, consumer: Consumer) -> Verdict {
        // SAFETY: Promised to `new`.
        unsafe { policy::verdict(self.attr.addr, consumer) }
    }

    /// Whether every provider has the address: the wildcard, and the loopback address, on which rdma_cm listens without a
    /// device as well.
    pub(crate) fn is_everywhere(&self) -> bool {
        // SAFETY: Promised to `new`.
        let addr = unsafe { Addr::from_raw(self.attr.addr) };
        addr.is_ok_and(|addr| {
            let ip = addr.to_ip().to_canonical();
            ip.is_unspecified() || ip.is_loopback()
        })
    }

    /// The only provider to use.
    pub(crate) fn provider(&self) -> Option<&CStr> {
        let name = NonNull::new(self.attr.provider.cast_mut())?;
        // SAFETY: Promised to `new`.
        Some(unsafe { CStr::from_char_ptr(name.as_ptr()) })
    }
}

/// A passive endpoint of kfi's own, for an address that every provider has: one of each.
///
/// # Invariants
///
/// The public part is not written after [`Everywhere::new`], but for its module. The passive endpoints of the providers are
/// closed before this is freed.
#[pin_data]
#[repr(C)]
pub(crate) struct Everywhere {
    pep: Opaque<bindings::kfi_pep>,
    event: unsafe extern "C" fn(*mut bindings::kfi_pep, *const bindings::kfi_event),
    #[pin]
    parts: Mutex<KVec<Own<Pep>>>,
}

// SAFETY: The consumer's argument is only handed through; the rest follows the type invariant.
unsafe impl Send for Everywhere {}
// SAFETY: As above.
unsafe impl Sync for Everywhere {}

static EVERYWHERE: bindings::kfi_pep_ops = bindings::kfi_pep_ops {
    close: Some(close_everywhere),
};

impl Everywhere {
    /// One that listens nowhere yet.
    pub(crate) fn new(attr: &PepAttr<'_>) -> Result<Arc<Self>> {
        let event = attr.attr.event.ok_or(EINVAL)?;
        let pep = bindings::kfi_pep {
            ops: &EVERYWHERE,
            priv_: attr.attr.priv_,
            ..Default::default()
        };
        Arc::pin_init(
            pin_init!(Self {
                pep: Opaque::new(pep),
                event,
                parts <- new_mutex!(KVec::new(), "kfi_pep"),
            }),
            GFP_KERNEL,
        )
    }

    /// What its parts are asked for: their events go to the consumer as its own.
    pub(crate) fn attr<'a>(&'a self, attr: &PepAttr<'a>) -> EverywhereAttr<'a> {
        EverywhereAttr {
            attr: bindings::kfi_pep_attr {
                event: Some(everywhere_event),
                priv_: core::ptr::from_ref(self).cast_mut().cast(),
                ..*attr.attr
            },
            _life: core::marker::PhantomData,
        }
    }

    /// Adds a part.
    pub(crate) fn add(&self, part: Own<Pep>) -> Result {
        self.parts.lock().push(part, GFP_KERNEL)?;
        Ok(())
    }

    /// Whether it listens nowhere.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.lock().is_empty()
    }

    /// Stops listening; no callback runs when this returns.
    pub(crate) fn close(&self) {
        // Closed outside of the lock: that waits for callbacks.
        let parts = core::mem::take(&mut *self.parts.lock());
        drop(parts);
    }

    /// Makes it the consumer's.
    pub(crate) fn into_pep(this: Arc<Self>) -> Own<Pep> {
        let raw = Arc::into_raw(this).cast_mut().cast();
        // SAFETY: The public part is at the head, and lives as long as the reference that is given away. It has no module
        // to hold: its parts do that.
        unsafe {
            let raw = NonNull::new_unchecked(raw);
            Pep::init(raw, ModuleRef::default());
            Own::from_raw(raw)
        }
    }
}

/// A changed `struct kfi_pep_attr`.
pub(crate) struct EverywhereAttr<'a> {
    attr: bindings::kfi_pep_attr,
    _life: core::marker::PhantomData<&'a Everywhere>,
}

impl EverywhereAttr<'_> {
    /// As what it is.
    pub(crate) fn as_attr(&self) -> PepAttr<'_> {
        PepAttr { attr: &self.attr }
    }
}

/// An event of a part.
///
/// # Safety
///
/// For providers only: `pep` was opened with [`Everywhere::attr`] and is not closed.
unsafe extern "C" fn everywhere_event(
    pep: *mut bindings::kfi_pep,
    event: *const bindings::kfi_event,
) {
    // SAFETY: The argument given in `attr`, which stays until its parts are closed.
    let this = unsafe { &*(*pep).priv_.cast::<Everywhere>() };
    // SAFETY: The consumer's callback may be called until it closes the passive endpoint.
    unsafe { (this.event)(this.pep.get(), event) }
}

/// kfi_pep_close()
///
/// # Safety
///
/// `pep` was made by [`Everywhere::into_pep`], and the caller owns it.
unsafe extern "C" fn close_everywhere(pep: *mut bindings::kfi_pep) {
    // SAFETY: The reference that `into_pep` has given away.
    let this = unsafe { Arc::<Everywhere>::from_raw(pep.cast()) };
    this.close();
}
