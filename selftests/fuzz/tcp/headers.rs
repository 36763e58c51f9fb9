// SPDX-License-Identifier: GPL-2.0-only

//! A stream of headers, in pieces.

use crate::{
    format,
    wire::frame::{
        header::{self, Collector, Header, Op},
        Fault,
        Features,
        Format,
        Order, //
    },
    Input, //
};

#[derive(Debug, PartialEq)]
struct Run {
    headers: Vec<Header>,
    fault: Option<Fault>,
    boundary: bool,
}

fn collect(format: &Format, stream: &[u8], piece: usize) -> Run {
    let mut run = Run {
        headers: Vec::new(),
        fault: None,
        boundary: true,
    };
    let mut collector = Collector::new();
    for chunk in stream.chunks(piece) {
        let mut rest = chunk;
        while !rest.is_empty() {
            match collector.push(format, &mut rest) {
                Ok(Some(header)) => run.headers.push(*header),
                Ok(None) => assert!(rest.is_empty()),
                Err(fault) => {
                    run.fault = Some(fault);
                    return run;
                }
            }
        }
    }
    run.boundary = collector.is_empty();
    run
}

fn check(format: &Format, header: &Header) {
    let mut bytes = [0; header::MAX];
    let len = header
        .encode(format, 0x55, &mut bytes)
        .expect("what is decoded can be encoded");
    assert!(len >= header::BASE && len % 8 == 0);
    let again = collect(format, &bytes[..len], len);
    assert_eq!(again.headers, [*header]);
    assert_eq!(again.fault, None);

    let elements = header.elements.get();
    let sum: u128 = elements.iter().map(|e| u128::from(e.len)).sum();
    match header.op {
        Op::Write => {
            assert!((1..=4).contains(&elements.len()));
            assert_eq!(sum, u128::from(header.payload));
        }
        Op::ReadRequest => {
            assert!((1..=4).contains(&elements.len()));
            assert_eq!(header.elements.bytes(), Ok(u64::try_from(sum).unwrap()));
            assert_eq!(header.payload, 0);
        }
        Op::Message | Op::ReadResponse => assert!(elements.is_empty()),
        Op::Ack | Op::Credit | Op::Error => assert!(elements.is_empty() && header.payload == 0),
    }
    assert_eq!(header.op == Op::Error, header.report.is_some());
    assert!(!header.wants_ack() || matches!(header.op, Op::Message | Op::Write));
    assert!(format.features.has(Features::SEND_INV) || header.invalidate.is_none());
    assert!(format.features.has(Features::CREDITS) || header.credit.is_none());
}

pub fn run(input: &mut Input<'_>) {
    let format = format(input.byte());
    let piece = usize::from(input.byte()).max(1);
    let stream = input.rest();

    let whole = collect(&format, stream, stream.len().max(1));
    assert_eq!(whole, collect(&format, stream, piece));
    for header in &whole.headers {
        check(&format, header);
    }
    // What is legal without additions stays legal, with the same meaning, when some are agreed on but not used.
    let plain = Format {
        features: Features::NONE,
        ..format
    };
    let more = Format {
        features: format.features.without(Features::CRC32C),
        ..format
    };
    let plain = collect(&plain, stream, stream.len().max(1));
    if plain.fault.is_none() {
        assert_eq!(plain, collect(&more, stream, stream.len().max(1)));
    }
    // The two byte orders do not accept the same header, unless its size reads the same in both.
    if let (Some(first), Order::Little) = (whole.headers.first(), format.order) {
        let big = Format {
            order: Order::Big,
            ..format
        };
        let swapped = collect(&big, stream, stream.len());
        if let Some(other) = swapped.headers.first() {
            assert!(first.payload >= 1 << 31 || other.payload >= 1 << 31);
        }
    }
}
