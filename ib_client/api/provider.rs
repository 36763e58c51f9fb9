// SPDX-License-Identifier: GPL-2.0-only

//! The provider and its two entry points.

use super::{
    bindings,
    event::ResolveFn,
    object::{
        self, //
    },
    pep::PepHead, //
};
use crate::{
    conn::{
        resolve::Request,
        Conn, //
    },
    listener::Listener,
    verbs::{
        addr::{
            Net,
            SockAddr, //
        },
        pd::Caller, //
    }, //
};
use kernel::{
    error::to_result,
    prelude::*,
    types::Opaque, //
};

/// RDMA devices go before software over sockets.
const PRIORITY: c_int = 100;

/// # Safety
///
/// `attr` is valid and was checked by kfi.ko; `owner` outlives the connection.
unsafe extern "C" fn resolve(
    attr: *const bindings::kfi_resolve_attr,
    owner: *const c_char,
) -> *mut bindings::kfi_info {
    let resolve = || -> Result<*mut bindings::kfi_info> {
        // SAFETY: By the function's contract.
        let (attr, caller) = unsafe { (&*attr, Caller::from_raw(owner)) };
        if !attr.tls.is_null() {
            // RDMA has none.
            return Err(ENODEV);
        }
        let src = if attr.src.is_null() {
            None
        } else {
            // SAFETY: By the function's contract.
            Some(unsafe { SockAddr::from_raw(attr.src) }?)
        };
        // SAFETY: By the function's contract.
        let (net, dst) = unsafe { (Net::from_raw(attr.net), SockAddr::from_raw(attr.dst)?) };
        let request = Request {
            net,
            timeout_ms: attr.timeout_ms,
            tos: u8::try_from(attr.tos).ok(),
            done: ResolveFn::new(attr).ok_or(EINVAL)?,
            caller,
        };
        let conn = Conn::to_resolve(&request)?;
        // The callback can come at once, and can give this up.
        let info = object::give::<bindings::kfi_info, _>(conn.clone());
        conn.start_resolve(&request, src.as_ref(), &dst)
            .inspect_err(|_| {
                // SAFETY: Given just now, and there was no callback that could have taken it.
                unsafe { object::take::<_, Conn>(info) }.release();
            })?;
        Ok(info)
    };
    object::into_ptr(resolve())
}

/// # Safety
///
/// `attr` is valid and was checked by kfi.ko; `owner` outlives the passive endpoint.
unsafe extern "C" fn pep_open(
    attr: *const bindings::kfi_pep_attr,
    owner: *const c_char,
) -> *mut bindings::kfi_pep {
    let open = || -> Result<*mut bindings::kfi_pep> {
        // SAFETY: By the function's contract.
        let (attr, caller) = unsafe { (&*attr, Caller::from_raw(owner)) };
        // SAFETY: By the function's contract.
        let (net, addr) = unsafe { (Net::from_raw(attr.net), SockAddr::from_raw(attr.addr)?) };
        if !attr.tls.is_null() {
            // RDMA has none.
            return Err(ENODEV);
        }
        let backlog = u32::try_from(attr.backlog).map_err(|_| EINVAL)?;
        let listener = Listener::new(PepHead::new(attr)?)?;
        listener
            .listen(net, &addr, backlog, attr.afonly, caller)
            .inspect_err(|_| listener.clone().close())?;
        Ok(object::give(listener))
    };
    object::into_ptr(open())
}

/// `struct kfi_provider`, which kfi.ko uses while it is registered.
struct Provider(Opaque<bindings::kfi_provider>);

// SAFETY: Written before it is registered, by module initialisation, and not after that.
unsafe impl Sync for Provider {}

static PROVIDER: Provider = Provider(Opaque::zeroed());

/// The provider as long as it is registered.
pub(crate) struct Registration(());

impl Registration {
    /// Registers the provider. Called once, by module initialisation.
    pub(crate) fn new() -> Result<Self> {
        let provider = PROVIDER.0.get();
        // SAFETY: Nobody else uses the structure yet.
        unsafe {
            (*provider).name = super::PROVIDER_NAME.to_bytes_with_nul().as_ptr().cast();
            (*provider).owner = super::this_module();
            (*provider).priority = PRIORITY;
            (*provider).resolve = Some(resolve);
            (*provider).pep_open = Some(pep_open);
            to_result(bindings::kfi_provider_add(provider))?;
        }
        Ok(Self(()))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: Registered by `new()`. No call comes after this has returned.
        unsafe { bindings::kfi_provider_del(PROVIDER.0.get()) };
    }
}
