// SPDX-License-Identifier: GPL-2.0-only

//! Order of clients, devices and providers.

use crate::order::{
    self,
    Rank,
    Told, //
};

type List = Vec<Told<char, u32>>;

/// As the registry does it: a device appears.
fn device_add(told: &mut List, clients: &[char], device: u32) {
    told.extend(clients.iter().map(|&client| Told { client, device }));
}

/// As the registry does it: one entry after the other, until there is none.
fn remove(told: &mut List, next: impl Fn(&List) -> Option<usize>) -> List {
    let mut removed = List::new();

    while let Some(index) = next(told) {
        removed.push(told.remove(index));
    }
    removed
}

#[test]
fn last_registered_client_is_removed_first() {
    let mut told = List::new();

    device_add(&mut told, &['a', 'b', 'c'], 1);
    let removed = remove(&mut told, |told| order::next_of_device(told, &1));
    assert_eq!(removed.iter().map(|t| t.client).collect::<String>(), "cba");
    assert!(told.is_empty());
}

#[test]
fn late_client_is_removed_first_everywhere() {
    let mut told = List::new();

    device_add(&mut told, &['a', 'b'], 1);
    device_add(&mut told, &['a', 'b'], 2);
    // A client registers: it is told of each device that is there.
    told.push(Told {
        client: 'c',
        device: 1,
    });
    told.push(Told {
        client: 'c',
        device: 2,
    });
    device_add(&mut told, &['a', 'b', 'c'], 3);
    for device in [2, 3, 1] {
        let removed = remove(&mut told, |told| order::next_of_device(told, &device));
        assert_eq!(
            removed.iter().map(|t| t.client).collect::<String>(),
            "cba",
            "{device}"
        );
    }
    assert!(told.is_empty());
}

#[test]
fn client_that_refused_is_not_removed() {
    let mut told = List::new();

    device_add(&mut told, &['a', 'c'], 1);
    let removed = remove(&mut told, |told| order::next_of_device(told, &1));
    assert_eq!(removed.iter().map(|t| t.client).collect::<String>(), "ca");
}

#[test]
fn client_leaves_its_devices_in_opposite_order() {
    let mut told = List::new();

    for device in [1, 2, 3] {
        device_add(&mut told, &['a', 'b'], device);
    }
    let removed = remove(&mut told, |told| order::next_of_client(told, &'a'));
    assert_eq!(
        removed.iter().map(|t| t.device).collect::<Vec<_>>(),
        [3, 2, 1]
    );
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|t| t.client == 'b'));
}

#[test]
fn device_that_came_back() {
    let mut told = List::new();

    device_add(&mut told, &['a', 'b'], 1);
    remove(&mut told, |told| order::next_of_device(told, &1));
    device_add(&mut told, &['b', 'c'], 1);
    let removed = remove(&mut told, |told| order::next_of_device(told, &1));
    assert_eq!(removed.iter().map(|t| t.client).collect::<String>(), "cb");
}

#[test]
fn nothing_to_remove() {
    let told = List::new();

    assert_eq!(order::next_of_device(&told, &1), None);
    assert_eq!(order::next_of_client(&told, &'a'), None);
}

fn rank(priority: i32, serial: u64) -> Rank {
    Rank { priority, serial }
}

#[test]
fn providers_from_high_to_low() {
    let ranks = [
        rank(50, 1),
        rank(100, 4),
        rank(100, 2),
        rank(i32::MIN, 3),
        rank(i32::MAX, 5),
    ];
    let mut last = None;
    let mut order = Vec::new();

    while let Some(next) = order::next_provider(ranks.into_iter(), last) {
        order.push(next.serial);
        last = Some(next);
    }
    assert_eq!(order, [5, 2, 4, 1, 3]);
}

#[test]
fn provider_that_came_while_one_was_asked() {
    // The first one was asked; then a better one and a worse one registered, and the first one left.
    let last = Some(rank(100, 1));
    let ranks = [rank(200, 2), rank(50, 3)];

    assert_eq!(
        order::next_provider(ranks.into_iter(), last),
        Some(rank(50, 3))
    );
    assert_eq!(order::next_provider([].into_iter(), last), None);
}

#[test]
fn no_provider_twice() {
    let only = rank(100, 7);

    assert_eq!(order::next_provider([only].into_iter(), None), Some(only));
    assert_eq!(order::next_provider([only].into_iter(), Some(only)), None);
}

#[test]
fn only_no_device_falls_back() {
    assert!(order::falls_back(-19));
    // A refusal, a timeout, an unreachable host, a cancellation, success.
    for errno in [-111, -110, -113, -125, -12, 0] {
        assert!(!order::falls_back(errno), "{errno}");
    }
}
