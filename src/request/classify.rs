//! Which way a request goes: whether the cache may have a say in it.

use std::sync::Arc;

use http::Method;

use super::Step;
use super::turn::{Begun, Turn};
use crate::admission::Admitted;
use crate::body::Body;
use crate::body::message::Request;
use crate::cache::key::{Key, KeyParts};
use crate::fetch::ask::{Ask, Asked};
use crate::route::Site;
use crate::semantics::cache_status::Forward;
use crate::semantics::validation;

/// Why a request is passed by the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bypass {
    /// Its method is neither GET nor HEAD.
    Method,
    /// Its content is not part of the key.
    Content,
    /// It offers to leave HTTP.
    Upgrade,
    /// It carries a condition that only the origin can judge (RFC 9110 §13.1).
    Precondition,
}

impl Bypass {
    /// The words of `Cache-Status` (RFC 9211 §2.2), and more where they do not tell enough.
    fn says(self) -> (Forward, Option<&'static str>) {
        match self {
            Self::Method => (Forward::Method, None),
            Self::Content => (Forward::Bypass, Some("content")),
            Self::Upgrade => (Forward::Bypass, Some("upgrade")),
            Self::Precondition => (Forward::Bypass, Some("precondition")),
        }
    }
}

/// Starts the turn of an admitted request, with the first step that it takes.
pub(super) fn classify(request: Request, admitted: Admitted, site: &Site, begun: Begun) -> (Turn, Step) {
    let Request { method, scheme, target, version, headers, body, peer, .. } = request;
    let normal_target = site.policy.ignored_query.strip(&target);
    let key = Key::new(&KeyParts {
        site: site.id,
        rules: site.key_rules,
        scheme: &scheme,
        host: &admitted.host,
        target: normal_target.as_ref().unwrap_or(&target),
        arm: "",
    });
    let (host, peer) = (admitted.host, peer.ip());
    let (policy, pool) = (Arc::clone(&site.policy), site.pool);
    let metrics = Some(Arc::clone(&site.metrics));
    let ask = Ask::new(
        Asked { key, method, target, normal_target, host, scheme, peer, version, policy, pool, metrics },
        headers,
    );
    let bypass = bypass(&ask, &body);
    let mut turn = Turn::new(Arc::new(ask), begun);
    match bypass {
        None => (turn, Step::Lookup),
        Some(bypass) => {
            let (forward, detail) = bypass.says();
            turn.forward = forward;
            turn.detail = detail;
            (turn, Step::Pass(body))
        }
    }
}

fn bypass(ask: &Ask, body: &Body) -> Option<Bypass> {
    if ask.method != Method::GET && ask.method != Method::HEAD {
        return Some(Bypass::Method);
    }
    if !matches!(body, Body::Empty) {
        return Some(Bypass::Content);
    }
    if ask.upgrade.is_some() {
        return Some(Bypass::Upgrade);
    }
    validation::has_origin_precondition(&ask.headers).then_some(Bypass::Precondition)
}
