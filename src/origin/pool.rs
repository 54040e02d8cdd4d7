//! A pool: several endpoints for one site, and the law by which a request goes from one to the next.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::header::HeaderName;
use tokio::time::Instant;

use super::connect::Connect;
use super::endpoint::Endpoint;
use super::error::OriginError;
use super::exchange::{Exchange, OriginRequest};
use super::fitted::{OURS, fitted};
use super::health::Rules;
use super::hear::Hear;
use super::incoming::Upload;
use super::outgoing::{Outgoing, Spare};
use super::places::{NoPlace, Places};
use super::roster::Roster;
use super::settings::{EndpointSettings, HttpVersion, Settings};
use super::tls::{Tls, TlsError};
use crate::base::blame::Retry;
use crate::base::print::Print;
use crate::body::Body;
use crate::body::budget::Budget;
use crate::semantics::proxy_status::ProxyError;
use crate::telemetry::endpoints::EndpointState;

/// Several endpoints, their connections and their health.
#[derive(Debug)]
pub struct Pool {
    settings: Arc<Settings>,
    /// How its files looked when they were read.
    files: Vec<Option<Print>>,
    endpoints: Vec<Arc<Endpoint>>,
    places: Arc<Places>,
}

/// Why a pool cannot be made as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// It has no endpoint.
    #[error("pool {0}: there is no endpoint; write at least one, such as http://127.0.0.1:3000")]
    NoEndpoints(String),
    /// TLS to its endpoints is not possible so.
    #[error("pool {pool}: {error}")]
    Tls {
        /// The pool's name.
        pool: String,
        /// What is wrong.
        error: Box<TlsError>,
    },
    /// A field that belongs to the connection.
    #[error(
        "pool {pool}: {field} is set by this node for each connection; leave it out of the fields to send"
    )]
    Field {
        /// The pool's name.
        pool: String,
        /// The field's name.
        field: HeaderName,
    },
}

impl Pool {
    /// A pool whose endpoints are reached by `connector`. Files with certificates are read now; nothing is looked up
    /// or connected before the first request, so that a name that does not resolve keeps no node from starting.
    ///
    /// What endpoints may send by HTTP/2 before it is taken is charged to `budget`.
    pub fn new(
        mut settings: Settings,
        connector: Arc<dyn Connect>,
        budget: &Arc<Budget>,
    ) -> Result<Self, PoolError> {
        let pool = settings.name.clone();
        if let Some(field) = OURS.into_iter().find(|name| settings.send_fields.contains_key(name)) {
            return Err(PoolError::Field { pool, field });
        }
        // They may be secrets: nothing that prints a request shall print them.
        settings.send_fields.values_mut().for_each(|value| value.set_sensitive(true));
        let settings = Arc::new(settings);
        // Before they are read, so that no change slips in between.
        let files = Print::all(&settings.tls.files());
        let wrong = |error| PoolError::Tls { pool: pool.clone(), error: Box::new(error) };
        let tls = settings.endpoints.iter().any(|endpoint| endpoint.url.is_tls());
        let tls = tls.then(|| Tls::new(&settings.tls, settings.http_version)).transpose().map_err(wrong)?;
        if tls.is_some() && !settings.tls.verify {
            tracing::warn!(%pool, "certificates are NOT verified: whoever is on the way can read and change everything");
        }
        let connectors = std::iter::repeat_n(connector, settings.endpoints.len());
        let endpoints = settings.endpoints.iter().zip(connectors).map(|(endpoint, connector)| {
            let made = Endpoint::new(endpoint, &settings, tls.as_ref(), connector, budget);
            made.map(Arc::new).map_err(wrong)
        });
        let endpoints: Vec<_> = endpoints.collect::<Result<_, _>>()?;
        if endpoints.is_empty() {
            return Err(PoolError::NoEndpoints(pool));
        }
        let Settings { down_after, backoff, max_backoff, connect_timeout, first_byte_timeout, .. } =
            *settings;
        let trial = connect_timeout.saturating_add(first_byte_timeout);
        let weights = settings.endpoints.iter().map(|endpoint| endpoint.weight);
        let roster =
            Roster::new(weights, settings.max_connections, Rules { down_after, backoff, max_backoff, trial });
        let places = Places::new(roster, endpoints.len(), settings.queue, settings.queue_timeout);
        Ok(Self { settings, files, endpoints, places })
    }

    /// Whether one that is made of these settings now would do as this one does: they are the same, and so are the files that
    /// they name. Blocking, if there are any.
    pub fn is_as(&self, settings: &Settings) -> bool {
        *self.settings == *settings && self.files == Print::all(&settings.tls.files())
    }

    /// Whether its endpoints are other Forebays.
    pub fn is_shield(&self) -> bool {
        self.settings.is_shield
    }

    /// Whether the length of content has to be told its endpoints before it is sent.
    pub fn needs_length(&self) -> bool {
        self.settings.http_version == HttpVersion::Http10 || !self.settings.chunked
    }

    /// Whether HTTP/2 may be spoken to one of them.
    pub fn may_speak_http2(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.lines.is_some())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// `host:port` of each endpoint. Never shown to clients.
    pub fn authorities(&self) -> impl Iterator<Item = &str> + Clone {
        self.endpoints.iter().map(|endpoint| &*endpoint.authority)
    }

    /// As [`Pool::exchange_heard`], and nobody hears what is said before the answer.
    pub async fn exchange(&self, request: OriginRequest) -> Result<Exchange, OriginError> {
        self.exchange_heard(Box::new(request), None).await
    }

    /// Sends `request` to an endpoint and waits for the head of the response. 1xx other than 100 and 101 are for whoever
    /// `hears` them, also those of endpoints that then fail; all that is heard of the one who answers is heard before this
    /// returns. They buy an endpoint no time.
    ///
    /// A request that fails before a head is sent to another endpoint, at most [`Settings::retries`] times: anything
    /// of which nothing was sent, and what was sent if it is idempotent and its content was all here (RFC 9110 §9.2.2):
    /// that is kept until the head. On the same endpoint it is sent again only if an idle connection turned out to be closed.
    /// If all connections are in use it waits for one, within the limits of the queue.
    ///
    /// Cancelled, it leaves the queue, or its connection is closed; the endpoint's health stays as it was.
    pub async fn exchange_heard(
        &self,
        request: Box<OriginRequest>,
        hears: Option<Arc<dyn Hear>>,
    ) -> Result<Exchange, OriginError> {
        let Some(limit) = self.settings.total_timeout else {
            return self.attempts(request, hears, None).await;
        };
        let deadline = Instant::now() + limit;
        let attempts = self.attempts(request, hears, Some(deadline));
        tokio::time::timeout_at(deadline, attempts)
            .await
            .unwrap_or_else(|_| Err(OriginError::timed_out(ProxyError::HttpResponseTimeout, Retry::Never)))
    }

    async fn attempts(
        &self,
        request: Box<OriginRequest>,
        hears: Option<Arc<dyn Hear>>,
        deadline: Option<Instant>,
    ) -> Result<Exchange, OriginError> {
        let request = fitted(request, &self.settings)?;
        let upload = match &request.body {
            Body::Busy(reader) => Some(Upload(reader.body())),
            _ => None,
        };
        let mut outgoing = Box::new(Outgoing::new(*request, &self.settings, hears));
        let spare = outgoing.spare();
        let (mut tried, mut last) = (Vec::new(), None);
        loop {
            let place = match self.places.get(&tried).await {
                Ok(place) => place,
                Err(refusal) => return Err(last.unwrap_or_else(|| without_place(refusal))),
            };
            let index = place.index();
            let endpoint = self.endpoints.get(index).ok_or_else(OriginError::internal)?;
            if last.is_some() {
                endpoint.retries.fetch_add(1, Ordering::Relaxed);
            }
            let until = self.tells(deadline);
            let attempt = endpoint.attempt(place, outgoing, spare.as_ref(), upload.as_ref(), until);
            let failure = match attempt.await {
                Ok(exchange) => return Ok(exchange.with(upload, deadline)),
                Err(failure) => failure,
            };
            tried.push(index);
            let error = failure.error.after(tried.len());
            let is_late = until.is_some_and(|until| until <= Instant::now());
            if is_late || tried.len() > self.settings.retries as usize {
                return Err(error);
            }
            outgoing = once_more(error, failure.unsent, spare.as_ref()).ok_or(error)?;
            last = Some(error);
        }
    }

    /// The deadline of an exchange, if an endpoint that says nothing until then has failed: it had most of the time to
    /// itself. Otherwise a limit below that of the first byte would hide for ever that an endpoint is silent.
    fn tells(&self, deadline: Option<Instant>) -> Option<Instant> {
        let (deadline, whole) = deadline.zip(self.settings.total_timeout)?;
        (deadline.saturating_duration_since(Instant::now()) > whole / 2).then_some(deadline)
    }

    /// Sends no new exchange to the endpoint that is called so, or does so again; how it is then, if there is one. It is
    /// called by its URL, as in [`Pool::endpoints`], or by that without the scheme, if no other one is called so too.
    ///
    /// Exchanges that are under way end as they would, and connections on which nothing is are closed. Its health is counted
    /// beside that. If all are drained, requests are answered as if none could be reached.
    pub fn drain(&self, called: &str, drained: bool) -> Option<EndpointState> {
        let index = self.called(called)?;
        self.places.drain(index, drained);
        self.endpoints.get(index)?.drain(drained);
        self.endpoints().into_iter().nth(index)
    }

    /// Drains those endpoints that are drained in another pool of this name: an operator has said so, and nobody has taken it
    /// back.
    pub(super) fn drain_as(&self, before: &Self) {
        for (settings, endpoint) in before.settings.endpoints.iter().zip(&before.endpoints) {
            if endpoint.is_drained() {
                // It may be gone.
                let _ = self.drain(&settings.url.to_string(), true);
            }
        }
    }

    /// The URL of the endpoint that is called so.
    pub(super) fn url_of(&self, called: &str) -> Option<String> {
        self.settings.endpoints.get(self.called(called)?).map(|endpoint| endpoint.url.to_string())
    }

    fn called(&self, name: &str) -> Option<usize> {
        let is_url = |settings: &EndpointSettings| settings.url.to_string() == name;
        let by_url = self.settings.endpoints.iter().position(is_url);
        let mut by_authority = self.authorities().enumerate().filter(|(_, authority)| *authority == name);
        by_url.or_else(|| match (by_authority.next(), by_authority.next()) {
            (Some((index, _)), None) => Some(index),
            _ => None,
        })
    }

    /// What can be told of its endpoints now.
    pub fn endpoints(&self) -> Vec<EndpointState> {
        let (queued, refused) = self.places.crowd();
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let state = |(index, endpoint): (usize, &Arc<Endpoint>)| {
            let (up, active) = self.places.state(index);
            EndpointState {
                pool: self.settings.name.clone(),
                // With its scheme: the same host and port may be there by both.
                endpoint: self
                    .settings
                    .endpoints
                    .get(index)
                    .map_or_else(String::new, |endpoint| endpoint.url.to_string()),
                up,
                drained: endpoint.is_drained(),
                active: active as u64,
                idle: endpoint.count_idle() as u64,
                requests: count(&endpoint.requests),
                failures: count(&endpoint.failures),
                retries: count(&endpoint.retries),
                replays: count(&endpoint.replays),
                opened: count(&endpoint.opened),
                queued: queued as u64,
                refused,
            }
        };
        self.endpoints.iter().enumerate().map(state).collect()
    }
}

/// The request to send after a failure, if it may be sent again.
fn once_more(
    error: OriginError,
    unsent: Option<Box<Outgoing>>,
    spare: Option<&Spare>,
) -> Option<Box<Outgoing>> {
    match error.retry {
        Retry::Never => None,
        _ => unsent.or_else(|| spare.and_then(Spare::again)),
    }
}

fn without_place(refusal: NoPlace) -> OriginError {
    match refusal {
        NoPlace::Crowded => OriginError::too_many(),
        // A request that was nowhere yet may go anywhere else.
        NoPlace::Nobody => OriginError::drained(),
    }
}
