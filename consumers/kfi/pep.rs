// SPDX-License-Identifier: GPL-2.0-only

//! Passive endpoints.

use super::{
    addr,
    consumer::{
        Handle,
        Later, //
    },
    info::Info,
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
    prelude::*, //
};

/// What happened to a passive endpoint.
pub enum PassiveEvent {
    /// A peer asks to connect.
    Request(Info),
    /// It has ended, with [`ENODEV`] because its device went away.
    Error(Error),
    /// The address moved to another device.
    AddrChange,
}

/// What a consumer does with the events of a passive endpoint.
pub trait Listener: Send + Sync + 'static {
    /// Process context, may sleep. Calls may run concurrently.
    fn event(&self, event: PassiveEvent);
}

struct Shared<L: Listener> {
    handle: Handle,
    listener: L,
}

struct Open<L: Listener> {
    pep: NonNull<bindings::kfi_pep>,
    // Behind the close.
    shared: KBox<Shared<L>>,
}

// SAFETY: A passive endpoint may be used from any thread, and `L` is `Send` and `Sync`.
unsafe impl<L: Listener> Send for Open<L> {}
// SAFETY: As for `Send`.
unsafe impl<L: Listener> Sync for Open<L> {}

impl<L: Listener> Drop for Open<L> {
    fn drop(&mut self) {
        // SAFETY: It is ours. No callback is running or coming when this returns.
        unsafe { bindings::kfi_pep_close(self.pep.as_ptr()) };
    }
}

/// What [`PassiveEndpoint::open`] is asked for.
#[derive(Clone, Copy)]
pub struct PassiveAttr<'a> {
    /// Where to listen.
    pub address: SocketAddr,
    /// Requests that may wait.
    pub backlog: u16,
    /// The wildcard address of IPv6 takes no connections of IPv4.
    pub afonly: bool,
    /// The port is one of the network, and not a service number; see `KFI_OWN_PORT`.
    pub own_port: bool,
    /// The only provider to use; without it the host's policy decides.
    pub provider: Option<&'a CStr>,
    /// Only connections that use TLS, with these keys.
    pub tls: Option<Tls<'a>>,
}

impl PassiveAttr<'_> {
    /// Everything but the address is left to the host.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            backlog: 128,
            afonly: false,
            own_port: false,
            provider: None,
            tls: None,
        }
    }
}

/// It listens. Its drop closes it, in a work item.
pub struct PassiveEndpoint<L: Listener>(Later<Open<L>>);

impl<L: Listener> PassiveEndpoint<L> {
    /// Listens for connections, in the calling task's network namespace. Requests may arrive before this returns. Sleeps.
    pub fn open(handle: &Handle, asked: &PassiveAttr<'_>, listener: L) -> Result<Self> {
        let storage = addr::to_storage(&asked.address);
        let tls = tls::Raw::new(asked.tls);
        let open = Later::new(handle, || {
            let shared = KBox::new(
                Shared {
                    handle: handle.clone(),
                    listener,
                },
                GFP_KERNEL,
            )?;
            let attr = bindings::kfi_pep_attr {
                // SAFETY: The namespace of the calling task, which stays as long as the call.
                net: unsafe { bindings::kfi_current_net() },
                addr: (&raw const storage).cast(),
                backlog: c_int::from(asked.backlog),
                afonly: asked.afonly,
                flags: if asked.own_port {
                    bindings::KFI_OWN_PORT
                } else {
                    0
                },
                provider: asked.provider.map_or(core::ptr::null(), CStr::as_char_ptr),
                tls: tls.as_ptr(),
                event: Some(event::<L>),
                priv_: core::ptr::from_ref(&*shared).cast_mut().cast(),
            };
            let name = <crate::LocalModule as kernel::ModuleMetadata>::NAME;
            // SAFETY: All of `attr` is valid for the call; `shared` lives until the passive endpoint is closed, and
            // `name` as long as this module.
            let pep = from_err_ptr(unsafe { bindings::__kfi_pep_open(&attr, name.as_char_ptr()) })?;
            Ok(Open {
                pep: NonNull::new(pep).ok_or(ENOMEM)?,
                shared,
            })
        })?;
        Ok(Self(open))
    }

    /// What was given to [`PassiveEndpoint::open`].
    pub fn listener(&self) -> &L {
        &self.0.shared.listener
    }

    /// Stops listening; no callback runs at return. Sleeps. Not for its own callback.
    pub fn close(self) {
        self.0.now();
    }
}

/// # Safety
///
/// Called by a provider, with a passive endpoint of [`PassiveEndpoint::open`] that is not closed yet.
unsafe extern "C" fn event<L: Listener>(
    pep: *mut bindings::kfi_pep,
    event: *const bindings::kfi_event,
) {
    // SAFETY: `priv` is set before the first callback to a `Shared<L>` that lives until no callback runs any more.
    let shared = unsafe { &*(*pep).priv_.cast::<Shared<L>>() };
    // SAFETY: Valid during the call.
    let event = unsafe { &*event };
    let event = match event.type_ {
        bindings::kfi_event_type_KFI_EVENT_CONNREQ => {
            let Some(info) = NonNull::new(event.info) else {
                return;
            };
            // SAFETY: The info is ours from now on.
            match unsafe { Info::from_raw(&shared.handle, info) } {
                Ok(info) => PassiveEvent::Request(info),
                Err(_) => {
                    // SAFETY: It is still ours.
                    unsafe { bindings::kfi_info_put(info.as_ptr()) };
                    return;
                }
            }
        }
        bindings::kfi_event_type_KFI_EVENT_ERROR => {
            PassiveEvent::Error(to_result(event.status).err().unwrap_or(EIO))
        }
        bindings::kfi_event_type_KFI_EVENT_ADDR_CHANGE => PassiveEvent::AddrChange,
        _ => return,
    };
    shared.listener.event(event);
}
