// SPDX-License-Identifier: GPL-2.0-only

//! The directories in configfs: one for each test, made and removed by mkdir(2) and rmdir(2).

#![deny(unsafe_code)]

#[cfg(CONFIG_INFINIBAND_ADDR_TRANS)]
use super::over_verbs::Verbs;
use super::{
    over_kfi::Kfi,
    over_sock,
    params::{
        Kind,
        Loop,
        Params,
        Role,
        Security,
        NAME_MAX, //
    },
    report,
    server::Running,
    session::{
        self,
        Abort,
        Outcome, //
    },
    stats::Stats, //
};
// configfs_attrs! wants it in scope up to 7.2.
#[allow(unused_imports)]
use crate::compat::THIS_MODULE;
use crate::kfi::{
    Handle,
    Poll, //
};
use core::{
    net::SocketAddr,
    str::FromStr, //
};
use kernel::{
    configfs::{
        self,
        configfs_attrs, //
    },
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
};

/// The directory `kfi_perf`.
#[pin_data]
pub struct Root {
    handle: Handle,
}

impl Root {
    /// Makes it.
    pub fn new(handle: Handle) -> impl PinInit<configfs::Subsystem<Root>, Error> {
        let item_type = configfs_attrs! {
            container: configfs::Subsystem<Root>,
            data: Root,
            child: Test,
            attributes: [],
        };
        configfs::Subsystem::new(c"kfi_perf", item_type, try_pin_init!(Root { handle }))
    }
}

#[vtable]
impl configfs::GroupOperations for Root {
    type Child = Test;

    fn make_group(&self, name: &CStr) -> Result<impl PinInit<configfs::Group<Test>, Error>> {
        let item_type = configfs_attrs! {
            container: configfs::Group<Test>,
            data: Test,
            attributes: [
                transport: 0,
                role: 1,
                addr: 2,
                src: 3,
                provider: 4,
                loop: 5,
                size: 6,
                depth: 7,
                iterations: 8,
                poll: 9,
                verify: 10,
                latency: 11,
                conns: 12,
                cycles: 13,
                run: 14,
                result: 15,
                abort: 16,
                own_port: 17,
                libfabric: 18,
                tls: 19,
                tls_name: 20,
                tos: 21,
                afonly: 22,
            ],
        };
        Ok(configfs::Group::new(
            name.try_into()?,
            item_type,
            Test::new(self.handle.clone()),
        ))
    }
}

enum Server {
    Kfi(Running<Kfi>),
    #[cfg(CONFIG_INFINIBAND_ADDR_TRANS)]
    Verbs(Running<Verbs>),
    Sock(over_sock::Running),
}

impl Server {
    fn stats(&self) -> &Arc<Stats> {
        match self {
            Server::Kfi(running) => running.stats(),
            #[cfg(CONFIG_INFINIBAND_ADDR_TRANS)]
            Server::Verbs(running) => running.stats(),
            Server::Sock(running) => running.stats(),
        }
    }
}

enum State {
    Idle,
    Client(Arc<AbortBox>),
    Server(Server),
    Done(Outcome),
}

/// An [`Abort`] that can be shared.
#[pin_data]
struct AbortBox {
    #[pin]
    abort: Abort,
}

/// One test.
#[pin_data]
pub struct Test {
    handle: Handle,
    #[pin]
    params: Mutex<Params>,
    #[pin]
    state: Mutex<State>,
}

impl Test {
    fn new(handle: Handle) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            handle,
            params <- new_mutex!(Params::default(), "kfi_perf::params"),
            state <- new_mutex!(State::Idle, "kfi_perf::state"),
        })
    }

    fn run(&self) -> Result {
        let params = self.params.lock().clone();
        match params.role {
            Role::Server => self.serve(&params),
            Role::Client => self.measure(&params),
        }
    }

    fn replace(&self, new: State) -> State {
        core::mem::replace(&mut *self.state.lock(), new)
    }

    fn serve(&self, params: &Params) -> Result {
        let mut state = self.state.lock();
        if matches!(*state, State::Client(_) | State::Server(_)) {
            return Err(EBUSY);
        }
        *state = State::Server(match params.kind {
            Kind::Kfi => Server::Kfi(Running::start(&self.handle, params)?),
            #[cfg(CONFIG_INFINIBAND_ADDR_TRANS)]
            Kind::Verbs => Server::Verbs(Running::start(&self.handle, params)?),
            Kind::Sock => Server::Sock(over_sock::Running::start(&self.handle, params)?),
        });
        Ok(())
    }

    fn measure(&self, params: &Params) -> Result {
        let abort = Arc::pin_init(pin_init!(AbortBox { abort <- Abort::new() }), GFP_KERNEL)?;
        let old = {
            let mut state = self.state.lock();
            if matches!(*state, State::Client(_) | State::Server(_)) {
                return Err(EBUSY);
            }
            core::mem::replace(&mut *state, State::Client(abort.clone()))
        };
        drop(old);
        let outcome = match params.kind {
            Kind::Kfi => session::run::<Kfi>(&self.handle, params, &abort.abort),
            #[cfg(CONFIG_INFINIBAND_ADDR_TRANS)]
            Kind::Verbs => session::run::<Verbs>(&self.handle, params, &abort.abort),
            Kind::Sock => over_sock::run(params, &abort.abort),
        };
        match outcome {
            Ok(outcome) => {
                let error = outcome.error;
                self.replace(State::Done(outcome));
                error.map_or(Ok(()), Err)
            }
            Err(e) => {
                self.replace(State::Idle);
                Err(e)
            }
        }
    }

    fn stop(&self) -> Result {
        let client = match &*self.state.lock() {
            State::Client(abort) => Some(abort.clone()),
            _ => None,
        };
        if let Some(client) = client {
            client.abort.abort();
            return Ok(());
        }
        // A server is stopped outside of the lock.
        let old = {
            let mut state = self.state.lock();
            match &*state {
                State::Server(server) => {
                    let outcome = Outcome {
                        stats: server.stats().clone(),
                        histogram: None,
                        error: None,
                        params: self.params.lock().clone(),
                    };
                    core::mem::replace(&mut *state, State::Done(outcome))
                }
                _ => return Ok(()),
            }
        };
        drop(old);
        Ok(())
    }
}

fn text(page: &[u8]) -> Result<&str> {
    Ok(core::str::from_utf8(page).map_err(|_| EINVAL)?.trim())
}

fn number<T: FromStr>(page: &[u8]) -> Result<T> {
    text(page)?.parse().map_err(|_| EINVAL)
}

fn type_of_service(page: &[u8]) -> Result<i16> {
    let value = number(page)?;
    if (-1..=255).contains(&value) {
        Ok(value)
    } else {
        Err(EINVAL)
    }
}

fn flag(page: &[u8]) -> Result<bool> {
    match text(page)? {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(EINVAL),
    }
}

fn choice<T: Copy>(page: &[u8], names: &[(&str, T)]) -> Result<T> {
    let text = text(page)?;
    names
        .iter()
        .find(|(name, _)| *name == text)
        .map(|(_, value)| *value)
        .ok_or(EINVAL)
}

fn name_of<T: Copy + PartialEq>(value: T, names: &[(&'static str, T)]) -> &'static str {
    names
        .iter()
        .find(|(_, v)| *v == value)
        .map_or("?", |(name, _)| name)
}

fn address(page: &[u8]) -> Result<Option<SocketAddr>> {
    match text(page)? {
        "" => Ok(None),
        text => Ok(Some(text.parse().map_err(|_| EINVAL)?)),
    }
}

/// An address without a port is one with any port.
fn source(page: &[u8]) -> Result<Option<SocketAddr>> {
    match text(page)?.parse() {
        Ok(ip) => Ok(Some(SocketAddr::new(ip, 0))),
        Err(_) => address(page),
    }
}

const KINDS: &[(&str, Kind)] = &[
    ("kfi", Kind::Kfi),
    #[cfg(CONFIG_INFINIBAND_ADDR_TRANS)]
    ("verbs", Kind::Verbs),
    ("sock", Kind::Sock),
];
const ROLES: [(&str, Role); 2] = [("client", Role::Client), ("server", Role::Server)];
const POLLS: [(&str, Poll); 4] = [
    ("softirq", Poll::Softirq),
    ("workqueue", Poll::Workqueue),
    ("unbound", Poll::UnboundWorkqueue),
    ("direct", Poll::Direct),
];

fn provider(page: &[u8]) -> Result<[u8; NAME_MAX + 1]> {
    let name = text(page)?.as_bytes();
    if name.len() > NAME_MAX || name.contains(&0) {
        return Err(EINVAL);
    }
    let mut out = [0; NAME_MAX + 1];
    for (to, from) in out.iter_mut().zip(name) {
        *to = *from;
    }
    Ok(out)
}

fn security(page: &[u8]) -> Result<Security> {
    match text(page)? {
        "none" => Ok(Security::None),
        "x509" => Ok(Security::X509),
        text => {
            let (kind, serials) = text.split_once(':').ok_or(EINVAL)?;
            let mut serials = serials.split(':').map(|serial| serial.parse().ok());
            let mut next = || serials.next().flatten().ok_or(EINVAL);
            let security = match kind {
                "keys" => Security::Keys(next()?, next()?, next()?),
                "psk" => Security::Psk(next()?),
                _ => return Err(EINVAL),
            };
            serials.next().map_or(Ok(security), |_| Err(EINVAL))
        }
    }
}

/// An attribute that shows a parameter as `$show` and sets it to `$store`.
macro_rules! parameter {
    ($id:literal, $field:ident, $params:ident => $show:expr, $page:ident => $store:expr) => {
        #[vtable]
        impl configfs::AttributeOperations<$id> for Test {
            type Data = Test;

            fn show(test: &Test, page: &mut [u8; PAGE_SIZE]) -> Result<usize> {
                let $params = test.params.lock();
                report::to_page(page, format_args!("{}\n", $show))
            }

            fn store(test: &Test, $page: &[u8]) -> Result {
                let value = $store;
                test.params.lock().$field = value;
                Ok(())
            }
        }
    };
}

parameter!(0, kind, params => name_of(params.kind, KINDS), page => choice(page, KINDS)?);
parameter!(1, role, params => name_of(params.role, &ROLES), page => choice(page, &ROLES)?);
parameter!(2, addr, params => report::Addr(params.addr), page => address(page)?);
parameter!(3, src, params => report::Addr(params.src), page => source(page)?);
parameter!(4, provider, params => report::Text(&params.provider), page => provider(page)?);
parameter!(5, what, params => name_of(params.what, &Loop::NAMES), page => choice(page, &Loop::NAMES)?);
parameter!(6, size, params => params.size, page => number(page)?);
parameter!(7, depth, params => params.depth, page => number(page)?);
parameter!(8, iterations, params => params.iterations, page => number(page)?);
parameter!(9, poll, params => name_of(params.poll, &POLLS), page => choice(page, &POLLS)?);
parameter!(10, verify, params => u8::from(params.verify), page => flag(page)?);
parameter!(11, latency, params => u8::from(params.latency), page => flag(page)?);
parameter!(12, conns, params => params.conns, page => number(page)?);
parameter!(13, cycles, params => params.cycles, page => number(page)?);

parameter!(17, own_port, params => u8::from(params.own_port), page => flag(page)?);
parameter!(18, libfabric, params => u8::from(params.libfabric), page => flag(page)?);
parameter!(19, tls, params => report::Tls(params.tls), page => security(page)?);
parameter!(20, tls_name, params => report::Text(&params.tls_name), page => provider(page)?);
parameter!(21, tos, params => params.tos, page => type_of_service(page)?);
parameter!(22, afonly, params => u8::from(params.afonly), page => flag(page)?);

/// `run`: 1 starts a server or runs a client until its end, 0 ends it.
#[vtable]
impl configfs::AttributeOperations<14> for Test {
    type Data = Test;

    fn show(test: &Test, page: &mut [u8; PAGE_SIZE]) -> Result<usize> {
        let state = match &*test.state.lock() {
            State::Idle => "idle",
            State::Client(_) => "running",
            State::Server(_) => "serving",
            State::Done(_) => "done",
        };
        report::to_page(page, format_args!("{state}\n"))
    }

    fn store(test: &Test, page: &[u8]) -> Result {
        if flag(page)? {
            test.run()
        } else {
            test.stop()
        }
    }
}

/// `result`: of the last run, or of the server so far.
#[vtable]
impl configfs::AttributeOperations<15> for Test {
    type Data = Test;

    fn show(test: &Test, page: &mut [u8; PAGE_SIZE]) -> Result<usize> {
        match &*test.state.lock() {
            State::Idle | State::Client(_) => Err(EAGAIN),
            State::Server(server) => report::stats(page, server.stats()),
            State::Done(outcome) => report::outcome(page, outcome),
        }
    }
}

/// `abort`: ends what runs.
#[vtable]
impl configfs::AttributeOperations<16> for Test {
    type Data = Test;

    fn show(_test: &Test, _page: &mut [u8; PAGE_SIZE]) -> Result<usize> {
        Ok(0)
    }

    fn store(test: &Test, page: &[u8]) -> Result {
        if flag(page)? {
            test.stop()
        } else {
            Ok(())
        }
    }
}
