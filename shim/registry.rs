// SPDX-License-Identifier: GPL-2.0-only

//! Who is there: providers, devices, clients.
//!
//! Locks:
//!
//! - `STATE` protects the lists. It is never held while somebody else's code runs.
//! - `TURN` is held while clients are told of devices, so that no two callbacks of clients run at once and the order of
//!   events is the same for all. What a callback may do needs it in no case: a device that appears while somebody has
//!   the turn is announced by whoever has it (kfi_device_add() does not wait).
//!
//! `TURN` is taken before `STATE`. The list of clients changes only under both, so whoever has the turn may walk it with
//! `STATE` dropped in between.

#![deny(unsafe_code)]

pub(crate) mod order;

use crate::{
    observe::{
        counts::Counts,
        DeviceFile,
        Root, //
    },
    sys::{
        client::Client,
        device::Announced,
        locks::{
            STATE,
            TURN, //
        },
        module::ModuleRef,
        provider::Provider, //
    }, //
};
use kernel::{
    prelude::*,
    str::CStr,
    sync::{
        Arc,
        Completion, //
    },
    time::{
        Instant,
        Monotonic, //
    }, //
};
use order::{
    Rank,
    Told, //
};

/// A device that a provider has added.
struct DeviceEntry {
    device: Announced,
    counts: Arc<Counts>,
    _file: Option<DeviceFile>,
    serial: u64,
    /// Somebody who has the turn has begun to tell the clients.
    announced: bool,
}

/// A provider that is there.
struct ProviderEntry {
    provider: Provider,
    rank: Rank,
    /// Calls into it that are running.
    calls: usize,
    /// It is being taken back: no new calls.
    leaving: bool,
    /// Completed when it is leaving and no call is running any more.
    idle: Arc<Idle>,
    chosen: Chosen,
}

/// How often a provider was chosen.
#[derive(Default)]
pub(crate) struct Chosen {
    /// For a connection: it has begun to resolve the address, or has said more than that it cannot reach it.
    pub(crate) resolutions: u64,
    /// To listen.
    pub(crate) listeners: u64,
}

/// Between two requests for a provider that user space does not have.
const REQUEST_AGAIN_MS: i64 = 1000;

/// The end of the last call into a provider that is leaving.
#[pin_data]
struct Idle {
    #[pin]
    completion: Completion,
}

/// What `STATE` protects.
pub(crate) struct State {
    providers: KVec<ProviderEntry>,
    devices: KVec<DeviceEntry>,
    clients: KVec<Client>,
    told: KVec<Told<Client, Announced>>,
    serial: u64,
    /// When user space was asked for a provider.
    requested: Option<Instant<Monotonic>>,
    root: Option<Arc<Root>>,
}

impl State {
    /// Nobody is there.
    pub(crate) const fn new() -> Self {
        Self {
            providers: KVec::new(),
            devices: KVec::new(),
            clients: KVec::new(),
            told: KVec::new(),
            serial: 0,
            requested: None,
            root: None,
        }
    }

    fn next_serial(&mut self) -> u64 {
        self.serial = self.serial.wrapping_add(1);
        self.serial
    }
}

/// Gets ready, when the module comes.
pub(crate) fn init(root: Arc<Root>) {
    STATE.lock().root = Some(root);
}

/// Gives all memory back, when the module goes. The lists are empty: whoever is in them keeps the module loaded.
pub(crate) fn clear() {
    let state = core::mem::replace(&mut *STATE.lock(), State::new());
    drop(state);
}

/// Runs `f` while nobody else tells clients anything, and then announces the devices that appeared meanwhile.
fn with_turn<R>(f: impl FnOnce() -> R) -> R {
    let turn = TURN.lock();
    let result = f();
    announce_all();
    drop(turn);
    announce();
    result
}

/// Announces devices that wait for it, unless somebody has the turn, who will do it.
fn announce() {
    // Whoever has the turn looks again after giving it back. So either it sees the device that was added before our
    // attempt, or our attempt succeeds.
    while STATE.lock().devices.iter().any(|entry| !entry.announced) {
        let Some(turn) = TURN.try_lock() else {
            return;
        };
        announce_all();
        drop(turn);
    }
}

/// Tells all clients of the devices that wait for it. The caller has the turn.
fn announce_all() {
    loop {
        let device = {
            let mut state = STATE.lock();
            let Some(entry) = state.devices.iter_mut().find(|entry| !entry.announced) else {
                return;
            };
            entry.announced = true;
            entry.device
        };
        let mut index = 0;
        // The guard must not live into the body, which a `while let` would make it do.
        loop {
            let client = STATE.lock().clients.get(index).copied();
            let Some(client) = client else {
                break;
            };
            tell(client, device);
            index += 1;
        }
    }
}

/// Tells a client of a device. The caller has the turn.
fn tell(client: Client, device: Announced) {
    let room = STATE.lock().told.reserve(1, GFP_KERNEL);
    let outcome = match room {
        Ok(()) => client.add(device.device()),
        Err(_) => Err(ENOMEM),
    };
    client.trace_added(device.device(), &outcome);
    if let Err(error) = outcome {
        pr_warn!(
            "client {} does not take device {}: {:?}\n",
            client.name(),
            device.device().name(),
            error
        );
        return;
    }
    // Only who has the turn adds to the list, so the room is still there.
    let _ = STATE
        .lock()
        .told
        .push_within_capacity(Told { client, device });
}

/// Tells clients that devices go away, as long as `next` finds an entry. The caller has the turn.
fn untell(next: impl Fn(&[Told<Client, Announced>]) -> Option<usize>) {
    loop {
        let told = {
            let mut state = STATE.lock();
            let Some(index) = next(&state.told) else {
                return;
            };
            let Ok(told) = state.told.remove(index) else {
                return;
            };
            told
        };
        told.client.remove(told.device.device());
    }
}

/// Registers a client and tells it of the devices that are there.
pub(crate) fn client_register(client: Client) -> Result {
    with_turn(|| {
        {
            let mut state = STATE.lock();
            if state.clients.contains(&client) {
                return Err(EEXIST);
            }
            state.clients.push(client, GFP_KERNEL)?;
        }
        let mut last = 0;
        loop {
            // Devices that nobody has announced yet find the client in the list.
            let next = STATE
                .lock()
                .devices
                .iter()
                .find(|entry| entry.announced && entry.serial > last)
                .map(|entry| (entry.serial, entry.device));
            let Some((serial, device)) = next else {
                return Ok(());
            };
            tell(client, device);
            last = serial;
        }
    })
}

/// Takes a client out again, after it has been told that the devices go away.
pub(crate) fn client_unregister(is: impl Fn(&Client) -> bool) {
    with_turn(|| {
        let client = STATE
            .lock()
            .clients
            .iter()
            .copied()
            .find(|client| is(client));
        let Some(client) = client else {
            return;
        };
        untell(|told| order::next_of_client(told, &client));
        STATE.lock().clients.retain(|other| *other != client);
    })
}

/// Adds a device and tells the clients of it.
pub(crate) fn device_add(device: Announced) -> Result {
    let root = {
        let state = STATE.lock();
        if state.devices.iter().any(|entry| entry.device == device) {
            return Err(EEXIST);
        }
        state.root.clone()
    };
    let counts = Arc::new(Counts::new(), GFP_KERNEL)?;
    let file = root
        .map(|root| DeviceFile::new(&root, device, counts.clone()))
        .transpose()?;

    {
        let mut state = STATE.lock();
        let serial = state.next_serial();
        state.devices.push(
            DeviceEntry {
                device,
                counts,
                _file: file,
                serial,
                announced: false,
            },
            GFP_KERNEL,
        )?;
    }
    device.device().trace_added();
    announce();
    Ok(())
}

/// Takes a device back, after the clients have been told.
pub(crate) fn device_del(is: impl Fn(&Announced) -> bool) {
    let take = |announced: bool| {
        let mut state = STATE.lock();
        let index = state
            .devices
            .iter()
            .position(|entry| is(&entry.device) && (announced || !entry.announced))?;
        state.devices.remove(index).ok()
    };

    // Nobody was told of it yet, perhaps because the one who has the turn waits for us.
    if take(false).is_some() {
        return;
    }
    with_turn(|| {
        let device = STATE
            .lock()
            .devices
            .iter()
            .map(|entry| entry.device)
            .find(|device| is(device));
        if let Some(device) = device {
            untell(|told| order::next_of_device(told, &device));
            drop(take(true));
            device.device().trace_removed();
        }
    })
}

/// The counts of a device that is there.
pub(crate) fn device_counts(is: impl Fn(&Announced) -> bool) -> Result<Arc<Counts>> {
    STATE
        .lock()
        .devices
        .iter()
        .find(|entry| is(&entry.device))
        .map(|entry| entry.counts.clone())
        .ok_or(ENODEV)
}

/// Adds a provider.
pub(crate) fn provider_add(provider: Provider) -> Result {
    let idle = Arc::pin_init(
        pin_init!(Idle { completion <- Completion::new() }),
        GFP_KERNEL,
    )?;
    let mut state = STATE.lock();

    if state
        .providers
        .iter()
        .any(|entry| entry.provider.name() == provider.name())
    {
        return Err(EEXIST);
    }
    let rank = Rank {
        priority: provider.priority(),
        serial: state.next_serial(),
    };
    state.providers.push(
        ProviderEntry {
            provider,
            rank,
            calls: 0,
            leaving: false,
            idle,
            chosen: Chosen::default(),
        },
        GFP_KERNEL,
    )?;
    provider.trace_added();
    Ok(())
}

/// Takes a provider back, once no call into it is running.
pub(crate) fn provider_del(is: impl Fn(&Provider) -> bool) {
    let idle = {
        let mut state = STATE.lock();
        let Some(entry) = state.providers.iter_mut().find(|entry| is(&entry.provider)) else {
            return;
        };
        entry.leaving = true;
        (entry.calls != 0).then(|| entry.idle.clone())
    };

    if let Some(idle) = idle {
        idle.completion.wait_for_completion();
    }
    STATE.lock().providers.retain(|entry| {
        let stays = !is(&entry.provider);
        if !stays {
            entry.provider.trace_removed();
        }
        stays
    });
}

/// Shows each provider that is there, and what it was chosen for.
pub(crate) fn each_provider(mut show: impl FnMut(&Provider, &Chosen)) {
    for entry in &STATE.lock().providers {
        show(&entry.provider, &entry.chosen);
    }
}

/// Whether a provider of that name is there.
pub(crate) fn has_provider(name: &CStr) -> bool {
    let state = STATE.lock();
    state
        .providers
        .iter()
        .any(|entry| !entry.leaving && entry.provider.name() == name)
}

/// Whether it is time to ask user space for a provider again, that it did not have before.
pub(crate) fn may_request() -> bool {
    let mut state = STATE.lock();
    let soon = state
        .requested
        .is_some_and(|then| then.elapsed().as_millis() < REQUEST_AGAIN_MS);
    if !soon {
        state.requested = Some(Instant::now());
    }
    !soon
}

/// A call into a provider: it stays registered and its module loaded.
pub(crate) struct Call {
    provider: Provider,
    rank: Rank,
    _owner: ModuleRef,
}

impl Call {
    /// The next provider to try, of those whose name is `wanted`: the first one, or the one after `last`.
    pub(crate) fn next(wanted: impl Fn(&CStr) -> bool, last: Option<Rank>) -> Option<Self> {
        let mut state = STATE.lock();
        let mut last = last;

        loop {
            let candidates = state
                .providers
                .iter()
                .filter(|entry| !entry.leaving && wanted(entry.provider.name()))
                .map(|entry| entry.rank);
            let rank = order::next_provider(candidates, last)?;
            let entry = state
                .providers
                .iter_mut()
                .find(|entry| entry.rank == rank)?;
            if let Some(owner) = entry.provider.owner().get() {
                entry.calls = entry.calls.saturating_add(1);
                return Some(Self {
                    provider: entry.provider,
                    rank,
                    _owner: owner,
                });
            }
            last = Some(rank);
        }
    }

    /// The provider was chosen for something.
    pub(crate) fn chosen(&self, count: impl FnOnce(&mut Chosen)) {
        let mut state = STATE.lock();
        let entry = state
            .providers
            .iter_mut()
            .find(|entry| entry.rank == self.rank);
        if let Some(entry) = entry {
            count(&mut entry.chosen);
        }
    }

    /// The provider.
    pub(crate) fn provider(&self) -> &Provider {
        &self.provider
    }

    /// Its place in the order.
    pub(crate) fn rank(&self) -> Rank {
        self.rank
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut state = STATE.lock();
        let Some(entry) = state
            .providers
            .iter_mut()
            .find(|entry| entry.rank == self.rank)
        else {
            return;
        };
        entry.calls = entry.calls.saturating_sub(1);
        if entry.leaving && entry.calls == 0 {
            entry.idle.completion.complete_all();
        }
    }
}
