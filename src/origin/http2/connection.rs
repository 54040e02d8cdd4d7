//! A connection that many exchanges share.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use h2::client::{self, SendRequest};
use http::uri::Scheme;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::body::budget::{Budget, Charge};
use crate::body::tunnel::Io;
use crate::origin::idle::here;

/// What an endpoint may send on one stream before it is taken. It is charged as the stream begins.
const WINDOW: u32 = 256 << 10;

/// Streams of one connection, however many its endpoint would allow: what one has to wait for when it breaks.
const MOST_STREAMS: usize = 100;

/// Bytes of a request's content that the codec holds of one stream.
const AT_ONCE: usize = 64 << 10;

/// An open connection, moved along by a task of its own until nobody holds it and its streams have ended.
#[derive(Clone)]
pub(in crate::origin) struct Connection(Arc<Inner>);

struct Inner {
    sender: SendRequest<Bytes>,
    scheme: Scheme,
    /// Where it leads; not known of a pipe.
    address: Option<SocketAddr>,
    /// The worker whose runtime moves it along.
    worker: usize,
    budget: Arc<Budget>,
    streams: AtomicUsize,
    /// Takes no further streams.
    is_closed: Arc<AtomicBool>,
    /// Since when there is no stream on it.
    rests_since: Mutex<Instant>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("address", &self.0.address).finish_non_exhaustive()
    }
}

impl Connection {
    /// One over `io`, on which nothing was said yet, by which heads may have `max_head` bytes.
    pub(in crate::origin) async fn begin(
        io: Box<dyn Io>,
        scheme: Scheme,
        address: Option<SocketAddr>,
        max_head: usize,
        budget: &Arc<Budget>,
    ) -> io::Result<Self> {
        let mut builder = client::Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW.saturating_mul(MOST_STREAMS as u32))
            .initial_max_send_streams(MOST_STREAMS)
            // The codec does not say what it refuses a head for: so it has room for what is refused here.
            .max_header_list_size(u32::try_from(max_head.saturating_mul(2)).unwrap_or(u32::MAX))
            .data_frame_budget(WINDOW as usize)
            .max_send_buffer_size(AT_ONCE);
        let (sender, connection) = builder.handshake(io).await.map_err(io::Error::other)?;
        let is_closed = Arc::new(AtomicBool::new(false));
        let tells = Arc::clone(&is_closed);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection of HTTP/2 with an endpoint broke");
            }
            tells.store(true, Ordering::Release);
        });
        Ok(Self(Arc::new(Inner {
            sender,
            scheme,
            address,
            worker: here(),
            budget: Arc::clone(budget),
            streams: AtomicUsize::new(0),
            is_closed,
            rests_since: Mutex::new(Instant::now()),
        })))
    }

    /// Where it leads, if that is known.
    pub(in crate::origin) fn address(&self) -> Option<SocketAddr> {
        self.0.address
    }

    /// Whether it is moved along by the worker that asks.
    pub(super) fn is_here(&self) -> bool {
        self.0.worker == here()
    }

    /// Whether it takes streams, as far as is known by now.
    pub(super) fn is_open(&self) -> bool {
        !self.0.is_closed.load(Ordering::Acquire)
    }

    /// Since when it has no streams, if it has none.
    pub(super) fn rests_since(&self) -> Option<Instant> {
        let rests_since = *self.0.rests_since.lock();
        (self.0.streams.load(Ordering::Acquire) == 0).then_some(rests_since)
    }

    /// The right to one stream more, if there is room for one.
    pub(in crate::origin) fn share(&self) -> Option<Share> {
        let most = self.0.sender.current_max_send_streams().min(MOST_STREAMS);
        let one_more = |streams: usize| (streams < most).then_some(streams + 1);
        self.0.streams.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        Some(Share(self.clone()))
    }
}

/// The right to one stream of a connection, until it is dropped.
#[derive(Debug)]
pub(in crate::origin) struct Share(Connection);

impl Share {
    /// What a stream is begun with.
    pub(super) fn sender(&self) -> SendRequest<Bytes> {
        self.0.0.sender.clone()
    }

    /// The scheme of what is asked for on it.
    pub(super) fn scheme(&self) -> &Scheme {
        &self.0.0.scheme
    }

    /// Charges what the endpoint may send before it is taken; `None` if there is no room for it.
    pub(super) fn charge_window(&self) -> Option<Charge> {
        self.0.0.budget.try_charge_body(u64::from(WINDOW))
    }

    /// The connection takes no further streams: it broke, or its endpoint is silent.
    pub(super) fn retire(&self) {
        self.0.0.is_closed.store(true, Ordering::Release);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        *self.0.0.rests_since.lock() = Instant::now();
        self.0.0.streams.fetch_sub(1, Ordering::AcqRel);
    }
}
