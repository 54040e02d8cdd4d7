//! Which way a request goes: whether the cache may have a say in it.

use std::sync::Arc;

use http::{HeaderMap, Method, header};

use super::Step;
use super::begun::Begun;
use super::buffering::{self, Onward};
use super::content::Content;
use super::hold::needs_whole;
use super::turn::Turn;
use crate::admission::Admitted;
use crate::body::Body;
use crate::body::message::Request;
use crate::cache::key::{Extras, Key, KeyParts};
use crate::fetch::ask::{Ask, Asked, Fields};
use crate::fetch::setup::Setup;
use crate::route::Site;
use crate::semantics::cache_status::Forward;
use crate::semantics::fields;
use crate::semantics::notable::Notable;
use crate::semantics::policy::Policy;
use crate::semantics::validation;

/// Why a request is passed by the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bypass {
    /// Its method is neither GET nor HEAD, nor one that the site has chosen.
    Method,
    /// Its content is not part of the key.
    Content,
    /// It offers to leave HTTP.
    Upgrade,
    /// It carries a condition that only the origin can judge (RFC 9110 §13.1).
    Precondition,
    /// The origin is told who asks, by the certificate that the client showed.
    Certificate,
    /// It may be a replay, which only the origin can refuse, and must be told (RFC 8470 §5.1).
    EarlyData,
    /// The site wants it by its path.
    Path,
    /// The site wants it by a cookie.
    Cookie,
}

impl Bypass {
    /// The words of `Cache-Status` (RFC 9211 §2.2), and more where they do not tell enough.
    fn says(self) -> (Forward, Option<&'static str>) {
        match self {
            Self::Method => (Forward::Method, None),
            Self::Content => (Forward::Bypass, Some("content")),
            Self::Upgrade => (Forward::Bypass, Some("upgrade")),
            Self::Precondition => (Forward::Bypass, Some("precondition")),
            Self::Certificate => (Forward::Bypass, Some("client-certificate")),
            Self::EarlyData => (Forward::Bypass, Some("early-data")),
            Self::Path => (Forward::Bypass, Some("path")),
            Self::Cookie => (Forward::Bypass, Some("cookie")),
        }
    }

    /// The same for people, and where it is written.
    pub(super) fn explained(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Method => (
                "its method is neither GET nor HEAD, nor one that the site has the cache answer (cacheable_methods)",
                Some("RFC 9111 §4"),
            ),
            Self::Content => ("it has content that is no part of the key", Some("RFC 9110 §9.3.1")),
            Self::Upgrade => ("it offers to leave HTTP (Upgrade)", Some("RFC 9110 §7.8")),
            Self::Precondition => {
                ("its If-Match or If-Unmodified-Since is for the origin to judge", Some("RFC 9110 §13.1"))
            }
            Self::Certificate => (
                "the origin is told of its client's certificate (tell_client_certificate): the answer is for that client",
                Some("RFC 9440 §2.4"),
            ),
            Self::EarlyData => ("it came in early data and may be a replay", Some("RFC 8470 §5.1")),
            Self::Path => ("the site has its path pass by the cache (bypass_paths)", None),
            Self::Cookie => ("the site has one of its cookies pass it by the cache (bypass_cookies)", None),
        }
    }
}

/// The way of a request.
pub(super) enum Way {
    /// The cache is asked.
    Cache,
    /// It goes to the origin, and what comes may answer later GETs.
    Through,
    /// It goes to the origin, for its client alone.
    Pass(Bypass),
}

/// Starts the turn of an admitted request, with the first step that it takes. Its key may be known.
pub(super) fn classify(
    request: Request,
    content: Option<Content>,
    admitted: &Admitted,
    (site, setup): (&Site, &Arc<Setup>),
    begun: Begun,
    key: Option<Key>,
) -> (Turn, Step) {
    let needs_whole = needs_whole(&request);
    let (ask, way, body) = sort(request, content, admitted, (site, setup), key);
    let mut turn = start(ask, &way, begun);
    turn.needs_whole = needs_whole;
    let step = match way {
        Way::Cache => Step::Lookup,
        Way::Through => buffering::first_step(body, Onward::Through, &turn.ask, site),
        Way::Pass(_) => buffering::first_step(body, Onward::Pass, &turn.ask, site),
    };
    (turn, step)
}

/// The turn of a request that goes this way.
pub(super) fn start(ask: Ask, way: &Way, begun: Begun) -> Turn {
    let mut turn = Turn::new(Arc::new(ask), begun);
    match way {
        Way::Cache => {}
        Way::Through => turn.forward = Forward::Method,
        Way::Pass(bypass) => (turn.forward, turn.detail) = bypass.says(),
    }
    turn
}

/// What an admitted request asks, and which way it goes, with its content.
pub(super) fn sort(
    request: Request,
    content: Option<Content>,
    admitted: &Admitted,
    (site, setup): (&Site, &Arc<Setup>),
    key: Option<Key>,
) -> (Ask, Way, Body) {
    let Request { method, scheme, target, version, headers, body, peer, certificate, early, .. } = request;
    let Admitted { is_peer, applied, .. } = *admitted;
    let (policy, pool) = (Arc::clone(&site.policy), site.pool);
    let mut taken = Fields::new(headers, admitted.notable, version, &policy);
    let way = match way(&method, target.path(), &taken, content.is_some(), &body, &policy) {
        Way::Cache | Way::Through | Way::Pass(Bypass::Precondition) if certificate.is_some() => {
            Way::Pass(Bypass::Certificate)
        }
        way => way,
    };
    let told_of_all = matches!(way, Way::Pass(Bypass::Precondition)) && method == Method::HEAD;
    if told_of_all || !matches!(way, Way::Pass(_)) {
        taken.for_many(&policy, content.is_some() || matches!(way, Way::Through));
    }
    let normal_target = policy.query.normal(&target);
    let parts = KeyParts {
        site: site.id,
        rules: site.key_rules,
        scheme: &scheme,
        host: &admitted.host,
        target: normal_target.as_ref().unwrap_or(&target),
        arm: "",
    };
    let made = || Key::with(&parts, &extras(&method, &taken.headers, content.as_ref(), &policy));
    let key = key.unwrap_or_else(made);
    let peer = peer.ip();
    let content = content.map(|content| content.0);
    let metrics = Some(Arc::clone(&site.metrics));
    let ask = Ask::new(
        Asked {
            key,
            method,
            target,
            normal_target,
            scheme,
            peer,
            certificate,
            early,
            version,
            policy,
            content,
            is_peer,
            applied,
            setup: Arc::clone(setup),
            pool,
            metrics,
        },
        taken,
    );
    (ask, way, body)
}

/// What of a request is in its key beside host and target. Taken of the fields that the origin gets to see.
fn extras(method: &Method, headers: &HeaderMap, content: Option<&Content>, policy: &Policy) -> Extras {
    let mut extras = Extras::default();
    if !policy.cookies.variant.is_empty() {
        extras.cookies(policy.cookies.variant_pairs(headers));
    }
    for name in &policy.variant_fields {
        extras.field(name, headers);
    }
    if let Some(Content(content)) = content {
        extras.content(method, headers, content);
    }
    extras
}

fn way(method: &Method, path: &str, taken: &Fields, keyed: bool, body: &Body, policy: &Policy) -> Way {
    let (headers, notable) = (&taken.headers, taken.notable);
    let plain = *method == Method::GET || *method == Method::HEAD;
    let through = *method == Method::POST && policy.methods.post && !keyed;
    // Content that was to be part of the key, and is too long for it.
    if super::content::is_wanted(method, policy) && !keyed {
        return Way::Pass(Bypass::Content);
    }
    if !plain && !keyed && !through {
        return Way::Pass(Bypass::Method);
    }
    if plain && !matches!(body, Body::Empty) {
        return Way::Pass(Bypass::Content);
    }
    if taken.upgrade.is_some() {
        return Way::Pass(Bypass::Upgrade);
    }
    if notable.may_have(Notable::EARLY_DATA) && headers.contains_key(fields::EARLY_DATA) {
        return Way::Pass(Bypass::EarlyData);
    }
    if policy.bypass_paths.has(path) {
        return Way::Pass(Bypass::Path);
    }
    if policy.cookies.bypass(headers) {
        return Way::Pass(Bypass::Cookie);
    }
    // Last: what a HEAD with nothing else to say is told applies to what is stored.
    if notable.may_have(Notable::ORIGIN_CONDITION) && validation::has_origin_precondition(headers) {
        return Way::Pass(Bypass::Precondition);
    }
    match through {
        true if is_conditional(headers) => Way::Pass(Bypass::Method),
        true => Way::Through,
        false => Way::Cache,
    }
}

/// Whether the client wants a part, or an answer that depends on what it has: only the origin can give it that.
fn is_conditional(headers: &HeaderMap) -> bool {
    headers.contains_key(header::RANGE) || headers.keys().any(validation::is_conditional)
}
