//! How a request comes by a new connection to its endpoint.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::uri::Scheme;
use tokio::time::Instant;

use super::broken::Broken;
use super::connect;
use super::endpoint::Endpoint;
use super::error::OriginError;
use super::http1::Wire;
use super::http2::{self, Lines, Opening, Way};
use super::idle::Connection;
use super::line::Line;
use crate::base::blame::Retry;
use crate::body::tunnel::Io;
use crate::semantics::proxy_status::ProxyError;

impl Endpoint {
    /// A way on a new connection, or on one that another request has opened meanwhile; it has to be there by `until`.
    /// Cancelled, it is given up.
    pub(super) async fn open(
        self: &Arc<Self>,
        leaves_http: bool,
        until: Option<Instant>,
    ) -> Result<Line, OriginError> {
        let deadline = Instant::now() + self.settings.connect_timeout;
        let deadline = until.map_or(deadline, |until| until.min(deadline));
        let line = tokio::time::timeout_at(deadline, self.line(leaves_http)).await;
        line.unwrap_or_else(|_| Err(too_slow()))
    }

    /// The same, however long it takes.
    async fn line(self: &Arc<Self>, leaves_http: bool) -> Result<Line, OriginError> {
        let Some(lines) = self.lines.as_ref().filter(|_| !leaves_http) else {
            let (io, address, _) = self.connect(true).await?;
            return Ok(Line::Own(new(io, address)));
        };
        if !self.keeps_alive() {
            return self.open_alone(lines).await;
        }
        let (mut failure, mut was_opened) = (None, false);
        loop {
            let mut outcome = match lines.way(|open| self.leads_there(open.address())) {
                Way::Share(share) => return Ok(Line::Shared(share)),
                // What was opened for it to see what the endpoint chooses may be there.
                Way::Alone => match self.reuse(false) {
                    Some(line) => return Ok(line),
                    None => return self.open_alone(lines).await,
                },
                Way::None => return Err(no_stream()),
                _ if let Some(error) = failure => return Err(error),
                // It was closed as soon as it was there.
                Way::Open(..) if was_opened && lines.is_empty() => {
                    return Err(OriginError::exchanging(Broken::Gone));
                }
                Way::Wait(outcome) => outcome,
                Way::Open(opening, outcome) => {
                    tokio::spawn(Arc::clone(self).open_for_all(opening));
                    outcome
                }
            };
            let _ = outcome.changed().await;
            (failure, was_opened) = (*outcome.borrow(), true);
        }
    }

    /// Opens a connection for all who wait for one. In a task of its own: who has asked for it may leave.
    async fn open_for_all(self: Arc<Self>, opening: Opening) {
        let opened = tokio::time::timeout(self.settings.connect_timeout, self.connect_for_many()).await;
        match opened.unwrap_or_else(|_| Err(too_slow())) {
            Ok(opened) => self.keep_opened(opened),
            Err(error) => opening.failed(error),
        }
    }

    /// Opens a connection for one request, which others may use as well if it turns out to be of HTTP/2.
    async fn open_alone(self: &Arc<Self>, lines: &Lines) -> Result<Line, OriginError> {
        let connection = match self.connect_for_many().await? {
            Opened::Many(connection) => connection,
            Opened::Own(connection) => {
                lines.is_alone();
                return Ok(Line::Own(connection));
            }
        };
        let share = connection.share(1).ok_or_else(no_stream)?;
        if self.keeps_alive() {
            self.keep_opened(Opened::Many(connection));
        }
        Ok(Line::Shared(share))
    }

    fn keep_opened(self: &Arc<Self>, opened: Opened) {
        let Some(lines) = &self.lines else { return };
        match opened {
            Opened::Own(connection) => {
                lines.is_alone();
                self.keep(connection);
            }
            Opened::Many(connection) => {
                lines.add(connection);
                self.sweep();
            }
        }
    }

    async fn connect_for_many(&self) -> Result<Opened, OriginError> {
        let (io, address, is_http2) = self.connect(false).await?;
        if !is_http2 {
            return Ok(Opened::Own(new(io, address)));
        }
        let scheme = if self.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let begun = http2::Connection::begin(io, scheme, address, self.settings.max_head, &self.window).await;
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
        let (io, address) = match self.connector.resolver().filter(|_| !self.is_unix) {
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
    Own(Connection),
    Many(http2::Connection),
}

fn new(io: Box<dyn Io>, address: Option<SocketAddr>) -> Connection {
    Connection::opened_here(Box::new(Wire::new(io)), address)
}

fn too_slow() -> OriginError {
    OriginError::timed_out(ProxyError::ConnectionTimeout, Retry::Always)
}

/// It allows no streams at all.
fn no_stream() -> OriginError {
    OriginError::exchanging(Broken::Refused)
}
