//! What a client wants of an origin, in the terms of both machines.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};

use super::setup::Setup;
use super::unbelieved::{is_of_certificate, is_personal, is_unbelieved};
use crate::base::clock::Timestamp;
use crate::base::early::{Early, NeverEnded};
use crate::base::ids::PoolId;
use crate::body::certificate::ClientCertificate;
use crate::cache::key::Key;
use crate::origin::Pool;
use crate::semantics::notable::Notable;
use crate::semantics::policy::Policy;
use crate::semantics::request_directives::RequestDirectives;
use crate::semantics::reuse::{self, Decision, Terms};
use crate::semantics::{fields, storage};
use crate::telemetry::metrics::SiteMetrics;

/// What is asked, by whom, and of whom.
#[derive(Debug)]
pub struct Asked {
    /// The key.
    pub key: Key,
    /// The client's method.
    pub method: Method,
    /// Path and query, byte for byte.
    pub target: PathAndQuery,
    /// What the key was made of, where that is not the same.
    pub normal_target: Option<PathAndQuery>,
    /// The scheme that the client used.
    pub scheme: Scheme,
    /// The client's address.
    pub peer: Option<IpAddr>,
    /// Its certificate, if the origin is told of it: the request then passes by the cache.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// Its handshake, if that had not ended when the request came.
    pub early: Option<Early>,
    /// The client's HTTP version.
    pub version: Version,
    /// What the site adds to the rules of HTTP.
    pub policy: Arc<Policy>,
    /// The content that is part of the key, of a request that is more than a GET and whose answer may be stored all
    /// the same. It is what the origin is sent.
    pub content: Option<Bytes>,
    /// Whether a node of the same operator's sent it. It is told tags: it is purged by them as well.
    pub is_peer: bool,
    /// Up to which place in the fleet's stream what answers it must have been purged, if a peer sent it that says so.
    pub applied: u64,
    /// By which rules it is fetched.
    pub setup: Arc<Setup>,
    /// Which of its pools the site comes from.
    pub pool: PoolId,
    /// Where the site counts, if anybody does.
    pub metrics: Option<Arc<SiteMetrics>>,
}

/// The fields of one client's request as far as they are believed, taken apart.
#[derive(Debug, Default)]
pub struct Fields {
    /// The fields that an origin gets to see, and so the only ones that may select a variant: without hop-by-hop
    /// fields and those that are not believed.
    pub headers: HeaderMap,
    /// The protocols that the client would leave HTTP for, if it offers any (RFC 9110 §7.8). Never `h2c`, which
    /// would be a way past every rule.
    pub upgrade: Option<HeaderValue>,
    /// Whether the client takes trailers (RFC 9110 §10.1.4).
    pub takes_trailers: bool,
    /// The trailers that the client announces, as far as they are believed.
    pub trailer: Option<HeaderValue>,
    /// Nothing in them is one client's business ([`Fields::for_many`]).
    pub shareable: bool,
    /// What kinds there were as they came.
    pub notable: Notable,
}

impl Fields {
    /// Of a request of this `version` with these `fields` as they came, which are of these kinds. A field that the site
    /// has in its keys is believed, unless it would say who a client is.
    pub fn new(fields: HeaderMap, notable: Notable, version: Version, policy: &Policy) -> Self {
        let mut it = Self { headers: fields, notable, ..Self::default() };
        let connection = notable.may_have(Notable::CONNECTION);
        if notable.may_have(Notable::HOP_BY_HOP) || connection && !fields::only_keeps_alive(&it.headers) {
            it.take_hop_by_hop(version);
        } else if connection {
            it.headers.remove(header::CONNECTION);
        }
        if notable.may_have(Notable::OTHER) {
            let keyed = |name: &HeaderName| policy.variant_fields.contains(name);
            fields::strip(&mut it.headers, |name| {
                is_unbelieved(name) && (!keyed(name) || is_of_certificate(name))
            });
        }
        it
    }

    fn take_hop_by_hop(&mut self, version: Version) {
        let headers = &mut self.headers;
        self.upgrade = offered_upgrade(headers).filter(|_| version >= Version::HTTP_11);
        self.takes_trailers =
            fields::list_members(headers, &header::TE).any(|member| member.eq_ignore_ascii_case(b"trailers"));
        self.trailer = announced_trailers(headers);
        fields::strip_hop_by_hop(headers);
    }

    /// Without what is one client's business, where the answer may be for many. `with_content`: the fields that
    /// describe content stay; they are in the key.
    pub fn for_many(&mut self, policy: &Policy, with_content: bool) {
        if self.notable.may_have(Notable::OTHER) {
            let describes = |name: &HeaderName| with_content && name.as_str().starts_with("content-");
            let keyed = |name: &HeaderName| policy.variant_fields.contains(name);
            fields::strip(&mut self.headers, |name| is_personal(name) && !describes(name) && !keyed(name));
        }
        policy.cookies.strip_ignored(&mut self.headers, &policy.personal_cookies);
        self.shareable = true;
    }
}

/// One client's request as the fetch machine sees it: what it asks for, and the fields it asks with.
#[derive(Debug)]
pub struct Ask {
    asked: Asked,
    /// See [`Fields::headers`].
    pub headers: HeaderMap,
    /// See [`Fields::upgrade`].
    pub upgrade: Option<HeaderValue>,
    /// What the client wishes of caches, as far as the site heeds that.
    pub directives: RequestDirectives,
    /// See [`Fields::takes_trailers`].
    pub takes_trailers: bool,
    /// See [`Fields::trailer`].
    pub trailer: Option<HeaderValue>,
    /// See [`Fields::shareable`].
    pub shareable: bool,
    /// See [`Fields::notable`].
    pub notable: Notable,
}

impl Ask {
    /// The ask of a request with these `fields`.
    pub fn new(asked: Asked, fields: Fields) -> Self {
        let Fields { headers, upgrade, takes_trailers, trailer, shareable, notable } = fields;
        let directives = if notable.may_have(Notable::DIRECTIVES) {
            RequestDirectives::of(&headers)
        } else {
            RequestDirectives::default()
        };
        let directives = if asked.policy.request_directives { directives } else { directives.unheeded() };
        Self { asked, headers, upgrade, directives, takes_trailers, trailer, shareable, notable }
    }

    /// The canonical host, which is part of the key.
    pub fn host(&self) -> &str {
        self.key.host()
    }

    /// Where the site comes from.
    pub(super) fn pool(&self) -> Option<&Arc<Pool>> {
        self.setup.pool(self.pool)
    }

    /// Whether the origin has to be told how long content is before any of it is sent.
    pub fn needs_length(&self) -> bool {
        self.pool().is_some_and(|pool| pool.needs_length())
    }

    /// Whether it may go to the origin by HTTP/2.
    pub fn may_go_by_http2(&self) -> bool {
        self.pool().is_some_and(|pool| pool.may_speak_http2())
    }

    /// Whether both come from one pool: not two of one name, of which one was replaced.
    pub(super) fn has_same_pool(&self, other: &Self) -> bool {
        let same = |(one, other)| Arc::ptr_eq(one, other);
        self.pool().zip(other.pool()).is_none_or(same)
    }

    /// What is to be done with what is stored for it.
    pub fn decide(&self, terms: &Terms, now: Timestamp) -> Decision {
        reuse::decide(terms, &self.directives, &self.policy.outlasting, now)
    }

    /// Whether what is stored may answer it although the origin failed.
    pub fn may_use_on_error(&self, terms: &Terms, now: Timestamp) -> bool {
        reuse::may_use_on_error(terms, &self.directives, &self.policy.outlasting, now)
    }

    /// Whether it is for one person, or must leave no trace: it waits for nobody.
    pub fn goes_alone(&self) -> bool {
        self.directives.no_store || storage::is_personal(&self.headers, &self.policy)
    }

    /// Whether it may be a replay: its client's handshake has not ended. Origins are told so (RFC 8470 §5.1).
    pub fn is_early(&self) -> bool {
        self.early.as_ref().is_some_and(Early::is_early)
    }

    /// Waits until it is early no more. Cancel-safe.
    pub async fn end_of_handshake(&self) -> Result<(), NeverEnded> {
        match &self.early {
            Some(early) => early.end().await,
            None => Ok(()),
        }
    }

    /// The method by which the answer to this is fetched where it may be stored: a HEAD is answered from a GET.
    pub fn fetch_method(&self) -> &Method {
        if self.method == Method::HEAD { &Method::GET } else { &self.method }
    }

    /// Path and query that the key was made of: what is asked of the origin when the answer may be for many.
    pub fn normal_target(&self) -> &PathAndQuery {
        self.normal_target.as_ref().unwrap_or(&self.target)
    }
}

impl Deref for Ask {
    type Target = Asked;

    fn deref(&self) -> &Asked {
        &self.asked
    }
}

impl AsRef<HeaderMap> for Ask {
    fn as_ref(&self) -> &HeaderMap {
        &self.headers
    }
}

fn offered_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    if !fields::connection_names(headers, "upgrade") {
        return None;
    }
    let offered: Vec<&[u8]> =
        fields::list_members(headers, &header::UPGRADE).filter(|protocol| !is_h2c(protocol)).collect();
    list(&offered)
}

/// HTTP/2 without TLS by any name that a server may take for it: `h2c`, `h2c-14`, `h2`.
fn is_h2c(protocol: &[u8]) -> bool {
    protocol.get(..2).is_some_and(|begin| begin.eq_ignore_ascii_case(b"h2"))
}

/// The announced trailers but those that would not be believed in a head either. What is not announced is not sent.
fn announced_trailers(headers: &HeaderMap) -> Option<HeaderValue> {
    let believed = |name: &&[u8]| HeaderName::from_bytes(name).is_ok_and(|name| !is_unbelieved(&name));
    let names: Vec<&[u8]> = fields::list_members(headers, &header::TRAILER).filter(believed).collect();
    list(&names)
}

fn list(members: &[&[u8]]) -> Option<HeaderValue> {
    if members.is_empty() { None } else { HeaderValue::from_bytes(&members.join(&b", "[..])).ok() }
}
