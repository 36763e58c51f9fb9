// SPDX-License-Identifier: GPL-2.0-only

//! The administrator's word on which provider may carry connections to which addresses. Pure: also built on the host by
//! selftests/unit.
//!
//! ```text
//! policy = rule { ("," | space) rule }
//! rule   = prefix "=" verdict
//! prefix = "*" | address [ "/" bits ]
//! verdict = "any" | "none" | provider | "!" provider
//! ```
//!
//! The rule with the longest prefix counts; without one every provider may be asked.

#![deny(unsafe_code)]

use core::{
    fmt,
    net::IpAddr, //
};

/// Largest number of rules.
pub(crate) const RULES_MAX: usize = 32;
/// Largest name of a provider.
const NAME_MAX: usize = 15;

/// Why a text is not a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// A rule that is none, or a second one for the same prefix.
    Rule,
    /// More than [`RULES_MAX`].
    TooMany,
}

/// The name of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name([u8; NAME_MAX + 1]);

impl Name {
    fn parse(text: &str) -> Option<Self> {
        let mut name = [0; NAME_MAX + 1];
        let ok = (1..=NAME_MAX).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        for (to, from) in name.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        ok.then_some(Name(name))
    }

    /// Its letters.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.split(|byte| *byte == 0).next().unwrap_or(&[])
    }

    /// The same with a NUL behind it.
    pub(crate) fn bytes_with_nul(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(self.bytes()).unwrap_or("?"))
    }
}

/// Who may carry a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Every provider.
    Any,
    /// This one only.
    Only(Name),
    /// Every other one.
    AllBut(Name),
    /// Nobody.
    Nobody,
}

impl Verdict {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "any" => Verdict::Any,
            "none" => Verdict::Nobody,
            _ => match text.strip_prefix('!') {
                Some(name) => Verdict::AllBut(Name::parse(name)?),
                None => Verdict::Only(Name::parse(text)?),
            },
        })
    }

    /// Whether the provider of that name may be asked.
    pub(crate) fn allows(&self, name: &[u8]) -> bool {
        match self {
            Verdict::Any => true,
            Verdict::Only(only) => only.bytes() == name,
            Verdict::AllBut(but) => but.bytes() != name,
            Verdict::Nobody => false,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Any => f.write_str("any"),
            Verdict::Only(name) => name.fmt(f),
            Verdict::AllBut(name) => write!(f, "!{name}"),
            Verdict::Nobody => f.write_str("none"),
        }
    }
}

/// Some addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prefix {
    /// All of both families.
    Every,
    /// Those that begin like the address.
    Of(IpAddr, u32),
}

/// An address as a number that starts with its first bit, and how many bits it has.
fn number(ip: IpAddr) -> (u128, u32) {
    match ip {
        IpAddr::V4(ip) => (u128::from(u32::from(ip)) << 96, 32),
        IpAddr::V6(ip) => (u128::from(ip), 128),
    }
}

/// The first `bits` bits.
fn first(number: u128, bits: u32) -> u128 {
    number & !u128::MAX.checked_shr(bits).unwrap_or(0)
}

impl Prefix {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Prefix::Every);
        }
        let (ip, bits) = match text.split_once('/') {
            Some((ip, bits)) => (ip, Some(bits)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().ok()?;
        let (value, all) = number(ip);
        let bits = match bits {
            Some(bits) => bits.parse().ok()?,
            None => all,
        };
        // Bits behind the prefix are a mistake.
        (bits <= all && first(value, bits) == value).then_some(Prefix::Of(ip, bits))
    }

    /// How well it fits: the larger, the better.
    fn fits(&self, ip: IpAddr) -> Option<u32> {
        match self {
            Prefix::Every => Some(0),
            Prefix::Of(prefix, bits) => {
                let (wanted, all) = number(*prefix);
                let (value, other) = number(ip);
                (all == other && first(value, *bits) == wanted).then(|| bits.saturating_add(1))
            }
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Prefix::Every => f.write_str("*"),
            Prefix::Of(ip, bits) => write!(f, "{ip}/{bits}"),
        }
    }
}

/// A prefix and who may carry connections to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    prefix: Prefix,
    verdict: Verdict,
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        let (prefix, verdict) = text.split_once('=')?;
        Some(Rule {
            prefix: Prefix::parse(prefix)?,
            verdict: Verdict::parse(verdict)?,
        })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.prefix, self.verdict)
    }
}

/// All rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy([Option<Rule>; RULES_MAX]);

impl Policy {
    /// No rule.
    pub(crate) const fn new() -> Self {
        Policy([None; RULES_MAX])
    }

    /// Reads a policy.
    pub(crate) fn parse(text: &str) -> Result<Self, Wrong> {
        let mut policy = Policy::new();
        let words = text.split(|c: char| c == ',' || c.is_ascii_whitespace());

        for word in words.filter(|word| !word.is_empty()) {
            let rule = Rule::parse(word).ok_or(Wrong::Rule)?;
            if policy.rules().any(|other| other.prefix == rule.prefix) {
                return Err(Wrong::Rule);
            }
            let place = policy.0.iter_mut().find(|place| place.is_none());
            *place.ok_or(Wrong::TooMany)? = Some(rule);
        }
        Ok(policy)
    }

    /// The rules, in the order in which they were given.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter().flatten()
    }

    /// Who may carry connections to `ip`.
    pub(crate) fn verdict(&self, ip: IpAddr) -> Verdict {
        let ip = ip.to_canonical();
        self.rules()
            .filter_map(|rule| Some((rule.prefix.fits(ip)?, rule.verdict)))
            .max_by_key(|(fits, _)| *fits)
            .map_or(Verdict::Any, |(_, verdict)| verdict)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, rule) in self.rules().enumerate() {
            if index != 0 {
                f.write_str(",")?;
            }
            rule.fmt(f)?;
        }
        Ok(())
    }
}
