//! Whether a response may be stored, and what may then be done with it (RFC 9111 §3).

use std::time::Duration;

use http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use http::{HeaderMap, Method, StatusCode};

use super::cache_control::{CacheControl, Qualified, qualified_fields};
use super::cookies;
use super::delta::Delta;
use super::freshness::{Freshness, lifetime, unchanged_for};
use super::policy::{Basis, Policy};
use super::request_directives::RequestDirectives;
use super::reuse::{Reuse, Stale, Terms};
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

/// A response that may be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storable {
    /// What may be done with it.
    pub terms: Terms,
    /// Where its lifetime comes from.
    pub basis: Basis,
    /// It may name fields that are not to be stored with it ([`qualified_fields`]), also by a directive that the site
    /// overhears.
    pub may_name_fields: bool,
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
    /// The request's method is none whose responses may be stored.
    Method,
    /// The request said `no-store`.
    RequestNoStore,
    /// It is no final answer to a plain request (1xx, 304), one to a request that came too early (425, RFC 8470 §5.2), no
    /// status of HTTP at all, or one that we do not know under `must-understand`.
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
/// the response's head. Without a lifetime of its own, by the site's policy or by heuristics, only a 200 with a
/// validator is stored, to be validated at each use. The fields that [`qualified_fields`] names are not to be stored
/// with it.
pub fn judge(
    request: &RequestFacts<'_>,
    status: StatusCode,
    headers: &HeaderMap,
    policy: &Policy,
    request_time: Timestamp,
    response_time: Timestamp,
) -> Judgement {
    let said = CacheControl::ruling(headers, &policy.targets);
    let cc = policy.ignored.apply(said);
    if let Some(refusal) = refusal(request, status, headers, &cc, policy) {
        return Judgement::Refuse(refusal);
    }
    let validator = has_validator(headers);
    let stated = lifetime(headers, &cc, response_time);
    if stated.is_none() && request.method != Method::GET {
        // Of what is no GET only an explicit lifetime counts (RFC 9110 §9.3.3).
        return Judgement::Refuse(Refusal::NoLifetime);
    }
    // A page that was made for somebody's cookie is no ground for a guess at how long it will do for others.
    let unchanged_for =
        unchanged_for(headers, response_time).filter(|_| !request.headers.contains_key(COOKIE));
    let (lifetime, basis) = match policy.lifetimes.of(status, stated, unchanged_for, cc.public) {
        Some(lifetime) => lifetime,
        None if status == StatusCode::OK && validator => (Duration::ZERO, Basis::None),
        None => return Judgement::Refuse(Refusal::NoLifetime),
    };
    let freshness = Freshness::with_lifetime(headers, lifetime, request_time, response_time);
    let stale = stale_use(&cc, policy);
    let reuse = reuse(&cc, &freshness, stale);
    let stale = if reuse == Reuse::Validate { only_as_stated(stale) } else { stale };
    if reuse == Reuse::Validate && stale == Stale::Forbidden && !validator {
        return Judgement::Refuse(Refusal::NoValidator);
    }
    let terms = Terms { freshness, reuse, stale, immutable: cc.immutable };
    let may_name_fields = said.no_cache != Qualified::No || said.private != Qualified::No;
    Judgement::Store(Storable { terms, basis, may_name_fields })
}

/// The directives that rule a response here, as far as the site heeds them.
pub fn ruling(headers: &HeaderMap, policy: &Policy) -> CacheControl {
    policy.ignored.apply(CacheControl::ruling(headers, &policy.targets))
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
    let is_of_another_kind = [StatusCode::NOT_MODIFIED, StatusCode::TOO_EARLY].contains(&status);
    let final_status = (200..600).contains(&status.as_u16()) && !is_of_another_kind;
    let not_for_others = !shareable_despite_authorization(cc);
    [
        // What is meant for one client comes first, so that no other reason hides it.
        (cc.private == Qualified::All, Refusal::Private),
        (not_for_others && request.headers.contains_key(AUTHORIZATION), Refusal::Authorization),
        (not_for_others && has_personal_cookie(request.headers, policy), Refusal::PersonalCookie),
        (sets_cookie(headers, cc, policy), Refusal::SetCookie),
        (!has_cacheable_method(request), Refusal::Method),
        (RequestDirectives::of(request.headers).no_store, Refusal::RequestNoStore),
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

/// Whether storing it would hand a cookie to every client.
fn sets_cookie(headers: &HeaderMap, cc: &CacheControl, policy: &Policy) -> bool {
    !policy.store_set_cookie
        && headers.contains_key(SET_COOKIE)
        && !(cc.names_fields() && qualified_fields(headers, &policy.targets).contains(&SET_COOKIE))
}

/// GET, and what a site may have chosen beside it. A POST or QUERY that is not chosen is never fetched to be stored.
fn has_cacheable_method(request: &RequestFacts<'_>) -> bool {
    [&Method::GET, &Method::POST].contains(&request.method) || request.method.as_str() == "QUERY"
}

/// Whether we know what this status asks of a cache (RFC 9110 §15): for `must-understand`.
fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=205 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505
    )
}

/// Of what was never fresh only its own `stale-while-revalidate` makes something that others may have: what the site adds to
/// lifetimes is for what had one.
fn reuse(cc: &CacheControl, freshness: &Freshness, stale: Stale) -> Reuse {
    let was_ever_fresh = freshness.is_fresh(freshness.response_time);
    let window = match stale {
        Stale::Forbidden => Duration::ZERO,
        Stale::Allowed { while_revalidate, .. } => while_revalidate.unwrap_or_default(),
    };
    let was_ever_of_use =
        was_ever_fresh || freshness.age(freshness.response_time) < freshness.lifetime.saturating_add(window);
    if was_ever_of_use && cc.no_cache != Qualified::All { Reuse::Shared } else { Reuse::Validate }
}

/// What nobody ever may use without validation does not become usable by an error of the origin's: it may have been made for
/// one client. Only its own `stale-if-error` says otherwise.
fn only_as_stated(stale: Stale) -> Stale {
    match stale {
        Stale::Allowed { if_error: Some(if_error), .. } if !if_error.is_zero() => {
            Stale::Allowed { while_revalidate: Some(Duration::ZERO), if_error: Some(if_error) }
        }
        Stale::Allowed { .. } | Stale::Forbidden => Stale::Forbidden,
    }
}

/// `s-maxage` forbids it too: for shared caches it includes `proxy-revalidate` (RFC 9111 §5.2.2.10).
fn stale_use(cc: &CacheControl, policy: &Policy) -> Stale {
    let by_s_maxage = cc.s_maxage.is_some() && !policy.ignored.s_maxage_revalidates;
    if cc.must_revalidate || cc.proxy_revalidate || by_s_maxage || cc.no_cache == Qualified::All {
        return Stale::Forbidden;
    }
    Stale::Allowed {
        while_revalidate: cc.stale_while_revalidate.map(Delta::as_duration),
        if_error: cc.stale_if_error.map(Delta::as_duration),
    }
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
        && cookies::names(headers)
            .any(|name| policy.personal_cookies.iter().any(|personal| personal.as_bytes() == name))
}

#[cfg(test)]
mod tests;
