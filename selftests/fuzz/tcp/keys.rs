// SPDX-License-Identifier: GPL-2.0-only

//! The key table against a list.

use crate::{
    wire::frame::Fault,
    wire::keys::{Access, Grant, Id, Slot, Table, NO_KEY},
    Input, //
};

struct Region {
    id: Id,
    key: u32,
    live: Option<Grant>,
}

fn access(byte: u8) -> Access {
    Access {
        read: byte & 1 != 0,
        write: byte & 2 != 0,
        fill: byte & 4 != 0,
    }
}

// A number that is often near the ends of the range.
fn number(input: &mut Input<'_>) -> u64 {
    let byte = input.byte();
    match byte >> 6 {
        0 => u64::from(byte & 63),
        1 => u64::MAX - u64::from(byte & 63),
        2 => 0x1000 + u64::from(byte & 63),
        _ => input.u64(),
    }
}

pub fn run(input: &mut Input<'_>) {
    let mut secret = [0; 6];
    for word in &mut secret {
        *word = input.byte().into();
    }
    let mut table = Table::new(vec![Slot::new(); 3], secret);
    let mut regions: Vec<Region> = Vec::new();

    while !input.is_empty() {
        let act = input.byte();
        let pick = usize::from(act >> 4) % regions.len().max(1);
        match (act & 15, regions.get_mut(pick)) {
            (0, _) => {
                let full = regions.len() == table.capacity();
                match table.alloc() {
                    Some(id) => {
                        assert!(!full && regions.iter().all(|r| r.id != id));
                        regions.push(Region {
                            id,
                            key: NO_KEY,
                            live: None,
                        });
                    }
                    None => assert!(full),
                }
            }
            (1, _) if table.capacity() < 64 => {
                let larger = table.capacity() * 2;
                table.grow(vec![Slot::new(); larger]);
            }
            (2, Some(r)) => {
                table.free(r.id);
                assert_eq!(table.next_key(r.id), NO_KEY);
                regions.swap_remove(pick);
            }
            (3, Some(r)) => {
                let key = table.next_key(r.id);
                assert!(key != NO_KEY && key != r.key);
                r.key = key;
                r.live = None;
                assert!(regions.iter().filter(|o| o.key == key).count() == 1);
            }
            (4 | 5, Some(r)) => {
                let grant = Grant {
                    owner: u64::from(input.byte() & 1),
                    access: access(input.byte()),
                    base: number(input),
                    len: number(input),
                };
                let fits = grant.base.checked_add(grant.len).is_some();
                let fresh = r.key != NO_KEY && r.live.is_none();
                let got = table.register(r.id, r.key, &grant);
                assert_eq!(got.is_ok(), fits && fresh);
                if got.is_ok() {
                    r.live = Some(grant);
                }
            }
            (6, Some(r)) => {
                let owner = u64::from(input.byte() & 1);
                let right = r.live.is_some_and(|g| g.owner == owner);
                assert_eq!(table.invalidate(owner, r.key).is_ok(), right);
                if right {
                    r.live = None;
                }
            }
            (7, _) => {
                // Any key at all: only one that is live may work.
                let key = input.u64();
                let found = regions
                    .iter()
                    .any(|r| u64::from(r.key) == key && r.live.is_some());
                let got = table.check(0, key, number(input), number(input), access(act >> 4));
                assert!(found || got == Err(Fault::Key));
            }
            (8.., Some(r)) => {
                let (addr, len) = (number(input), number(input));
                let wanted = access(input.byte());
                let owner = u64::from(act >> 7);
                let got = table.check(owner, r.key.into(), addr, len, wanted);
                let want = match r.live {
                    Some(g) if g.owner == owner => {
                        let end = u128::from(addr) + u128::from(len);
                        let grants = g.access;
                        if wanted.read && !grants.read
                            || wanted.write && !grants.write
                            || wanted.fill && !grants.fill
                        {
                            Err(Fault::Access)
                        } else if addr < g.base || end > u128::from(g.base) + u128::from(g.len) {
                            Err(Fault::Range)
                        } else {
                            Ok(addr - g.base)
                        }
                    }
                    _ => Err(Fault::Key),
                };
                assert_eq!(got.map(|hit| hit.offset), want);
                if let Ok(hit) = got {
                    assert_eq!(hit.id, r.id);
                }
            }
            _ => {}
        }
    }
}
