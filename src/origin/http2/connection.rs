//! A connection that many exchanges share.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{self, SendRequest};
use http::uri::Scheme;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::window::Window;
use crate::body::budget::Charge;
use crate::body::tunnel::Io;
use crate::origin::idle::here;

/// Streams of one connection, however many its endpoint would allow: what one has to wait for when it breaks.
pub(in crate::origin) const MOST_STREAMS: u32 = 100;

/// Bytes of a request's content that the codec holds of one stream.
const AT_ONCE: usize = 64 << 10;

/// Streams that were given up and may still be spoken of by an endpoint that has not heard of it.
const MOST_GIVEN_UP: usize = 2_000;

/// How long a connection that nobody holds any more may take to say farewell.
const LINGER: Duration = Duration::from_secs(5);

/// An open connection, moved along by a task of its own until nobody holds it.
#[derive(Clone)]
pub(in crate::origin) struct Connection(Arc<Inner>);

struct Inner {
    sender: SendRequest<Bytes>,
    scheme: Scheme,
    /// Where it leads; not known of a pipe.
    address: Option<SocketAddr>,
    /// The worker whose runtime moves it along.
    worker: usize,
    window: Window,
    streams: AtomicUsize,
    /// Takes no further streams.
    is_closed: Arc<AtomicBool>,
    /// Since when there is no stream on it.
    rests_since: Mutex<Instant>,
    /// Its endpoint has said how many streams it allows.
    is_known: AtomicBool,
    /// How often something was heard on it.
    heard: AtomicU64,
    /// Ends its task, some time after nobody holds it.
    _held: DropGuard,
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
        window: &Window,
    ) -> io::Result<Self> {
        let mut builder = client::Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(window.bytes())
            .initial_connection_window_size(window.bytes().saturating_mul(MOST_STREAMS))
            .initial_max_send_streams(MOST_STREAMS as usize)
            // The codec does not say what it refuses a head for: so it has room for what is refused here.
            .max_header_list_size(u32::try_from(max_head.saturating_mul(2)).unwrap_or(u32::MAX))
            // What small frames hold beside their content, of all streams: who exceeds it loses the connection, and with it
            // the answers of others.
            .data_frame_budget(window.bytes().saturating_mul(MOST_STREAMS) as usize)
            // That an endpoint still speaks of what was given up here is none of its faults.
            .max_concurrent_reset_streams(MOST_GIVEN_UP)
            .max_local_error_reset_streams(None)
            .max_send_buffer_size(AT_ONCE);
        let (sender, connection) = builder.handshake(io).await.map_err(io::Error::other)?;
        let (is_closed, nobody) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
        let (tells, held) = (Arc::clone(&is_closed), nobody.clone().drop_guard());
        tokio::spawn(async move {
            let let_go = async {
                nobody.cancelled().await;
                sleep(LINGER).await;
            };
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "a connection of HTTP/2 with an endpoint broke");
                },
                () = let_go => tracing::debug!("an endpoint takes no farewell: its connection is closed"),
            }
            tells.store(true, Ordering::Release);
        });
        Ok(Self(Arc::new(Inner {
            sender,
            scheme,
            address,
            worker: here(),
            window: window.clone(),
            streams: AtomicUsize::new(0),
            is_closed,
            rests_since: Mutex::new(Instant::now()),
            is_known: AtomicBool::new(false),
            heard: AtomicU64::new(0),
            _held: held,
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

    /// Whether its endpoint allows no streams at all.
    pub(super) fn allows_none(&self) -> bool {
        self.most() == 0
    }

    /// Since when it has no streams, if it has none.
    pub(in crate::origin) fn rests_since(&self) -> Option<Instant> {
        let rests_since = *self.0.rests_since.lock();
        (self.0.streams.load(Ordering::Acquire) == 0).then_some(rests_since)
    }

    /// How many streams its endpoint allows, once that is known.
    pub(super) fn allows(&self) -> Option<usize> {
        self.0.is_known.load(Ordering::Acquire).then(|| self.most())
    }

    /// The right to one stream more, if there is room for one: as long as it is not known for how many, for so many at most.
    pub(in crate::origin) fn share(&self, supposed: usize) -> Option<Share> {
        let most = self.allows().unwrap_or_else(|| self.most().min(supposed));
        let one_more = |streams: usize| (streams < most).then_some(streams + 1);
        self.0.streams.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        Some(Share(self.clone()))
    }

    fn most(&self) -> usize {
        self.0.sender.current_max_send_streams().min(MOST_STREAMS as usize)
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

    /// Charges what the endpoint may send before it is taken.
    pub(super) fn charge_window(&self) -> Charge {
        self.0.0.window.charge()
    }

    /// The connection takes no further streams: it broke, or its endpoint is silent.
    pub(super) fn retire(&self) {
        self.0.0.is_closed.store(true, Ordering::Release);
    }

    /// The endpoint has said how many streams it allows.
    pub(super) fn knows(&self) {
        self.0.0.is_known.store(true, Ordering::Release);
    }

    /// The endpoint has answered something on it.
    pub(super) fn hears(&self) {
        self.knows();
        self.0.0.heard.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it has.
    pub(super) fn heard(&self) -> u64 {
        self.0.0.heard.load(Ordering::Relaxed)
    }

    /// Whether it has ever.
    pub(in crate::origin) fn has_served(&self) -> bool {
        self.heard() > 0
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        *self.0.0.rests_since.lock() = Instant::now();
        self.0.0.streams.fetch_sub(1, Ordering::AcqRel);
    }
}
