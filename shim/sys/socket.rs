// SPDX-License-Identifier: GPL-2.0-only

//! TCP sockets of the kernel's.

use super::{
    addr::{
        Addr,
        Net, //
    },
    errno,
    memory::Piece,
    tls::{
        self,
        Secured,
        Tls, //
    },
    workq, //
};
use crate::bindings;
use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    error::to_result,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow, //
    }, //
};

/// Bytes of TLS that are taken at one time: more can come while they are decrypted.
const BUDGET: usize = 1 << 20;
/// Records that are no data, at one time.
const RECORDS: usize = 16;

// Of include/linux/net.h, include/linux/socket.h and include/net/tcp_states.h.
const SOCK_STREAM: c_int = 1;
const IPPROTO_TCP: c_int = 6;
const O_NONBLOCK: c_int = 0o4000;
const TCP_ESTABLISHED: c_int = 1;
const TCP_CLOSE: c_int = 7;
const TCP_CLOSE_WAIT: c_int = 8;
const TCP_LISTEN: c_int = 10;
const SHUT_WR: u32 = 1;
const SHUT_RDWR: u32 = 2;

/// Wants to know when a socket has something to read, room to write, or a new state.
pub(crate) trait Watcher: Send + Sync + 'static {
    /// Whether it watches listening sockets. Those hand their callbacks down to connections that nobody has accepted yet,
    /// which do not concern their watcher.
    const LISTENS: bool;

    /// Something has happened. Softirq: must not sleep.
    fn woken(this: ArcBorrow<'_, Self>);
}

/// What has become of a connection: consumers know one error for peers that cannot be reached, and one for those that have gone.
fn end(error: Error) -> Error {
    match error {
        // A reset behind the end of the peer's direction.
        EPIPE => errno::econnreset(),
        error if error == errno::enetunreach() => errno::ehostunreach(),
        error => error,
    }
}

/// A TCP socket.
///
/// # Invariants
///
/// - `sock` is a socket of the kernel's that nobody else owns.
/// - If `handshake` is there, it is a reference that was given away to the agent, which may have given it back.
/// - If `saved` is there, the socket's callbacks are those of [`Socket::watch`], and its user data owns a reference to the
///   watcher.
pub(crate) struct Socket<W: Watcher> {
    sock: NonNull<bindings::socket>,
    saved: Option<bindings::kfi_sock_calls>,
    /// What is sent and taken are records of TLS.
    secure: bool,
    handshake: Option<NonNull<W>>,
    /// The peer has said that it sends no more; only with TLS.
    ended: Atomic<bool>,
    _watcher: PhantomData<Arc<W>>,
}

// SAFETY: Sockets have their own locking.
unsafe impl<W: Watcher> Send for Socket<W> {}
// SAFETY: As above.
unsafe impl<W: Watcher> Sync for Socket<W> {}

impl<W: Watcher> Socket<W> {
    /// Creates a socket for addresses of the family of `addr`. It holds the network namespace.
    pub(crate) fn new(net: &Net, addr: &Addr) -> Result<Self> {
        let mut sock = ptr::null_mut();
        // SAFETY: The namespace is there while it is borrowed.
        to_result(unsafe {
            bindings::sock_create_kern(
                net.as_raw(),
                addr.family().into(),
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
        // SAFETY: A new socket, which nobody else uses.
        unsafe { bindings::kfi_sock_prepare(sock.as_ptr()) };
        // INVARIANT: Promised by the caller; nobody watches it.
        Ok(Self {
            sock,
            saved: None,
            secure: false,
            handshake: None,
            ended: Atomic::new(false),
            _watcher: PhantomData,
        })
    }

    fn as_raw(&self) -> *mut bindings::socket {
        self.sock.as_ptr()
    }

    /// Takes a local address.
    pub(crate) fn bind(&self, addr: &Addr) -> Result {
        // SAFETY: Both are valid.
        to_result(unsafe { bindings::kernel_bind(self.as_raw(), addr.as_raw(), addr.len()) })
    }

    /// Says whether a wildcard of IPv6 takes no IPv4, before it is bound.
    pub(crate) fn set_v6_only(&self, only: bool) -> Result {
        // SAFETY: The socket is valid.
        to_result(unsafe { bindings::kfi_sock_set_v6only(self.as_raw(), only) })
    }

    /// Starts to listen.
    pub(crate) fn listen(&self, backlog: c_int) -> Result {
        // SAFETY: The socket is valid.
        to_result(unsafe { bindings::kernel_listen(self.as_raw(), backlog) })
    }

    /// Takes a connection that waits; `EAGAIN` when there is none.
    pub(crate) fn accept<V: Watcher>(&self) -> Result<Socket<V>> {
        let mut sock = ptr::null_mut();
        // SAFETY: The socket is valid.
        to_result(unsafe { bindings::kernel_accept(self.as_raw(), &mut sock, O_NONBLOCK) })?;
        // SAFETY: Created just now.
        let socket = unsafe { Socket::own(sock) }?;
        // SAFETY: The socket is valid.
        unsafe { bindings::kfi_sock_reflect_tos(socket.as_raw()) };
        if let Some(saved) = &self.saved {
            // What it has inherited is of no use to it, nor to an agent that gets it; the user data is no reference.
            // SAFETY: The socket is valid.
            unsafe { bindings::kfi_sock_unwatch(socket.as_raw(), saved) };
        }
        Ok(socket)
    }

    /// Starts to connect.
    pub(crate) fn connect(&self, addr: &Addr) -> Result {
        // SAFETY: Both are valid.
        let ret = unsafe {
            bindings::kernel_connect(self.as_raw(), addr.as_raw(), addr.len(), O_NONBLOCK)
        };
        // The outcome comes as a change of state.
        if ret == errno::einprogress().to_errno() {
            return Ok(());
        }
        to_result(ret).map_err(end)
    }

    /// The address that `get` finds, which is called with the socket, and room for any address.
    fn name(
        &self,
        get: impl FnOnce(*mut bindings::socket, *mut bindings::sockaddr) -> c_int,
    ) -> Result<Addr> {
        let mut addr = bindings::__kernel_sockaddr_storage::default();
        to_result(get(self.as_raw(), (&raw mut addr).cast()).min(0))?;
        // SAFETY: Filled in just now.
        unsafe { Addr::from_raw((&raw const addr).cast()) }
    }

    /// The local address.
    pub(crate) fn local(&self) -> Result<Addr> {
        // SAFETY: `name` passes a valid socket, and room for any address.
        self.name(|sock, addr| unsafe { bindings::kernel_getsockname(sock, addr) })
    }

    /// The peer's address.
    pub(crate) fn peer(&self) -> Result<Addr> {
        // SAFETY: `name` passes a valid socket, and room for any address.
        self.name(|sock, addr| unsafe { bindings::kernel_getpeername(sock, addr) })
    }

    /// Ends the connection when the peer has answered nothing for about so many seconds.
    pub(crate) fn limit_silence(&self, seconds: u32) {
        // SAFETY: The socket is valid.
        unsafe { bindings::kfi_sock_limit_silence(self.as_raw(), seconds) };
    }

    /// Says which type of service, or traffic class, packets carry.
    pub(crate) fn set_tos(&self, tos: u8) {
        // SAFETY: The socket is valid.
        unsafe { bindings::kfi_sock_set_tos(self.as_raw(), tos) };
    }

    /// Hears of changes, until [`Self::unwatch`]; at first of what has happened before.
    pub(crate) fn watch(&mut self, watcher: Arc<W>) {
        if self.saved.is_some() {
            return;
        }
        let calls = bindings::kfi_sock_calls {
            ready: Some(woken::<W>),
            space: Some(woken::<W>),
            change: Some(woken::<W>),
        };
        let mut saved = bindings::kfi_sock_calls::default();
        // SAFETY: The socket is valid.
        unsafe {
            bindings::kfi_sock_watch(
                self.as_raw(),
                Arc::into_raw(watcher).cast_mut().cast(),
                &calls,
                &mut saved,
            )
        };
        // INVARIANT: The reference was given to the user data.
        if self.secure {
            // SAFETY: As above; the callbacks were those of TLS.
            unsafe { bindings::kfi_tls_watch(self.as_raw(), &saved) };
        }
        self.saved = Some(saved);
        // SAFETY: The socket is valid, and watched by this type.
        unsafe { woken::<W>(bindings::kfi_sock_sk(self.as_raw())) };
    }

    /// Hears no more. No callback runs when this returns.
    pub(crate) fn unwatch(&mut self) {
        let Some(saved) = self.saved.take() else {
            return;
        };
        // SAFETY: By the type invariant the callbacks are ours and the user data owns the reference.
        drop(unsafe {
            let user = bindings::kfi_sock_unwatch(self.as_raw(), &saved);
            Arc::from_raw(user.cast_const().cast::<W>())
        });
    }

    /// Whether it is connected, even if the peer has ended its direction since; an error when it is not and will not be.
    pub(crate) fn is_connected(&self) -> Result<bool> {
        self.error()?;
        // SAFETY: The socket is valid.
        match unsafe { bindings::kfi_sock_state(bindings::kfi_sock_sk(self.as_raw())) } {
            TCP_ESTABLISHED | TCP_CLOSE_WAIT => Ok(true),
            TCP_CLOSE => Err(errno::econnreset()),
            _ => Ok(false),
        }
    }

    /// Prepares for TLS: the socket gets a file, which the agent gets a descriptor of. Not while it is watched.
    pub(crate) fn with_file(self) -> Result<Self> {
        // SAFETY: The socket is valid, and nobody watches it.
        let result = to_result(unsafe { bindings::kfi_tls_file(self.as_raw()) });
        match result {
            Ok(()) => Ok(self),
            Err(error) => {
                // It has ended.
                core::mem::forget(self);
                Err(error)
            }
        }
    }

    /// Asks the agent for a handshake, of which `watcher` hears. `tls` lives as long as that. Not while it is watched, and
    /// only behind [`Self::with_file`].
    pub(crate) fn start_tls(&mut self, server: bool, tls: &Tls, ms: u32, watcher: Arc<W>) -> Result
    where
        W: Secured,
    {
        let data = Arc::into_raw(watcher).cast_mut();
        // SAFETY: The socket is valid and has a file, the callback gets its reference, and the caller keeps `tls`.
        let result = to_result(unsafe {
            bindings::kfi_tls_start(
                self.as_raw(),
                server,
                tls.as_raw(),
                ms,
                Some(tls::done::<W>),
                data.cast(),
            )
        });
        match result {
            // INVARIANT: The reference was given away.
            Ok(()) => self.handshake = NonNull::new(data),
            // SAFETY: There will be no callback, so it is still ours.
            Err(_) => drop(unsafe { Arc::from_raw(data) }),
        }
        result
    }

    /// Gives up a handshake; returns whether it was under way, so that nobody hears of its end. The agent may have the
    /// socket for some time after that.
    pub(crate) fn cancel_tls(&mut self) -> bool {
        let Some(data) = self.handshake.take() else {
            return false;
        };
        // SAFETY: The socket is valid.
        let canceled = unsafe { bindings::kfi_tls_cancel(self.as_raw()) };
        if canceled {
            // SAFETY: By the type invariant, and there will be no callback.
            drop(unsafe { Arc::from_raw(data.as_ptr()) });
        }
        canceled
    }

    /// The handshake was successful: from here on everything goes through TLS. Not while it is watched.
    pub(crate) fn set_secure(&mut self) {
        self.handshake = None;
        self.secure = true;
    }

    /// Whether everything goes through TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.secure
    }

    /// The first byte that has come; [`EAGAIN`] when there is none.
    pub(crate) fn peek(&self) -> Result<u8> {
        // SAFETY: The socket is valid.
        let ret = unsafe { bindings::kfi_tls_peek(self.as_raw()) };
        u8::try_from(ret).map_err(|_| Error::from_errno(ret))
    }

    /// Whether the peer has ended its direction, or the connection is gone. There may be something left to be read.
    pub(crate) fn peer_ended(&self) -> bool {
        // SAFETY: The socket is valid.
        self.ended.load(Relaxed) || unsafe { bindings::kfi_sock_peer_ended(self.as_raw()) }
    }

    /// Whether the end of the peer's direction is its own doing: anybody can end a TCP connection.
    pub(crate) fn ended_by_peer(&self) -> bool {
        !self.secure || self.ended.load(Relaxed)
    }

    /// The error of the connection, which is told once.
    pub(crate) fn error(&self) -> Result {
        // SAFETY: The socket is valid.
        to_result(unsafe { bindings::kfi_sock_error(self.as_raw()) }).map_err(end)
    }

    /// Gives bytes to TCP, as many as there is room for; `EAGAIN` for none. They may be reused when this returns.
    pub(crate) fn send(&self, pieces: &mut [Outgoing<'_>]) -> Result<usize> {
        self.give(pieces, 0)
    }

    /// The same, when more follows at once.
    pub(crate) fn send_more(&self, pieces: &mut [Outgoing<'_>]) -> Result<usize> {
        self.give(pieces, bindings::MSG_MORE)
    }

    /// The same for memory that TCP keeps a reference to, instead of copying it: what changes before the peer has it, changes on
    /// the way. Each piece is one that [`Piece::may_lend`] holds for. Not with TLS.
    pub(crate) fn lend(&self, pieces: &mut [Outgoing<'_>]) -> Result<usize> {
        self.give(pieces, bindings::MSG_SPLICE_PAGES)
    }

    fn give(&self, pieces: &mut [Outgoing<'_>], flags: u32) -> Result<usize> {
        let size = pieces.iter().map(Outgoing::len).sum();
        let mut msg = bindings::msghdr {
            msg_flags: bindings::MSG_DONTWAIT | bindings::MSG_NOSIGNAL | flags,
            ..Default::default()
        };
        // SAFETY: The pieces are valid while they are borrowed, which is longer than the call; of what it lends TCP holds the
        // pages. CAST: transparent.
        let ret = unsafe {
            bindings::kfi_sock_send(
                self.as_raw(),
                &mut msg,
                pieces.as_mut_ptr().cast(),
                pieces.len(),
                size,
            )
        };
        usize::try_from(ret).map_err(|_| end(Error::from_errno(ret)))
    }

    /// Where in the stream the bytes end that were given to TCP. For who sends: nobody else adds some meanwhile.
    pub(crate) fn written(&self) -> u32 {
        // SAFETY: The socket is valid.
        unsafe { bindings::kfi_sock_written(self.as_raw()) }
    }

    /// Whether the peer's TCP has everything before such a place, so that ours keeps none of it.
    pub(crate) fn acked(&self, end: u32) -> bool {
        // SAFETY: The socket is valid.
        unsafe { bindings::kfi_sock_acked(self.as_raw(), end) }
    }

    /// Ends the connection at once: TCP forgets what has not been sent, or not been acknowledged by the peer's.
    pub(crate) fn reset(&self) {
        // SAFETY: The socket is valid.
        unsafe { bindings::kfi_sock_reset(self.as_raw()) };
    }

    /// Gives what has come to `sink`, as long as that takes all of it. Returns whether that was everything: with TLS, data that
    /// come meanwhile are given too, up to a limit.
    pub(crate) fn read<S: Sink>(&self, sink: &mut S) -> Result<bool> {
        // Without the socket's lock: data that come later wake the watcher. After the end nothing
        // does, so then the lock is taken.
        // SAFETY: The socket is valid.
        if !unsafe { bindings::kfi_sock_readable(self.as_raw()) } {
            return Ok(true);
        }
        let arg: *mut S = sink;
        let mut budget = if self.secure { BUDGET } else { usize::MAX };
        // Records of no interest, one after the other, are nothing that a peer has to send.
        for _ in 0..RECORDS {
            // SAFETY: The socket is valid, and `actor` gets the sink that is borrowed for the call.
            let ret = unsafe {
                bindings::kfi_sock_read(self.as_raw(), arg.cast(), Some(actor::<S>), &mut budget)
            };
            match to_result(ret.min(0)) {
                Err(EAGAIN) if self.secure => return Ok(true),
                Err(EINVAL) if self.secure => {}
                result => return result.map(|()| budget != 0),
            }
            // SAFETY: The socket is valid.
            match to_result(unsafe { bindings::kfi_tls_control(self.as_raw()) }) {
                Ok(()) => {
                    self.ended.store(true, Relaxed);
                    return Ok(true);
                }
                Err(EAGAIN) => {}
                Err(error) => return Err(error),
            }
        }
        Err(errno::eproto())
    }

    /// Ends our direction.
    pub(crate) fn end(&self) {
        if self.secure {
            // SAFETY: The socket is valid.
            unsafe { bindings::kfi_tls_close(self.as_raw()) };
        }
        // SAFETY: The socket is valid. Failure means that it has ended already.
        unsafe { bindings::kernel_sock_shutdown(self.as_raw(), SHUT_WR) };
    }

    /// Ends both directions.
    pub(crate) fn end_both(&self) {
        // SAFETY: As above.
        unsafe { bindings::kernel_sock_shutdown(self.as_raw(), SHUT_RDWR) };
    }

    /// Makes the socket's end a reset, so that nothing that is queued is sent any more.
    pub(crate) fn abort_on_close(&self) {
        // SAFETY: The socket is valid.
        unsafe { bindings::kfi_sock_abort_on_close(self.as_raw()) };
    }
}

impl<W: Watcher> Drop for Socket<W> {
    fn drop(&mut self) {
        self.unwatch();
        self.cancel_tls();
        // SAFETY: By the type invariant the socket is ours.
        workq::without_io(|| unsafe { bindings::kfi_sock_release(self.as_raw()) });
    }
}

/// The socket's callbacks.
///
/// # Safety
///
/// Called by TCP with a valid socket, whose callbacks were set by [`Socket::watch`] for this type, or those of the
/// listening socket that it comes from.
unsafe extern "C" fn woken<W: Watcher>(sk: *mut bindings::sock) {
    // SAFETY: By the function's contract. Under the lock the user data owns its reference, if it is not the copy of that
    // of a listening socket, whose watcher may be gone.
    unsafe {
        bindings::kfi_sock_read_lock(sk);
        let user = bindings::kfi_sock_user(sk);
        let listens = bindings::kfi_sock_state(sk) == TCP_LISTEN;
        if !user.is_null() && listens == W::LISTENS {
            W::woken(ArcBorrow::from_raw(user.cast_const().cast::<W>()));
        }
        bindings::kfi_sock_read_unlock(sk);
    }
}

/// Takes what a socket has received.
pub(crate) trait Sink {
    /// Takes bytes from the front of `data` and returns how many; fewer than all ends the reading. The socket is locked.
    fn take(&mut self, data: &Received<'_>) -> usize;
}

/// What a socket has received, as it lies in a buffer of the network's.
///
/// # Invariants
///
/// `skb` has `len` bytes from `offset` on.
pub(crate) struct Received<'a> {
    skb: *mut bindings::sk_buff,
    offset: usize,
    len: usize,
    _skb: PhantomData<&'a ()>,
}

impl Received<'_> {
    /// Number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The place of byte `at`, if `size` bytes follow.
    fn offset(&self, at: usize, size: usize) -> Option<c_int> {
        if at.checked_add(size)? > self.len {
            return None;
        }
        c_int::try_from(self.offset.checked_add(at)?).ok()
    }

    /// Copies bytes from `at` on to `to`; returns whether there were so many.
    pub(crate) fn copy(&self, at: usize, to: &mut [u8]) -> bool {
        let (Some(offset), Ok(len)) = (self.offset(at, to.len()), c_int::try_from(to.len())) else {
            return false;
        };
        // SAFETY: The buffer has these bytes, and `to` has room for them.
        unsafe { bindings::skb_copy_bits(self.skb, offset, to.as_mut_ptr().cast(), len) == 0 }
    }

    /// Copies bytes from `at` on into memory, and fills it; returns whether there were so many.
    pub(crate) fn place(&self, at: usize, to: &[Piece]) -> bool {
        let size = to.iter().map(Piece::len).sum();
        let (Some(offset), Ok(len)) = (self.offset(at, size), c_int::try_from(size)) else {
            return false;
        };
        if let [piece] = to {
            let to = piece.to_raw().iov_base;
            // SAFETY: The buffer has these bytes, and the piece is memory that may be written.
            return unsafe { bindings::skb_copy_bits(self.skb, offset, to, len) == 0 };
        }
        let mut iter = bindings::iov_iter::default();
        // SAFETY: The pieces are memory that may be written; they are borrowed longer than the iterator lives. CAST: a
        // piece is transparent over `struct kvec`.
        unsafe {
            bindings::iov_iter_kvec(
                &mut iter,
                bindings::ITER_DEST,
                to.as_ptr().cast(),
                to.len(),
                size,
            );
            bindings::skb_copy_datagram_iter(self.skb, offset, &mut iter, len) == 0
        }
    }
}

/// What tcp_read_sock() calls for each buffer.
///
/// # Safety
///
/// Called with a valid buffer that has `len` bytes at `offset`, and a descriptor made by [`Socket::read`].
unsafe extern "C" fn actor<S: Sink>(
    desc: *mut bindings::read_descriptor_t,
    skb: *mut bindings::sk_buff,
    offset: u32,
    len: usize,
) -> c_int {
    // SAFETY: By the function's contract the argument is the sink that `read` borrows.
    let sink = unsafe { &mut *(*desc).arg.data.cast::<S>() };
    // INVARIANT: By the function's contract.
    let taken = sink.take(&Received {
        skb,
        offset: offset as usize,
        len,
        _skb: PhantomData,
    });
    // SAFETY: As above. With a count of 0 nobody is called again.
    unsafe {
        (*desc).count = if taken < len {
            0
        } else {
            (*desc).count.saturating_sub(len)
        };
    }
    c_int::try_from(taken.min(len)).unwrap_or(c_int::MAX)
}

/// Bytes to be sent.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Outgoing<'a>(bindings::kvec, PhantomData<&'a [u8]>);

impl<'a> Outgoing<'a> {
    /// Bytes of ours.
    pub(crate) fn bytes(bytes: &'a [u8]) -> Self {
        Self(
            bindings::kvec {
                iov_base: bytes.as_ptr().cast_mut().cast::<c_void>(),
                iov_len: bytes.len(),
            },
            PhantomData,
        )
    }

    /// Memory of an operation, which stays as long as that has not completed.
    pub(crate) fn piece(piece: Piece) -> Self {
        Self(piece.to_raw(), PhantomData)
    }

    /// Number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.iov_len
    }
}
