// SPDX-License-Identifier: GPL-2.0-only

//! What rdma_cm reports, and what it is told.

use crate::bindings;
use kernel::prelude::*;

/// Parameters of a connect or an accept.
#[derive(Clone, Copy, Default, Debug)]
pub struct ConnParam<'a> {
    /// For the peer.
    pub private_data: &'a [u8],
    /// RDMA reads that the peer may have outstanding at us.
    pub responder_resources: u8,
    /// RDMA reads that we want to have outstanding at the peer.
    pub initiator_depth: u8,
    /// Whether there is end-to-end flow control.
    pub flow_control: bool,
    /// Transport retries, 0 to 7.
    pub retry_count: u8,
    /// Retries while the peer has no receive posted, 0 to 7; 7 is without end.
    pub rnr_retry_count: u8,
}

impl ConnParam<'_> {
    /// The C form; it points to the private data.
    pub(super) fn to_raw(self) -> Result<bindings::rdma_conn_param> {
        if self.retry_count > 7 || self.rnr_retry_count > 7 {
            return Err(EINVAL);
        }
        Ok(bindings::rdma_conn_param {
            private_data: self.private_data.as_ptr().cast(),
            private_data_len: u8::try_from(self.private_data.len()).map_err(|_| EINVAL)?,
            responder_resources: self.responder_resources,
            initiator_depth: self.initiator_depth,
            flow_control: u8::from(self.flow_control),
            retry_count: self.retry_count,
            rnr_retry_count: self.rnr_retry_count,
            ..Default::default()
        })
    }
}

/// What the peer has asked for or agreed to.
#[derive(Clone, Copy, Debug)]
pub struct Granted<'a> {
    /// From the peer. Over InfiniBand and RoCE padded with zeroes.
    pub private_data: &'a [u8],
    /// RDMA reads that the peer wants to have outstanding at us.
    pub responder_resources: u8,
    /// RDMA reads that we may have outstanding at the peer.
    pub initiator_depth: u8,
}

impl<'a> Granted<'a> {
    /// Reads the parameters of an event that has some.
    pub(super) fn new(event: &'a bindings::rdma_cm_event) -> Self {
        // CAST: The parameters of a connection are a member of the union.
        // SAFETY: The union is as large as its largest member, and any bytes are valid parameters:
        // numbers and a pointer.
        let conn: &bindings::rdma_conn_param = unsafe { &*(&raw const event.param).cast() };
        Self {
            private_data: private_data(conn),
            responder_resources: conn.responder_resources,
            initiator_depth: conn.initiator_depth,
        }
    }
}

fn private_data(conn: &bindings::rdma_conn_param) -> &[u8] {
    if conn.private_data.is_null() || conn.private_data_len == 0 {
        return &[];
    }
    // SAFETY: For events that have parameters of a connection, and those that have none are zeroed,
    // rdma_cm passes the peer's data with its length, valid as long as the event.
    unsafe {
        core::slice::from_raw_parts(conn.private_data.cast(), usize::from(conn.private_data_len))
    }
}

/// An event of an identifier, other than a connect request.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The device was found.
    AddrResolved,
    /// No device was found.
    AddrError(Error),
    /// The path was found.
    RouteResolved,
    /// No path was found.
    RouteError(Error),
    /// The connection is there.
    Established(Granted<'a>),
    /// The connection failed.
    ConnectError(Error),
    /// The peer does not answer.
    Unreachable(Error),
    /// The peer refused.
    Rejected {
        /// The reason, in the terms of the transport.
        reason: c_int,
        /// Whether the peer's user did, not its stack; only then is there private data.
        by_consumer: bool,
        /// From the peer.
        private_data: &'a [u8],
    },
    /// The connection ended: in an orderly way, or by a failure.
    Disconnected(Result),
    /// The device goes away.
    DeviceRemoval,
    /// The address moved to another device.
    AddrChange,
    /// The queue pair number may be used again.
    TimewaitExit,
    /// Another one, `enum rdma_cm_event_type`.
    Other(bindings::rdma_cm_event_type),
}

impl<'a> Event<'a> {
    /// Decodes an event.
    ///
    /// `id` is the identifier that it is for, which the caller has borrowed from rdma_cm together
    /// with the event.
    pub(super) fn new(event: &'a bindings::rdma_cm_event, id: *mut bindings::rdma_cm_id) -> Self {
        let error = || match event.status {
            status @ ..=-1 => Error::from_errno(status),
            _ => EIO,
        };
        match event.event {
            bindings::rdma_cm_event_type_RDMA_CM_EVENT_ADDR_RESOLVED => Self::AddrResolved,
            bindings::rdma_cm_event_type_RDMA_CM_EVENT_ADDR_ERROR => Self::AddrError(error()),
            bindings::rdma_cm_event_type_RDMA_CM_EVENT_ROUTE_RESOLVED => Self::RouteResolved,
            bindings::rdma_cm_event_type_RDMA_CM_EVENT_ROUTE_ERROR => Self::RouteError(error()),
            bindings::rdma_cm_event_type_RDMA_CM_EVENT_ESTABLISHED => {
                Self::Established(Granted::new(event))
            }
            bindings::rdma_cm_event_type_RDMA_CM_EVENT_CONNECT_ERROR => Self::ConnectError(error()),
            bindings::rdma_cm_event_type_RDMA_CM_EVENT_UNREACHABLE => Self::Unreachable(error()),
            bindings::rdma_cm_event_type_RDMA_CM_EVENT_REJECTED => {
                let mut len = 0;
                let ev = core::ptr::from_ref(event).cast_mut();
                // SAFETY: The event is one that rdma_cm has passed for this identifier; it is only
                // read.
                let data = unsafe { bindings::rdma_consumer_reject_data(id, ev, &mut len) };
                let by_consumer = !data.is_null();
                Self::Rejected {
                    reason: event.status,
                    by_consumer,
                    private_data: if by_consumer && len > 0 {
                        // SAFETY: rdma_cm returns the peer's data with its length, valid as long as
                        // the event.
                        unsafe { core::slice::from_raw_parts(data.cast(), usize::from(len)) }
                    } else {
                        &[]
                    },
                }
            }
            bindings::rdma_cm_event_type_RDMA_CM_EVENT_DISCONNECTED => {
                Self::Disconnected(match event.status {
                    0 => Ok(()),
                    _ => Err(error()),
                })
            }
            bindings::rdma_cm_event_type_RDMA_CM_EVENT_DEVICE_REMOVAL => Self::DeviceRemoval,
            bindings::rdma_cm_event_type_RDMA_CM_EVENT_ADDR_CHANGE => Self::AddrChange,
            bindings::rdma_cm_event_type_RDMA_CM_EVENT_TIMEWAIT_EXIT => Self::TimewaitExit,
            other => Self::Other(other),
        }
    }
}
