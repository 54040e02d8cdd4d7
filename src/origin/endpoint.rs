//! One endpoint: how it is reached, its open connections, and what was counted.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::uri::Scheme;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::time::Instant;

use super::broken::Broken;
use super::connect::{self, Connect};
use super::error::OriginError;
use super::http1::Wire;
use super::http2::{self, Lines, Opening, Way};
use super::idle::{Connection, IdleConnections};
use super::line::Line;
use super::resolve::Names;
use super::settings::{EndpointSettings, Settings};
use super::tls::{Tls, TlsError};
use crate::base::blame::Retry;
use crate::body::budget::Budget;
use crate::body::tunnel::Io;
use crate::semantics::proxy_status::ProxyError;

/// How often idle connections are looked at, as long as there are any.
const SWEEP: Duration = Duration::from_secs(1);

/// One endpoint of a pool.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// `host:port`.
    pub(super) authority: Arc<str>,
    idle: IdleConnections,
    /// Connections of HTTP/2, if it may be spoken.
    lines: Option<Lines>,
    /// Somebody sweeps these.
    is_swept: AtomicBool,
    pub(super) requests: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) opened: AtomicU64,
    pub(super) settings: Arc<Settings>,
    names: Arc<Names>,
    tls: Option<(Tls, ServerName<'static>)>,
    connector: Arc<dyn Connect>,
    budget: Arc<Budget>,
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
        budget: Arc<Budget>,
    ) -> Result<Self, TlsError> {
        let (url, patience) = (&endpoint.url, settings.connect_timeout);
        let tls = match tls.filter(|_| url.is_tls()) {
            Some(tls) => Some((tls.clone(), tls.name_of(url.host())?)),
            None => None,
        };
        Ok(Self {
            authority: url.authority().into(),
            idle: IdleConnections::new(settings.max_idle, settings.idle_timeout),
            lines: settings.http_version.may_be_2(url.is_tls()).then(|| Lines::new(settings.idle_timeout)),
            is_swept: AtomicBool::new(false),
            requests: AtomicU64::default(),
            failures: AtomicU64::default(),
            retries: AtomicU64::default(),
            opened: AtomicU64::default(),
            settings: Arc::clone(settings),
            names: Arc::new(Names::new(url.authority(), settings.resolve_every, patience)),
            tls,
            connector,
            budget,
            cause: Mutex::default(),
        })
    }

    /// Whether a connection may carry another request.
    pub(super) fn keeps_alive(&self) -> bool {
        self.settings.keep_alive
    }

    /// Keeps a connection for the next request, unless it leads where the host is no longer.
    pub(super) fn keep(self: &Arc<Self>, connection: Connection) {
        if self.leads_there(connection.address) {
            self.idle.put(connection);
            self.sweep();
        }
    }

    /// Has connections closed that their endpoint has closed, or that nobody used for too long, until there are none.
    fn sweep(self: &Arc<Self>) {
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
        let good = |connection: &http2::Connection| self.leads_there(connection.address());
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

    fn leads_there(&self, address: Option<SocketAddr>) -> bool {
        let resolver = self.connector.resolver();
        address.zip(resolver).is_none_or(|(at, resolver)| self.names.has(at, resolver))
    }

    /// A way on a new connection, or on one that another request has opened meanwhile; it has to be there by `until`.
    /// Cancelled, it is given up.
    pub(super) async fn open(
        self: &Arc<Self>,
        leaves_http: bool,
        until: Option<Instant>,
    ) -> Result<Line, OriginError> {
        let deadline = Instant::now() + self.settings.connect_timeout;
        let deadline = until.map_or(deadline, |until| until.min(deadline));
        let too_slow = |_| OriginError::timed_out(ProxyError::ConnectionTimeout, Retry::Always);
        tokio::time::timeout_at(deadline, self.line(leaves_http)).await.map_err(too_slow)?
    }

    async fn line(self: &Arc<Self>, leaves_http: bool) -> Result<Line, OriginError> {
        let Some(lines) = self.lines.as_ref().filter(|_| !leaves_http) else {
            let (io, address, _) = self.connect(true).await?;
            return Ok(own(io, address));
        };
        loop {
            let way = if self.keeps_alive() {
                lines.way(|open| self.leads_there(open.address()))
            } else {
                Way::Alone
            };
            match way {
                Way::Share(share) => return Ok(Line::Shared(share)),
                Way::Alone => return self.open_alone(lines).await,
                Way::Open(opening) => return self.open_for_all(opening).await,
                Way::Wait(mut outcome) => {
                    // Whoever opens it may have left: then it is looked again, and perhaps opened.
                    let _ = outcome.changed().await;
                    let failure = *outcome.borrow();
                    failure.map_or(Ok(()), Err)?;
                }
            }
        }
    }

    /// Opens a connection for all who wait for one.
    async fn open_for_all(self: &Arc<Self>, opening: Opening<'_>) -> Result<Line, OriginError> {
        match self.connect_for_many().await {
            Ok(Opened::Own(line)) => {
                opening.is_alone();
                Ok(line)
            }
            Ok(Opened::Many(connection)) => {
                let share = opening.opened(connection);
                self.sweep();
                share.map(Line::Shared).ok_or_else(no_stream)
            }
            Err(error) => {
                opening.failed(error);
                Err(error)
            }
        }
    }

    /// Opens a connection for one request, which others may use as well if it turns out to be of HTTP/2.
    async fn open_alone(self: &Arc<Self>, lines: &Lines) -> Result<Line, OriginError> {
        match self.connect_for_many().await? {
            Opened::Own(line) => Ok(line),
            Opened::Many(connection) => {
                let share = if self.keeps_alive() { lines.add(connection) } else { connection.share() };
                self.sweep();
                share.map(Line::Shared).ok_or_else(no_stream)
            }
        }
    }

    async fn connect_for_many(&self) -> Result<Opened, OriginError> {
        let (io, address, is_http2) = self.connect(false).await?;
        if !is_http2 {
            return Ok(Opened::Own(own(io, address)));
        }
        let scheme = if self.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let begun = http2::Connection::begin(io, scheme, address, self.settings.max_head, &self.budget).await;
        begun.map(Opened::Many).map_err(|error| self.could_not_connect(&error))
    }

    /// A connection, where it leads, and whether it is one of HTTP/2.
    async fn connect(
        &self,
        only_http1: bool,
    ) -> Result<(Box<dyn Io>, Option<SocketAddr>, bool), OriginError> {
        let connected =
            self.try_to_connect(only_http1).await.map_err(|error| self.could_not_connect(&error))?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(connected)
    }

    async fn try_to_connect(&self, only_http1: bool) -> io::Result<(Box<dyn Io>, Option<SocketAddr>, bool)> {
        let (io, address) = match self.connector.resolver() {
            None => (self.connector.connect(&self.authority).await?, None),
            Some(resolver) => {
                let addresses = self.names.addresses(resolver).await?;
                let (io, address) = connect::to_any(&self.connector, &addresses).await?;
                (io, Some(address))
            }
        };
        match &self.tls {
            // By prior knowledge.
            None => Ok((io, address, self.lines.is_some() && !only_http1)),
            Some((tls, name)) => {
                let (io, is_http2) = tls.over(io, name.clone(), only_http1).await?;
                Ok((io, address, is_http2))
            }
        }
    }

    fn could_not_connect(&self, error: &io::Error) -> OriginError {
        tracing::debug!(endpoint = %self.authority, %error, "an endpoint could not be reached");
        *self.cause.lock() = Some(error.to_string());
        OriginError::connecting(error)
    }
}

/// A new connection, by what the endpoint has chosen.
enum Opened {
    Own(Line),
    Many(http2::Connection),
}

fn own(io: Box<dyn Io>, address: Option<SocketAddr>) -> Line {
    Line::Own(Connection::opened_here(Box::new(Wire::new(io)), address))
}

/// It allows no streams at all.
fn no_stream() -> OriginError {
    OriginError::exchanging(Broken::Refused)
}
