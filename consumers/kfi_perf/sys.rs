// SPDX-License-Identifier: GPL-2.0-only

//! Blocking TCP sockets of the initial network namespace: all that the loops over raw sockets need of C.

use crate::{
    bindings,
    kfi::addr, //
};
use core::{
    net::SocketAddr,
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    ffi::c_int,
    prelude::*, //
};

// Of include/linux/net.h and include/linux/socket.h.
const SOCK_STREAM: c_int = 1;
const IPPROTO_TCP: c_int = 6;
const SHUT_RDWR: u32 = 2;
const AF_INET: c_int = 2;
const AF_INET6: c_int = 10;

/// A TCP socket.
///
/// # Invariants
///
/// The pointer is a socket of the kernel's that nobody else owns.
pub struct Socket(NonNull<bindings::socket>);

// SAFETY: Sockets have their own locking.
unsafe impl Send for Socket {}
// SAFETY: As above.
unsafe impl Sync for Socket {}

impl Socket {
    /// Creates a socket for addresses like `addr`. Sleeps.
    pub fn new(addr: &SocketAddr) -> Result<Self> {
        let family = if addr.is_ipv4() { AF_INET } else { AF_INET6 };
        let mut sock = core::ptr::null_mut();
        // SAFETY: The initial namespace is always there; `sock` is valid for the call.
        to_result(unsafe {
            bindings::sock_create_kern(
                &raw mut bindings::init_net,
                family,
                SOCK_STREAM,
                IPPROTO_TCP,
                &mut sock,
            )
        })?;
        // SAFETY: Created just now.
        unsafe { Self::own(sock) }
    }

    /// # Safety
    ///
    /// The caller owns the socket and gives it away.
    unsafe fn own(sock: *mut bindings::socket) -> Result<Self> {
        let sock = NonNull::new(sock).ok_or(ENOMEM)?;
        // SAFETY: Promised by the caller; nobody else uses the new socket. A socket of TCP has a `sk`.
        unsafe { bindings::tcp_sock_set_nodelay((*sock.as_ptr()).sk) };
        // INVARIANT: Promised by the caller.
        Ok(Self(sock))
    }

    fn as_raw(&self) -> *mut bindings::socket {
        self.0.as_ptr()
    }

    /// Takes a local address.
    pub fn bind(&self, addr: &SocketAddr) -> Result {
        let mut addr = addr::to_storage(addr);
        let len = size_of_val(&addr) as c_int;
        // SAFETY: The socket is valid, and a socket of TCP has a `sk`.
        unsafe { bindings::sock_set_reuseaddr((*self.as_raw()).sk) };
        // SAFETY: Both are valid for the call.
        to_result(unsafe { bindings::kernel_bind(self.as_raw(), (&raw mut addr).cast(), len) })
    }

    /// Starts to listen.
    pub fn listen(&self, backlog: c_int) -> Result {
        // SAFETY: The socket is valid.
        to_result(unsafe { bindings::kernel_listen(self.as_raw(), backlog) })
    }

    /// Waits for a connection; fails when the socket is shut down.
    pub fn accept(&self) -> Result<Self> {
        let mut sock = core::ptr::null_mut();
        // SAFETY: The socket is valid, `sock` too for the call.
        to_result(unsafe { bindings::kernel_accept(self.as_raw(), &mut sock, 0) })?;
        // SAFETY: Created just now.
        unsafe { Self::own(sock) }
    }

    /// Connects.
    pub fn connect(&self, addr: &SocketAddr) -> Result {
        let mut addr = addr::to_storage(addr);
        let len = size_of_val(&addr) as c_int;
        // SAFETY: Both are valid for the call.
        to_result(unsafe {
            bindings::kernel_connect(self.as_raw(), (&raw mut addr).cast(), len, 0)
        })
    }

    /// Sends all bytes.
    #[inline]
    pub fn send(&self, bytes: &[u8]) -> Result {
        let mut rest = bytes;
        while !rest.is_empty() {
            let mut msg = bindings::msghdr {
                msg_flags: bindings::MSG_NOSIGNAL,
                ..Default::default()
            };
            let mut vec = bindings::kvec {
                iov_base: rest.as_ptr().cast_mut().cast(),
                iov_len: rest.len(),
            };
            // SAFETY: The socket is valid; the bytes are borrowed for the call, which only reads them.
            let ret = unsafe {
                bindings::kernel_sendmsg(self.as_raw(), &mut msg, &mut vec, 1, rest.len())
            };
            let sent = usize::try_from(ret).map_err(|_| Error::from_errno(ret))?;
            rest = rest.get(sent..).ok_or(EIO)?;
        }
        Ok(())
    }

    /// Fills `bytes`; `EPIPE` when the stream ends before.
    #[inline]
    pub fn recv(&self, bytes: &mut [u8]) -> Result {
        let mut rest = bytes;
        while !rest.is_empty() {
            let mut msg = bindings::msghdr::default();
            let mut vec = bindings::kvec {
                iov_base: rest.as_mut_ptr().cast(),
                iov_len: rest.len(),
            };
            // SAFETY: The socket is valid; the bytes are borrowed for the call.
            let ret = unsafe {
                bindings::kernel_recvmsg(
                    self.as_raw(),
                    &mut msg,
                    &mut vec,
                    1,
                    rest.len(),
                    bindings::MSG_WAITALL as c_int,
                )
            };
            let got = usize::try_from(ret).map_err(|_| Error::from_errno(ret))?;
            if got == 0 {
                return Err(EPIPE);
            }
            rest = rest.get_mut(got..).ok_or(EIO)?;
        }
        Ok(())
    }

    /// Ends both directions; whoever waits in a call is woken.
    pub fn shutdown(&self) {
        // SAFETY: The socket is valid. Failure means that it is not connected, which is fine.
        unsafe { bindings::kernel_sock_shutdown(self.as_raw(), SHUT_RDWR) };
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the socket is ours.
        unsafe { bindings::sock_release(self.as_raw()) };
    }
}
