// SPDX-License-Identifier: GPL-2.0-only

//! Test of the RDMA layer alone, without kfi.
//!
//! Loading it runs the tests between two addresses of this host; it fails to load when one fails.
//! One connection under load and its listener stay open for the removal of the devices, or of the
//! module.

use core::borrow::Borrow;
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
};

#[path = "../../../shim/bindings.rs"]
mod bindings;
mod conn;
#[path = "../../../ib_client/verbs.rs"]
pub mod verbs;

use conn::{
    Conn,
    Listener, //
};
use verbs::{
    addr::{
        Net,
        SockAddr, //
    },
    client::{
        self,
        impl_has_slot,
        Attachment,
        Client,
        Registration, //
    },
    cm::CmId,
    cq::PollContext,
    device::Device,
    dma::{
        Buffer,
        DataDirection, //
    },
    mr::{
        Access,
        Mr,
        MrType, //
    },
    pd::Caller,
    rw,
    wc::WcError,
    wr::Remote, //
};

module! {
    type: Test,
    name: "rdma_verbs_test",
    authors: ["kfi"],
    description: "Test of the Rust types for RDMA",
    license: "GPL",
    params: {
        dst: u32 {
            default: 0x0a00_0001,
            description: "IPv4 address to listen on",
        },
        src: u32 {
            default: 0x0a00_0002,
            description: "IPv4 address to connect from",
        },
        poll: u32 {
            default: 0,
            description: "Completions in softirq (0) or workqueue (1) context",
        },
    },
}

pub(crate) const CALLER: Caller = Caller::new(c"rdma_verbs_test");
const PORT: u16 = 7471;
const REGION: usize = 65536;
const PINGS: u32 = 1000;

/// The value of a parameter, which is lent or given, depending on the kernel.
fn number(value: impl Borrow<u32>) -> u32 {
    *value.borrow()
}

pub(crate) fn poll_context() -> PollContext {
    match number(module_parameters::poll.value()) {
        0 => PollContext::Softirq,
        _ => PollContext::Workqueue,
    }
}

/// The test as a client of devices.
pub(crate) struct Devices;

impl_has_slot! { impl HasSlot for Devices { c"rdma_verbs_test" } }

/// What is open on a device and ends with it.
#[pin_data]
pub(crate) struct Open {
    #[pin]
    listener: kernel::sync::Mutex<Option<Arc<CmId>>>,
    #[pin]
    conns: kernel::sync::Mutex<KVec<Arc<Conn>>>,
}

impl Client for Devices {
    type Data = Open;

    fn add(_device: &Device) -> Result<impl PinInit<Open, Error>> {
        Ok(try_pin_init!(Open {
            listener <- new_mutex!(None),
            conns <- new_mutex!(KVec::new()),
        }? Error))
    }

    fn added(attachment: &Arc<Attachment<Open>>) -> Result {
        let found = client::find::<Devices>(attachment.device()).ok_or(ENOENT)?;
        ensure("a new device is found", Arc::ptr_eq(&found, attachment))
    }

    fn remove(attachment: &Arc<Attachment<Open>>) {
        let _ = ensure("usable in remove()", attachment.enter().is_ok());
    }

    fn closed(attachment: &Arc<Attachment<Open>>) {
        let _ = ensure("refused in closed()", attachment.enter().is_err());
        let listener = attachment.data().listener.lock().take();
        drop(listener);
        let conns = core::mem::take(&mut *attachment.data().conns.lock());
        conns.iter().for_each(|conn| conn.end());
    }
}

/// Reports a failure.
pub(crate) fn ensure(what: &str, ok: bool) -> Result {
    if ok {
        return Ok(());
    }
    pr_err!("not ok: {}\n", what);
    Err(EIO)
}

/// Waits until `done` holds, for 20 seconds at most.
pub(crate) fn wait(what: &str, done: impl Fn() -> bool) -> Result {
    for _ in 0..200_000 {
        if done() {
            return Ok(());
        }
        fsleep(Delta::from_micros(100));
    }
    ensure(what, false)
}

/// Where a transfer leaves its result: 0 not yet, 1 as expected, 2 failed, 3 wrong bytes.
struct Outcome(Atomic<u32>);

struct Expect {
    outcome: Arc<Outcome>,
    byte: u8,
}

impl rw::Done for Expect {
    fn done(self, mem: KVec<u8>, result: core::result::Result<(), WcError>) {
        let state = match result {
            Ok(()) if mem.iter().all(|b| *b == self.byte) => 1,
            Ok(()) => 3,
            Err(_) => 2,
        };
        self.outcome.0.store(state, Release);
    }
}

/// Transfers `mem` and returns the outcome.
fn transfer(conn: &Conn, mem: KVec<u8>, remote: Remote, way: rw::Way, byte: u8) -> Result<u32> {
    let outcome = Arc::new(Outcome(Atomic::new(0)), GFP_KERNEL)?;
    let done = Expect {
        outcome: outcome.clone(),
        byte,
    };
    rw::start(conn.qp()?, mem, remote, way, done).map_err(|refused| refused.error)?;
    wait("transfer completes", || outcome.0.load(Acquire) != 0)?;
    Ok(outcome.0.load(Relaxed))
}

fn listen(listener: &Arc<Listener>) -> Result<Arc<CmId>> {
    let id = CmId::new(Net::init(), listener.clone(), CALLER)?;
    id.bind(&address(number(module_parameters::dst.value()), PORT))?;
    id.listen(8)?;
    Ok(id)
}

fn address(ip: u32, port: u16) -> SockAddr {
    SockAddr::v4(ip.to_be_bytes(), port)
}

fn connect() -> Result<Arc<Conn>> {
    Conn::connect(
        &address(number(module_parameters::src.value()), 0),
        &address(number(module_parameters::dst.value()), PORT),
    )
}

/// Requests that are dropped, rejected, or adopted and dropped in the callback.
fn refusals() -> Result {
    for how in ["dropped", "rejected", "adopted and dropped"] {
        ensure(how, connect().is_err())?;
    }
    Ok(())
}

fn operations(conn: &Arc<Conn>) -> Result {
    let attachment = conn.attachment()?;
    ensure("a range beyond the buffer is refused", {
        let mut buf = Buffer::new(attachment.enter()?, 64, DataDirection::Bidirectional)?;
        buf.sge(0..65).is_err()
            && buf.sge_mut(63..66).is_err()
            && buf.sge(0..64).is_ok()
            && buf.cpu().len() == 64
    })?;
    ensure("a buffer for receives is not sent", {
        let buf = Buffer::new(attachment.enter()?, 64, DataDirection::FromDevice)?;
        buf.sge(0..64).is_err()
    })?;
    ensure("a refused operation comes back", conn.refused_post()?)?;
    conn.ping(PINGS)?;
    wait("pings come back", || conn.pings_left() == 0)
}

/// A region of the server's, as the client sees it.
fn regions(conn: &Conn, server: &Conn) -> Result {
    let attachment = server.attachment()?;
    let buf = Buffer::new(attachment.enter()?, REGION, DataDirection::Bidirectional)?;
    let pages = u32::try_from(REGION / kernel::page::PAGE_SIZE)?;
    let mr = Mr::new(server.pd()?, MrType::MemReg, pages)?;
    let access = Access::REMOTE_READ | Access::REMOTE_WRITE;
    let region = mr.expose(server.qp()?, buf, access)?;
    let remote = region.remote();
    let fill = |byte| KVec::from_elem(byte, REGION, GFP_KERNEL);

    let refused = transfer(conn, KVec::new(), remote, rw::Way::Read, 0);
    ensure("an empty transfer is refused", refused == Err(EINVAL))?;
    let written = transfer(conn, fill(0x5a)?, remote, rw::Way::Write, 0x5a)?;
    ensure("memory is written", written == 1)?;
    let read = transfer(conn, fill(0)?, remote, rw::Way::Read, 0x5a)?;
    ensure("what was written is read", read == 1)?;

    let (mr, buf) = region.fence(server.qp()?)?;
    ensure(
        "the region has the bytes",
        buf.cpu().iter().all(|b| *b == 0x5a),
    )?;
    let region = mr.expose(server.qp()?, buf, access)?;
    ensure("the key changes", region.remote().rkey != remote.rkey)?;
    let stale = transfer(conn, fill(0)?, remote, rw::Way::Read, 0)?;
    ensure("an old key is of no use", stale == 2)?;
    ensure("the buffer comes back", region.end()?.len() == REGION)
}

fn run() -> Result {
    let listener = Listener::new()?;
    let id = listen(&listener)?;
    let attachment = client::find::<Devices>(id.device().ok_or(ENODEV)?).ok_or(ENODEV)?;
    refusals()?;

    let conn = connect()?;
    let server = listener.accepted()?;
    let result = operations(&conn).and_then(|()| regions(&conn, &server));
    conn.end();
    server.end();
    result?;
    ensure("all is flushed", conn.idle() && server.idle())?;
    drop((conn, server));
    wait("nothing is held", || attachment.gate().users() == 0)?;

    let conn = connect()?;
    let server = listener.accepted()?;
    for end in [&server, &conn] {
        let open = end.attachment()?;
        open.data().conns.lock().push(end.clone(), GFP_KERNEL)?;
    }
    *attachment.data().listener.lock() = Some(id);
    conn.ping(u32::MAX)
}

struct Test {
    _devices: Registration<Devices>,
}

impl kernel::Module for Test {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let devices = Registration::new()?;
        ensure(
            "a client is registered once",
            Registration::<Devices>::new().is_err_and(|e| e == EBUSY),
        )?;
        run()?;
        pr_info!("ok\n");
        Ok(Self { _devices: devices })
    }
}
