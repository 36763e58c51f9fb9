// SPDX-License-Identifier: GPL-2.0-only

//! The key table: group 10 of the hostile-peer list, and a comparison with a naive model.

use crate::{
    util::Random,
    wire::frame::Fault,
    wire::keys::{Access, Grant, Slot, Table, NO_KEY}, //
};
use std::collections::{HashMap, HashSet};

const SECRET: [u32; 6] = [
    0x1357_9bdf,
    0x0246_8ace,
    0xdead_beef,
    0xcafe_f00d,
    0x0bad_cafe,
    0x1234_5678,
];
const READ: Access = Access::READ;
const WRITE: Access = Access::WRITE;
const FILL: Access = Access::FILL;

fn table(slots: usize) -> Table<Vec<Slot>> {
    Table::new(vec![Slot::new(); slots], SECRET)
}

fn grant(access: Access) -> Grant {
    Grant {
        owner: 7,
        access,
        base: 0x1000,
        len: 0x200,
    }
}

#[test]
fn a_key_is_good_for_its_memory_only() {
    let mut t = table(4);
    let id = t.alloc().unwrap();
    let key = t.next_key(id);
    assert!(t.check(7, key.into(), 0x1000, 1, READ).is_err());
    t.register(id, key, &grant(READ)).unwrap();
    let key = u64::from(key);

    for (addr, len, want) in [
        (0x1000u64, 0x200u64, Ok(0)),
        (0x1001, 0x1ff, Ok(1)),
        (0x1200, 0, Ok(0x200)),
        (0x11ff, 1, Ok(0x1ff)),
        (0x1000, 0, Ok(0)),
        (0xfff, 1, Err(Fault::Range)),
        (0xfff, 0, Err(Fault::Range)),
        (0x1200, 1, Err(Fault::Range)),
        (0x1201, 0, Err(Fault::Range)),
        (0x1000, 0x201, Err(Fault::Range)),
        (0x1001, 0x200, Err(Fault::Range)),
        (0x1100, u64::MAX, Err(Fault::Range)),
        (0x1100, u64::MAX - 0x10ff, Err(Fault::Range)),
        (0x1100, 1 << 63, Err(Fault::Range)),
        (u64::MAX, 1, Err(Fault::Range)),
        (0, 0x1001, Err(Fault::Range)),
    ] {
        let got = t.check(7, key, addr, len, READ).map(|hit| hit.offset);
        assert_eq!(got, want, "{addr:#x} {len:#x}");
    }
    assert_eq!(t.check(7, key, 0x1000, 1, READ).unwrap().id, id);
    assert_eq!(t.check(7, key, 0x1000, 1, WRITE), Err(Fault::Access));
    assert_eq!(t.check(7, key, 0x1000, 1, FILL), Err(Fault::Access));
    assert!(t.check(7, key, 0x1000, 1, Access::NONE).is_ok());
    // Another connection, another table's key, a key with more than 32 bits, none at all.
    assert_eq!(t.check(8, key, 0x1000, 1, READ), Err(Fault::Key));
    assert_eq!(t.check(7, key | 1 << 32, 0x1000, 1, READ), Err(Fault::Key));
    assert_eq!(t.check(7, key ^ 1, 0x1000, 1, READ), Err(Fault::Key));
    assert_eq!(t.check(7, NO_KEY.into(), 0x1000, 1, READ), Err(Fault::Key));
}

#[test]
fn an_old_key_is_no_key() {
    let mut t = table(1);
    let id = t.alloc().unwrap();
    let mut seen = HashSet::new();
    for _ in 0..4000 {
        let key = t.next_key(id);
        assert_ne!(key, NO_KEY);
        assert!(seen.insert(key), "key came back");
        t.register(id, key, &grant(READ)).unwrap();
        assert!(t.check(7, key.into(), 0x1000, 1, READ).is_ok());
        assert_eq!(t.invalidate(7, key), Ok(id));
        assert_eq!(t.check(7, key.into(), 0x1000, 1, READ), Err(Fault::Key));
        assert_eq!(t.invalidate(7, key), Err(Fault::Key));
        // And it cannot be registered twice.
        let next = t.next_key(id);
        assert!(seen.insert(next));
        assert_eq!(t.register(id, key, &grant(READ)), Err(Fault::Key));
        t.register(id, next, &grant(READ)).unwrap();
        assert_eq!(t.register(id, next, &grant(READ)), Err(Fault::Key));
        if seen.len() > 4000 {
            break;
        }
    }
}

// A consumer may make the key of the next registration before the operation that ends the last one is executed.
#[test]
fn a_registration_ends_once_by_the_next_key() {
    let mut t = table(2);
    let id = t.alloc().unwrap();
    let old = t.next_key(id);
    assert_eq!(t.retire(7, old), Err(Fault::Key), "never registered");
    t.register(id, old, &grant(READ)).unwrap();
    let new = t.next_key(id);
    assert_eq!(t.check(7, old.into(), 0x1000, 1, READ), Err(Fault::Key));
    assert_eq!(t.invalidate(7, old), Err(Fault::Key), "not by the peer");
    assert_eq!(
        t.retire(6, old),
        Err(Fault::Key),
        "not by another connection"
    );
    assert_eq!(t.retire(7, old), Ok(id));
    assert_eq!(t.retire(7, old), Err(Fault::Key));
    t.register(id, new, &grant(READ)).unwrap();
    assert_eq!(t.retire(7, old), Err(Fault::Key));
    assert!(t.check(7, new.into(), 0x1000, 1, READ).is_ok());
    assert_eq!(t.retire(7, new), Ok(id));
    assert_eq!(t.check(7, new.into(), 0x1000, 1, READ), Err(Fault::Key));
    assert_eq!(t.retire(7, NO_KEY), Err(Fault::Key));
}

#[test]
fn a_new_mapping_ends_the_registration() {
    let mut t = table(2);
    let id = t.alloc().unwrap();
    let key = t.next_key(id);
    t.register(id, key, &grant(READ)).unwrap();
    t.end(id);
    assert_eq!(t.check(7, key.into(), 0x1000, 1, READ), Err(Fault::Key));
    assert_eq!(t.retire(7, key), Ok(id), "and the consumer may say so");
    assert_eq!(t.retire(7, key), Err(Fault::Key));
    t.end(id);
    assert_eq!(t.retire(7, key), Err(Fault::Key), "nothing to end");
}

// Keys come round. One that is remembered as ended must not hide the registration that has it now.
#[test]
fn a_key_that_returns_is_revoked() {
    let mut t = table(2);
    let id = t.alloc().unwrap();
    let first = t.next_key(id);
    t.register(id, first, &grant(READ)).unwrap();
    while t.next_key(id) != first {}
    t.register(id, first, &grant(READ)).unwrap();
    assert_eq!(t.retire(7, first), Ok(id));
    assert_eq!(t.check(7, first.into(), 0x1000, 1, READ), Err(Fault::Key));
}

#[test]
fn only_the_owner_invalidates() {
    let mut t = table(2);
    let id = t.alloc().unwrap();
    let key = t.next_key(id);
    t.register(id, key, &grant(WRITE)).unwrap();
    assert_eq!(t.invalidate(6, key), Err(Fault::Key));
    assert!(t.check(7, key.into(), 0x1000, 1, WRITE).is_ok());
    assert!(t.invalidate(7, key).is_ok());
}

#[test]
fn memory_that_wraps_is_refused() {
    let mut t = table(1);
    let id = t.alloc().unwrap();
    let key = t.next_key(id);
    let mut g = grant(READ);
    g.base = u64::MAX - 0x1ff;
    assert_eq!(t.register(id, key, &g), Err(Fault::Range));
    g.base -= 1;
    assert_eq!(t.register(id, key, &g), Ok(()));
}

#[test]
fn a_freed_region_is_out_of_reach() {
    let mut t = table(1);
    let id = t.alloc().unwrap();
    let key = t.next_key(id);
    t.register(id, key, &grant(READ)).unwrap();
    t.free(id);
    assert_eq!(t.check(7, key.into(), 0x1000, 1, READ), Err(Fault::Key));
    assert_eq!(t.next_key(id), NO_KEY);
    assert_eq!(t.register(id, key, &grant(READ)), Err(Fault::Key));
    // Twice does no harm.
    t.free(id);
    assert_eq!(t.alloc(), Some(id));
    assert!(t.alloc().is_none());
}

#[test]
fn slots_rest_and_tables_grow() {
    let mut t = table(3);
    let ids: Vec<_> = (0..3).map(|_| t.alloc().unwrap()).collect();
    assert!(t.alloc().is_none());
    t.free(ids[1]);
    t.free(ids[0]);
    assert_eq!(t.alloc(), Some(ids[1]));
    assert_eq!(t.alloc(), Some(ids[0]));
    let key = t.next_key(ids[2]);
    t.register(ids[2], key, &grant(READ)).unwrap();
    // Not larger: comes back.
    assert_eq!(t.grow(vec![Slot::new(); 3]).len(), 3);
    assert_eq!(t.grow(vec![Slot::new(); 8]).len(), 3);
    assert_eq!(t.capacity(), 8);
    assert!(t.check(7, key.into(), 0x1000, 1, READ).is_ok());
    for _ in 0..5 {
        assert!(t.alloc().is_some());
    }
    assert!(t.alloc().is_none());
}

#[test]
fn keys_differ_and_look_random() {
    let mut t = table(5000);
    let mut seen = HashSet::new();
    let mut low_bits = 0u32;
    for _ in 0..5000 {
        let id = t.alloc().unwrap();
        let key = t.next_key(id);
        assert!(seen.insert(key));
        low_bits += key & 1;
    }
    assert!((2000..3000).contains(&low_bits));
    // Neighbours are not neighbours.
    let close = seen
        .iter()
        .filter(|k| seen.contains(&k.wrapping_add(1)))
        .count();
    assert!(close < 10, "{close}");
}

#[test]
fn random_use_agrees_with_a_model() {
    let mut random = Random(42);
    let mut t = table(16);
    let mut ids = Vec::new();
    // What the model knows of live keys: key -> (owner, base, len, access).
    let mut live: HashMap<u32, (u64, u64, u64, Access)> = HashMap::new();
    let mut key_of = HashMap::new();
    for _ in 0..300_000 {
        match random.below(8) {
            0 => {
                if let Some(id) = t.alloc() {
                    ids.push(id);
                }
                assert!(ids.len() <= 16);
            }
            1 if !ids.is_empty() => {
                let at = random.below(ids.len() as u64) as usize;
                let id = ids.swap_remove(at);
                if let Some(key) = key_of.remove(&format!("{id:?}")) {
                    live.remove(&key);
                }
                t.free(id);
            }
            2 | 3 if !ids.is_empty() => {
                let id = ids[random.below(ids.len() as u64) as usize];
                let key = t.next_key(id);
                if let Some(old) = key_of.insert(format!("{id:?}"), key) {
                    live.remove(&old);
                }
                let g = Grant {
                    owner: random.below(3),
                    access: Access {
                        read: random.below(2) == 0,
                        write: random.below(2) == 0,
                        fill: random.below(2) == 0,
                    },
                    base: random.below(64),
                    len: random.below(64),
                };
                t.register(id, key, &g).unwrap();
                live.insert(key, (g.owner, g.base, g.len, g.access));
            }
            4 if !live.is_empty() => {
                let at = random.below(live.len() as u64) as usize;
                let key = *live.keys().nth(at).unwrap();
                let owner = random.below(3);
                let right = live[&key].0 == owner;
                assert_eq!(t.invalidate(owner, key).is_ok(), right);
                if right {
                    live.remove(&key);
                }
            }
            _ => {
                let key = if random.below(4) == 0 || live.is_empty() {
                    random.next() as u32
                } else {
                    let at = random.below(live.len() as u64) as usize;
                    *live.keys().nth(at).unwrap()
                };
                let (owner, addr, len) = (random.below(3), random.below(140), random.below(80));
                let wanted = [READ, WRITE, FILL][random.below(3) as usize];
                let want = live.get(&key).is_some_and(|&(o, base, l, a)| {
                    o == owner
                        && (a.read || !wanted.read)
                        && (a.write || !wanted.write)
                        && (a.fill || !wanted.fill)
                        && addr >= base
                        && u128::from(addr) + u128::from(len) <= u128::from(base) + u128::from(l)
                });
                assert_eq!(t.check(owner, key.into(), addr, len, wanted).is_ok(), want);
            }
        }
    }
}
