// SPDX-License-Identifier: GPL-2.0-only

//! The codec: groups 1 and 6 to 8 of the hostile-peer list, and what libfabric sends.

use crate::{
    util::*,
    wire::frame::{
        error::{Code, Report},
        header::{self, Collector, Element, Elements, Header, Op},
        hello::{self, Extension, Hello, Kind, Reason},
        Fault,
        Features,
        Order, //
    },
};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn decode(format: &crate::wire::frame::Format, bytes: &[u8]) -> Result<Option<Header>, Fault> {
    let mut input = bytes;
    let mut collector = Collector::new();
    let header = collector.push(format, &mut input)?.copied();
    if header.is_some() {
        assert!(input.is_empty());
    }
    Ok(header)
}

fn elements(list: &[(u64, u64, u64)]) -> Elements {
    let mut elements = Elements::NONE;
    for &(addr, len, key) in list {
        elements.push(Element { addr, len, key }).unwrap();
    }
    elements
}

fn hello_bytes(kind: Kind, private_len: u16) -> [u8; hello::LEN] {
    Hello {
        kind,
        private_len,
        probe: Order::Little.probe(),
        ext: None,
    }
    .encode()
    .unwrap()
}

#[test]
fn hello_as_libfabric_writes_it() {
    let want = hex("03 00 0005 00000000 0000000000000000 0000000000000000 0100000000000000");
    assert_eq!(hello_bytes(Kind::Request, 5)[..], want[..]);
    let got = Hello::decode(want[..].try_into().unwrap()).unwrap();
    assert_eq!(got.kind, Kind::Request);
    assert_eq!(got.private_len, 5);
    assert_eq!(got.ext, None);
    assert_eq!(Order::Little.agree(got.probe), Ok(Order::Little));
    assert_eq!(Order::Big.agree(got.probe), Ok(Order::Big));
}

#[test]
fn hello_extension_survives() {
    let ext = Extension {
        service: 0x0102_0304,
        features: Features::ALL,
        credits: 0x1234,
        ird: 16,
        ord: 255,
        reason: Reason::BUSY,
    };
    let hello = Hello {
        kind: Kind::Accept,
        private_len: 256,
        probe: Order::Big.probe(),
        ext: Some(ext),
    };
    let bytes = hello.encode().unwrap();
    let want = hex("03 01 0100 01020304 6b66692d74637031 000f 1234 10 ff 02 00 0000000000000001");
    assert_eq!(bytes[..], want[..]);
    assert_eq!(Hello::decode(&bytes), Ok(hello));
    // One wrong bit in the magic, and it is a peer without additions.
    for bit in 0..64 {
        let mut bytes = bytes;
        bytes[8 + bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Hello::decode(&bytes).unwrap().ext, None);
    }
}

#[test]
fn hello_refuses_every_other_version_and_type() {
    let good = hello_bytes(Kind::Request, 0);
    for value in 0..=255u8 {
        let mut bytes = good;
        bytes[0] = value;
        assert_eq!(Hello::decode(&bytes).is_ok(), value == 3);
        let mut bytes = good;
        bytes[1] = value;
        assert_eq!(Hello::decode(&bytes).is_ok(), matches!(value, 0 | 1 | 6));
    }
}

#[test]
fn hello_refuses_long_private_data_before_it_comes() {
    for len in [0u16, 1, 255, 256, 257, 1000, 65535] {
        let mut bytes = hello_bytes(Kind::Request, 0);
        bytes[2..4].copy_from_slice(&len.to_be_bytes());
        let mut input = &bytes[..];
        let got = hello::Collector::new().push(&mut input);
        match len {
            0 => assert!(got.unwrap().is_some()),
            1..=256 => assert!(got.unwrap().is_none()),
            _ => assert_eq!(got, Err(Fault::PrivateData)),
        }
    }
    let long = Hello {
        kind: Kind::Reject,
        private_len: 257,
        probe: [0; 8],
        ext: None,
    };
    assert_eq!(long.encode(), Err(Fault::PrivateData));
}

#[test]
fn probe_must_be_one() {
    for probe in [
        [0; 8],
        [0xff; 8],
        2u64.to_le_bytes(),
        (1u64 << 32).to_le_bytes(),
    ] {
        assert_eq!(Order::Little.agree(probe), Err(Fault::Probe));
        assert_eq!(Order::Big.agree(probe), Err(Fault::Probe));
    }
    assert_eq!(Order::Little.agree(Order::Big.probe()), Ok(Order::Big));
    assert_eq!(Order::Big.agree(Order::Little.probe()), Ok(Order::Big));
    assert_eq!(Order::Big.agree(Order::Big.probe()), Ok(Order::Big));
    assert_eq!(
        Order::Little.agree(Order::Little.probe()),
        Ok(Order::Little)
    );
}

#[test]
fn hello_takes_any_segmentation_and_leaves_the_rest() {
    let mut stream = hello_bytes(Kind::Request, 256).to_vec();
    stream.extend((0..256).map(|i| i as u8));
    stream.extend([0xaa; 7]);
    for piece in 1..=stream.len() {
        let mut collector = hello::Collector::new();
        let mut done = None;
        let mut at = 0;
        while done.is_none() {
            let mut input = &stream[at..(at + piece).min(stream.len())];
            let before = input.len();
            assert!(collector.missing() > 0);
            done = collector.push(&mut input).unwrap();
            at += before - input.len();
        }
        assert_eq!(at, 288);
        assert_eq!(collector.missing(), 0);
        assert_eq!(collector.private(), &stream[32..288]);
    }
}

#[test]
fn headers_as_libfabric_writes_them() {
    let cases = [
        // Empty message, delivery complete: fabtests' sync.
        ("03 00 0400 00 00 10 07 1000000000000000", {
            let mut h = Header::new(Op::Message, 0);
            h.delivery = true;
            h
        }),
        // Message with CQ data.
        ("03 00 0100 00 00 18 07 0004000000000000 efcdab8967452301", {
            let mut h = Header::new(Op::Message, 1000);
            h.cq_data = Some(0x0123_4567_89ab_cdef);
            h
        }),
        ("03 00 0000 02 00 10 07 1000000000000000", Header::new(Op::Ack, 0)),
        (
            "03 02 0000 00 01 28 07 2800000000000000 0010000000000000 0000010000000000 dec0000000000000",
            {
                let mut h = Header::new(Op::ReadRequest, 0);
                h.elements = elements(&[(0x1000, 0x10000, 0xc0de)]);
                h
            },
        ),
        ("03 03 0000 00 00 10 07 1000010000000000", Header::new(Op::ReadResponse, 0x10000)),
        (
            "03 04 0000 00 02 40 07 4300000000000000 \
             0100000000000000 0100000000000000 dec0000000000000 \
             0200000000000000 0200000000000000 dec0000000000000",
            {
                let mut h = Header::new(Op::Write, 3);
                h.elements = elements(&[(1, 1, 0xc0de), (2, 2, 0xc0de)]);
                h
            },
        ),
    ];
    for (text, header) in cases {
        let bytes = hex(text);
        let mut out = [0; header::MAX];
        let len = header.encode(&plain(), 7, &mut out).unwrap();
        assert_eq!(out[..len], bytes[..], "{header:?}");
        assert_eq!(decode(&plain(), &bytes), Ok(Some(header)));
    }
}

#[test]
fn network_order_converts_flags_size_and_words() {
    let bytes = hex("03 04 0005 00 01 30 00 0000000000000130 0102030405060708 \
                     1112131415161718 0000000000000100 00000000cafebabe");
    let mut header = Header::new(Op::Write, 256);
    header.delivery = true;
    header.cq_data = Some(0x0102_0304_0506_0708);
    header.elements = elements(&[(0x1112_1314_1516_1718, 256, 0xcafe_babe)]);
    let big = format(Order::Big, Features::NONE);
    let mut out = [0; header::MAX];
    let len = header.encode(&big, 0, &mut out).unwrap();
    assert_eq!(out[..len], bytes[..]);
    assert_eq!(decode(&big, &bytes), Ok(Some(header)));
    assert!(decode(&plain(), &bytes).is_err());
}

/// Group 6: every op, every header length, sizes around it.
#[test]
fn only_one_header_length_is_right() {
    for features in [Features::NONE, Features::ALL.without(Features::CRC32C)] {
        let format = format(Order::Little, features);
        for op in 0..=255u8 {
            for count in 0..=5u8 {
                for flags in [0u16, 1, 4, 5, 0x100, 0x200, 0x301] {
                    for len in 0..=255u8 {
                        let l = u64::from(len);
                        for size in [0, l.wrapping_sub(1), l, l + 1, 1 << 32, 1 << 63, u64::MAX] {
                            let mut bytes = vec![3, op, 0, 0, 0, count, len, 0];
                            bytes[2..4].copy_from_slice(&flags.to_le_bytes());
                            bytes.extend(size.to_le_bytes());
                            bytes.resize(256, 0);
                            check_one(&format, &bytes, op, count, flags, len, size);
                        }
                    }
                }
            }
        }
    }
}

fn check_one(
    format: &crate::wire::frame::Format,
    bytes: &[u8],
    op: u8,
    count: u8,
    flags: u16,
    len: u8,
    size: u64,
) {
    let mut input = bytes;
    let mut collector = Collector::new();
    let got = collector
        .push(format, &mut input)
        .map(|header| header.copied());
    let kfi = !format.features.is_empty();
    let may = match op {
        0 => 0x000d | if kfi { 0x0300 } else { 0 },
        2 | 3 => 0x000c | if kfi { 0x0200 } else { 0 },
        4 => 0x000d | if kfi { 0x0200 } else { 0 },
        0x80 if kfi => 0x0200,
        0x81 if kfi => 0,
        _ => {
            assert_eq!(got, Err(Fault::Op));
            return;
        }
    };
    if flags & !may != 0 || (op == 0x80 && flags != 0x200) {
        assert_eq!(got, Err(Fault::Flags));
        return;
    }
    let n = if matches!(op, 2 | 4) {
        u32::from(count)
    } else {
        0
    };
    if matches!(op, 2 | 4) && !(1..=4).contains(&n) {
        assert_eq!(got, Err(Fault::Count));
        return;
    }
    let words = 3 * n + (flags & 0x301).count_ones() + u32::from(op == 0x81);
    let want = u64::from(16 + 8 * words);
    if u64::from(len) != want {
        assert_eq!(got, Err(Fault::HeaderLength));
        return;
    }
    // All elements are empty here, so a write has no payload.
    let payload_ok = match op {
        0 | 3 => size >= want,
        _ => size == want,
    };
    match got {
        Ok(Some(header)) => {
            assert!(payload_ok);
            assert_eq!(header.payload, size - want);
            assert_eq!(input.len() as u64, 256 - want);
        }
        other => {
            assert_eq!(other, Err(Fault::Size));
            assert!(!payload_ok);
        }
    }
}

/// Group 7.
#[test]
fn version_flags_and_op_data_are_checked() {
    let mut out = [0; header::MAX];
    let len = Header::new(Op::Message, 0)
        .encode(&plain(), 0, &mut out)
        .unwrap();
    for value in 0..=255u8 {
        let mut bytes = out[..len].to_vec();
        bytes[0] = value;
        assert_eq!(decode(&plain(), &bytes).is_ok(), value == 3);
        let mut bytes = out[..len].to_vec();
        bytes[4] = value;
        assert_eq!(decode(&plain(), &bytes).is_ok(), value == 0 || value == 2);
        // The sequence number is whatever the peer likes.
        let mut bytes = out[..len].to_vec();
        bytes[7] = value;
        assert!(decode(&plain(), &bytes).is_ok());
    }
    for bit in 0..16 {
        let mut bytes = out[..len].to_vec();
        bytes[2..4].copy_from_slice(&(1u16 << bit).to_le_bytes());
        let ok = decode(&plain(), &bytes).is_ok();
        // 0x1 makes the header longer than it says.
        assert_eq!(ok, matches!(bit, 2 | 3), "flag bit {bit}");
    }
    // An acknowledgement with payload, and one that wants one.
    for (flags, size) in [(0u16, 17u64), (4, 16), (8, 16), (1, 24)] {
        let mut bytes = out[..len].to_vec();
        bytes[2..4].copy_from_slice(&flags.to_le_bytes());
        bytes[4] = 2;
        bytes[8..16].copy_from_slice(&size.to_le_bytes());
        assert!(decode(&plain(), &bytes).is_err());
    }
}

/// Group 8: the count is left over from something else in operations without elements.
#[test]
fn stale_count_is_ignored() {
    for header in [
        Header::new(Op::Message, 9),
        Header::new(Op::ReadResponse, 9),
        Header::new(Op::Ack, 0),
    ] {
        let mut out = [0; header::MAX];
        let len = header.encode(&plain(), 0, &mut out).unwrap();
        for count in [0, 1, 4, 5, 255] {
            out[5] = count;
            assert_eq!(decode(&plain(), &out[..len]), Ok(Some(header)));
        }
    }
}

#[test]
fn cq_data_in_a_read_is_refused() {
    for op in [Op::ReadRequest, Op::ReadResponse, Op::Ack] {
        let mut header = Header::new(op, 0);
        header.cq_data = Some(1);
        if op == Op::ReadRequest {
            header.elements = elements(&[(0, 1, 1)]);
        }
        assert_eq!(
            header.encode(&plain(), 0, &mut [0; header::MAX]),
            Err(Fault::Flags)
        );
    }
}

/// Group 11.
#[test]
fn elements_must_add_up() {
    let mut out = [0; header::MAX];
    for (lens, payload, ok) in [
        (vec![1u64], 1u64, true),
        (vec![1], 2, false),
        (vec![2], 1, false),
        (vec![0], 0, true),
        (vec![1, 2, 3, 4], 10, true),
        (vec![1 << 63, 1 << 63], 0, false),
        (vec![1 << 63; 4], 0, false),
        (vec![u64::MAX, 1], 0, false),
        (vec![u64::MAX], u64::MAX, false),
    ] {
        let list: Vec<_> = lens.iter().map(|&len| (0, len, 1)).collect();
        let mut header = Header::new(Op::Write, payload);
        header.elements = elements(&list);
        assert_eq!(
            header.encode(&plain(), 0, &mut out).is_ok(),
            ok,
            "{lens:?} {payload}"
        );
        let mut read = Header::new(Op::ReadRequest, 0);
        read.elements = header.elements;
        let sum = lens.iter().try_fold(0u64, |a, &b| a.checked_add(b));
        assert_eq!(read.encode(&plain(), 0, &mut out).is_ok(), sum.is_some());
    }
    // The same from the wire.
    let mut write = Header::new(Op::Write, 8);
    write.elements = elements(&[(0, 8, 1)]);
    let len = write.encode(&plain(), 0, &mut out).unwrap();
    for wrong in [0u64, 7, 9, 1 << 63, u64::MAX] {
        let mut bytes = out[..len].to_vec();
        bytes[24..32].copy_from_slice(&wrong.to_le_bytes());
        assert_eq!(decode(&plain(), &bytes), Err(Fault::Size));
    }
    let mut five = Elements::NONE;
    for _ in 0..4 {
        five.push(Element::default()).unwrap();
    }
    assert_eq!(five.push(Element::default()), Err(Fault::Count));
}

#[test]
fn additions_need_agreement() {
    let mut inv = Header::new(Op::Message, 4);
    inv.invalidate = Some(0xdead_beef);
    let mut credit = Header::new(Op::Credit, 0);
    credit.credit = Some(17);
    let mut error = Header::new(Op::Error, 0);
    error.report = Some(Report {
        code: Code::Range,
        ordinal: 5,
    });
    for (header, feature) in [
        (inv, Features::SEND_INV),
        (credit, Features::CREDITS),
        (error, Features::ERRORS),
    ] {
        for order in [Order::Little, Order::Big] {
            for bits in 0..16 {
                let format = format(order, Features::from_bits(bits));
                let mut out = [0; header::MAX];
                match header.encode(&format, 0, &mut out) {
                    Ok(len) => {
                        assert!(format.features.has(feature));
                        assert_eq!(decode(&format, &out[..len]), Ok(Some(header)));
                        // A peer that has not agreed refuses it.
                        let without = self::format(order, format.features.without(feature));
                        assert!(decode(&without, &out[..len]).is_err());
                    }
                    Err(_) => assert!(!format.features.has(feature)),
                }
            }
        }
    }
}

#[test]
fn words_wider_than_their_value_are_refused() {
    let format = format(Order::Little, Features::ALL.without(Features::CRC32C));
    let mut header = Header::new(Op::Message, 0);
    header.invalidate = Some(1);
    header.credit = Some(2);
    let mut out = [0; header::MAX];
    let len = header.encode(&format, 0, &mut out).unwrap();
    for (at, fault) in [(20, Fault::Key), (28, Fault::Credits)] {
        let mut bytes = out[..len].to_vec();
        bytes[at] = 1;
        assert_eq!(decode(&format, &bytes), Err(fault));
    }
}

#[test]
fn digest_covers_every_bit_of_the_header() {
    for order in [Order::Little, Order::Big] {
        let format = format(order, Features::CRC32C);
        let mut header = Header::new(Op::Write, 100);
        header.cq_data = Some(3);
        header.elements = elements(&[(4, 60, 5), (6, 40, 7)]);
        let mut out = [0; header::MAX];
        let len = header.encode(&format, 9, &mut out).unwrap();
        assert_eq!(decode(&format, &out[..len]), Ok(Some(header)));
        for bit in 0..len * 8 {
            let mut bytes = out[..len].to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(decode(&format, &bytes), Ok(Some(_))), "bit {bit}");
        }
        // Headers without it are refused as well.
        let mut bare = [0; header::MAX];
        let len = header
            .encode(&self::format(order, Features::NONE), 9, &mut bare)
            .unwrap();
        assert_eq!(decode(&format, &bare[..len]), Err(Fault::Flags));
    }
}

#[test]
fn payload_digest() {
    let format = format(Order::Little, Features::CRC32C);
    assert_eq!(format.trailer(0), 0);
    assert_eq!(format.trailer(1), 4);
    assert_eq!(plain().trailer(1), 0);
    // The check value of CRC32C.
    assert_eq!(
        format.trailer_bytes(crc32c(!0, b"123456789")),
        0xe306_9283u32.to_le_bytes()
    );
    let big = self::format(Order::Big, Features::CRC32C);
    assert_eq!(
        big.trailer_bytes(crc32c(!0, b"123456789")),
        0xe306_9283u32.to_be_bytes()
    );
}

#[test]
fn headers_take_any_segmentation() {
    let format = format(Order::Little, Features::ALL);
    let mut write = Header::new(Op::Write, 10);
    write.delivery = true;
    write.cq_data = Some(1);
    write.credit = Some(2);
    write.elements = elements(&[(1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 4, 4)]);
    let mut message = Header::new(Op::Message, 0);
    message.invalidate = Some(8);
    let sent = [write, message, Header::new(Op::Ack, 0), write];
    let mut stream = Vec::new();
    for header in &sent {
        let mut out = [0; header::MAX];
        let len = header.encode(&format, 0, &mut out).unwrap();
        stream.extend_from_slice(&out[..len]);
    }
    for piece in 1..=stream.len() {
        let mut collector = Collector::new();
        let mut got = Vec::new();
        for chunk in stream.chunks(piece) {
            let mut input = chunk;
            while let Some(header) = collector.push(&format, &mut input).unwrap().copied() {
                assert!(collector.is_empty());
                assert_eq!(collector.missing(), header::BASE);
                got.push(header);
                if input.is_empty() {
                    break;
                }
            }
            assert!(input.is_empty());
        }
        assert_eq!(got, sent);
    }
}

#[test]
fn longest_header_fits() {
    let format = format(Order::Little, Features::ALL);
    let mut write = Header::new(Op::Write, 4);
    write.cq_data = Some(1);
    write.credit = Some(2);
    write.elements = elements(&[(1, 1, 1); 4]);
    assert_eq!(
        write.encode(&format, 0, &mut [0; header::MAX]),
        Ok(header::MAX)
    );
}

#[test]
fn random_headers_survive() {
    let mut random = Random(0x1234_5678);
    for _ in 0..200_000 {
        let format = format(
            if random.below(2) == 0 {
                Order::Little
            } else {
                Order::Big
            },
            Features::from_bits(random.below(16) as u16),
        );
        let op = [
            Op::Message,
            Op::Ack,
            Op::ReadRequest,
            Op::ReadResponse,
            Op::Write,
            Op::Credit,
            Op::Error,
        ][random.below(7) as usize];
        let mut header = Header::new(op, 0);
        if matches!(op, Op::Message | Op::ReadResponse) {
            header.payload = random.next() >> 1;
        }
        header.delivery = random.below(2) == 0 && matches!(op, Op::Message | Op::Write);
        if random.below(2) == 0 && matches!(op, Op::Message | Op::Write) {
            header.cq_data = Some(random.next());
        }
        if random.below(2) == 0 {
            header.credit = Some(random.next() as u32);
        }
        if random.below(4) == 0 {
            header.invalidate = Some(random.next() as u32);
        }
        if op == Op::Error {
            header.report = Some(Report::from_word(random.next()));
        }
        if matches!(op, Op::Write | Op::ReadRequest) {
            for _ in 0..=random.below(4) {
                header
                    .elements
                    .push(Element {
                        addr: random.next(),
                        len: random.next() >> 3,
                        key: random.next(),
                    })
                    .unwrap();
            }
            if op == Op::Write {
                header.payload = header.elements.bytes().unwrap();
            }
        }
        let mut out = [0; header::MAX];
        if let Ok(len) = header.encode(&format, random.next() as u8, &mut out) {
            assert_eq!(decode(&format, &out[..len]), Ok(Some(header)));
        }
    }
}

#[test]
fn reports_survive() {
    for word in [0, 1, u64::MAX, 1 << 32, 2 << 32, 6 << 32 | 77, 7 << 32] {
        assert_eq!(Report::from_word(word).to_word(), word);
    }
    assert_eq!(Code::from(Fault::Range), Code::Range);
    assert_eq!(Code::from(Fault::Op), Code::Protocol);
}
