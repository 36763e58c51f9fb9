// SPDX-License-Identifier: GPL-2.0-only

//! What is counted.

#![deny(unsafe_code)]

use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// A number that only grows.
pub struct Counter(Atomic<u64>);

impl Default for Counter {
    fn default() -> Self {
        Self(Atomic::new(0))
    }
}

impl Counter {
    /// Adds, and returns what it was.
    #[inline]
    pub fn add(&self, n: u64) -> u64 {
        self.0.fetch_add(n, Relaxed)
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The counters of a run, all zero at first.
        #[derive(Default)]
        pub struct Stats {
            $($(#[$doc])* pub $name: Counter,)*
        }

        impl Stats {
            /// Calls `f` with each name and value.
            pub fn each(&self, mut f: impl FnMut(&'static str, u64) -> Result) -> Result {
                $(f(stringify!($name), self.$name.get())?;)*
                Ok(())
            }
        }
    };
}

counters! {
    /// Iterations done.
    ops,
    /// Bytes moved by them.
    bytes,
    /// Time that took, of all connections together.
    ns,
    /// Time from the first start to the last end.
    wall_ns,
    /// Operations accepted.
    posted,
    /// Completions.
    completed,
    /// Operations refused.
    refused,
    /// Completions with -ECANCELED.
    flushed,
    /// Completions with another error.
    errors,
    /// Iterations whose data were wrong.
    mismatches,
    /// Connections that were established.
    connected,
    /// Connections that were not.
    connect_errors,
    /// Connections that the peer or the device ended.
    disconnected,
    /// Of these, the ones that ended because the device went away.
    nodev,
}

/// Number of doublings that a histogram covers.
const OCTAVES: usize = 40;
/// Steps in each.
const STEPS: usize = 16;

/// How many iterations took how long, to one sixteenth.
pub struct Histogram(KVec<Counter>);

impl Histogram {
    /// Empty.
    pub fn new() -> Result<Self> {
        let mut counters = KVec::with_capacity(OCTAVES * STEPS, GFP_KERNEL)?;
        for _ in 0..OCTAVES * STEPS {
            counters.push(Counter::default(), GFP_KERNEL)?;
        }
        Ok(Self(counters))
    }

    fn index(ns: u64) -> usize {
        let octave = 63u32.saturating_sub((ns | STEPS as u64).leading_zeros());
        let step = (ns >> octave.saturating_sub(4)) as usize % STEPS;
        let octave = octave.saturating_sub(4) as usize;
        (octave * STEPS + step).min(OCTAVES * STEPS - 1)
    }

    fn lower(index: usize) -> u64 {
        let (octave, step) = (index / STEPS, index % STEPS);
        ((STEPS + step) as u64) << octave
    }

    /// One that took `ns`.
    pub fn add(&self, ns: u64) {
        if let Some(counter) = self.0.get(Self::index(ns)) {
            counter.add(1);
        }
    }

    /// The time that `permille` of the iterations did not exceed; `None` without any.
    pub fn quantile(&self, permille: u64) -> Option<u64> {
        let total: u64 = self.0.iter().map(Counter::get).sum();
        let wanted = total.saturating_mul(permille).div_ceil(1000);
        let mut seen = 0;
        for (index, counter) in self.0.iter().enumerate() {
            seen += counter.get();
            if seen >= wanted && seen > 0 {
                return Some(Self::lower(index));
            }
        }
        None
    }
}
