// SPDX-License-Identifier: GPL-2.0-only

//! Handshake and session: groups 3, 13, 15 and 16 of the hostile-peer list as far as they are logic.

use crate::{
    util::*,
    wire::frame::{
        error::{Code, Report},
        header::{Element, Header, Op},
        hello::{Extension, Hello, Kind, Reason},
        Fault,
        Features,
        Order, //
    },
    wire::state::{
        fifo::Fifo,
        handshake::{Active, Agreement, Answer, Passive},
        session::{Incoming, Limits, Session, Wait}, //
    },
};

const LIMITS: Limits = Limits {
    reads_queued: 3,
    bytes_queued: 1000,
    acks_owed: 4,
    acks_awaited: 2,
};

fn agreement(features: Features) -> Agreement {
    Agreement {
        order: Order::Little,
        features,
        kfi: !features.is_empty(),
        credits: 2,
        ird: None,
        ord: None,
    }
}

fn session(features: Features) -> Session<Vec<u64>> {
    Session::new(
        &agreement(features),
        format(Order::Little, features),
        LIMITS,
        2,
        vec![0; 2],
    )
}

fn message(delivery: bool) -> Header {
    let mut h = Header::new(Op::Message, 10);
    h.delivery = delivery;
    h
}

fn rma(op: Op, len: u64) -> Header {
    let mut h = Header::new(op, if op == Op::Write { len } else { 0 });
    h.elements
        .push(Element {
            addr: 0,
            len,
            key: 1,
        })
        .unwrap();
    h
}

fn offer() -> Extension {
    Extension {
        service: 5,
        features: Features::ALL,
        credits: 16,
        ird: 8,
        ord: 4,
        reason: Reason::default(),
    }
}

#[test]
fn two_kfi_peers_agree() {
    for (a, b) in [
        (Order::Little, Order::Little),
        (Order::Little, Order::Big),
        (Order::Big, Order::Little),
        (Order::Big, Order::Big),
    ] {
        let active = Active {
            order: a,
            offer: Some(offer()),
        };
        let request = Hello::decode(&active.request(3).encode().unwrap()).unwrap();
        let passive = Passive::request(b, &request).unwrap();
        assert_eq!(passive.offer(), Some(&offer()));
        let own = Extension {
            service: 0,
            features: Features::CREDITS.union(Features::ERRORS),
            credits: 7,
            ird: 2,
            ord: 100,
            reason: Reason::default(),
        };
        let (accept, theirs) = passive.accept(&own, 0);
        let accept = Hello::decode(&accept.encode().unwrap()).unwrap();
        let Ok(Answer::Accepted(ours)) = active.answer(&accept) else {
            panic!("{:?}", active.answer(&accept));
        };
        assert_eq!(ours.features, own.features);
        assert_eq!(theirs.features, own.features);
        assert_eq!(ours.order, theirs.order);
        assert_eq!(ours.order, if a == b { a } else { Order::Big });
        assert_eq!((ours.credits, theirs.credits), (7, 16));
        assert_eq!((ours.ord, theirs.ird), (Some(2), Some(2)));
        assert_eq!((ours.ird, theirs.ord), (Some(8), Some(8)));
    }
}

#[test]
fn libfabric_gets_the_plain_protocol() {
    let plain = Hello {
        kind: Kind::Request,
        private_len: 0,
        probe: Order::NATIVE.probe(),
        ext: None,
    };
    let passive = Passive::request(Order::NATIVE, &plain).unwrap();
    assert_eq!(passive.offer(), None);
    let (accept, agreement) = passive.accept(&offer(), 0);
    assert_eq!(accept.ext, None);
    assert_eq!(agreement.features, Features::NONE);
    assert!(!agreement.kfi);
    assert_eq!(passive.reject(Reason::BUSY, 0).ext, None);

    // As client: an accept of zeros is fine without a service number, and refused with one.
    let accept = Hello {
        kind: Kind::Accept,
        ..plain
    };
    let mut active = Active {
        order: Order::NATIVE,
        offer: Some(Extension {
            service: 0,
            ..offer()
        }),
    };
    assert!(matches!(active.answer(&accept), Ok(Answer::Accepted(a)) if !a.kfi));
    active.offer = Some(offer());
    assert_eq!(active.answer(&accept), Err(Fault::Features));
}

#[test]
fn a_reply_beyond_the_offer_is_refused() {
    let active = Active {
        order: Order::Little,
        offer: Some(Extension {
            features: Features::CREDITS,
            ..offer()
        }),
    };
    let good = Extension {
        service: 5,
        features: Features::CREDITS,
        credits: 1,
        ird: 4,
        ord: 8,
        reason: Reason::default(),
    };
    let reply = |ext| Hello {
        kind: Kind::Accept,
        private_len: 0,
        probe: Order::Little.probe(),
        ext: Some(ext),
    };
    assert!(active.answer(&reply(good)).is_ok());
    for bad in [
        Extension {
            features: Features::ALL,
            ..good
        },
        Extension {
            features: Features::from_bits(0x8000),
            ..good
        },
        Extension { ird: 5, ..good },
        Extension { ord: 9, ..good },
    ] {
        assert_eq!(active.answer(&reply(bad)), Err(Fault::Features));
    }
    let none = Active {
        order: Order::Little,
        offer: None,
    };
    assert_eq!(none.answer(&reply(good)), Err(Fault::Features));
}

#[test]
fn unknown_offers_are_left_out() {
    let active = Active {
        order: Order::Little,
        offer: Some(Extension {
            features: Features::from_bits(0xffff),
            ..offer()
        }),
    };
    let passive = Passive::request(Order::Little, &active.request(0)).unwrap();
    let (accept, agreement) = passive.accept(&offer(), 0);
    assert_eq!(agreement.features, Features::ALL);
    assert_eq!(accept.ext.unwrap().features, Features::ALL);
}

#[test]
fn kinds_have_their_direction() {
    let hello = |kind, probe| Hello {
        kind,
        private_len: 0,
        probe,
        ext: None,
    };
    let one = Order::Little.probe();
    for kind in [Kind::Accept, Kind::Reject] {
        assert_eq!(
            Passive::request(Order::Little, &hello(kind, one)).err(),
            Some(Fault::Kind)
        );
    }
    let active = Active {
        order: Order::Little,
        offer: None,
    };
    assert_eq!(active.answer(&hello(Kind::Request, one)), Err(Fault::Kind));
    // The probe of a reject is zero, that of the others must not be.
    assert_eq!(
        active.answer(&hello(Kind::Reject, [0; 8])),
        Ok(Answer::Rejected(Reason::CONSUMER))
    );
    assert_eq!(
        active.answer(&hello(Kind::Accept, [0; 8])),
        Err(Fault::Probe)
    );
    assert_eq!(
        Passive::request(Order::Little, &hello(Kind::Request, [0; 8])).err(),
        Some(Fault::Probe)
    );
}

#[test]
fn a_reject_says_why_to_kfi() {
    let active = Active {
        order: Order::Little,
        offer: Some(offer()),
    };
    let passive = Passive::request(Order::Little, &active.request(0)).unwrap();
    let reject = Hello::decode(&passive.reject(Reason::SERVICE, 0).encode().unwrap()).unwrap();
    assert_eq!(
        active.answer(&reject),
        Ok(Answer::Rejected(Reason::SERVICE))
    );
}

#[test]
fn sequence_counts_every_header() {
    let mut s = session(Features::NONE);
    for i in 0..1000u32 {
        assert_eq!(s.sending(&message(false)), Ok(i as u8));
    }
}

#[test]
fn acks_are_counted_both_ways() {
    let mut s = session(Features::NONE);
    let ack = Header::new(Op::Ack, 0);
    // None outstanding.
    assert_eq!(s.received(&ack), Err(Fault::Ack));
    assert_eq!(s.sending(&ack), Err(Fault::Ack));
    s.sending(&message(true)).unwrap();
    s.sending(&message(false)).unwrap();
    let mut commit = rma(Op::Write, 5);
    commit.commit = true;
    s.sending(&commit).unwrap();
    assert_eq!(s.may_send(&message(true), false), Err(Wait::Acks));
    assert_eq!(s.sending(&message(true)), Err(Fault::Limit));
    assert_eq!(s.may_send(&message(false), false), Ok(()));
    assert_eq!(s.received(&ack), Ok(Incoming::Ack));
    assert_eq!(s.received(&ack), Ok(Incoming::Ack));
    assert_eq!(s.received(&ack), Err(Fault::Ack));

    // Owed: one for each, when it is in place; at the limit nothing is read any more.
    for owed in 1..=4 {
        assert!(!s.stalled());
        s.received(&message(true)).unwrap();
        assert_eq!(s.acks_owed(), owed - 1);
        s.placed(&message(true));
        assert_eq!(s.acks_owed(), owed);
    }
    assert!(s.stalled());
    assert_eq!(s.received(&message(true)), Err(Fault::Limit));
    s.sending(&ack).unwrap();
    assert!(!s.stalled());
}

#[test]
fn a_read_request_with_ack_flags_owes_nothing() {
    let mut s = session(Features::NONE);
    let mut read = rma(Op::ReadRequest, 5);
    read.delivery = true;
    s.received(&read).unwrap();
    s.placed(&read);
    assert_eq!(s.acks_owed(), 0);
}

#[test]
fn responses_match_requests_in_order() {
    let mut s = session(Features::NONE);
    let response = |len| Header::new(Op::ReadResponse, len);
    assert_eq!(s.received(&response(0)), Err(Fault::Response));
    s.sending(&rma(Op::ReadRequest, 10)).unwrap();
    s.sending(&rma(Op::ReadRequest, 20)).unwrap();
    assert_eq!(
        s.may_send(&rma(Op::ReadRequest, 1), false),
        Err(Wait::Reads)
    );
    assert_eq!(s.may_send(&message(false), true), Err(Wait::Reads));
    assert_eq!(s.may_send(&message(false), false), Ok(()));
    for wrong in [0, 9, 11, 20, u64::MAX] {
        assert_eq!(s.received(&response(wrong)), Err(Fault::Response));
    }
    assert_eq!(s.received(&response(10)), Ok(Incoming::ReadResponse));
    s.placed(&response(10));
    assert_eq!(s.received(&response(10)), Err(Fault::Response));
    assert_eq!(s.received(&response(20)), Ok(Incoming::ReadResponse));
    s.placed(&response(20));
    assert_eq!(s.reads_outstanding(), 0);
    assert_eq!(s.may_send(&message(false), true), Ok(()));
    assert_eq!(s.received(&response(20)), Err(Fault::Response));
}

#[test]
fn queued_responses_stop_the_reader() {
    let mut s = session(Features::NONE);
    for _ in 0..3 {
        assert!(!s.stalled());
        s.received(&rma(Op::ReadRequest, 10)).unwrap();
    }
    assert!(s.stalled());
    assert_eq!(s.received(&rma(Op::ReadRequest, 10)), Err(Fault::Limit));
    assert_eq!(s.reads_queued(), 3);
    s.sending(&Header::new(Op::ReadResponse, 10)).unwrap();
    assert!(!s.stalled());
    // Bytes: one response may exceed the budget, but nothing is read behind it.
    s.sending(&Header::new(Op::ReadResponse, 10)).unwrap();
    s.sending(&Header::new(Op::ReadResponse, 10)).unwrap();
    s.received(&rma(Op::ReadRequest, 1 << 40)).unwrap();
    assert!(s.stalled());
    s.sending(&Header::new(Op::ReadResponse, 1 << 40)).unwrap();
    assert!(!s.stalled());
    assert_eq!(
        s.sending(&Header::new(Op::ReadResponse, 1)),
        Err(Fault::Response)
    );
}

#[test]
fn messages_need_credits() {
    let mut s = session(Features::CREDITS);
    s.sending(&message(false)).unwrap();
    // A write that shows up in the peer's queue takes a receive too, another one does not.
    let mut imm = rma(Op::Write, 1);
    imm.cq_data = Some(1);
    s.sending(&imm).unwrap();
    assert_eq!(s.may_send(&message(false), false), Err(Wait::Credits));
    assert_eq!(s.may_send(&imm, false), Err(Wait::Credits));
    assert_eq!(s.may_send(&rma(Op::Write, 1), false), Ok(()));
    let mut credit = Header::new(Op::Credit, 0);
    credit.credit = Some(3);
    assert_eq!(s.received(&credit), Ok(Incoming::Credit));
    s.sending(&message(false)).unwrap();
    assert_eq!(s.may_send(&message(false), false), Err(Wait::Credits));
    // Limits do not shrink.
    credit.credit = Some(2);
    assert_eq!(s.received(&credit), Err(Fault::Credits));
    credit.credit = Some(3 + (1 << 31));
    assert_eq!(s.received(&credit), Err(Fault::Credits));

    // The other direction.
    assert_eq!(s.credits_told(), 2);
    s.received(&message(false)).unwrap();
    s.received(&imm).unwrap();
    assert_eq!(s.received(&message(false)), Err(Fault::Credits));
    assert_eq!(s.tell_credits(), None);
    assert!(s.peer_waits_for_receive() && !s.credits_due());
    s.receives_posted(5);
    assert!(!s.peer_waits_for_receive() && s.credits_due());
    // Not before the peer has been told.
    assert_eq!(s.received(&message(false)), Err(Fault::Credits));
    assert_eq!(s.credits_untold(), 5);
    assert_eq!(s.tell_credits(), Some(7));
    assert_eq!(s.tell_credits(), None);
    assert!(!s.credits_due());
    for n in 1..=5 {
        s.received(&message(false)).unwrap();
        s.receives_posted(1);
        // As soon as the peer knows of fewer than half of them.
        assert_eq!(s.credits_due(), n > 5 - n);
    }
    assert_eq!(s.received(&message(false)), Err(Fault::Credits));
}

#[test]
fn credits_wrap_around() {
    let mut s = session(Features::CREDITS);
    let mut limit = 2u32;
    let mut credit = Header::new(Op::Credit, 0);
    // In steps as large as they may be, around the clock twice.
    for _ in 0..5 {
        limit = limit.wrapping_add((1 << 31) - 3);
        credit.credit = Some(limit);
        let sent_all = s.received(&credit);
        if sent_all.is_err() {
            // More than half the numbers would be ahead of what was sent.
            assert_eq!(sent_all, Err(Fault::Credits));
            return;
        }
    }
    panic!("limit ran around what was sent");
}

#[test]
fn plain_peers_need_no_credits() {
    let mut s = session(Features::NONE);
    for _ in 0..100 {
        s.sending(&message(false)).unwrap();
        s.received(&message(false)).unwrap();
        s.placed(&message(false));
    }
    s.receives_posted(4);
    assert!(!s.credits_due() && !s.peer_waits_for_receive());
    assert_eq!(s.credits_untold(), 0);
    assert_eq!(s.tell_credits(), None);
    assert_eq!(s.ordinal(), 100);
}

#[test]
fn the_end_is_the_end() {
    let mut s = session(Features::NONE);
    s.end();
    assert_eq!(s.may_send(&message(false), false), Err(Wait::Ended));
    assert_eq!(s.sending(&message(false)), Err(Fault::Phase));
    // The peer may still have something to say.
    s.received(&message(false)).unwrap();
    assert_eq!(s.ended(true), Ok(()));
    assert_eq!(s.received(&message(false)), Err(Fault::Phase));
    assert_eq!(session(Features::NONE).ended(false), Err(Fault::Truncated));
}

#[test]
fn errors_arrive() {
    let mut s = session(Features::ERRORS);
    let report = Report {
        code: Code::Access,
        ordinal: 3,
    };
    let mut error = Header::new(Op::Error, 0);
    error.report = Some(report);
    assert_eq!(s.received(&error), Ok(Incoming::Error(report)));
}

#[test]
fn ord_is_what_the_peer_takes() {
    let mut a = agreement(Features::ERRORS);
    a.ord = Some(1);
    let mut s = Session::new(&a, format(Order::Little, a.features), LIMITS, 0, vec![0; 8]);
    s.sending(&rma(Op::ReadRequest, 1)).unwrap();
    assert_eq!(
        s.may_send(&rma(Op::ReadRequest, 1), false),
        Err(Wait::Reads)
    );
}

#[test]
fn fifo_is_first_in_first_out() {
    for capacity in 0..5 {
        let mut fifo = Fifo::new(vec![0; capacity]);
        let mut model = std::collections::VecDeque::new();
        let mut random = Random(7);
        for i in 0..10_000 {
            if random.below(2) == 0 {
                let pushed = fifo.push(i);
                assert_eq!(pushed, model.len() < capacity);
                if pushed {
                    model.push_back(i);
                }
            } else {
                assert_eq!(fifo.front(), model.front().copied());
                assert_eq!(fifo.pop(), model.pop_front());
            }
            assert_eq!(fifo.len(), model.len());
        }
    }
}
