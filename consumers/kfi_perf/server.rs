// SPDX-License-Identifier: GPL-2.0-only

//! The server: one session for each client, until it is stopped.

#![deny(unsafe_code)]

use super::{
    params::Params,
    session::Session,
    stats::Stats,
    transport::Transport, //
};
use crate::kfi::{
    Handle,
    Poll, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
};

/// What the connections of a server have in common.
#[pin_data]
pub struct Server<X: Transport> {
    handle: Handle,
    params: Params,
    stats: Arc<Stats>,
    /// `None` once it is stopped.
    #[pin]
    sessions: Mutex<Option<KVec<Session<X>>>>,
}

/// A server that listens. Its drop stops that and closes every connection.
pub struct Running<X: Transport> {
    listener: Option<X::Listener>,
    server: Arc<Server<X>>,
}

impl<X: Transport> Running<X> {
    /// Starts to listen.
    pub fn start(handle: &Handle, params: &Params) -> Result<Self> {
        params.check()?;
        if params.poll == Poll::Direct {
            // Nobody would poll.
            return Err(EINVAL);
        }
        let stats = Arc::new(Stats::default(), GFP_KERNEL)?;
        let server = Arc::pin_init(
            pin_init!(Server {
                handle: handle.clone(),
                params: params.clone(),
                stats,
                sessions <- new_mutex!(Some(KVec::new()), "kfi_perf::Server"),
            }),
            GFP_KERNEL,
        )?;
        let mut running = Self {
            listener: None,
            server,
        };
        running.listener = Some(X::listen(handle, params, running.server.clone())?);
        Ok(running)
    }

    /// The counts so far.
    pub fn stats(&self) -> &Arc<Stats> {
        &self.server.stats
    }
}

impl<X: Transport> Drop for Running<X> {
    fn drop(&mut self) {
        drop(self.listener.take());
        // Closed outside of the lock, which the ends of connections take.
        let sessions = self.server.sessions.lock().take();
        drop(sessions);
    }
}

impl<X: Transport> Server<X> {
    /// What its connections are made with.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// A client asks to connect. Process context. An error refuses it.
    pub fn request(this: &Arc<Self>, request: X::Request<'_>) -> Result {
        let params = this.params.for_client(X::hello(&request))?;
        let mut session = Session::take(&params, &this.stats, request, this)?;
        let server = this.clone();
        // Not here: if it fails the session is closed, and that may wait for this callback.
        this.handle.spawn(move || match session.accept() {
            Ok(()) => Self::keep(&server, session),
            Err(e) => session.flow().ended(e),
        })
    }

    /// Keeps a session until its end or the server's.
    fn keep(this: &Arc<Self>, session: Session<X>) {
        let flow = session.flow().clone();
        let mut session = Some(session);
        if let Some(sessions) = &mut *this.sessions.lock() {
            if sessions.reserve(1, GFP_KERNEL).is_ok() {
                session = session
                    .and_then(|session| sessions.push_within_capacity(session).err().map(|e| e.0));
            }
        }
        // Without a place for it, it ends here.
        drop(session);
        if flow.has_ended() {
            // Its client has gone before there was something to reap.
            Self::reap(this);
        }
    }

    /// Closes the sessions whose connection has ended, some time.
    pub fn reap(this: &Arc<Self>) {
        let server = this.clone();
        // Without memory they stay until the next one ends.
        let _ = this.handle.spawn(move || {
            let mut ended = KVec::new();
            if let Some(sessions) = &mut *server.sessions.lock() {
                let mut index = 0;
                while let Some(session) = sessions.get(index) {
                    if !session.flow().has_ended() {
                        index += 1;
                    } else if ended.reserve(1, GFP_KERNEL).is_err() {
                        break;
                    } else if let Ok(session) = sessions.remove(index) {
                        let _ = ended.push_within_capacity(session);
                    }
                }
            }
            drop(ended);
        });
    }
}
