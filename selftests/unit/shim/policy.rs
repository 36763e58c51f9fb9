// SPDX-License-Identifier: GPL-2.0-only

//! The administrator's choice of providers.

use crate::policy::{Policy, Wrong, RULES_MAX};

fn allowed(policy: &Policy, ip: &str) -> [bool; 2] {
    let verdict = policy.verdict(ip.parse().unwrap());
    [verdict.allows(b"verbs"), verdict.allows(b"tcp")]
}

#[test]
fn nothing_said_allows_all() {
    for text in ["", " ", "\n", ",", " , \n"] {
        let policy = Policy::parse(text).unwrap();
        assert_eq!(policy, Policy::new());
        assert_eq!(allowed(&policy, "10.0.0.1"), [true, true]);
        assert_eq!(allowed(&policy, "::1"), [true, true]);
    }
}

#[test]
fn longest_prefix_counts() {
    let text = "*=tcp,10.0.0.0/8=verbs 10.1.0.0/16=none\n10.1.2.3=any,fe80::/10=!tcp,::/0=any,0.0.0.0/0=!verbs";
    let policy = Policy::parse(text).unwrap();
    for (ip, expected) in [
        ("10.2.0.1", [true, false]),
        ("10.1.0.1", [false, false]),
        ("10.1.2.3", [true, true]),
        ("10.1.2.2", [false, false]),
        ("11.0.0.1", [false, true]),
        ("::ffff:10.2.0.1", [true, false]),
        ("fe80::1", [true, false]),
        ("2001:db8::1", [true, true]),
    ] {
        assert_eq!(allowed(&policy, ip), expected, "{ip}");
    }
}

#[test]
fn families_are_apart() {
    let policy = Policy::parse("0.0.0.0/0=none").unwrap();
    assert_eq!(allowed(&policy, "1.2.3.4"), [false, false]);
    assert_eq!(allowed(&policy, "::1"), [true, true]);
    let policy = Policy::parse("::/0=none").unwrap();
    assert_eq!(allowed(&policy, "1.2.3.4"), [true, true]);
    assert_eq!(allowed(&policy, "::1"), [false, false]);
}

#[test]
fn prints_what_it_reads() {
    for text in [
        "*=tcp",
        "10.0.0.0/8=!verbs,10.0.0.1/32=none",
        "::/0=any,fe80::/10=tcp,2001:db8::1/128=a_name-of_15ch",
    ] {
        let policy = Policy::parse(text).unwrap();
        assert_eq!(policy.to_string(), text);
        assert_eq!(Policy::parse(&policy.to_string()), Ok(policy));
    }
}

#[test]
fn nonsense_is_refused() {
    for text in [
        "tcp",
        "=tcp",
        "*=",
        "*=!",
        "*",
        "10.0.0.0/33=tcp",
        "10.0.0.1/8=tcp",
        "10.0.0/8=tcp",
        "::/129=tcp",
        "::1/0=tcp",
        "10.0.0.0/=tcp",
        "10.0.0.0/-1=tcp",
        "10.0.0.0/8/8=tcp",
        "*=tcp,*=verbs",
        "*=a_name_of_sixteen",
        "*=tc p=q",
        "*=t/p",
        "**=tcp",
        "\u{e9}=tcp",
    ] {
        assert_eq!(Policy::parse(text), Err(Wrong::Rule), "{text}");
    }
}

#[test]
fn not_more_than_there_is_room_for() {
    let rules: Vec<_> = (0..RULES_MAX).map(|n| format!("10.0.0.{n}=tcp")).collect();
    let text = rules.join(" ");
    assert_eq!(Policy::parse(&text).unwrap().rules().count(), RULES_MAX);
    assert_eq!(Policy::parse(&format!("{text} *=any")), Err(Wrong::TooMany));
}
