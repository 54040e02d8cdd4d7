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
