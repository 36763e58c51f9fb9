// SPDX-License-Identifier: GPL-2.0-only

//! Connections that have no endpoint yet.

use super::{
    addr,
    consumer::{
        Handle,
        Later, //
    },
    device::Device,
    tls::{
        self,
        Tls, //
    }, //
};
use crate::bindings;
use core::{
    net::SocketAddr,
    ptr::NonNull, //
};
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Arc,
        Completion, //
    },
};

/// What [`Info::resolve`] is asked for.
#[derive(Clone, Copy)]
pub struct ResolveAttr<'a> {
    /// Local address.
    pub src: Option<SocketAddr>,
    /// The peer's.
    pub dst: SocketAddr,
    /// For each step of the resolution; 0 is the default.
    pub timeout_ms: u32,
    /// IP type of service, or traffic class; without it the host's default. `struct kfi_resolve_attr` has the details.
    pub tos: Option<u8>,
    /// The port is one of the network, and not a service number; see `KFI_OWN_PORT`.
    pub own_port: bool,
    /// The only provider to use; without it the host's policy decides.
    pub provider: Option<&'a CStr>,
    /// The keys for TLS; without them it is not used.
    pub tls: Option<Tls<'a>>,
}

impl ResolveAttr<'_> {
    /// Everything but the peer's address is left to the host.
    pub fn new(dst: SocketAddr) -> Self {
        Self {
            src: None,
            dst,
            timeout_ms: 0,
            tos: None,
            own_port: false,
            provider: None,
            tls: None,
        }
    }
}

pub(super) struct RawInfo(Option<NonNull<bindings::kfi_info>>);

// SAFETY: An info may be used from any thread.
unsafe impl Send for RawInfo {}
// SAFETY: As for `Send`.
unsafe impl Sync for RawInfo {}

impl Drop for RawInfo {
    fn drop(&mut self) {
        if let Some(info) = self.0 {
            // SAFETY: The info is ours.
            unsafe { bindings::kfi_info_put(info.as_ptr()) }
        }
    }
}

/// A path to a peer that has been found, or a peer's request to connect. Its drop gives up the one and refuses the other.
pub struct Info(Later<RawInfo>, NonNull<bindings::kfi_info>);

// SAFETY: As for `RawInfo`.
unsafe impl Send for Info {}
// SAFETY: As for `RawInfo`.
unsafe impl Sync for Info {}

struct Waiter {
    status: Atomic<i32>,
    done: Pin<KBox<Completion>>,
}

/// # Safety
///
/// Called by a provider, once, with the `priv` of [`Info::resolve`].
unsafe extern "C" fn resolved(_info: *mut bindings::kfi_info, status: c_int, priv_: *mut c_void) {
    // SAFETY: `priv` is the reference that `Info::resolve()` has given away.
    let waiter = unsafe { Arc::from_raw(priv_.cast::<Waiter>()) };
    waiter.status.store(status, Release);
    waiter.done.complete_all();
}

/// A resolution that calls `then` at its end.
struct Pending<F: FnOnce(Result<Info>) + Send + 'static> {
    /// Empty until the callback knows the info.
    slot: Later<RawInfo>,
    then: F,
}

/// # Safety
///
/// Called by a provider, once, with the `priv` of [`Info::resolve_then`].
unsafe extern "C" fn resolved_then<F: FnOnce(Result<Info>) + Send + 'static>(
    info: *mut bindings::kfi_info,
    status: c_int,
    priv_: *mut c_void,
) {
    // SAFETY: `priv` is the box that `Info::resolve_then()` has given away.
    let pending = unsafe { KBox::from_raw(priv_.cast::<Pending<F>>()) };
    let Pending { mut slot, then } = KBox::into_inner(pending);
    let Some(info) = NonNull::new(info) else {
        return then(Err(ENODEV));
    };
    // The info is ours; when `slot` is dropped a work item puts it, after this callback.
    slot.0 = Some(info);
    let info = Info(slot, info);
    then(to_result(status).map(|()| info));
}

impl ResolveAttr<'_> {
    /// Starts a resolution with `done` as its callback.
    ///
    /// # Safety
    ///
    /// `done` may be called once with `priv_`, if this succeeds.
    unsafe fn start(
        &self,
        done: bindings::kfi_resolve_fn,
        priv_: *mut c_void,
    ) -> Result<*mut bindings::kfi_info> {
        let src = self.src.as_ref().map(addr::to_storage);
        let dst = addr::to_storage(&self.dst);
        let tls = tls::Raw::new(self.tls);
        let name = <crate::LocalModule as kernel::ModuleMetadata>::NAME;
        let raw = bindings::kfi_resolve_attr {
            // SAFETY: The namespace of the calling task, which stays as long as the call.
            net: unsafe { bindings::kfi_current_net() },
            src: src
                .as_ref()
                .map_or(core::ptr::null(), |src| core::ptr::from_ref(src).cast()),
            dst: (&raw const dst).cast(),
            timeout_ms: self.timeout_ms,
            tos: self.tos.map_or(-1, c_int::from),
            flags: if self.own_port {
                bindings::KFI_OWN_PORT
            } else {
                0
            },
            provider: self.provider.map_or(core::ptr::null(), CStr::as_char_ptr),
            tls: tls.as_ptr(),
            done,
            priv_,
        };
        // SAFETY: All of `raw` is valid for the call, `name` as long as this module; the rest is the caller's promise.
        from_err_ptr(unsafe { bindings::__kfi_resolve(&raw, name.as_char_ptr()) })
    }
}

impl Info {
    /// # Safety
    ///
    /// `info` is the caller's, who gives it away when this succeeds.
    pub(super) unsafe fn from_raw(
        handle: &Handle,
        info: NonNull<bindings::kfi_info>,
    ) -> Result<Self> {
        Ok(Self(Later::new(handle, || Ok(RawInfo(Some(info))))?, info))
    }

    /// Finds the device and the path to an address, in the calling task's network namespace. Sleeps, for no longer than the resolution's own time limits.
    pub fn resolve(handle: &Handle, attr: &ResolveAttr<'_>) -> Result<Self> {
        let waiter = Arc::new(
            Waiter {
                status: Atomic::new(0),
                done: KBox::pin_init(Completion::new(), GFP_KERNEL)?,
            },
            GFP_KERNEL,
        )?;
        let mut this = Self(
            Later::new(handle, || Ok(RawInfo(None)))?,
            NonNull::dangling(),
        );
        let priv_ = Arc::into_raw(waiter.clone());
        // SAFETY: The callback takes the reference that `priv_` is.
        let info = unsafe { attr.start(Some(resolved), priv_.cast_mut().cast()) };
        let info = info.inspect_err(|_| {
            // SAFETY: There will be no callback, so the reference is still ours.
            drop(unsafe { Arc::from_raw(priv_) });
        })?;
        waiter.done.wait_for_completion();
        let info = NonNull::new(info).ok_or(ENODEV)?;
        // From here on the drop of `this` puts it.
        this.0 .0 = Some(info);
        this.1 = info;
        to_result(waiter.status.load(Acquire))?;
        Ok(this)
    }

    /// The same without waiting: `then` is called from process context, once, perhaps before this returns. It is not called
    /// after an error of this function. Sleeps.
    pub fn resolve_then<F>(handle: &Handle, attr: &ResolveAttr<'_>, then: F) -> Result
    where
        F: FnOnce(Result<Self>) + Send + 'static,
    {
        let slot = Later::new(handle, || Ok(RawInfo(None)))?;
        let pending = KBox::into_raw(KBox::new(Pending { slot, then }, GFP_KERNEL)?);
        // SAFETY: The callback takes the box that `pending` is.
        let started = unsafe { attr.start(Some(resolved_then::<F>), pending.cast()) };
        started.inspect_err(|_| {
            // SAFETY: There will be no callback, so the box is still ours.
            drop(unsafe { KBox::from_raw(pending) });
        })?;
        // The info belongs to the callback.
        Ok(())
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::kfi_info {
        self.1.as_ptr()
    }

    fn raw(&self) -> &bindings::kfi_info {
        // SAFETY: The info is ours and constant after the callback that told of it.
        unsafe { self.1.as_ref() }
    }

    /// `kfi_ep_open()` has consumed it.
    pub(super) fn opened(mut self) {
        self.0 .0 = None;
    }

    /// The device where it would live.
    pub fn device(&self) -> &Device {
        // SAFETY: The info keeps the device.
        unsafe { Device::from_raw(self.raw().device) }
    }

    /// Our address.
    pub fn src(&self) -> Result<SocketAddr> {
        addr::from_storage(&self.raw().src)
    }

    /// The peer's address.
    pub fn dst(&self) -> Result<SocketAddr> {
        addr::from_storage(&self.raw().dst)
    }

    /// What the peer's request carried, perhaps padded with zeros.
    pub fn private_data(&self) -> &[u8] {
        let raw = self.raw();
        // SAFETY: Valid as long as the info.
        unsafe { super::endpoint::private_data(raw.private_data, raw.private_data_len) }
    }

    /// Reads that the peer asks to have outstanding at us.
    pub fn ird(&self) -> u8 {
        self.raw().ird
    }

    /// Reads that the peer lets us have outstanding.
    pub fn ord(&self) -> u8 {
        self.raw().ord
    }

    /// Refuses the request with a word to the peer. Sleeps.
    pub fn reject(mut self, private_data: &[u8]) -> Result {
        let len = u32::try_from(private_data.len())?;
        // SAFETY: The info is ours, and the data valid for the call.
        let result = to_result(unsafe {
            bindings::kfi_info_reject(self.as_ptr(), private_data.as_ptr().cast(), len)
        });
        if !matches!(result, Err(e) if e == EINVAL || e == EMSGSIZE) {
            // Freed, whether the peer could be told or not.
            self.0 .0 = None;
        }
        result
    }
}
