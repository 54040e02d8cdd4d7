//! Whether a response may be stored, and what may then be done with it (RFC 9111 §3).

use std::time::Duration;

use http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::cache_control::{CacheControl, NoCache, request_forbids_store};
use super::freshness::{Freshness, lifetime};
use super::policy::Policy;
use super::validation::has_validator;
use super::vary::VarySet;
use crate::base::clock::Timestamp;

/// What storing depends on in the request that was answered.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts<'a> {
    /// Its method as sent to the origin (a HEAD that may be stored was sent as a GET).
    pub method: &'a Method,
    /// Its fields as sent to the origin.
    pub headers: &'a HeaderMap,
}

/// The verdict on one response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It may be stored.
    Store(Storable),
    /// It may not.
    Refuse(Refusal),
}

/// What may be done with a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storable {
    /// Its age and lifetime.
    pub freshness: Freshness,
    /// What it may do for other requests while it is fresh.
    pub reuse: Reuse,
    /// Whether it may ever be served stale without asking (RFC 9111 §4.2.4).
    pub serve_stale: bool,
}

/// How a stored response serves requests other than its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reuse {
    /// As it is, while it is fresh.
    Shared,
    /// Only after the origin confirmed it: it has `no-cache`, or was never fresh here.
    Validate,
}

/// Why a response may not be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It says `private`.
    Private,
    /// The request had `Authorization`, and the response does not say that it is for others too.
    Authorization,
    /// The request had a cookie that the site calls personal, and the response does not say that it is for
    /// others too.
    PersonalCookie,
    /// It sets a cookie.
    SetCookie,
    /// The request was no GET.
    Method,
    /// The request said `no-store`.
    RequestNoStore,
    /// It is no final answer to a plain request (1xx, 304), no status of HTTP at all, or one that we do not
    /// know under `must-understand`.
    Status,
    /// It is a part of a representation (206).
    Partial,
    /// It says `no-store`.
    NoStore,
    /// Its `Vary` has a `*`, or is malformed.
    VaryStar,
    /// It does not say how long it lasts, and is no 200 with a validator.
    NoLifetime,
    /// It may only be used after validation, and has no validator.
    NoValidator,
}

impl Refusal {
    /// The name used in `Cache-Status`, logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::PersonalCookie => "personal-cookie",
            Self::SetCookie => "set-cookie",
            Self::Method => "method",
            Self::RequestNoStore => "request-no-store",
            Self::Status => "status",
            Self::Partial => "partial",
            Self::NoStore => "no-store",
            Self::VaryStar => "vary-star",
            Self::NoLifetime => "no-lifetime",
            Self::NoValidator => "no-validator",
        }
    }

    /// Whether it is refused for what the request is: another request's answer may well be stored.
    pub const fn blames_request(self) -> bool {
        matches!(self, Self::Method | Self::RequestNoStore | Self::Authorization | Self::PersonalCookie)
    }
}

/// Whether a shared cache may store this response, and how it may use it (RFC 9111 §3).
///
/// `headers` are the response's as it came; the times are those of sending the request and of receiving
/// the response's head. Nothing is stored on a guess: without a lifetime of its own or by the site's policy, only
/// a 200 with a validator is, to be validated at each use.
pub fn judge(
    request: &RequestFacts<'_>,
    status: StatusCode,
    headers: &HeaderMap,
    policy: &Policy,
    request_time: Timestamp,
    response_time: Timestamp,
) -> Judgement {
    let cc = CacheControl::of(headers);
    if let Some(refusal) = refusal(request, status, headers, &cc, policy) {
        return Judgement::Refuse(refusal);
    }
    let validator = has_validator(headers);
    let lifetime = match lifetime(headers, &cc, response_time) {
        Some(stated) => policy.lifetimes.of_stated(stated),
        None => match policy.lifetimes.of_unstated(status, cc.public) {
            Some(default) => default,
            None if status == StatusCode::OK && validator => Duration::ZERO,
            None => return Judgement::Refuse(Refusal::NoLifetime),
        },
    };
    let freshness = Freshness::with_lifetime(headers, lifetime, request_time, response_time);
    let reuse = reuse(&cc, &freshness);
    let serve_stale = may_serve_stale(&cc);
    if reuse == Reuse::Validate && !serve_stale && !validator {
        return Judgement::Refuse(Refusal::NoValidator);
    }
    Judgement::Store(Storable { freshness, reuse, serve_stale })
}

/// Why it may not be stored, however long it lasts.
fn refusal(
    request: &RequestFacts<'_>,
    status: StatusCode,
    headers: &HeaderMap,
    cc: &CacheControl,
    policy: &Policy,
) -> Option<Refusal> {
    // A 304 and a 206 are answers to conditions and ranges, which a fetch that may be stored never sends.
    let final_status = (200..600).contains(&status.as_u16()) && status != StatusCode::NOT_MODIFIED;
    let not_for_others = !shareable_despite_authorization(cc);
    [
        // What is meant for one client comes first, so that no other reason hides it.
        (cc.private, Refusal::Private),
        (not_for_others && request.headers.contains_key(AUTHORIZATION), Refusal::Authorization),
        (not_for_others && has_personal_cookie(request.headers, policy), Refusal::PersonalCookie),
        (!policy.store_set_cookie && headers.contains_key(SET_COOKIE), Refusal::SetCookie),
        (request.method != Method::GET, Refusal::Method),
        (request_forbids_store(request.headers), Refusal::RequestNoStore),
        (!final_status, Refusal::Status),
        (status == StatusCode::PARTIAL_CONTENT, Refusal::Partial),
        (cc.must_understand && !is_understood(status), Refusal::Status),
        // A cache that understands heeds `must-understand` instead of `no-store` (RFC 9111 §5.2.2.3).
        (cc.no_store && !cc.must_understand, Refusal::NoStore),
        (VarySet::of(headers).is_none(), Refusal::VaryStar),
    ]
    .into_iter()
    .find_map(|(applies, refusal)| applies.then_some(refusal))
}

/// Whether we know what this status asks of a cache (RFC 9110 §15): for `must-understand`.
fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 203 | 204 | 300 | 301 | 302 | 303 | 307 | 308 | 404 | 405 | 410 | 414 | 501
    )
}

fn reuse(cc: &CacheControl, freshness: &Freshness) -> Reuse {
    let was_ever_fresh = freshness.is_fresh(freshness.response_time);
    if was_ever_fresh && cc.no_cache == NoCache::No { Reuse::Shared } else { Reuse::Validate }
}

/// `s-maxage` forbids it too: for shared caches it includes `proxy-revalidate` (RFC 9111 §5.2.2.10).
fn may_serve_stale(cc: &CacheControl) -> bool {
    !cc.must_revalidate && !cc.proxy_revalidate && cc.s_maxage.is_none() && cc.no_cache == NoCache::No
}

/// Whether a response to a request with credentials may serve others all the same: it says `public`,
/// `s-maxage` or `must-revalidate` (RFC 9111 §3.5).
pub fn shareable_despite_authorization(cc: &CacheControl) -> bool {
    cc.public || cc.s_maxage.is_some() || cc.must_revalidate
}

/// Whether the request speaks for one user: it has `Authorization`, or a cookie that the site calls
/// personal. Such a request shares no fetch unless its key is known to be shareable.
pub fn is_personal(headers: &HeaderMap, policy: &Policy) -> bool {
    headers.contains_key(AUTHORIZATION) || has_personal_cookie(headers, policy)
}

fn has_personal_cookie(headers: &HeaderMap, policy: &Policy) -> bool {
    !policy.personal_cookies.is_empty()
        && headers
            .get_all(COOKIE)
            .into_iter()
            .flat_map(cookie_names)
            .any(|name| policy.personal_cookies.iter().any(|personal| personal.as_bytes() == name))
}

/// The names in one line of `Cookie` (RFC 6265 §4.2).
fn cookie_names(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes()
        .split(|byte| *byte == b';')
        .filter_map(|pair| pair.split(|byte| *byte == b'=').next())
        .map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests;
