//! One endpoint: its open connections, and what was counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustls::pki_types::ServerName;

use super::connect::Connect;
use super::http2::{self, Lines, Window};
use super::idle::{Connection, IdleConnections};
use super::line::Line;
use super::resolve::Names;
use super::settings::{EndpointSettings, Settings};
use super::tls::{Tls, TlsError};
use crate::body::budget::Budget;

/// How often idle connections are looked at, as long as there are any.
const SWEEP: Duration = Duration::from_secs(1);

/// One endpoint of a pool.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// `host:port`, or a Unix socket.
    pub(super) authority: Arc<str>,
    idle: IdleConnections,
    /// Connections of HTTP/2, if it may be spoken.
    pub(super) lines: Option<Lines>,
    /// No connection is kept that nothing is under way on.
    is_drained: AtomicBool,
    /// Somebody sweeps these.
    is_swept: AtomicBool,
    pub(super) requests: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) replays: AtomicU64,
    pub(super) opened: AtomicU64,
    pub(super) settings: Arc<Settings>,
    pub(super) names: Arc<Names>,
    /// It has no name to look up.
    pub(super) is_unix: bool,
    pub(super) tls: Option<(Tls, ServerName<'static>)>,
    pub(super) connector: Arc<dyn Connect>,
    /// What may come on a stream of HTTP/2 before it is taken.
    pub(super) window: Window,
    /// Why the last connection could not be had, for people.
    pub(super) cause: Mutex<Option<String>>,
}

impl Endpoint {
    /// Nothing is looked up or connected yet. `tls` is used if the endpoint's URL asks for it.
    pub(super) fn new(
        endpoint: &EndpointSettings,
        settings: &Arc<Settings>,
        tls: Option<&Tls>,
        connector: Arc<dyn Connect>,
        budget: &Arc<Budget>,
    ) -> Result<Self, TlsError> {
        let (url, patience) = (&endpoint.url, settings.connect_timeout);
        let tls = match tls.filter(|_| url.is_tls()) {
            Some(tls) => Some((tls.clone(), tls.name_of(url.host())?)),
            None => None,
        };
        Ok(Self {
            authority: url.authority().into(),
            idle: IdleConnections::new(settings.max_idle, settings.idle_timeout),
            lines: settings
                .http_version
                .may_be_2(url.is_tls())
                .then(|| Lines::new(settings.idle_timeout, settings.max_idle)),
            is_drained: AtomicBool::new(false),
            is_swept: AtomicBool::new(false),
            requests: AtomicU64::default(),
            failures: AtomicU64::default(),
            retries: AtomicU64::default(),
            replays: AtomicU64::default(),
            opened: AtomicU64::default(),
            settings: Arc::clone(settings),
            names: Arc::new(Names::new(url.authority(), settings.resolve_every, patience)),
            is_unix: url.is_unix(),
            tls,
            connector,
            window: Window::new(budget, settings.max_connections),
            cause: Mutex::default(),
        })
    }

    /// Whether a connection may carry another request.
    pub(super) fn keeps_alive(&self) -> bool {
        self.settings.keep_alive
    }

    /// Keeps a connection for the next request, unless it leads where the host is no longer.
    pub(super) fn keep(self: &Arc<Self>, connection: Connection) {
        if !self.is_drained() && self.leads_there(connection.address) {
            self.idle.put(connection);
            self.sweep();
            // It may have been drained meanwhile.
            self.close_if_drained();
        }
    }

    /// Closes what nothing is under way on, and keeps no connection for later; or keeps them again.
    pub(super) fn drain(&self, drained: bool) {
        self.is_drained.store(drained, Ordering::SeqCst);
        self.close_if_drained();
    }

    pub(super) fn is_drained(&self) -> bool {
        self.is_drained.load(Ordering::SeqCst)
    }

    fn close_if_drained(&self) {
        if self.is_drained() {
            self.idle.clear();
            self.count_idle();
        }
    }

    /// Has connections closed that their endpoint has closed, or that nobody used for too long, until there are none.
    pub(super) fn sweep(self: &Arc<Self>) {
        if self.is_swept.load(Ordering::SeqCst) || self.is_swept.swap(true, Ordering::SeqCst) {
            return;
        }
        let endpoint = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                let Some(endpoint) = endpoint.upgrade() else { return };
                endpoint.count_idle();
                if endpoint.has_none_open() {
                    endpoint.is_swept.store(false, Ordering::SeqCst);
                    // One that was put there just before has seen that somebody sweeps.
                    if endpoint.has_none_open() || endpoint.is_swept.swap(true, Ordering::SeqCst) {
                        return;
                    }
                }
            }
        });
    }

    /// How many open connections have nothing under way, after those are closed that nobody will use.
    pub(super) fn count_idle(&self) -> usize {
        let is_drained = self.is_drained();
        let good = |connection: &http2::Connection| {
            // One that was opened just now is for a request that came before.
            let rests = || connection.rests_since().is_some_and(|since| since.elapsed() >= SWEEP);
            self.leads_there(connection.address()) && !(is_drained && rests())
        };
        self.idle.sweep() + self.lines.as_ref().map_or(0, |lines| lines.sweep(good))
    }

    fn has_none_open(&self) -> bool {
        self.idle.is_empty() && self.lines.as_ref().is_none_or(Lines::is_empty)
    }

    /// A way on an open connection, if there is one that leads where the host still is and has room; what leads elsewhere is
    /// closed. What `leaves_http` can only go by HTTP/1.
    pub(super) fn reuse(&self, leaves_http: bool) -> Option<Line> {
        let lines = self.lines.as_ref().filter(|_| !leaves_http);
        if let Some(share) = lines.and_then(|lines| lines.share(|open| self.leads_there(open.address()))) {
            return Some(Line::Shared(share));
        }
        let idle = std::iter::from_fn(|| self.idle.take());
        idle.into_iter().find(|connection| self.leads_there(connection.address)).map(Line::Own)
    }

    /// Whether a connection leads where the host still is, as far as that is known.
    pub(super) fn leads_there(&self, address: Option<SocketAddr>) -> bool {
        let resolver = self.connector.resolver();
        address.zip(resolver).is_none_or(|(at, resolver)| self.names.has(at, resolver))
    }
}
