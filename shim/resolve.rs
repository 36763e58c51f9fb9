// SPDX-License-Identifier: GPL-2.0-only

//! Which provider carries a connection: the one place where kfi decides it.
//!
//! Providers are tried from high to low priority. One that cannot reach the address at all, -ENODEV, passes it on to the
//! next; any other outcome is final, a rejection in particular. With a name only that provider is asked. The administrator's
//! rules come before everything else: a provider that they exclude for the address is not asked.
//!
//! A resolution goes on while the consumer waits, and the consumer may drop it at any time:
//!
//! ```text
//!            ask a provider                 the answer is there
//!   Asking ------------------> Waiting --------------------------> Reporting ---> Done
//!     ^                           |
//!     '---- -ENODEV, another one -'
//! ```
//!
//! - In Asking one task, the asker, is inside a provider, or between two of them. An answer that comes now is left to it.
//! - In Waiting the provider will call back, once; whoever brings the answer goes on from there, alone.
//! - In Reporting one task is inside the consumer's callback.
//!
//! Dropping the info sets `cancelled`: the asker then drops what the provider gives it, and an answer is ignored. It
//! waits for the asker, and for the callback unless it is called inside of it. In Waiting it is the provider's own put
//! that waits for an answer on its way.

#![deny(unsafe_code)]

use crate::{
    policy::Verdict,
    registry::{
        self,
        order::{
            self,
            Rank, //
        },
        Call, //
    },
    sys::{
        errno,
        info::Info,
        module::{
            self,
            ModuleRef, //
        },
        own::Own,
        pep::{
            Everywhere,
            Pep,
            PepAttr, //
        },
        resolve::{
            Resolution,
            ResolveAttr, //
        },
        Consumer, //
    }, //
};
use kernel::{
    ffi::c_int,
    prelude::*,
    str::CStr,
    sync::{
        new_condvar,
        new_mutex,
        Arc,
        CondVar,
        Mutex, //
    },
    task::Task, //
};

/// The provider that goes before all others, and may be there but not loaded.
const FIRST: &CStr = c"verbs";

/// Which providers may be tried.
#[derive(Clone, Copy)]
struct Choice<'a> {
    /// The consumer has named it.
    name: Option<&'a CStr>,
    /// What the administrator says.
    verdict: Verdict,
}

impl<'a> Choice<'a> {
    fn new(name: Option<&'a CStr>, verdict: Verdict) -> Self {
        Self { name, verdict }
    }

    fn allows(&self, provider: &CStr) -> bool {
        self.name.is_none_or(|name| name == provider) && self.verdict.allows(provider.to_bytes())
    }

    /// Asks user space for the provider to be tried first, if it is not there. That costs more than what follows, so a host
    /// without RDMA is not asked every time.
    fn load(&self) {
        let only = match &self.verdict {
            Verdict::Only(name) => CStr::from_bytes_until_nul(name.bytes_with_nul()).ok(),
            _ => None,
        };
        let wanted = self.name.or(only).unwrap_or(FIRST);
        if !self.allows(wanted) || registry::has_provider(wanted) {
            return;
        }
        if self.name.is_some() || registry::may_request() {
            module::request_provider(wanted);
        }
    }

    /// Asks one provider after the other, those behind `last`, until one does not answer -ENODEV.
    fn try_each<R>(
        &self,
        mut last: Option<Rank>,
        mut ask: impl FnMut(&Call) -> Result<R>,
    ) -> Result<R> {
        while let Some(call) = Call::next(|name| self.allows(name), last) {
            match ask(&call) {
                Err(error) if order::falls_back(error.to_errno()) => last = Some(call.rank()),
                outcome => return outcome,
            }
        }
        Err(ENODEV)
    }
}

/// kfi_pep_open()
///
/// The wildcard and the loopback address are of every provider's, so all of them listen.
pub(crate) fn pep_open(attr: &PepAttr<'_>, consumer: Consumer) -> Result<Own<Pep>> {
    let choice = Choice::new(attr.provider(), attr.verdict(consumer));
    let listen = |call: &Call, attr: &PepAttr<'_>| {
        let owner = call.provider().owner().get().ok_or(ENODEV)?;
        let pep = call.provider().pep_open(attr, owner, consumer)?;
        call.chosen(|chosen| chosen.listeners = chosen.listeners.wrapping_add(1));
        Ok(pep)
    };

    choice.load();
    if !attr.is_everywhere() || choice.name.is_some() {
        return choice.try_each(None, |call| listen(call, attr));
    }
    let everywhere = Everywhere::new(attr)?;
    let outcome = choice.try_each::<()>(None, |call| {
        everywhere.add(listen(call, &everywhere.attr(attr).as_attr())?)?;
        // On to the next one.
        Err(ENODEV)
    });
    match outcome {
        Err(error) if !order::falls_back(error.to_errno()) || everywhere.is_empty() => {
            everywhere.close();
            Err(error)
        }
        _ => Ok(Everywhere::into_pep(everywhere)),
    }
}

/// Where a resolution is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Asking,
    Waiting,
    Reporting,
    Done,
}

/// The provider's info, and what keeps its module loaded. Dropped in this order.
struct Found {
    info: Own<Info>,
    _owner: ModuleRef,
}

struct State {
    phase: Phase,
    /// The consumer has dropped the info.
    cancelled: bool,
    /// The provider has found the address.
    resolved: bool,
    /// Answer that came while the asker was still inside the provider.
    answer: Option<c_int>,
    /// The provider that was asked last.
    rank: Option<Rank>,
    /// The task inside the consumer's callback; good for comparing only.
    reporter: usize,
    found: Option<Found>,
}

/// The state of a resolution.
#[pin_data]
pub(crate) struct Machine {
    /// The consumer has named the provider.
    only_one: bool,
    verdict: Verdict,
    #[pin]
    state: Mutex<State>,
    #[pin]
    changed: CondVar,
}

impl Machine {
    /// Nobody was asked yet; whoever makes it is the asker.
    pub(crate) fn new(only_one: bool, verdict: Verdict) -> impl PinInit<Self> {
        pin_init!(Self {
            only_one,
            verdict,
            state <- new_mutex!(State {
                phase: Phase::Asking,
                cancelled: false,
                resolved: false,
                answer: None,
                rank: None,
                reporter: 0,
                found: None,
            }, "kfi_resolution"),
            changed <- new_condvar!("kfi_resolution"),
        })
    }

    /// The consumer drops the info.
    pub(crate) fn cancel(&self) {
        let me = Task::current_raw() as usize;
        let mut state = self.state.lock();

        state.cancelled = true;
        while state.phase == Phase::Asking
            || (state.phase == Phase::Reporting && state.reporter != me)
        {
            self.changed.wait(&mut state);
        }
        let found = state.found.take();
        drop(state);
        // Waits for an answer on its way.
        drop(found);
    }

    /// Makes something of the provider's info, once there is one. If that fails the info stays.
    pub(crate) fn consume<R>(&self, make: impl FnOnce(&Info) -> Result<R>) -> Result<R> {
        let found = {
            let mut state = self.state.lock();
            if !state.resolved {
                return Err(EINVAL);
            }
            state.found.take().ok_or(EINVAL)?
        };
        match make(&found.info) {
            Ok(made) => {
                let _ = found.info.into_raw();
                Ok(made)
            }
            Err(error) => {
                self.state.lock().found = Some(found);
                Err(error)
            }
        }
    }
}

/// kfi_resolve()
pub(crate) fn start(attr: &ResolveAttr<'_>, consumer: Consumer) -> Result<Own<Info>> {
    let choice = Choice::new(attr.provider(), attr.verdict(consumer));

    choice.load();
    let resolution = Resolution::new(attr, choice.verdict, consumer)?;
    // Owns the reference that the callbacks of providers rely on. After an error no callback is left to come.
    let info = Resolution::into_info(resolution.clone());
    match proceed(&resolution, &choice, None) {
        Ok(()) => Ok(info),
        Err(error) => {
            settle(&resolution);
            Err(error)
        }
    }
}

/// A provider has an answer.
pub(crate) fn answered(resolution: &Arc<Resolution>, status: c_int) {
    {
        let mut state = resolution.machine().state.lock();
        match state.phase {
            _ if state.cancelled => return,
            Phase::Waiting => state.phase = Phase::Asking,
            Phase::Asking => {
                state.answer = Some(status);
                return;
            }
            Phase::Reporting | Phase::Done => return,
        }
    }
    let choice = Choice::new(None, resolution.machine().verdict);
    if let Err(error) = proceed(resolution, &choice, Some(status)) {
        report(resolution, error.to_errno());
    }
}

/// Goes on from a provider's answer, or from the beginning, until there is an answer to wait for or to report. Only the
/// asker calls this.
fn proceed(resolution: &Arc<Resolution>, choice: &Choice<'_>, mut answer: Option<c_int>) -> Result {
    loop {
        if let Some(status) = answer {
            if resolution.machine().only_one || !order::falls_back(status) {
                report(resolution, status);
                return Ok(());
            }
        }
        let (found, last) = {
            let mut state = resolution.machine().state.lock();
            if state.cancelled {
                return Err(errno::ecanceled());
            }
            (state.found.take(), state.rank)
        };
        drop(found);
        answer = choice.try_each(last, |call| ask(resolution, call))?;
        if answer.is_none() {
            return Ok(());
        }
    }
}

/// Asks one provider. Returns its answer if that is there already.
fn ask(resolution: &Arc<Resolution>, call: &Call) -> Result<Option<c_int>> {
    let owner = call.provider().owner().get().ok_or(ENODEV)?;
    {
        let mut state = resolution.machine().state.lock();
        if state.cancelled {
            return Err(errno::ecanceled());
        }
        state.rank = Some(call.rank());
        state.answer = None;
    }
    let found = Found {
        info: resolution.ask(call.provider())?,
        _owner: owner,
    };
    call.chosen(|chosen| chosen.resolutions = chosen.resolutions.wrapping_add(1));
    let mut state = resolution.machine().state.lock();

    if let Some(status) = state.answer.take() {
        state.found = Some(found);
        return Ok(Some(status));
    }
    if state.cancelled {
        drop(state);
        drop(found);
        return Err(errno::ecanceled());
    }
    state.found = Some(found);
    state.phase = Phase::Waiting;
    Ok(None)
}

/// Tells the consumer the outcome, unless it does not want to know any more. Only the asker calls this.
fn report(resolution: &Arc<Resolution>, status: c_int) {
    {
        let mut state = resolution.machine().state.lock();
        if !state.cancelled {
            if let (0, Some(found)) = (status, &state.found) {
                resolution.publish(&found.info);
                state.resolved = true;
            }
            state.phase = Phase::Reporting;
            state.reporter = Task::current_raw() as usize;
            drop(state);
            resolution.report(status);
        }
    }
    settle(resolution);
}

/// Nothing is under way any more.
fn settle(resolution: &Arc<Resolution>) {
    let machine = resolution.machine();

    machine.state.lock().phase = Phase::Done;
    machine.changed.notify_all();
}
