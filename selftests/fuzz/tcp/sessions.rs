// SPDX-License-Identifier: GPL-2.0-only

//! An established connection whose peer sends what it likes, while we send what the rules allow.

use crate::{
    format,
    wire::frame::{
        header::{Collector, Element, Header, Op},
        Fault,
        Features, //
    },
    wire::state::{
        handshake::Agreement,
        session::{Incoming, Limits, Session, Wait}, //
    },
    Input, //
};
use std::collections::VecDeque;

const LIMITS: Limits = Limits {
    reads_queued: 4,
    bytes_queued: 1 << 16,
    acks_owed: 3,
    acks_awaited: 3,
};
const ORD: usize = 3;

/// What a person would write on paper.
#[derive(Default)]
struct Model {
    seq: u8,
    reads: VecDeque<u64>,
    acks_awaited: u32,
    acks_owed: u32,
    responses: VecDeque<u64>,
    sent: u64,
    limit: u64,
    received: u64,
    granted: u64,
    told: u64,
    ended: bool,
    peer_ended: bool,
}

impl Model {
    fn stalled(&self) -> bool {
        let bytes: u128 = self.responses.iter().map(|&n| u128::from(n)).sum();
        self.responses.len() >= 4 || bytes >= 1 << 16 || self.acks_owed >= 3
    }
}

fn takes_receive(header: &Header) -> bool {
    header.op == Op::Message || header.op == Op::Write && header.cq_data.is_some()
}

fn outgoing(input: &mut Input<'_>, kind: u8, m: &Model) -> Header {
    let mut header = match kind & 7 {
        0 => Header::new(Op::Message, 5),
        1 => Header::new(Op::Write, 5),
        2 => Header::new(Op::ReadRequest, 0),
        3 => Header::new(Op::Ack, 0),
        4 => Header::new(Op::ReadResponse, m.responses.front().copied().unwrap_or(1)),
        5 => Header::new(Op::Credit, 0),
        _ => Header::new(Op::Message, 0),
    };
    if matches!(header.op, Op::Message | Op::Write) {
        header.delivery = kind & 8 != 0;
        header.cq_data = (kind & 16 != 0).then_some(1);
    }
    if matches!(header.op, Op::Write | Op::ReadRequest) {
        let len = if header.op == Op::Write {
            5
        } else {
            input.byte().into()
        };
        header
            .elements
            .push(Element {
                addr: 0,
                len,
                key: 1,
            })
            .unwrap();
    }
    header
}

fn send(s: &mut Session<Vec<u64>>, m: &mut Model, header: &Header, fence: bool) {
    let credits = s.format().features.has(Features::CREDITS);
    let want = if m.ended {
        Err(Wait::Ended)
    } else if fence && !m.reads.is_empty() || header.op == Op::ReadRequest && m.reads.len() >= ORD {
        Err(Wait::Reads)
    } else if header.wants_ack() && m.acks_awaited >= 3 {
        Err(Wait::Acks)
    } else if credits && takes_receive(header) && m.limit <= m.sent {
        Err(Wait::Credits)
    } else {
        Ok(())
    };
    assert_eq!(s.may_send(header, fence), want);
    if want.is_err() {
        return;
    }
    let legal = match header.op {
        Op::Ack => m.acks_owed > 0,
        Op::ReadResponse => !m.responses.is_empty(),
        _ => true,
    };
    match s.sending(header) {
        Ok(seq) => {
            assert!(legal);
            assert_eq!(seq, m.seq);
            m.seq = m.seq.wrapping_add(1);
            match header.op {
                Op::Ack => m.acks_owed -= 1,
                Op::ReadResponse => drop(m.responses.pop_front()),
                Op::ReadRequest => m.reads.push_back(header.elements.bytes().unwrap()),
                _ => {}
            }
            m.acks_awaited += u32::from(header.wants_ack());
            m.sent += u64::from(takes_receive(header));
        }
        Err(_) => assert!(!legal),
    }
}

// What a header of the peer must lead to, and its effect.
fn expect(m: &mut Model, header: &Header, credits: bool) -> Result<(), Fault> {
    if m.peer_ended {
        return Err(Fault::Phase);
    }
    if m.stalled() {
        return Err(Fault::Limit);
    }
    if let Some(limit) = header.credit {
        // The 64-bit number that this stands for, if it is one that may follow.
        let step = u64::from(limit.wrapping_sub(m.limit as u32));
        if step >= 1 << 31 || m.limit + step - m.sent >= 1 << 31 {
            return Err(Fault::Credits);
        }
        m.limit += step;
    }
    if takes_receive(header) {
        if credits && m.told <= m.received {
            return Err(Fault::Credits);
        }
        m.received += 1;
    }
    match header.op {
        Op::ReadRequest => m.responses.push_back(header.elements.bytes().unwrap()),
        Op::ReadResponse => match m.reads.front() {
            Some(&len) if len == header.payload => drop(m.reads.pop_front()),
            _ => return Err(Fault::Response),
        },
        Op::Ack => m.acks_awaited = m.acks_awaited.checked_sub(1).ok_or(Fault::Ack)?,
        _ => {}
    }
    m.acks_owed += u32::from(header.wants_ack());
    Ok(())
}

// A header of the peer; `true` if it is accepted, as it should be.
fn receive(s: &mut Session<Vec<u64>>, m: &mut Model, header: &Header) -> bool {
    let credits = s.format().features.has(Features::CREDITS);
    let want = expect(m, header, credits);
    let got = s.received(header);
    assert_eq!(got.map(|_| ()), want);
    let Ok(incoming) = got else {
        return false;
    };
    assert_eq!(incoming == Incoming::Message, header.op == Op::Message);
    s.placed(header);
    true
}

fn peer_header(input: &mut Input<'_>, act: u8, m: &Model) -> Header {
    let kind = input.byte();
    if act & 3 == 0 {
        return Header::new(Op::ReadResponse, m.reads.front().copied().unwrap_or(1));
    }
    if kind & 7 == 4 {
        return Header::new(Op::ReadResponse, input.byte().into());
    }
    outgoing(input, kind, m)
}

pub fn run(input: &mut Input<'_>) {
    let format = format(input.byte());
    let credits = format.features.has(Features::CREDITS);
    let granted = u16::from(input.byte());
    let agreement = Agreement {
        order: format.order,
        features: format.features,
        kfi: true,
        credits: input.byte().into(),
        ird: None,
        ord: None,
    };
    let mut s = Session::new(&agreement, format, LIMITS, granted, vec![0; ORD]);
    let mut m = Model {
        limit: agreement.credits.into(),
        told: granted.into(),
        granted: granted.into(),
        ..Model::default()
    };
    let mut collector = Collector::new();

    while !input.is_empty() {
        let act = input.byte();
        match act >> 5 {
            0..=2 => {
                let header = outgoing(input, act, &m);
                send(&mut s, &mut m, &header, act & 0x80 != 0);
            }
            3 => {
                s.receives_posted(u32::from(act & 31));
                m.granted += u64::from(act & 31);
                if act & 1 != 0 {
                    let want = (credits && m.granted != m.told).then_some(m.granted as u32);
                    assert_eq!(s.tell_credits(), want);
                    if want.is_some() {
                        m.told = m.granted;
                    }
                }
            }
            4 if act & 31 == 0 => {
                s.end();
                m.ended = true;
            }
            4 if act & 31 == 1 => {
                assert_eq!(s.ended(collector.is_empty()).is_ok(), collector.is_empty());
                m.peer_ended = true;
            }
            // A whole header, so that the fuzzer need not spell one.
            5 => {
                let mut header = peer_header(input, act, &m);
                if credits && act & 4 != 0 {
                    header.credit = Some((m.limit as u32).wrapping_add(input.byte() as i8 as u32));
                }
                if !receive(&mut s, &mut m, &header) {
                    return;
                }
            }
            _ => {
                // So many bytes from the peer, at most to the end of one header.
                let n = usize::from(act & 63).min(input.0.len());
                let mut piece = &input.0[..n];
                let header = match collector.push(&format, &mut piece) {
                    Ok(header) => header,
                    Err(_) => return,
                };
                input.0 = &input.0[n - piece.len()..];
                if let Some(header) = header {
                    if !receive(&mut s, &mut m, header) {
                        return;
                    }
                }
            }
        }
        assert_eq!(s.stalled(), m.stalled());
        assert_eq!(s.acks_owed(), m.acks_owed);
        assert_eq!(s.acks_awaited(), m.acks_awaited);
        assert_eq!(s.reads_queued() as usize, m.responses.len());
        assert_eq!(s.reads_outstanding(), m.reads.len());
        assert!(s.acks_owed() <= 3 && s.reads_queued() <= 4 && s.acks_awaited() <= 3);
    }
}
