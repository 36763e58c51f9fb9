// SPDX-License-Identifier: GPL-2.0-only

//! Argument checks: each limit from both sides, each refusal with its reason.

use crate::check::{
    self,
    Endpoint,
    Family,
    Limits,
    Refusal,
    Resolve,
    Way, //
};

const INVALID: check::Check = Err(Refusal::Invalid);
const UNSUPPORTED: check::Check = Err(Refusal::Unsupported);

fn limits() -> Limits {
    Limits {
        rma_read: true,
        rma_write: true,
        mr: true,
        sg_gaps: true,
        srx: true,
        pi: true,
        global_rkey: true,
        max_tx: 100,
        max_rx: 200,
        max_tx_sge: 4,
        max_rx_sge: 3,
        max_cqe: 1000,
        max_mr_pages: 256,
        max_pi_pages: 128,
        max_srx_wr: 50,
        max_ird: 16,
        max_ord: 8,
        max_private_data: 56,
    }
}

fn resolve() -> Resolve {
    Resolve {
        dst: Family::V4,
        dst_port: 4420,
        src: None,
        timeout_ms: 0,
        tos: -1,
        flags: 0,
    }
}

fn endpoint() -> Endpoint {
    Endpoint {
        max_tx: 1,
        max_rx: 0,
        max_tx_sge: 0,
        max_rx_sge: 0,
        max_rma: 0,
        flags: 0,
        srx: false,
    }
}

#[test]
fn families() {
    assert_eq!(Family::new(2), Ok(Family::V4));
    assert_eq!(Family::new(10), Ok(Family::V6));
    assert_eq!(Family::new(27), Ok(Family::Ib));
    // AF_UNSPEC, AF_UNIX, and the same numbers in the wrong byte order.
    for family in [0, 1, 2 << 8, 10 << 8, 27 << 8, u16::MAX] {
        assert_eq!(Family::new(family), Err(Refusal::Family), "{family}");
    }
    assert_eq!(Family::V4.sockaddr_len(), 16);
    assert_eq!(Family::V6.sockaddr_len(), 28);
    assert_eq!(Family::Ib.sockaddr_len(), 48);
}

#[test]
fn domain_flags() {
    let none = Limits::default();

    assert_eq!(check::domain(&limits(), 0), Ok(()));
    assert_eq!(check::domain(&limits(), 1), Ok(()));
    assert_eq!(check::domain(&none, 0), Ok(()));
    assert_eq!(check::domain(&none, 1), UNSUPPORTED);
    for bit in 1..32 {
        assert_eq!(check::domain(&limits(), 1 << bit), UNSUPPORTED);
        assert_eq!(check::domain(&limits(), 1 | 1 << bit), UNSUPPORTED);
    }
}

#[test]
fn resolve_numbers() {
    assert_eq!(resolve().check(), Ok(()));
    for timeout_ms in [1, i32::MAX as u32] {
        assert_eq!(
            Resolve {
                timeout_ms,
                ..resolve()
            }
            .check(),
            Ok(())
        );
    }
    for timeout_ms in [1 << 31, u32::MAX] {
        assert_eq!(
            Resolve {
                timeout_ms,
                ..resolve()
            }
            .check(),
            INVALID
        );
    }
    for tos in [-1, 0, 255] {
        assert_eq!(Resolve { tos, ..resolve() }.check(), Ok(()));
    }
    for tos in [-2, 256, i32::MIN, i32::MAX] {
        assert_eq!(Resolve { tos, ..resolve() }.check(), INVALID);
    }
    assert_eq!(
        Resolve {
            dst_port: 0,
            ..resolve()
        }
        .check(),
        INVALID
    );
    for bit in 1..32 {
        let flags = check::OWN_PORT | 1 << bit;
        assert_eq!(Resolve { flags, ..resolve() }.check(), UNSUPPORTED);
    }
    let flags = check::OWN_PORT;
    assert_eq!(Resolve { flags, ..resolve() }.check(), Ok(()));
}

#[test]
fn resolve_families_agree() {
    for (dst, src, outcome) in [
        (Family::V4, Family::V4, Ok(())),
        (Family::V6, Family::V6, Ok(())),
        (Family::V4, Family::V6, INVALID),
        (Family::V6, Family::V4, INVALID),
    ] {
        let request = Resolve {
            dst,
            src: Some(src),
            ..resolve()
        };
        assert_eq!(request.check(), outcome);
    }
}

#[test]
fn listener() {
    assert_eq!(check::pep(0, 0), Ok(()));
    assert_eq!(check::pep(0, i32::MAX), Ok(()));
    assert_eq!(check::pep(0, -1), INVALID);
    assert_eq!(check::pep(check::OWN_PORT, 0), Ok(()));
    assert_eq!(check::pep(check::OWN_PORT << 1, 0), UNSUPPORTED);
}

#[test]
fn ports_to_listen_at() {
    for family in [Family::V4, Family::V6] {
        assert_eq!(check::listen_at(family, 0), Ok(()));
    }
    assert_eq!(check::listen_at(Family::Ib, 0), INVALID);
    assert_eq!(check::listen_at(Family::Ib, 2 << 56), INVALID);
    assert_eq!(check::listen_at(Family::Ib, 2 << 56 | 7), INVALID);
    assert_eq!(check::listen_at(Family::Ib, 3 << 56), Ok(()));
    assert_eq!(check::listen_at(Family::Ib, u64::MAX), Ok(()));
}

#[test]
fn private_data() {
    for len in [0, 1, 56] {
        assert_eq!(check::private_data(&limits(), false, len), Ok(()));
    }
    for len in [57, 256, u32::MAX] {
        assert_eq!(
            check::private_data(&limits(), false, len),
            Err(Refusal::TooLong)
        );
    }
    assert_eq!(check::private_data(&limits(), true, 0), Ok(()));
    assert_eq!(check::private_data(&limits(), true, 1), INVALID);
}

#[test]
fn retry_counts_are_three_bits() {
    assert_eq!(check::retries(7, 7), Ok(()));
    assert_eq!(check::retries(8, 0), INVALID);
    assert_eq!(check::retries(0, 8), INVALID);
}

#[test]
fn reads_are_cut_to_the_limit() {
    assert_eq!(check::cut(4, 16), 4);
    assert_eq!(check::cut(255, 16), 16);
    assert_eq!(check::cut(255, 0), 0);
    assert_eq!(check::cut(200, 256), 200);
    assert_eq!(check::cut(255, u32::MAX), 255);
}

#[test]
fn endpoint_limits() {
    let most = || Endpoint {
        max_tx: 100,
        max_rx: 200,
        max_tx_sge: 4,
        max_rx_sge: 3,
        max_rma: 100,
        flags: 0,
        srx: false,
    };

    assert_eq!(endpoint().check(&limits()), Ok(()));
    assert_eq!(most().check(&limits()), Ok(()));
    assert_eq!(
        Endpoint {
            max_tx: 0,
            ..most()
        }
        .check(&limits()),
        INVALID
    );
    assert_eq!(
        Endpoint {
            max_tx: 101,
            ..most()
        }
        .check(&limits()),
        INVALID
    );
    assert_eq!(
        Endpoint {
            max_rx: 201,
            ..most()
        }
        .check(&limits()),
        INVALID
    );
    assert_eq!(
        Endpoint {
            max_tx_sge: 5,
            ..most()
        }
        .check(&limits()),
        INVALID
    );
    assert_eq!(
        Endpoint {
            max_rx_sge: 4,
            ..most()
        }
        .check(&limits()),
        INVALID
    );
    assert_eq!(
        Endpoint {
            max_tx: u32::MAX,
            ..most()
        }
        .check(&limits()),
        INVALID
    );
    for max_rma in [101, u32::MAX] {
        assert_eq!(Endpoint { max_rma, ..most() }.check(&limits()), INVALID);
    }
    assert_eq!(
        Endpoint {
            max_tx_sge: 0,
            ..most()
        }
        .check(&limits()),
        INVALID
    );
    for bit in 1..32 {
        let flags = 1 << bit;
        assert_eq!(Endpoint { flags, ..most() }.check(&limits()), UNSUPPORTED);
    }
    let pi = || Endpoint { flags: 1, ..most() };
    let without = Limits {
        pi: false,
        ..limits()
    };
    assert_eq!(pi().check(&limits()), Ok(()));
    assert_eq!(pi().check(&without), UNSUPPORTED);
}

#[test]
fn endpoint_with_shared_receives() {
    let shared = || Endpoint {
        max_rx: u32::MAX,
        max_rx_sge: u32::MAX,
        srx: true,
        ..endpoint()
    };
    let without = Limits {
        srx: false,
        ..limits()
    };

    assert_eq!(shared().check(&limits()), Ok(()));
    assert_eq!(shared().check(&without), UNSUPPORTED);
}

#[test]
fn endpoint_without_rma() {
    let without = Limits {
        rma_read: false,
        rma_write: false,
        ..limits()
    };

    assert_eq!(endpoint().check(&without), Ok(()));
    assert_eq!(
        Endpoint {
            max_rma: 1,
            ..endpoint()
        }
        .check(&without),
        UNSUPPORTED
    );
}

#[test]
fn drain_directions() {
    assert_eq!(check::directions(0), None);
    assert_eq!(check::directions(4), None);
    assert_eq!(check::directions(1), Some(1));
    assert_eq!(check::directions(2), Some(2));
    assert_eq!(check::directions(u32::MAX), Some(3));
}

#[test]
fn queue() {
    const DIRECT: u32 = 3;

    for poll in 0..=DIRECT {
        assert_eq!(check::cq(&limits(), 1, -1, poll, false), Ok(()));
    }
    assert_eq!(check::cq(&limits(), 1000, i32::MAX, 0, true), Ok(()));
    assert_eq!(check::cq(&limits(), 0, 0, 0, false), INVALID);
    assert_eq!(check::cq(&limits(), 1001, 0, 0, false), INVALID);
    assert_eq!(check::cq(&limits(), 1, -2, 0, false), INVALID);
    assert_eq!(check::cq(&limits(), 1, 0, 4, false), INVALID);
    assert_eq!(check::cq(&limits(), 1, 0, DIRECT, true), INVALID);
}

#[test]
fn region() {
    let no_gaps = Limits {
        sg_gaps: false,
        ..limits()
    };
    let none = Limits {
        mr: false,
        ..limits()
    };

    let no_pi = Limits {
        pi: false,
        ..limits()
    };

    assert_eq!(check::mr(&limits(), 0, 256), Ok(()));
    assert_eq!(check::mr(&limits(), 1, 1), Ok(()));
    assert_eq!(check::mr(&limits(), 0, 0), INVALID);
    assert_eq!(check::mr(&limits(), 0, 257), INVALID);
    assert_eq!(check::mr(&limits(), 2, 128), Ok(()));
    assert_eq!(check::mr(&limits(), 2, 129), INVALID);
    assert_eq!(check::mr(&limits(), 3, 1), INVALID);
    assert_eq!(check::mr(&no_pi, 2, 1), UNSUPPORTED);
    assert_eq!(check::mr(&no_gaps, 1, 1), UNSUPPORTED);
    assert_eq!(check::mr(&no_gaps, 0, 1), Ok(()));
    assert_eq!(check::mr(&none, 0, 1), UNSUPPORTED);
}

#[test]
fn shared_receives() {
    let without = Limits {
        srx: false,
        ..limits()
    };

    assert_eq!(check::srx(&limits(), 50, 3), Ok(()));
    assert_eq!(check::srx(&limits(), 1, 0), Ok(()));
    assert_eq!(check::srx(&limits(), 0, 1), INVALID);
    assert_eq!(check::srx(&limits(), 51, 1), INVALID);
    assert_eq!(check::srx(&limits(), 1, 4), INVALID);
    assert_eq!(check::srx(&without, 1, 1), UNSUPPORTED);
}

#[test]
fn transfer() {
    let no_read = Limits {
        rma_read: false,
        ..limits()
    };

    assert_eq!(check::rma(&limits(), 1, Way::Write), Ok(()));
    assert_eq!(check::rma(&limits(), u32::MAX, Way::Read), Ok(()));
    assert_eq!(check::rma(&limits(), 0, Way::Write), INVALID);
    assert_eq!(check::rma(&limits(), 1, Way::Other), INVALID);
    assert_eq!(check::rma(&no_read, 1, Way::Read), UNSUPPORTED);
    assert_eq!(check::rma(&no_read, 1, Way::Write), Ok(()));
}

#[test]
fn remote_invalidation() {
    assert!(check::remote_inv(0x1234, 0x1234));
    assert!(!check::remote_inv(0x1234, 0x1235));
}
