// SPDX-License-Identifier: GPL-2.0-only

//! Connection messages in pieces, and both sides of the handshake.

use crate::{
    wire::frame::{
        hello::{self, Collector, Extension, Hello, Reason},
        Fault,
        Features,
        Order, //
    },
    wire::state::handshake::{Active, Answer, Passive},
    Input, //
};

// What comes out of `stream` when it arrives in pieces of `piece` bytes, and what is left of it.
fn collect(stream: &[u8], piece: usize) -> Result<Option<(Hello, Vec<u8>, usize)>, Fault> {
    let mut collector = Collector::new();
    let mut used = 0;
    for chunk in stream.chunks(piece) {
        let mut rest = chunk;
        let missing = collector.missing();
        let done = collector.push(&mut rest)?;
        used += chunk.len() - rest.len();
        assert!(missing > 0 || done.is_some());
        if let Some(hello) = done {
            assert_eq!(collector.missing(), 0);
            return Ok(Some((hello, collector.private().to_vec(), used)));
        }
        assert!(rest.is_empty());
    }
    Ok(None)
}

pub fn run(input: &mut Input<'_>) {
    let piece = usize::from(input.byte()).max(1);
    let flags = input.byte();
    let own = Extension {
        service: u32::from(flags & 1),
        features: Features::from_bits(u16::from(flags >> 4)),
        credits: 3,
        ird: input.byte(),
        ord: input.byte(),
        reason: Reason::default(),
    };
    let order = if flags & 2 == 0 {
        Order::Little
    } else {
        Order::Big
    };
    let offer = (flags & 4 == 0).then_some(own);
    let stream = input.rest();

    let whole = collect(stream, stream.len().max(1));
    assert_eq!(whole, collect(stream, piece));
    let Ok(Some((hello, private, used))) = whole else {
        return;
    };
    assert_eq!(private.len(), usize::from(hello.private_len));
    assert_eq!(used, hello::LEN + private.len());
    let again = hello.encode().unwrap();
    assert_eq!(Hello::decode(&again), Ok(hello));

    // As the listening side.
    if let Ok(passive) = Passive::request(order, &hello) {
        let (accept, agreement) = passive.accept(&own, 0);
        let offered = hello.ext.map_or(Features::NONE, |ext| ext.features);
        assert!(offered.has(agreement.features) && own.features.has(agreement.features));
        assert_eq!(accept.ext.is_some(), hello.ext.is_some());
        assert_eq!(agreement.kfi, hello.ext.is_some());
        assert!(Hello::decode(&accept.encode().unwrap()).is_ok());
        assert!(Hello::decode(&passive.reject(Reason::BUSY, 9).encode().unwrap()).is_ok());
        // The peer that sent this request takes the answer.
        let peer = Active {
            order: if hello.probe == Order::Little.probe() {
                Order::Little
            } else {
                Order::Big
            },
            offer: hello.ext,
        };
        match peer.answer(&accept) {
            Ok(Answer::Accepted(theirs)) => {
                assert_eq!(theirs.order, agreement.order);
                assert_eq!(theirs.features, agreement.features);
                assert_eq!(theirs.ird, agreement.ord);
                assert_eq!(theirs.ord, agreement.ird);
            }
            other => panic!("{other:?}"),
        }
    }

    // As the connecting side.
    let active = Active { order, offer };
    if let Ok(Answer::Accepted(agreement)) = active.answer(&hello) {
        match offer {
            Some(offer) => {
                assert!(offer.features.has(agreement.features));
                assert!(agreement.ird.is_none_or(|ird| ird <= offer.ird));
                assert!(agreement.ord.is_none_or(|ord| ord <= offer.ord));
                assert!(agreement.kfi || offer.service == 0);
            }
            None => assert!(!agreement.kfi),
        }
    }
}
