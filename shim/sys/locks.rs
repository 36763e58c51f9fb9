// SPDX-License-Identifier: GPL-2.0-only

//! The global locks, which exist from module init on.

use crate::{
    registry::State,
    tcp::listen::Ports, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        global_lock, //
    }, //
};

global_lock! {
    // SAFETY: Initialised by `init`, which module init calls before anything is exported or registered.
    pub(crate) unsafe(uninit) static STATE: Mutex<State> = State::new();
}

global_lock! {
    // SAFETY: As above.
    pub(crate) unsafe(uninit) static TURN: Mutex<()> = ();
}

global_lock! {
    // SAFETY: As above.
    pub(crate) unsafe(uninit) static PORTS: Mutex<Ports> = Ports::new();
}

/// Makes the locks usable; for module init.
pub(crate) fn init() {
    static DONE: Atomic<bool> = Atomic::new(false);

    if DONE.xchg(true, Relaxed) {
        return;
    }
    // SAFETY: Only the first call gets here. Module init makes it, before it registers anything, and before others can
    // call an exported function.
    unsafe {
        STATE.init();
        TURN.init();
        PORTS.init();
    }
}
