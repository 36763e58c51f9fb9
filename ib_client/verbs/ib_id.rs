// SPDX-License-Identifier: GPL-2.0-only

//! Identifiers whose addresses are of AF_IB: a GID, a partition and a service ID.
//!
//! rdma_cm takes such addresses where the link layer is InfiniBand, and listens for service IDs of its own port space only.
//! Storage protocols have others, and RoCE has GIDs as well, so this goes to the connection manager of InfiniBand below it.
//! An [`IbId`] begins with a `struct rdma_cm_id` of its own, of the port space `RDMA_PS_IB`, which rdma_cm does not know:
//! what is above sees the fields and the events that rdma_cm would have, and [`CmId`](super::cm::CmId) calls the functions
//! of this file instead of rdma_cm's.
//!
//! Paths are asked for at the subnet administrator over InfiniBand; over RoCE they are made of the neighbour's address.
//!
//! C headers: [`include/rdma/ib_cm.h`](srctree/include/rdma/ib_cm.h),
//! [`include/rdma/ib_sa.h`](srctree/include/rdma/ib_sa.h)

use super::{
    addr::{
        HeldNet,
        IbAddr,
        Net,
        SockAddr, //
    },
    errno,
    gid::{
        self,
        Gid, //
    },
    pd::Caller, //
};
use crate::bindings;
use core::{
    cell::UnsafeCell,
    mem::{
        offset_of,
        zeroed, //
    },
    ptr::{
        null,
        null_mut,
        NonNull, //
    }, //
};
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed,
            Release, //
        },
        Mutex, //
    },
    types::Opaque, //
};

/// What marks these identifiers; all others are of `RDMA_PS_TCP`.
const MARK: bindings::rdma_ucm_port_space = bindings::rdma_ucm_port_space_RDMA_PS_IB;
/// The peer has 4.3 seconds for an answer, as with rdma_cm.
const RESPONSE_TIMEOUT: u8 = 20;
/// Times that a message is sent again, as with rdma_cm.
const RETRIES: u8 = 15;
/// 0.27 seconds, as with rdma_cm over RoCE.
const PACKET_LIFETIME: u8 = 16;

/// Where an identifier is in its life.
mod phase {
    /// Nothing has begun.
    pub(super) const IDLE: u32 = 0;
    /// A path is looked for.
    pub(super) const ROUTE: u32 = 1;
    /// There is a path.
    pub(super) const ROUTED: u32 = 2;
    /// A request, the connection, or a listener is there.
    pub(super) const CONNECT: u32 = 3;
    /// The connection has ended.
    pub(super) const DISCONNECT: u32 = 4;
    /// No callback any more.
    pub(super) const DESTROYING: u32 = 5;
}

type Event = bindings::rdma_cm_event;

/// What is behind such a `struct rdma_cm_id`.
///
/// # Invariants
///
/// - `cm` is null or an ib_cm identifier of this object, set once, with `handler` held.
/// - What is in an [`UnsafeCell`] is written before anybody else has the object, or with `handler` held.
#[repr(C)]
#[pin_data]
pub(super) struct IbId {
    public: Opaque<bindings::rdma_cm_id>,
    /// Held during callbacks.
    #[pin]
    pub(super) handler: Mutex<()>,
    /// Held while a request to a listener is made known, before the handler mutex of the new identifier.
    #[pin]
    requests: Mutex<()>,
    phase: Atomic<u32>,
    cm: Atomic<*mut bindings::ib_cm_id>,
    gid: UnsafeCell<Option<Gid>>,
    path: UnsafeCell<bindings::sa_path_rec>,
    /// First packet number of our queue pair.
    psn: u32,
    /// Its queries end before it is unregistered.
    sa: Opaque<bindings::ib_sa_client>,
    query: UnsafeCell<(c_int, *mut bindings::ib_sa_query)>,
    /// Neighbours are, or were, asked for the way.
    asked: Atomic<bool>,
    /// Name of the consumer.
    caller: Caller,
    /// What `public` points to; looking for a neighbour changes that.
    net: HeldNet,
}

const _: () = assert!(offset_of!(IbId, public) == 0);

/// Whether an identifier is one of this file's.
///
/// # Safety
///
/// `raw` is an identifier that is there.
pub(super) unsafe fn is_ib(raw: *const bindings::rdma_cm_id) -> bool {
    // SAFETY: By the function's contract; this does not change.
    unsafe { (*raw).ps == MARK }
}

/// The object behind an identifier, if it is one of this file's.
///
/// # Safety
///
/// `raw` is an identifier that is there for `'a`.
pub(super) unsafe fn from_raw<'a>(raw: *mut bindings::rdma_cm_id) -> Option<&'a IbId> {
    // SAFETY: By the function's contract; marked identifiers are the head of an `IbId`.
    unsafe { is_ib(raw).then(|| &*raw.cast::<IbId>()) }
}

/// Makes an identifier, to be given to [`destroy`].
pub(super) fn create(
    net: &Net,
    handler: bindings::rdma_cm_event_handler,
    context: *mut c_void,
    caller: Caller,
) -> Result<NonNull<bindings::rdma_cm_id>> {
    // SAFETY: All zero is valid for it: no device, no queue pair, no addresses.
    let mut public: bindings::rdma_cm_id = unsafe { zeroed() };
    public.context = context;
    public.event_handler = handler;
    public.ps = MARK;
    public.qp_type = bindings::ib_qp_type_IB_QPT_RC;
    public.route.addr.dev_addr.net = net.as_raw();
    // SAFETY: No requirements.
    let psn = unsafe { bindings::rdma_random_psn() };
    // INVARIANT: There is no ib_cm identifier.
    let this = KBox::pin_init(
        pin_init!(IbId {
            public: Opaque::new(public),
            handler <- new_mutex!((), "kfi::IbId"),
            requests <- new_mutex!((), "kfi::IbId::requests"),
            phase: Atomic::new(phase::IDLE),
            cm: Atomic::new(null_mut()),
            gid: UnsafeCell::new(None),
            // SAFETY: All zero is valid for a path.
            path: UnsafeCell::new(unsafe { zeroed() }),
            psn,
            sa: Opaque::zeroed(),
            query: UnsafeCell::new((0, null_mut())),
            asked: Atomic::new(false),
            caller,
            net: HeldNet::new(net),
        }),
        GFP_KERNEL,
    )?;
    // SAFETY: It is not moved: it is given away as a raw pointer.
    let this = KBox::into_raw(unsafe { Pin::into_inner_unchecked(this) });
    // SAFETY: Made just now, and not moved any more.
    unsafe { bindings::ib_sa_register_client((*this).sa.get()) };
    // CAST: The identifier is the first member.
    NonNull::new(this.cast()).ok_or(ENOMEM)
}

/// Destroys an identifier, and waits for its callbacks.
///
/// # Safety
///
/// `raw` was made by [`create`] or for a request, has no queue pair, and is not used any more. This is no callback of it.
pub(super) unsafe fn destroy(raw: *mut bindings::rdma_cm_id) {
    // SAFETY: By the function's contract.
    unsafe {
        let this = &*raw.cast::<IbId>();
        let query = {
            let _handler = this.handler.lock();
            match this.phase.xchg(phase::DESTROYING, Full) {
                phase::ROUTE => *this.query.get(),
                _ => (0, null_mut()),
            }
        };
        // A listener's request that is with the consumer.
        drop(this.requests.lock());
        if !query.1.is_null() {
            bindings::ib_sa_cancel_query(query.0, query.1);
        }
        if this.asked.load(Acquire) {
            bindings::rdma_addr_cancel(this.dev_addr());
        }
        let cm = this.cm.load(Acquire);
        if !cm.is_null() {
            // Tells the peer, where it is to be told.
            bindings::ib_destroy_cm_id(cm);
        }
        free(raw);
    }
}

/// Frees what is left.
///
/// # Safety
///
/// As for [`destroy`], and there is no ib_cm identifier any more that could call back.
unsafe fn free(raw: *mut bindings::rdma_cm_id) {
    // SAFETY: By the function's contract. The client of the subnet administrator waits for the queries.
    unsafe {
        bindings::ib_sa_unregister_client((*raw.cast::<IbId>()).sa.get());
        drop(KBox::from_raw(raw.cast::<IbId>()));
    }
}

impl IbId {
    fn raw(&self) -> *mut bindings::rdma_cm_id {
        self.public.get()
    }

    fn dev_addr(&self) -> *mut bindings::rdma_dev_addr {
        // SAFETY: The identifier is there; only the address of a field is taken.
        unsafe { &raw mut (*self.raw()).route.addr.dev_addr }
    }

    /// Moves on from one phase to another one.
    fn advance(&self, from: u32, to: u32) -> Result {
        self.phase
            .cmpxchg(from, to, Full)
            .map(|_| ())
            .map_err(|_| EINVAL)
    }

    /// Whether callbacks have come to an end.
    fn is_silent(&self) -> bool {
        self.phase.load(Acquire) == phase::DESTROYING
    }

    /// The ib_cm identifier.
    fn cm(&self) -> Result<*mut bindings::ib_cm_id> {
        let cm = self.cm.load(Acquire);
        (!cm.is_null()).then_some(cm).ok_or(EINVAL)
    }

    /// Gives it its place: a port, whose device stays as long as the identifier, and both addresses.
    ///
    /// # Safety
    ///
    /// Called once, before anybody else has the identifier.
    pub(super) unsafe fn place(&self, gid: Gid, local: &IbAddr, peer: Option<&IbAddr>) {
        let raw = self.raw();
        // CAST: A `SockAddr` has the layout of a socket address of any family.
        // SAFETY: By the function's contract.
        unsafe {
            (*raw).device = gid.device().as_raw();
            (*raw).port_num = gid.port();
            (&raw mut (*raw).route.addr.src_addr)
                .cast::<SockAddr>()
                .write(SockAddr::from_ib(local));
            if let Some(peer) = peer {
                (&raw mut (*raw).route.addr.dst_addr)
                    .cast::<SockAddr>()
                    .write(SockAddr::from_ib(peer));
            }
            *self.gid.get() = Some(gid);
        }
    }

    fn ends(&self) -> Result<(IbAddr, IbAddr)> {
        let raw = self.raw();
        // SAFETY: Written before the identifier is used.
        let (local, peer) = unsafe {
            (
                (&raw const (*raw).route.addr.src_addr).cast::<SockAddr>(),
                (&raw const (*raw).route.addr.dst_addr).cast::<SockAddr>(),
            )
        };
        // SAFETY: As above; any bytes are a valid `SockAddr`.
        let (local, peer) = unsafe { (&*local, &*peer) };
        Ok((local.ib().ok_or(EINVAL)?, peer.ib().ok_or(EINVAL)?))
    }

    /// Delivers an event; true when the owner has given the identifier up. The handler mutex is held.
    fn deliver(&self, event: &mut Event) -> bool {
        let raw = self.raw();
        // SAFETY: The identifier is there, and its handler mutex is held; the handler is what it was made with.
        unsafe {
            match (*raw).event_handler {
                Some(handler) => handler(raw, event) != 0,
                None => false,
            }
        }
    }

    /// See [`super::cm::CmId::resolve_route`]. The handler mutex is held.
    pub(super) fn resolve_route(&self, tos: Option<u8>, timeout_ms: u32) -> Result {
        let (local, peer) = self.ends()?;
        // SAFETY: Written before the identifier is used.
        let gid = unsafe { &*self.gid.get() }.as_ref().ok_or(EINVAL)?;
        self.advance(phase::IDLE, phase::ROUTE)?;
        // SAFETY: By the type invariant: the handler mutex is held, and nobody looks for a path yet.
        let path = unsafe { &mut *self.path.get() };
        path.sgid = gid::to_raw(&local.gid);
        path.dgid = gid::to_raw(&peer.gid);
        path.service_id = peer.service.to_be();
        path.pkey = peer.pkey.to_be();
        // As in the header of IPv6: 4 bits, the traffic class, 20 bits of flow label.
        path.flow_label = (local.flow & 0xf_ffff).to_be();
        // CAST: Eight bits.
        path.traffic_class = tos.unwrap_or((local.flow >> 20) as u8);
        path.reversible = 1;
        path.numb_path = 1;
        let asked = if gid.device().is_roce(gid.port()) {
            self.ask_neighbours(gid, path, timeout_ms)
        } else {
            self.ask_subnet(gid, path, timeout_ms)
        };
        asked.inspect_err(|_| self.phase.store(phase::IDLE, Release))
    }

    fn ask_neighbours(
        &self,
        gid: &Gid,
        path: &mut bindings::sa_path_rec,
        timeout_ms: u32,
    ) -> Result {
        path.rec_type = match gid.kind() {
            bindings::ib_gid_type_IB_GID_TYPE_ROCE => {
                bindings::sa_path_rec_type_SA_PATH_REC_TYPE_ROCE_V1
            }
            _ => bindings::sa_path_rec_type_SA_PATH_REC_TYPE_ROCE_V2,
        };
        // CAST: These are small numbers.
        let exactly = bindings::ib_sa_selector_IB_SA_EQ as u8;
        path.mtu_selector = exactly;
        path.rate_selector = exactly;
        path.rate = bindings::ib_rate_IB_RATE_PORT_CURRENT as u8;
        path.packet_life_time_selector = exactly;
        path.packet_life_time = PACKET_LIFETIME;
        self.asked.store(true, Release);
        // SAFETY: The entry is held; the rest belongs to the identifier, which waits for the callback.
        to_result(unsafe {
            bindings::rdma_resolve_gid(
                gid.as_raw(),
                path,
                self.dev_addr(),
                timeout_ms as c_ulong,
                Some(neighbour_found),
                core::ptr::from_ref(self).cast_mut().cast(),
            )
        })
    }

    fn ask_subnet(&self, gid: &Gid, path: &mut bindings::sa_path_rec, timeout_ms: u32) -> Result {
        path.rec_type = bindings::sa_path_rec_type_SA_PATH_REC_TYPE_IB;
        // SAFETY: The device is there. The query is over before the identifier is freed; `path` is copied, and written
        // with the handler mutex held, which the caller has until this has returned.
        let id = unsafe {
            bindings::ib_sa_path_rec_get(
                self.sa.get(),
                gid.device().as_raw(),
                gid.port(),
                path,
                bindings::rdma_path_mask(),
                timeout_ms as c_ulong,
                bindings::rdma_gfp_kernel(),
                Some(path_found),
                core::ptr::from_ref(self).cast_mut().cast(),
                &raw mut (*self.query.get()).1,
            )
        };
        to_result(id.min(0))?;
        // SAFETY: By the type invariant.
        unsafe { (*self.query.get()).0 = id };
        Ok(())
    }

    /// The path is there, or there is none. The handler mutex is held.
    fn routed(&self, status: c_int) {
        let to = if status == 0 {
            phase::ROUTED
        } else {
            phase::IDLE
        };
        if self.advance(phase::ROUTE, to).is_err() {
            return;
        }
        let mut event = Event {
            event: if status == 0 {
                bindings::rdma_cm_event_type_RDMA_CM_EVENT_ROUTE_RESOLVED
            } else {
                bindings::rdma_cm_event_type_RDMA_CM_EVENT_ROUTE_ERROR
            },
            status: status.min(0),
            ..Default::default()
        };
        // The owner has a reference and gives it up elsewhere.
        let _ = self.deliver(&mut event);
    }

    /// See [`super::cm::CmId::listen`]. The handler mutex is held.
    pub(super) fn listen(&self) -> Result {
        let raw = self.raw();
        // SAFETY: Written before the identifier is used.
        let local = unsafe { &*(&raw const (*raw).route.addr.src_addr).cast::<SockAddr>() };
        let local = local.ib().ok_or(EINVAL)?;
        self.advance(phase::IDLE, phase::CONNECT)?;
        let cm = self.make_cm()?;
        // SAFETY: Made just now.
        match to_result(unsafe { bindings::ib_cm_listen(cm, local.service.to_be()) }) {
            Err(EBUSY) => Err(errno::eaddrinuse()),
            other => other,
        }
    }

    fn make_cm(&self) -> Result<*mut bindings::ib_cm_id> {
        // SAFETY: The device is there; the context stays until the ib_cm identifier was destroyed.
        let cm = from_err_ptr(unsafe {
            bindings::ib_create_cm_id(
                (*self.raw()).device,
                Some(cm_event),
                core::ptr::from_ref(self).cast_mut().cast(),
            )
        })?;
        self.cm.store(cm, Release);
        Ok(cm)
    }

    /// See [`super::cm::CmId::connect`]. The handler mutex is held.
    pub(super) fn connect(&self, param: &bindings::rdma_conn_param) -> Result {
        let (_, peer) = self.ends()?;
        let qp = self.qp()?;
        self.advance(phase::ROUTED, phase::CONNECT)?;
        // SAFETY: By the type invariant.
        let (path, gid) = unsafe {
            (
                self.path.get(),
                (*self.gid.get()).as_ref().map_or(null(), Gid::as_raw),
            )
        };
        let mut req = bindings::ib_cm_req_param {
            primary_path: path,
            ppath_sgid_attr: gid,
            service_id: peer.service.to_be(),
            qp_num: qp.qp_num,
            qp_type: qp.qp_type,
            starting_psn: self.psn,
            private_data: param.private_data,
            private_data_len: param.private_data_len,
            responder_resources: param.responder_resources,
            initiator_depth: param.initiator_depth,
            remote_cm_response_timeout: RESPONSE_TIMEOUT,
            flow_control: param.flow_control,
            local_cm_response_timeout: RESPONSE_TIMEOUT,
            retry_count: param.retry_count,
            rnr_retry_count: param.rnr_retry_count,
            max_cm_retries: RETRIES,
            srq: u8::from(!qp.srq.is_null()),
            ..Default::default()
        };
        let sent = self.make_cm().and_then(|cm| {
            // SAFETY: All that the parameters point to is there during the call.
            to_result(unsafe { bindings::ib_send_cm_req(cm, &mut req) })
        });
        sent.inspect_err(|_| {
            let cm = self.cm.xchg(null_mut(), Full);
            if !cm.is_null() {
                // SAFETY: Ours, and it has not got as far as to call back.
                unsafe { bindings::ib_destroy_cm_id(cm) };
            }
            self.phase.store(phase::ROUTED, Release);
        })
    }

    /// See [`super::cm::CmId::accept`]. The handler mutex is held.
    pub(super) fn accept(&self, param: &bindings::rdma_conn_param) -> Result {
        let accepted = self.try_accept(param);
        if accepted.is_err() {
            self.set_error();
            // Failure means that the peer has gone.
            let _ = self.reject(&[]);
        }
        accepted
    }

    fn try_accept(&self, param: &bindings::rdma_conn_param) -> Result {
        let cm = self.cm()?;
        if self.phase.load(Acquire) != phase::CONNECT {
            return Err(EINVAL);
        }
        self.set_ready(cm, Some(param))?;
        let qp = self.qp()?;
        let mut rep = bindings::ib_cm_rep_param {
            qp_num: qp.qp_num,
            starting_psn: self.psn,
            private_data: param.private_data,
            private_data_len: param.private_data_len,
            responder_resources: param.responder_resources,
            initiator_depth: param.initiator_depth,
            flow_control: param.flow_control,
            rnr_retry_count: param.rnr_retry_count,
            srq: u8::from(!qp.srq.is_null()),
            ..Default::default()
        };
        // SAFETY: As above; the private data is copied.
        to_result(unsafe { bindings::ib_send_cm_rep(cm, &mut rep) })
    }

    /// The queue pair, which is being made as long as there is none. The handler mutex is held.
    fn qp(&self) -> Result<&bindings::ib_qp> {
        // SAFETY: It is there as long as the identifier points to it, which is changed with the handler mutex held.
        unsafe { (*self.raw()).qp.as_ref() }.ok_or(EINVAL)
    }

    /// Moves the queue pair from the initial state to the one in which it sends.
    fn set_ready(
        &self,
        cm: *mut bindings::ib_cm_id,
        param: Option<&bindings::rdma_conn_param>,
    ) -> Result {
        // SAFETY: The identifier is there, and so is its queue pair while it connects.
        let qp = unsafe { (*self.raw()).qp };
        if qp.is_null() {
            return Err(EINVAL);
        }
        for state in [
            bindings::ib_qp_state_IB_QPS_INIT,
            bindings::ib_qp_state_IB_QPS_RTR,
            bindings::ib_qp_state_IB_QPS_RTS,
        ] {
            let (mut mask, mut attr) = (
                0,
                bindings::ib_qp_attr {
                    qp_state: state,
                    ..Default::default()
                },
            );
            // SAFETY: The identifier and the queue pair are there.
            to_result(unsafe { bindings::ib_cm_init_qp_attr(cm, &mut attr, &mut mask) })?;
            if state == bindings::ib_qp_state_IB_QPS_RTR {
                attr.rq_psn = self.psn;
            }
            if let Some(param) = param {
                attr.max_dest_rd_atomic = param.responder_resources;
                attr.max_rd_atomic = param.initiator_depth;
            }
            // SAFETY: As above; the mask names what `attr` holds.
            to_result(unsafe { bindings::ib_modify_qp(qp, &mut attr, mask) })?;
        }
        Ok(())
    }

    fn set_error(&self) {
        // SAFETY: The identifier is there.
        let qp = unsafe { (*self.raw()).qp };
        let mut attr = bindings::ib_qp_attr {
            qp_state: bindings::ib_qp_state_IB_QPS_ERR,
            ..Default::default()
        };
        if !qp.is_null() {
            // SAFETY: The queue pair is there as long as the identifier points to it, which is changed with the handler
            // mutex held. Failure means that the device goes away.
            unsafe {
                bindings::ib_modify_qp(
                    qp,
                    &mut attr,
                    bindings::ib_qp_attr_mask_IB_QP_STATE as c_int,
                )
            };
        }
    }

    /// Refuses a request.
    pub(super) fn reject(&self, private_data: &[u8]) -> Result {
        let len = u8::try_from(private_data.len()).map_err(|_| EINVAL)?;
        // SAFETY: The ib_cm identifier is there as long as this; the data is copied.
        to_result(unsafe {
            bindings::ib_send_cm_rej(
                self.cm()?,
                bindings::ib_cm_rej_reason_IB_CM_REJ_CONSUMER_DEFINED,
                null_mut(),
                0,
                private_data.as_ptr().cast(),
                len,
            )
        })
    }

    /// Tells the peer that the connection ends, or answers it. The queue pair is in the error state already.
    pub(super) fn disconnect(&self) -> Result {
        let cm = self.cm()?;
        // SAFETY: The ib_cm identifier is there as long as this. Failure of both means that the peer knows.
        unsafe {
            if bindings::ib_send_cm_dreq(cm, null(), 0) != 0 {
                bindings::ib_send_cm_drep(cm, null(), 0);
            }
        }
        Ok(())
    }

    /// A message has come in before the last step of the connection's set-up. Context: any.
    pub(super) fn established_by_message(&self) {
        if let Ok(cm) = self.cm() {
            // SAFETY: The ib_cm identifier is there as long as this. Failure means that it is known already.
            unsafe { bindings::ib_cm_notify(cm, bindings::ib_event_type_IB_EVENT_COMM_EST) };
        }
    }

    /// See `rdma_create_qp()`: a queue pair in the initial state, so that receives can be posted.
    ///
    /// # Safety
    ///
    /// As for `rdma_create_qp()`.
    pub(super) unsafe fn create_qp(
        &self,
        pd: *mut bindings::ib_pd,
        attr: &mut bindings::ib_qp_init_attr,
    ) -> Result {
        let (local, _) = self.ends()?;
        let raw = self.raw();
        // SAFETY: By the function's contract.
        unsafe {
            attr.port_num = (*raw).port_num;
            let mut first = bindings::ib_qp_attr {
                qp_state: bindings::ib_qp_state_IB_QPS_INIT,
                port_num: (*raw).port_num,
                ..Default::default()
            };
            to_result(bindings::ib_find_cached_pkey(
                (*raw).device,
                (*raw).port_num,
                local.pkey,
                &mut first.pkey_index,
            ))?;
            let qp = from_err_ptr(bindings::ib_create_qp_kernel(
                pd,
                attr,
                self.caller.as_ptr(),
            ))?;
            let mask = bindings::ib_qp_attr_mask_IB_QP_STATE
                | bindings::ib_qp_attr_mask_IB_QP_PKEY_INDEX
                | bindings::ib_qp_attr_mask_IB_QP_PORT
                | bindings::ib_qp_attr_mask_IB_QP_ACCESS_FLAGS;
            // CAST: Bits of a small number.
            to_result(bindings::ib_modify_qp(qp, &mut first, mask as c_int)).inspect_err(|_| {
                bindings::ib_destroy_qp_user(qp, null_mut());
            })?;
            let _handler = (!self.in_callback()).then(|| self.handler.lock());
            (*raw).qp = qp;
        }
        Ok(())
    }

    /// See `rdma_destroy_qp()`.
    ///
    /// # Safety
    ///
    /// As for `rdma_destroy_qp()`.
    pub(super) unsafe fn destroy_qp(&self) {
        let raw = self.raw();
        let qp = {
            let _handler = (!self.in_callback()).then(|| self.handler.lock());
            // SAFETY: By the function's contract.
            unsafe { core::mem::replace(&mut (*raw).qp, null_mut()) }
        };
        // SAFETY: By the function's contract.
        unsafe { bindings::ib_destroy_qp_user(qp, null_mut()) };
    }

    /// Whether this task runs a callback of the identifier.
    fn in_callback(&self) -> bool {
        // SAFETY: The context of every identifier begins with a head.
        unsafe { super::cm_handler::in_callback(self.raw()) }
    }
}

/// The subnet administrator's answer.
///
/// # Safety
///
/// `context` is the [`IbId`] that has asked; `path` is there with a `status` of 0.
unsafe extern "C" fn path_found(
    status: c_int,
    path: *mut bindings::sa_path_rec,
    nr: c_uint,
    context: *mut c_void,
) {
    // SAFETY: Destruction waits for the query.
    let this = unsafe { &*context.cast::<IbId>() };
    let _handler = this.handler.lock();
    if this.is_silent() {
        return;
    }
    let status = match status {
        0 if nr == 0 || path.is_null() => ENOENT.to_errno(),
        status => status,
    };
    if status == 0 {
        // SAFETY: By the function's contract, and the type invariant.
        unsafe { this.path.get().write(path.read()) };
    }
    this.routed(status);
}

/// The neighbour's answer, or that there is none.
///
/// # Safety
///
/// `context` is the [`IbId`] that has asked, and `addr` its own.
unsafe extern "C" fn neighbour_found(
    status: c_int,
    _src: *mut bindings::sockaddr,
    addr: *mut bindings::rdma_dev_addr,
    context: *mut c_void,
) {
    // SAFETY: Destruction waits for the question.
    let this = unsafe { &*context.cast::<IbId>() };
    let _handler = this.handler.lock();
    if this.is_silent() {
        return;
    }
    if status == 0 {
        // SAFETY: By the function's contract, and the type invariant.
        unsafe { bindings::rdma_path_to_neighbour(this.path.get(), addr) };
    }
    this.routed(status);
}

/// The private data of a message of ib_cm.
fn conn_event(
    event: bindings::rdma_cm_event_type,
    from: &bindings::ib_cm_event,
    len: bindings::ib_cm_data_size,
    reads: (u8, u8),
) -> Event {
    let mut out = Event {
        event,
        ..Default::default()
    };
    // CAST: The sizes are small numbers, and the parameters of a connection are a member of the union.
    // SAFETY: The union is larger, and any bytes are valid for it.
    unsafe {
        (&raw mut out.param)
            .cast::<bindings::rdma_conn_param>()
            .write(bindings::rdma_conn_param {
                private_data: from.private_data,
                private_data_len: if from.private_data.is_null() {
                    0
                } else {
                    len as u8
                },
                responder_resources: reads.0,
                initiator_depth: reads.1,
                ..Default::default()
            })
    };
    out
}

/// An event of ib_cm.
///
/// # Safety
///
/// Called by ib_cm for an identifier whose context is an [`IbId`], or for a request to it.
unsafe extern "C" fn cm_event(
    cm: *mut bindings::ib_cm_id,
    event: *const bindings::ib_cm_event,
) -> c_int {
    // SAFETY: By the function's contract: destruction waits for callbacks.
    let (this, event) = unsafe { (&*(*cm).context.cast::<IbId>(), &*event) };
    let is_request = event.event == bindings::ib_cm_event_type_IB_CM_REQ_RECEIVED;
    if !is_request && cm != this.cm.load(Acquire) {
        // Of a new ib_cm identifier, that somebody who wants to send datagrams gets at a listener. ib_cm refuses him.
        return EINVAL.to_errno();
    }
    if is_request {
        // SAFETY: By the function's contract.
        return match unsafe { request(this, cm, event) } {
            Ok(()) => 0,
            Err(error) => error.to_errno(),
        };
    }
    let handler = this.handler.lock();
    let Some(mut out) = this.translate(cm, event) else {
        return 0;
    };
    if !this.deliver(&mut out) {
        return 0;
    }
    // The owner has given it up in this callback; ib_cm destroys its own part after an error.
    this.cm.store(null_mut(), Release);
    this.phase.store(phase::DESTROYING, Release);
    drop(handler);
    // SAFETY: Nobody uses it any more.
    unsafe { free(this.raw()) };
    errno::ECONNABORTED
}

impl IbId {
    /// What rdma_cm would make of an event. The handler mutex is held.
    fn translate(
        &self,
        cm: *mut bindings::ib_cm_id,
        event: &bindings::ib_cm_event,
    ) -> Option<Event> {
        use bindings::{
            ib_cm_data_size_IB_CM_REJ_PRIVATE_DATA_SIZE as REJ_SIZE,
            ib_cm_data_size_IB_CM_REP_PRIVATE_DATA_SIZE as REP_SIZE, //
        };

        let of = |event, status| Event {
            event,
            status,
            ..Default::default()
        };
        let kind = event.event;
        if kind == bindings::ib_cm_event_type_IB_CM_TIMEWAIT_EXIT {
            return (self.phase.load(Acquire) == phase::DISCONNECT)
                .then(|| of(bindings::rdma_cm_event_type_RDMA_CM_EVENT_TIMEWAIT_EXIT, 0));
        }
        if self.phase.load(Acquire) != phase::CONNECT {
            return None;
        }
        Some(match kind {
            bindings::ib_cm_event_type_IB_CM_REQ_ERROR
            | bindings::ib_cm_event_type_IB_CM_REP_ERROR => of(
                bindings::rdma_cm_event_type_RDMA_CM_EVENT_UNREACHABLE,
                ETIMEDOUT.to_errno(),
            ),
            bindings::ib_cm_event_type_IB_CM_REP_RECEIVED => {
                let ready = self.set_ready(cm, None).and_then(|()| {
                    // SAFETY: ib_cm passes an identifier that is there.
                    to_result(unsafe { bindings::ib_send_cm_rtu(cm, null(), 0) })
                });
                if let Err(error) = ready {
                    self.set_error();
                    // Failure means that the peer has gone.
                    let _ = self.reject(&[]);
                    return Some(of(
                        bindings::rdma_cm_event_type_RDMA_CM_EVENT_CONNECT_ERROR,
                        error.to_errno(),
                    ));
                }
                // SAFETY: Events of this type have these parameters.
                let rep =
                    unsafe { &*(&raw const event.param).cast::<bindings::ib_cm_rep_event_param>() };
                conn_event(
                    bindings::rdma_cm_event_type_RDMA_CM_EVENT_ESTABLISHED,
                    event,
                    REP_SIZE,
                    (rep.responder_resources, rep.initiator_depth),
                )
            }
            bindings::ib_cm_event_type_IB_CM_RTU_RECEIVED
            | bindings::ib_cm_event_type_IB_CM_USER_ESTABLISHED => {
                of(bindings::rdma_cm_event_type_RDMA_CM_EVENT_ESTABLISHED, 0)
            }
            bindings::ib_cm_event_type_IB_CM_DREQ_ERROR
            | bindings::ib_cm_event_type_IB_CM_DREQ_RECEIVED
            | bindings::ib_cm_event_type_IB_CM_DREP_RECEIVED => {
                self.advance(phase::CONNECT, phase::DISCONNECT).ok()?;
                let timed_out = kind == bindings::ib_cm_event_type_IB_CM_DREQ_ERROR;
                of(
                    bindings::rdma_cm_event_type_RDMA_CM_EVENT_DISCONNECTED,
                    if timed_out { ETIMEDOUT.to_errno() } else { 0 },
                )
            }
            bindings::ib_cm_event_type_IB_CM_REJ_RECEIVED => {
                self.set_error();
                let mut out = conn_event(
                    bindings::rdma_cm_event_type_RDMA_CM_EVENT_REJECTED,
                    event,
                    REJ_SIZE,
                    (0, 0),
                );
                // SAFETY: Events of this type have these parameters. CAST: The reasons are small numbers.
                out.status = unsafe {
                    (*(&raw const event.param).cast::<bindings::ib_cm_rej_event_param>()).reason
                } as c_int;
                out
            }
            _ => return None,
        })
    }
}

/// A peer asks for a connection. After an error ib_cm refuses it, and destroys its identifier.
///
/// # Safety
///
/// `cm` is the new identifier of the request, and `listener` is the one that listens; the event is a request.
unsafe fn request(
    listener: &IbId,
    cm: *mut bindings::ib_cm_id,
    event: &bindings::ib_cm_event,
) -> Result {
    // SAFETY: By the function's contract; the peer's path is there in every request.
    let (req, path, at) = unsafe {
        let req = &*(&raw const event.param).cast::<bindings::ib_cm_req_event_param>();
        (req, &*req.primary_path, &*listener.raw())
    };
    let _requests = listener.requests.lock();
    if listener.is_silent() {
        return Err(errno::econnaborted());
    }
    let (sgid, dgid) = (gid::bytes_of(&path.sgid), gid::bytes_of(&path.dgid));
    // SAFETY: Written before it listened.
    let here = unsafe { &*(&raw const at.route.addr.src_addr).cast::<SockAddr>() };
    let here = here.ib().ok_or(EINVAL)?;
    let pkey = u16::from_be(path.pkey);
    // ib_cm listens at the whole device. The highest bit of a partition is that of members.
    if u32::from(req.port) != at.port_num
        || sgid != here.gid
        || (pkey ^ here.pkey) & 0x7fff != 0
        || req.qp_type != bindings::ib_qp_type_IB_QPT_RC
    {
        return Err(EINVAL);
    }
    // SAFETY: Written before it listened.
    let gate = unsafe { &*listener.gid.get() }
        .as_ref()
        .ok_or(EINVAL)?
        .gate();
    let net = &listener.net;
    let gid = Gid::find(gate, net, pkey, Some(at.port_num), &sgid).ok_or(ENODEV)?;
    let child = create(net, at.event_handler, at.context, listener.caller)?;
    // SAFETY: Made just now.
    let this = unsafe { &*child.as_ptr().cast::<IbId>() };
    let local = IbAddr {
        gid: sgid,
        pkey,
        flow: u32::from_be(path.flow_label),
        service: here.service,
    };
    let peer = IbAddr {
        gid: dgid,
        service: 0,
        ..local
    };
    // SAFETY: Nobody else has it yet.
    unsafe { this.place(gid, &local, Some(&peer)) };
    let handler = this.handler.lock();
    this.phase.store(phase::CONNECT, Relaxed);
    this.cm.store(cm, Release);
    // SAFETY: By the function's contract. Later events are this one's.
    unsafe { (*cm).context = child.as_ptr().cast() };
    let mut out = conn_event(
        bindings::rdma_cm_event_type_RDMA_CM_EVENT_CONNECT_REQUEST,
        event,
        bindings::ib_cm_data_size_IB_CM_REQ_PRIVATE_DATA_SIZE,
        (req.responder_resources, req.initiator_depth),
    );
    if this.deliver(&mut out) {
        this.cm.store(null_mut(), Release);
        drop(handler);
        // SAFETY: Nobody has taken it, or the owner has given it up.
        unsafe { free(child.as_ptr()) };
        return Err(errno::econnaborted());
    }
    if this.phase.load(Acquire) == phase::CONNECT {
        // The consumer may take its time. Failure means that it was fast.
        // SAFETY: ib_cm passes an identifier that is there during the callback.
        unsafe { bindings::ib_prepare_cm_mra(cm) };
    }
    Ok(())
}
