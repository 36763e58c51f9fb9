// SPDX-License-Identifier: GPL-2.0-only

//! Results as text.

#![deny(unsafe_code)]

use super::{
    params::Security,
    session::Outcome,
    stats::Stats, //
};
use core::{
    fmt::{
        self,
        Write, //
    },
    net::SocketAddr, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

struct Page<'a> {
    page: &'a mut [u8; PAGE_SIZE],
    len: usize,
}

impl Write for Page<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len.checked_add(text.len()).ok_or(fmt::Error)?;
        let to = self.page.get_mut(self.len..end).ok_or(fmt::Error)?;
        to.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

impl Page<'_> {
    fn put(&mut self, args: fmt::Arguments<'_>) -> Result {
        self.write_fmt(args).map_err(|_| ENOSPC)
    }
}

/// Writes `args` to `page`.
pub fn to_page(page: &mut [u8; PAGE_SIZE], args: fmt::Arguments<'_>) -> Result<usize> {
    let mut page = Page { page, len: 0 };
    page.put(args)?;
    Ok(page.len)
}

/// How TLS is used.
pub struct Tls(pub Security);

impl fmt::Display for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Security::None => f.write_str("none"),
            Security::X509 => f.write_str("x509"),
            Security::Keys(keyring, cert, privkey) => write!(f, "keys:{keyring}:{cert}:{privkey}"),
            Security::Psk(serial) => write!(f, "psk:{serial}"),
        }
    }
}

/// An address, or nothing.
pub struct Addr(pub Option<SocketAddr>);

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(addr) => fmt::Display::fmt(&addr, f),
            None => Ok(()),
        }
    }
}

/// Text that ends with a NUL.
pub struct Text<'a>(pub &'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.split(|byte| *byte == 0).next().unwrap_or(&[]);
        f.write_str(core::str::from_utf8(text).unwrap_or("?"))
    }
}

fn put_stats(page: &mut Page<'_>, stats: &Stats) -> Result {
    // Attempts that were refused were not posted.
    let refused = stats.refused.get();
    stats.each(|name, value| {
        let value = match name {
            "posted" => value.saturating_sub(refused),
            _ => value,
        };
        page.put(format_args!("{name}={value}\n"))
    })
}

/// Counts alone.
pub fn stats(page: &mut [u8; PAGE_SIZE], stats: &Stats) -> Result<usize> {
    let mut page = Page { page, len: 0 };
    put_stats(&mut page, stats)?;
    Ok(page.len)
}

/// Everything that a run has left behind.
pub fn outcome(page: &mut [u8; PAGE_SIZE], outcome: &Outcome) -> Result<usize> {
    let mut page = Page { page, len: 0 };
    let stats = &outcome.stats;
    page.put(format_args!(
        "error={}\n",
        outcome.error.map_or(0, |e| e.to_errno())
    ))?;
    put_stats(&mut page, stats)?;
    if outcome.params.verify {
        page.put(format_args!(
            "crc_ok={}\n",
            u8::from(stats.mismatches.get() == 0)
        ))?;
    }
    let (ns, ops) = (stats.ns.get(), stats.ops.get());
    if let Some(rate) = ops.saturating_mul(1_000_000_000).checked_div(ns) {
        page.put(format_args!("ops_per_s={rate}\n"))?;
    }
    if let Some(mean) = ns.checked_div(ops) {
        page.put(format_args!("ns_per_op={mean}\n"))?;
    }
    if let Some(histogram) = &outcome.histogram {
        for permille in [500, 900, 990, 999] {
            if let Some(ns) = histogram.quantile(permille) {
                page.put(format_args!("lat_ns_p{permille}={ns}\n"))?;
            }
        }
    }
    Ok(page.len)
}
