// SPDX-License-Identifier: GPL-2.0-only

//! How peers come in: listening sockets, and the passive endpoints behind them.
//!
//! Consumers of one network namespace share a port, on which a peer says by a service number whom it wants. A consumer
//! that libfabric programs are to reach asks for a port of its own.

#![deny(unsafe_code)]

use super::{
    api::pep::PepHead,
    conn::Conn,
    control_queue,
    params,
    wire::frame::hello::Reason, //
};
use crate::sys::{
    addr::{
        Addr,
        HeldNet,
        Net, //
    },
    count::Count,
    errno,
    locks::PORTS,
    socket::{
        Socket,
        Watcher, //
    },
    tls::Tls,
    workq, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow,
        Mutex, //
    },
    time::msecs_to_jiffies,
    workqueue::{
        impl_has_delayed_work,
        DelayedWork,
        WorkItem, //
    }, //
};

/// Requests of one consumer that wait for its decision, if it does not say how many.
const BACKLOG: i32 = 128;

/// Connections that are taken before others have their turn.
const BATCH: usize = 64;
/// Milliseconds until connections are taken again, when that has failed.
const RETRY_MS: u32 = 100;

/// All listening sockets.
pub(crate) struct Ports(KVec<Arc<Port>>);

impl Ports {
    /// None.
    pub(crate) const fn new() -> Self {
        Self(KVec::new())
    }
}

/// A listening socket.
#[pin_data]
pub(crate) struct Port {
    /// Where it listens.
    pub(super) net: HeldNet,
    addr: Addr,
    /// For service numbers.
    shared: bool,
    #[pin]
    socket: Mutex<Option<Socket<Port>>>,
    #[pin]
    peps: Mutex<KVec<Arc<Pep>>>,
    #[pin]
    waiting: Mutex<KVec<Arc<Conn>>>,
    #[pin]
    work: DelayedWork<Port>,
}

impl_has_delayed_work! {
    impl HasDelayedWork<Self> for Port { self.work }
}

impl WorkItem for Port {
    type Pointer = Arc<Port>;

    fn run(this: Arc<Port>) {
        this.accept_all();
    }
}

impl Watcher for Port {
    const LISTENS: bool = true;

    fn woken(this: ArcBorrow<'_, Self>) {
        if let Some(queue) = control_queue() {
            // Queued already is fine too.
            let _ = queue.enqueue::<Arc<Port>, 0>(this.into());
        }
    }
}

/// A passive endpoint.
#[pin_data]
#[repr(C)]
pub(crate) struct Pep {
    /// `struct kfi_pep`
    pub(crate) head: PepHead,
    /// Where it listens, as the consumer says it.
    pub(crate) addr: Addr,
    v6_only: bool,
    /// Connections must use TLS, with these keys.
    pub(crate) tls: Option<Arc<Tls>>,
    backlog: i32,
    /// Requests that the consumer has not decided.
    undecided: Atomic<i32>,
    /// Callbacks that run.
    callbacks: Count,
    #[pin]
    port: Mutex<Option<Arc<Port>>>,
}

/// A socket at an address.
fn bound(net: &Net, addr: &Addr, v6_only: bool) -> Result<Socket<Port>> {
    let socket = Socket::new(net, addr)?;
    socket.set_v6_only(v6_only)?;
    socket.bind(addr)?;
    Ok(socket)
}

impl Port {
    fn new(net: &Net, addr: &Addr, v6_only: bool, shared: bool) -> Result<Arc<Self>> {
        let socket = bound(net, addr, v6_only)?;
        socket.listen(params::backlog().into())?;
        let port = Arc::pin_init(
            pin_init!(Self {
                net: HeldNet::new(net),
                addr: *addr,
                shared,
                socket <- new_mutex!(None, "kfi::Port::socket"),
                peps <- new_mutex!(KVec::new(), "kfi::Port::peps"),
                waiting <- new_mutex!(KVec::new(), "kfi::Port::waiting"),
                work <- kernel::new_delayed_work!("kfi::Port::work"),
            }),
            GFP_KERNEL,
        )?;
        *port.socket.lock() = Some(socket);
        Ok(port)
    }

    /// The one for service numbers takes both families where IPv6 is there.
    fn new_shared(net: &Net) -> Result<Arc<Self>> {
        let port = params::port();
        Self::new(net, &Addr::wildcard(true, port), false, true)
            .or_else(|_| Self::new(net, &Addr::wildcard(false, port), false, true))
    }

    /// Whether it is for service numbers.
    pub(super) fn is_shared(&self) -> bool {
        self.shared
    }

    /// The keys for peers that start with TLS.
    pub(super) fn tls(&self) -> Option<Arc<Tls>> {
        self.peps.lock().iter().find_map(|pep| pep.tls.clone())
    }

    fn accept_all(self: &Arc<Self>) {
        let room = usize::from(params::backlog());
        for _ in 0..BATCH {
            let socket = {
                let listening = self.socket.lock();
                let Some(socket) = &*listening else {
                    return;
                };
                match socket.accept::<Conn>() {
                    Ok(socket) => socket,
                    Err(EAGAIN) => return,
                    // That connection has gone; others may be there.
                    Err(error) if error == errno::econnaborted() => continue,
                    Err(_) => {
                        // Memory, mostly. Nothing wakes us for those that wait already. With the lock: see close().
                        self.later(RETRY_MS);
                        return;
                    }
                }
            };
            if !self.has_listener_at(&socket) {
                continue;
            }
            let Ok(conn) = Conn::incoming(self, socket) else {
                continue;
            };
            // First, so that whoever ends the connection finds it.
            conn.limit_request();
            let oldest = {
                let mut waiting = self.waiting.lock();
                let oldest = if waiting.len() >= room {
                    waiting.remove(0).ok()
                } else {
                    None
                };
                let full = waiting.push(conn.clone(), GFP_KERNEL).is_err();
                if full {
                    Some(conn.clone())
                } else {
                    oldest
                }
            };
            if let Some(oldest) = oldest {
                oldest.release_unclaimed();
            }
            conn.expect_request();
        }
        // Others have their turn.
        self.later(0);
    }

    /// Looks again, unless that is to happen already.
    fn later(self: &Arc<Self>, ms: u32) {
        if let Some(queue) = control_queue() {
            let _ = queue.enqueue_delayed::<Arc<Port>, 0>(self.clone(), msecs_to_jiffies(ms));
        }
    }

    /// The connection does not wait for its request any more.
    pub(super) fn forget(&self, conn: &Arc<Conn>) {
        let mut waiting = self.waiting.lock();
        let place = waiting.iter().position(|other| Arc::ptr_eq(other, conn));
        let gone = place.and_then(|at| waiting.remove(at).ok());
        drop(waiting);
        drop(gone);
    }

    /// Whether a passive endpoint takes the connection's local address, whatever its number. The shared port is open at each
    /// address of the host, also at those that no consumer has asked for: of a peer there nothing is read.
    fn has_listener_at(&self, socket: &Socket<Conn>) -> bool {
        socket.local().is_ok_and(|local| {
            let peps = self.peps.lock();
            peps.iter().any(|pep| pep.addr.takes(&local, pep.v6_only))
        })
    }

    /// Who is to decide on a request to the local address `local`.
    pub(super) fn find(&self, service: Option<u32>, local: &Addr) -> Result<Arc<Pep>, Reason> {
        let wanted = if self.shared {
            // A peer without service number wants somebody else's port.
            service
                .filter(|service| *service != 0)
                .ok_or(Reason::SERVICE)?
        } else {
            match service {
                None | Some(0) => 0,
                Some(_) => return Err(Reason::SERVICE),
            }
        };
        let peps = self.peps.lock();
        let pep = peps
            .iter()
            .find(|pep| {
                (!self.shared || u32::from(pep.addr.port()) == wanted)
                    && pep.addr.takes(local, pep.v6_only)
            })
            .ok_or(Reason::SERVICE)?;
        if pep.undecided.fetch_add(1, Relaxed) >= pep.backlog {
            pep.undecided.fetch_sub(1, Relaxed);
            return Err(Reason::BUSY);
        }
        Ok(pep.clone())
    }

    /// Nobody listens here any more.
    fn close(self: &Arc<Self>) {
        let socket = self.socket.lock().take();
        drop(socket);
        workq::cancel::<Port, 0>(self);
        loop {
            let conn = self.waiting.lock().pop();
            match conn {
                // One whose request is here hears from the passive endpoint that it is closed.
                Some(conn) => conn.release_unclaimed(),
                None => return,
            }
        }
    }
}

/// What a passive endpoint is asked for.
pub(crate) struct PepAttr<'a> {
    /// Network namespace.
    pub(crate) net: &'a Net,
    /// Where to listen.
    pub(crate) addr: Addr,
    /// Whether the port is one of the network, and not a service number.
    pub(crate) own_port: bool,
    /// Connections must use TLS, with these keys.
    pub(crate) tls: Option<Tls>,
    /// Requests that wait.
    pub(crate) backlog: i32,
    /// IPv6 takes no IPv4.
    pub(crate) v6_only: bool,
}

impl Pep {
    /// Listens.
    pub(crate) fn open(head: PepHead, attr: PepAttr<'_>) -> Result<Arc<Self>> {
        if !attr.own_port && !attr.addr.is_wildcard() {
            // The port that consumers share takes every address; this one has to be one of the host's.
            bound(attr.net, &attr.addr.with_port(0), attr.v6_only)?;
        }
        let tls = match attr.tls {
            Some(tls) => Some(Arc::new(tls, GFP_KERNEL)?),
            None => None,
        };
        let pep = Arc::pin_init(
            pin_init!(Self {
                head,
                addr: attr.addr,
                v6_only: attr.v6_only,
                tls,
                backlog: if attr.backlog > 0 { attr.backlog } else { BACKLOG },
                undecided: Atomic::new(0),
                callbacks: Count::new(),
                port <- new_mutex!(None, "kfi::Pep::port"),
            }),
            GFP_KERNEL,
        )?;
        let mut ports = PORTS.lock();
        let there = ports.0.iter().find(|port| {
            port.net.id() == attr.net.id()
                && if attr.own_port {
                    !port.shared && port.addr.equals(&attr.addr)
                } else {
                    port.shared
                }
        });
        let port = match there {
            Some(_) if attr.own_port => return Err(errno::eaddrinuse()),
            Some(port) => port.clone(),
            None => {
                ports.0.reserve(1, GFP_KERNEL)?;
                let port = if attr.own_port {
                    Port::new(attr.net, &attr.addr, attr.v6_only, false)?
                } else {
                    Port::new_shared(attr.net)?
                };
                // Room was made above.
                let _ = ports.0.push_within_capacity(port.clone());
                if let Some(socket) = &mut *port.socket.lock() {
                    socket.watch(port.clone());
                }
                port
            }
        };
        let added = {
            let mut peps = port.peps.lock();
            let taken = peps
                .iter()
                .any(|other| other.addr.port() == pep.addr.port() && pep.overlaps(other));
            // Who is wanted shows behind the handshake, which needs the keys.
            let other_keys = peps.iter().any(|other| match (&other.tls, &pep.tls) {
                (Some(theirs), Some(ours)) => !theirs.same(ours),
                _ => false,
            });
            if taken || other_keys {
                Err(errno::eaddrinuse())
            } else {
                peps.push(pep.clone(), GFP_KERNEL).map_err(Error::from)
            }
        };
        *pep.port.lock() = Some(port);
        drop(ports);
        if let Err(error) = added {
            pep.leave();
            return Err(error);
        }
        Ok(pep)
    }

    fn overlaps(&self, other: &Pep) -> bool {
        self.addr.takes(&other.addr, self.v6_only) || other.addr.takes(&self.addr, other.v6_only)
    }

    fn leave(&self) {
        let Some(port) = self.port.lock().take() else {
            return;
        };
        let mut ports = PORTS.lock();
        let last = {
            let mut peps = port.peps.lock();
            peps.retain(|other| !core::ptr::eq(&**other, self));
            peps.is_empty()
        };
        if last {
            ports.0.retain(|other| !Arc::ptr_eq(other, &port));
            if ports.0.is_empty() {
                // Nobody drops what is static, so the memory must not stay there.
                ports.0 = KVec::new();
            }
            // With the lock held, so that the address is free for whoever asks for it next.
            port.close();
        }
    }

    /// Stops to listen. No callback runs when this returns.
    pub(crate) fn close(&self) {
        self.leave();
        self.head.close();
        self.callbacks.wait_all();
    }

    /// Runs a callback unless it is closed; returns whether it did.
    pub(crate) fn in_callback(&self, f: impl FnOnce()) -> bool {
        self.callbacks.inc();
        let open = self.head.is_open();
        if open {
            f();
        }
        self.callbacks.dec();
        open
    }

    /// One request less waits for the consumer.
    pub(super) fn decided(&self) {
        self.undecided.fetch_sub(1, Relaxed);
    }
}
