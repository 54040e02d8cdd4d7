//! One endpoint: how it is reached, its idle connections, and what was counted.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::time::Instant;

use super::connect::{self, Connect};
use super::error::OriginError;
use super::idle::{Connection, IdleConnections};
use super::resolve::Names;
use super::settings::{EndpointSettings, Settings};
use super::tls::{Tls, TlsError};
use crate::base::blame::Retry;
use crate::body::tunnel::Io;
use crate::semantics::proxy_status::ProxyError;

/// Most fields of a response: more than any that has a use, and what `max_head` allows is told by itself.
const MAX_FIELDS: usize = 512;

/// One endpoint of a pool.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// `host:port`.
    pub(super) authority: Arc<str>,
    pub(super) idle: IdleConnections,
    pub(super) requests: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) opened: AtomicU64,
    pub(super) settings: Arc<Settings>,
    names: Arc<Names>,
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
            requests: AtomicU64::default(),
            failures: AtomicU64::default(),
            retries: AtomicU64::default(),
            opened: AtomicU64::default(),
            settings: Arc::clone(settings),
            names: Arc::new(Names::new(url.authority(), settings.resolve_every, patience)),
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
    pub(super) fn keep(&self, connection: Connection) {
        if !self.has_moved(&connection) {
            self.idle.put(connection);
        }
    }

    /// An idle connection, if there is one that leads where the host still is; others are closed.
    pub(super) fn reuse(&self) -> Option<Connection> {
        std::iter::from_fn(|| self.idle.take()).find(|connection| !self.has_moved(connection))
    }

    fn has_moved(&self, connection: &Connection) -> bool {
        let resolver = self.connector.resolver();
        connection.address.zip(resolver).is_some_and(|(at, resolver)| !self.names.has(at, resolver))
    }

    /// A new connection, driven by a task of its own until either side closes it; it has to be there by `until`.
    /// Cancelled, it is given up.
    pub(super) async fn open(&self, until: Option<Instant>) -> Result<Connection, OriginError> {
        let deadline = Instant::now() + self.settings.connect_timeout;
        let deadline = until.map_or(deadline, |until| until.min(deadline));
        let too_slow = |_| OriginError::timed_out(ProxyError::ConnectionTimeout, Retry::Always);
        let connecting = tokio::time::timeout_at(deadline, self.connect());
        let (io, address) =
            connecting.await.map_err(too_slow)?.map_err(|error| self.could_not_connect(&error))?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        let max_head = self.settings.max_head;
        let (sender, connection) = Builder::new()
            .max_header_size(max_head)
            .max_buf_size(max_head.max(64 << 10))
            .max_headers(MAX_FIELDS)
            .handshake(TokioIo::new(io))
            .await
            .map_err(|error| OriginError::exchanging(&error))?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "an origin connection ended early");
            }
        });
        Ok(Connection::driven_here(sender, address))
    }

    async fn connect(&self) -> io::Result<(Box<dyn Io>, Option<SocketAddr>)> {
        let (io, address) = match self.connector.resolver() {
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
