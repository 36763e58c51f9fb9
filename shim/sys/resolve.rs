// SPDX-License-Identifier: GPL-2.0-only

//! `struct kfi_resolve_attr`, and the info that kfi_resolve() returns.
//!
//! That info is kfi's own, since the provider behind it may change until one has found the address. Consumers see its
//! public part; its operations go to the info of the provider.

use super::{
    from_provider,
    info::Info,
    own::Own,
    policy,
    provider::Provider,
    tls::Tls,
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
    policy::Verdict,
    resolve::{
        self,
        Machine, //
    }, //
};
use core::{
    ffi::c_void,
    mem::MaybeUninit,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    ffi::c_int,
    prelude::*,
    str::CStr,
    sync::{
        Arc,
        ArcBorrow, //
    },
    types::Opaque, //
};

type Storage = bindings::__kernel_sockaddr_storage;

/// `struct kfi_resolve_attr`, checked.
pub(crate) struct ResolveAttr<'a> {
    attr: &'a bindings::kfi_resolve_attr,
    callback: Callback,
    net: NonNull<bindings::net>,
    src: Option<Storage>,
    dst: Storage,
}

/// Who hears of the outcome.
#[derive(Clone, Copy)]
struct Callback {
    done: unsafe extern "C" fn(*mut bindings::kfi_info, c_int, *mut c_void),
    private: *mut c_void,
}

/// Copies an address.
///
/// # Safety
///
/// `addr` is valid for as many bytes as its family says.
unsafe fn copy_addr(addr: NonNull<bindings::sockaddr>) -> Result<(Family, Storage)> {
    let mut storage = MaybeUninit::<Storage>::zeroed();
    // SAFETY: Promised by the caller; every family has this field.
    let family = Family::new(unsafe { addr.as_ref() }.sa_family)?;

    // SAFETY: Promised by the caller. The storage has room for every family, and all zero is valid.
    unsafe {
        ptr::copy_nonoverlapping(
            addr.as_ptr().cast::<u8>(),
            storage.as_mut_ptr().cast::<u8>(),
            family.sockaddr_len(),
        );
        Ok((family, storage.assume_init()))
    }
}

/// The port, or the service ID if all of it counts.
///
/// # Safety
///
/// `addr` is as long as its family demands.
pub(super) unsafe fn port(family: Family, addr: *const bindings::sockaddr) -> u64 {
    let at = addr.cast::<u8>();
    if family == Family::Ib {
        // SAFETY: Promised by the caller: struct sockaddr_ib.
        let [id, mask] = unsafe { at.add(24).cast::<[[u8; 8]; 2]>().read() };
        return if mask == [0xff; 8] {
            u64::from_be_bytes(id)
        } else {
            0
        };
    }
    // The same place in the other families.
    // SAFETY: Promised by the caller.
    u16::from_be_bytes(unsafe { at.add(2).cast::<[u8; 2]>().read() }).into()
}

impl<'a> ResolveAttr<'a> {
    /// # Safety
    ///
    /// `attr` is valid for `'a`, and each of its pointers is NULL or valid for `'a`.
    pub(crate) unsafe fn new(attr: NonNull<bindings::kfi_resolve_attr>) -> Result<Self> {
        // SAFETY: Promised by the caller.
        let attr = unsafe { attr.as_ref() };
        let callback = Callback {
            done: attr.done.ok_or(EINVAL)?,
            private: attr.priv_,
        };
        let net = NonNull::new(attr.net).ok_or(EINVAL)?;
        let dst = NonNull::new(attr.dst.cast_mut()).ok_or(EINVAL)?;
        // SAFETY: Promised by the caller.
        let (dst_family, dst) = unsafe { copy_addr(dst) }?;
        // SAFETY: Promised by the caller.
        let src = NonNull::new(attr.src.cast_mut()).map(|src| unsafe { copy_addr(src) });
        let src = src.transpose()?;

        check::Resolve {
            dst: dst_family,
            // SAFETY: Copied just now.
            dst_port: unsafe { port(dst_family, ptr::from_ref(&dst).cast()) },
            src: src.map(|(family, _)| family),
            timeout_ms: attr.timeout_ms,
            tos: attr.tos,
            flags: attr.flags,
        }
        .check()?;
        Ok(Self {
            attr,
            callback,
            net,
            src: src.map(|(_, src)| src),
            dst,
        })
    }

    /// What the administrator says about the peer's address. Sleeps.
    pub(crate) fn verdict(&self, consumer: Consumer) -> Verdict {
        // SAFETY: The address was checked and copied by `new`.
        unsafe { policy::verdict(ptr::from_ref(&self.dst).cast(), consumer) }
    }

    /// The only provider to use.
    pub(crate) fn provider(&self) -> Option<&CStr> {
        let name = NonNull::new(self.attr.provider.cast_mut())?;
        // SAFETY: Promised to `new`.
        Some(unsafe { CStr::from_char_ptr(name.as_ptr()) })
    }
}

/// A reference to a network namespace.
///
/// # Invariants
///
/// Owns a reference.
struct Net(NonNull<bindings::net>);

impl Net {
    /// # Safety
    ///
    /// `net` is live.
    unsafe fn get(net: NonNull<bindings::net>) -> Self {
        // SAFETY: Promised by the caller.
        // INVARIANT: The reference was taken here.
        unsafe { bindings::kfi_get_net(net.as_ptr()) };
        Self(net)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // SAFETY: The type invariant.
        unsafe { bindings::kfi_put_net(self.0.as_ptr()) }
    }
}

/// A resolution, and the info that the consumer has of it.
///
/// # Invariants
///
/// The public part of `info` is written once, before the consumer is told that it may look at it. `info.ops` is
/// [`OPS`] from the beginning.
#[pin_data]
#[repr(C)]
pub(crate) struct Resolution {
    info: Opaque<bindings::kfi_info>,
    src: Option<Storage>,
    dst: Storage,
    net: Net,
    timeout_ms: u32,
    tos: c_int,
    flags: u32,
    tls: Option<Tls>,
    callback: Callback,
    consumer: Consumer,
    #[pin]
    machine: Machine,
}

// SAFETY: What changes is behind the lock of the machine, or written once, see the type invariant. The consumer's
// argument is only handed through.
unsafe impl Send for Resolution {}
// SAFETY: As above.
unsafe impl Sync for Resolution {}

/// Operations of [`Resolution::info`]. There is no reject: nobody has asked for a connection.
static OPS: bindings::kfi_info_ops = bindings::kfi_info_ops {
    ep_open: Some(ep_open),
    reject: None,
    put: Some(put),
};

impl Resolution {
    /// Makes a resolution that nobody is asked for yet.
    pub(crate) fn new(
        attr: &ResolveAttr<'_>,
        verdict: Verdict,
        consumer: Consumer,
    ) -> Result<Arc<Self>> {
        // SAFETY: All zero is valid for it.
        let mut info: bindings::kfi_info = unsafe { MaybeUninit::zeroed().assume_init() };
        info.ops = &OPS;
        info.core.counted = true;

        // SAFETY: Promised to `ResolveAttr::new`.
        let tls = unsafe { Tls::from_raw(attr.attr.tls) }?;
        let resolution = Arc::pin_init(
            pin_init!(Self {
                info: Opaque::new(info),
                src: attr.src,
                dst: attr.dst,
                // SAFETY: The namespace is live, by the promise to `ResolveAttr::new`.
                net: unsafe { Net::get(attr.net) },
                timeout_ms: attr.attr.timeout_ms,
                tos: attr.attr.tos,
                flags: attr.attr.flags,
                tls,
                callback: attr.callback,
                consumer,
                machine <- Machine::new(attr.provider().is_some(), verdict),
            }),
            GFP_KERNEL,
        )?;
        TOTAL.inc(Kind::Info);
        Ok(resolution)
    }

    /// Gives the consumer its info, which owns the reference.
    pub(crate) fn into_info(this: Arc<Self>) -> Own<Info> {
        // SAFETY: The info is at the head of the structure, and lives as long as the reference that it owns.
        unsafe {
            Own::from_raw(NonNull::new_unchecked(
                Arc::into_raw(this).cast_mut().cast(),
            ))
        }
    }

    /// Makes a view of the info that `into_info` has given away.
    ///
    /// # Safety
    ///
    /// `info` was made by `into_info` and its reference is still there.
    unsafe fn from_info<'a>(info: *mut bindings::kfi_info) -> ArcBorrow<'a, Self> {
        // SAFETY: Promised by the caller.
        unsafe { ArcBorrow::from_raw(info.cast::<Self>()) }
    }

    /// Where the resolution is.
    pub(crate) fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Asks a provider. Until the answer is there, or the info is dropped, the consumer's reference stays.
    pub(crate) fn ask(&self, provider: &Provider) -> Result<Own<Info>> {
        let attr = bindings::kfi_resolve_attr {
            net: self.net.0.as_ptr(),
            src: self
                .src
                .as_ref()
                .map_or(ptr::null(), |src| ptr::from_ref(src).cast()),
            dst: ptr::from_ref(&self.dst).cast(),
            timeout_ms: self.timeout_ms,
            tos: self.tos,
            flags: self.flags,
            provider: ptr::null(),
            tls: self.tls.as_ref().map_or(ptr::null(), Tls::as_raw),
            done: Some(answered),
            priv_: ptr::from_ref(self).cast_mut().cast(),
        };
        // SAFETY: The attributes live through the call; the argument of the callback as described above.
        let raw = unsafe { provider.resolve(&attr, self.consumer) }?;
        // SAFETY: Made for this call. While somebody asks, nobody else touches it.
        Ok(unsafe { Own::from_raw(raw) })
    }

    /// Shows the consumer what the provider has found.
    pub(crate) fn publish(&self, found: &Info) {
        let (info, found) = (self.info.get(), found.as_raw());

        // SAFETY: The provider has answered, so it does not write these fields any more; and the consumer does not read
        // them yet.
        unsafe {
            (*info).device = (*found).device;
            (*info).port = (*found).port;
            (*info).src = (*found).src;
            (*info).dst = (*found).dst;
            (*info).ird = (*found).ird;
            (*info).ord = (*found).ord;
            (*info).net = (*found).net;
        }
    }

    /// Tells the consumer the outcome.
    pub(crate) fn report(&self, status: c_int) {
        // SAFETY: Both are valid as long as the resolution.
        unsafe {
            bindings::kfi_trace_info_resolved(
                self.info.get(),
                self.consumer.as_ptr(),
                ptr::from_ref(&self.dst).cast(),
                status,
            );
        }
        // SAFETY: The consumer has promised that its callback can be called, until it drops the info.
        unsafe { (self.callback.done)(self.info.get(), status, self.callback.private) }
    }
}

/// The provider's answer.
///
/// # Safety
///
/// For providers only: the answer to [`Resolution::ask`].
unsafe extern "C" fn answered(_info: *mut bindings::kfi_info, status: c_int, private: *mut c_void) {
    // SAFETY: The argument given in `ask`. The consumer's reference is there, since kfi_info_put() of the provider's
    // info does not return while this runs.
    let resolution = unsafe { ArcBorrow::from_raw(private.cast::<Resolution>()) };
    // The consumer may drop its reference in its callback.
    resolve::answered(&Arc::from(resolution), status);
}

/// kfi_ep_open() of a resolved connection.
///
/// # Safety
///
/// `info` is the head of a [`Resolution`]; the arguments are those of `kfi_info_ops.ep_open`.
unsafe extern "C" fn ep_open(
    info: *mut bindings::kfi_info,
    domain: *mut bindings::kfi_domain,
    attr: *mut bindings::kfi_ep_attr,
) -> *mut bindings::kfi_ep {
    // SAFETY: The consumer still owns the info.
    let resolution = unsafe { Resolution::from_info(info) };
    let opened = resolution.machine().consume(|found| {
        // SAFETY: The arguments are those of kfi_ep_open(); the provider gets back what it has made.
        let ep = unsafe {
            let open = (*(*found.as_raw()).ops).ep_open.ok_or(EINVAL)?;
            from_provider(open(found.as_raw(), domain, attr))
        }?;
        Ok(ep)
    });
    match opened {
        Ok(ep) => {
            // SAFETY: The info is consumed, and its reference with it.
            drop(unsafe { Arc::<Resolution>::from_raw(info.cast()) });
            ep.as_ptr()
        }
        Err(error) => error.to_ptr(),
    }
}

/// kfi_info_put() of a resolution.
///
/// # Safety
///
/// `info` is the head of a [`Resolution`], and the caller owns its reference.
unsafe extern "C" fn put(info: *mut bindings::kfi_info) {
    // SAFETY: The consumer gives its reference away.
    let resolution = unsafe { Arc::<Resolution>::from_raw(info.cast()) };
    resolution.machine().cancel();
}
