//! One endpoint: how it is reached, its idle connections, and what was counted.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::time::Instant;

use super::connect::{self, Connect};
use super::error::OriginError;
use super::http1::Wire;
use super::idle::{Connection, IdleConnections};
use super::resolve::Names;
use super::settings::{EndpointSettings, Settings};
use super::tls::{Tls, TlsError};
use crate::base::blame::Retry;
use crate::body::tunnel::Io;
use crate::semantics::proxy_status::ProxyError;

/// How often idle connections are looked at, as long as there are any.
const SWEEP: Duration = Duration::from_secs(1);

/// One endpoint of a pool.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// `host:port`, or a Unix socket.
    pub(super) authority: Arc<str>,
    pub(super) idle: IdleConnections,
    /// Somebody sweeps `idle`.
    is_swept: AtomicBool,
    pub(super) requests: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) opened: AtomicU64,
    pub(super) settings: Arc<Settings>,
    names: Arc<Names>,
    /// It has no name to look up.
    is_unix: bool,
    tls: Option<(Tls, ServerName<'static>)>,
    connector: Arc<dyn Connect>,
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
    ) -> Result<Self, TlsError> {
        let (url, patience) = (&endpoint.url, settings.connect_timeout);
        let tls = match tls.filter(|_| url.is_tls()) {
            Some(tls) => Some((tls.clone(), tls.name_of(url.host())?)),
            None => None,
        };
        Ok(Self {
            authority: url.authority().into(),
            idle: IdleConnections::new(settings.max_idle, settings.idle_timeout),
            is_swept: AtomicBool::new(false),
            requests: AtomicU64::default(),
            failures: AtomicU64::default(),
            retries: AtomicU64::default(),
            opened: AtomicU64::default(),
            settings: Arc::clone(settings),
            names: Arc::new(Names::new(url.authority(), settings.resolve_every, patience)),
            is_unix: url.is_unix(),
            tls,
            connector,
            cause: Mutex::default(),
        })
    }

    /// Whether a connection may carry another request.
    pub(super) fn keeps_alive(&self) -> bool {
        self.settings.keep_alive
    }

    /// Keeps a connection for the next request, unless it leads where the host is no longer.
    pub(super) fn keep(self: &Arc<Self>, connection: Connection) {
        if !self.has_moved(&connection) {
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
                if endpoint.idle.sweep() == 0 {
                    endpoint.is_swept.store(false, Ordering::SeqCst);
                    // One that was put there just before has seen that somebody sweeps.
                    if endpoint.idle.is_empty() || endpoint.is_swept.swap(true, Ordering::SeqCst) {
                        return;
                    }
                }
            }
        });
    }

    /// An idle connection, if there is one that leads where the host still is; others are closed.
    pub(super) fn reuse(&self) -> Option<Connection> {
        std::iter::from_fn(|| self.idle.take()).find(|connection| !self.has_moved(connection))
    }

    fn has_moved(&self, connection: &Connection) -> bool {
        let resolver = self.connector.resolver();
        connection.address.zip(resolver).is_some_and(|(at, resolver)| !self.names.has(at, resolver))
    }

    /// A new connection; it has to be there by `until`. Cancelled, it is given up.
    pub(super) async fn open(&self, until: Option<Instant>) -> Result<Connection, OriginError> {
        let deadline = Instant::now() + self.settings.connect_timeout;
        let deadline = until.map_or(deadline, |until| until.min(deadline));
        let too_slow = |_| OriginError::timed_out(ProxyError::ConnectionTimeout, Retry::Always);
        let connecting = tokio::time::timeout_at(deadline, self.connect());
        let (io, address) =
            connecting.await.map_err(too_slow)?.map_err(|error| self.could_not_connect(&error))?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(Connection::opened_here(Box::new(Wire::new(io)), address))
    }

    async fn connect(&self) -> io::Result<(Box<dyn Io>, Option<SocketAddr>)> {
        let (io, address) = match self.connector.resolver().filter(|_| !self.is_unix) {
            None => (self.connector.connect(&self.authority).await?, None),
            Some(resolver) => {
                let addresses = self.names.addresses(resolver).await?;
                let (io, address) = connect::to_any(&self.connector, &addresses).await?;
                (io, Some(address))
            }
        };
        match &self.tls {
            None => Ok((io, address)),
            Some((tls, name)) => Ok((tls.over(io, name.clone()).await?, address)),
        }
    }

    fn could_not_connect(&self, error: &io::Error) -> OriginError {
        tracing::debug!(endpoint = %self.authority, %error, "an endpoint could not be reached");
        *self.cause.lock() = Some(error.to_string());
        OriginError::connecting(error)
    }
}
