// SPDX-License-Identifier: GPL-2.0-only

//! The provider and its two entry points.

use super::{
    bindings,
    device,
    event::ResolveFn,
    object,
    pep::PepHead, //
};
use crate::{
    sys::{
        addr::{
            Addr,
            Net, //
        },
        tls::Tls,
        workq::Place, //
    },
    tcp::{
        self,
        conn::{
            control::Request,
            Conn, //
        },
        listen::{
            Pep,
            PepAttr, //
        }, //
    },
};
use kernel::{
    error::to_result,
    ffi::{
        c_char,
        c_int, //
    },
    prelude::*,
    str::CStr,
    types::Opaque, //
};

/// Name of the provider.
pub(super) const NAME: &CStr = c"tcp";
/// Behind RDMA devices.
const PRIORITY: c_int = 50;

/// The module that everything of the provider keeps loaded.
pub(super) fn owner() -> *mut bindings::module {
    crate::sys::compat::THIS_MODULE.as_ptr()
}

/// An address; `ENODEV` for AF_IB, which sockets do not have.
///
/// # Safety
///
/// As for [`Addr::from_raw`].
unsafe fn ip_addr(addr: *const bindings::sockaddr) -> Result<Addr> {
    // SAFETY: Promised by the caller.
    unsafe { Addr::from_raw(addr) }.map_err(|_| ENODEV)
}

/// # Safety
///
/// `attr` is valid and was checked by kfi.ko; `owner` outlives the connection.
unsafe extern "C" fn resolve(
    attr: *const bindings::kfi_resolve_attr,
    _owner: *const c_char,
) -> *mut bindings::kfi_info {
    let resolve = || -> Result<*mut bindings::kfi_info> {
        // SAFETY: By the function's contract.
        let attr = unsafe { &*attr };
        let src = if attr.src.is_null() {
            None
        } else {
            // SAFETY: By the function's contract.
            Some(unsafe { ip_addr(attr.src) }?)
        };
        // SAFETY: By the function's contract.
        let (net, dst) = unsafe { (Net::from_raw(attr.net), ip_addr(attr.dst)?) };
        let conn = Conn::resolve(Request {
            net,
            src,
            dst,
            tos: u8::try_from(attr.tos).ok(),
            own_port: attr.flags & tcp::OWN_PORT != 0,
            // SAFETY: By the function's contract.
            tls: unsafe { Tls::from_raw(attr.tls) }?,
            done: ResolveFn::new(attr).ok_or(EINVAL)?,
        })?;
        // The callback can come at once, and can give this up.
        let info = object::give(conn.clone());
        conn.start_resolve();
        Ok(info)
    };
    object::into_ptr(resolve())
}

/// # Safety
///
/// `attr` is valid and was checked by kfi.ko; `owner` outlives the passive endpoint.
unsafe extern "C" fn pep_open(
    attr: *const bindings::kfi_pep_attr,
    _owner: *const c_char,
) -> *mut bindings::kfi_pep {
    let open = || -> Result<*mut bindings::kfi_pep> {
        // SAFETY: By the function's contract.
        let attr = unsafe { &*attr };
        // SAFETY: By the function's contract.
        let (net, addr) = unsafe { (Net::from_raw(attr.net), ip_addr(attr.addr)?) };
        let pep = Pep::open(
            PepHead::new(attr)?,
            PepAttr {
                net,
                addr,
                own_port: attr.flags & tcp::OWN_PORT != 0,
                // SAFETY: By the function's contract.
                tls: unsafe { Tls::from_raw(attr.tls) }?,
                backlog: attr.backlog,
                v6_only: attr.afonly,
            },
        )?;
        Ok(object::give(pep))
    };
    object::into_ptr(open())
}

/// `struct kfi_provider`, which kfi.ko uses while it is registered.
struct Provider(Opaque<bindings::kfi_provider>);

// SAFETY: Written before it is registered, by module initialisation, and not after that.
unsafe impl Sync for Provider {}

static PROVIDER: Provider = Provider(Opaque::zeroed());

/// The provider as long as it is registered.
pub(crate) struct Registration {
    // Dropped first.
    _provider: ProviderRegistration,
    _device: device::Registration,
    _queues: QueuesRegistration,
}

struct ProviderRegistration(());
struct QueuesRegistration(());

impl Registration {
    /// Registers the provider. Called once, by module initialisation.
    pub(crate) fn new() -> Result<Self> {
        tcp::IO.start(c"kfi-tcp", Place::Here)?;
        let queues = QueuesRegistration(());
        tcp::POLL.start(c"kfi-tcp-poll", Place::Anywhere)?;
        tcp::CONTROL.start(c"kfi-tcp-control", Place::Anywhere)?;
        let device = device::Registration::new()?;
        let provider = PROVIDER.0.get();
        // SAFETY: Nobody else uses the structure yet.
        unsafe {
            (*provider).name = NAME.as_char_ptr();
            (*provider).owner = owner();
            (*provider).priority = PRIORITY;
            (*provider).resolve = Some(resolve);
            (*provider).pep_open = Some(pep_open);
            to_result(bindings::kfi_provider_add(provider))?;
        }
        Ok(Self {
            _provider: ProviderRegistration(()),
            _device: device,
            _queues: queues,
        })
    }
}

impl Drop for ProviderRegistration {
    fn drop(&mut self) {
        // SAFETY: Registered by `new()`. No call comes after this has returned.
        unsafe { bindings::kfi_provider_del(PROVIDER.0.get()) };
    }
}

impl Drop for QueuesRegistration {
    fn drop(&mut self) {
        // The provider has no objects any more, as those keep the module loaded. What may be left are connections of peers
        // that nobody has heard of, and that are being torn down: their work has queued an event, and that the teardown. Until
        // it has run their sockets wake the first queue.
        tcp::IO.flush();
        tcp::CONTROL.flush();
        tcp::CONTROL.flush();
        // SAFETY: No socket is left, so only work of the queues queues some.
        unsafe {
            tcp::IO.stop();
            tcp::POLL.stop();
            tcp::CONTROL.stop();
        }
    }
}
