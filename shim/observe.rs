// SPDX-License-Identifier: GPL-2.0-only

//! What people can see of kfi: /sys/kernel/debug/kfi.
//!
//! ```text
//! version         version of kfi
//! providers       one a line: name, priority, how often it was chosen to connect and to listen
//! objects         one kind a line: name, number of open objects
//! tcp             lent_bytes: what the TCP provider has sent without copying it
//! devices/NAME    one attribute or kind of object a line: name, value
//! ```

#![deny(unsafe_code)]

pub(crate) mod counts;

use crate::{
    registry,
    sys::{
        debugfs::{
            show_in_debugfs,
            Dir,
            File,
            Show, //
        },
        device::Announced, //
    },
    tcp, //
};
use counts::{
    Counts,
    Kind,
    TOTAL, //
};
use kernel::{
    prelude::*,
    seq_file::{
        seq_print,
        SeqFile, //
    },
    str::CStr,
    sync::Arc, //
};

/// Printed by `version`.
const VERSION: &str = "0.1";

/// Kinds of objects that belong to a device.
const OF_DEVICE: [(Kind, &str); 5] = [
    (Kind::Domain, "domains"),
    (Kind::Cq, "cqs"),
    (Kind::Mr, "mrs"),
    (Kind::Srx, "srxs"),
    (Kind::Ep, "eps"),
];

/// Kinds of objects that live before a device is known.
const OF_NO_DEVICE: [(Kind, &str); 2] = [(Kind::Info, "infos"), (Kind::Pep, "peps")];

struct Version;
show_in_debugfs!(Version);

impl Show for Version {
    fn show(&self, out: &SeqFile) {
        seq_print!(out, "{}\n", VERSION);
    }
}

struct Providers;
show_in_debugfs!(Providers);

impl Show for Providers {
    fn show(&self, out: &SeqFile) {
        registry::each_provider(|provider, chosen| {
            seq_print!(
                out,
                "{} {} resolutions={} listeners={}\n",
                provider.name(),
                provider.priority(),
                chosen.resolutions,
                chosen.listeners
            );
        });
    }
}

struct Objects;
show_in_debugfs!(Objects);

impl Show for Objects {
    fn show(&self, out: &SeqFile) {
        for (kind, name) in [&OF_DEVICE[..], &OF_NO_DEVICE[..]].into_iter().flatten() {
            seq_print!(out, "{} {}\n", name, TOTAL.get(*kind));
        }
    }
}

struct Tcp;
show_in_debugfs!(Tcp);

impl Show for Tcp {
    fn show(&self, out: &SeqFile) {
        seq_print!(out, "lent_bytes {}\n", tcp::tx::lent_bytes());
    }
}

/// A device that is there.
struct Device {
    device: Announced,
    counts: Arc<Counts>,
}
show_in_debugfs!(Device);

impl Show for Device {
    fn show(&self, out: &SeqFile) {
        let device = self.device.device();

        seq_print!(out, "provider {}\n", device.provider_name());
        seq_print!(out, "caps {:#x}\n", device.caps());
        device.each_attr(|name, value| seq_print!(out, "{} {}\n", name, value));
        for (kind, name) in OF_DEVICE {
            seq_print!(out, "{} {}\n", name, self.counts.get(kind));
        }
    }
}

/// The directory of kfi. Files go before the directories that they are in.
pub(crate) struct Root {
    _version: File<Version>,
    _providers: File<Providers>,
    _objects: File<Objects>,
    _tcp: File<Tcp>,
    devices: Dir,
    _root: Dir,
}

impl Root {
    /// Makes it.
    pub(crate) fn new() -> Result<Self> {
        let root = Dir::new(c"kfi", None);

        Ok(Self {
            _version: File::new(c"version", &root, Version)?,
            _providers: File::new(c"providers", &root, Providers)?,
            _objects: File::new(c"objects", &root, Objects)?,
            _tcp: File::new(c"tcp", &root, Tcp)?,
            devices: Dir::new(c"devices", Some(&root)),
            _root: root,
        })
    }
}

/// The file of a device.
pub(crate) struct DeviceFile {
    _file: File<Device>,
}

impl DeviceFile {
    /// Makes it.
    pub(crate) fn new(root: &Root, device: Announced, counts: Arc<Counts>) -> Result<Self> {
        let name: &CStr = device.device().name();

        Ok(Self {
            _file: File::new(name, &root.devices, Device { device, counts })?,
        })
    }
}
