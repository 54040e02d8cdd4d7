//! How old a stored response is and how long it is fresh, in numbers.

use std::time::Duration;

use http::header::{AGE, CACHE_CONTROL, DATE, EXPIRES, LAST_MODIFIED};
use http::{HeaderMap, Method, StatusCode};

use super::{Step, seconds, value};
use crate::base::clock::Timestamp;
use crate::semantics::date::format_date;
use crate::semantics::freshness::{self, State, Statement};
use crate::semantics::policy::{Basis, Policy};
use crate::semantics::reuse::{Stale, Terms};
use crate::semantics::storage::{self, Judgement, RequestFacts};
use crate::semantics::targeted;

/// The arithmetic of RFC 9111 §4.2 for a stored response with these `terms`, which came in answer to `method`.
///
/// Where its lifetime comes from is found out by judging it again, as the site's rules are today.
pub fn freshness(
    (status, headers): (StatusCode, &HeaderMap),
    terms: &Terms,
    method: &Method,
    policy: &Policy,
    now: Timestamp,
) -> Step {
    let mut step = Step::new("Freshness", Some("RFC 9111 §4.2"));
    ages(&mut step, headers, terms, now);
    step.say(lifetime((status, headers), terms, method, policy));
    let (age, lifetime) = (seconds(terms.freshness.age(now)), seconds(terms.freshness.lifetime));
    step.say(match terms.freshness.state(now) {
        State::Fresh { ttl } => {
            format!("{age} is less than {lifetime}: it is fresh for another {}.", seconds(ttl))
        }
        State::Stale { by } => {
            format!("{age} is not less than {lifetime}: it has been stale for {}.", seconds(by))
        }
    });
    step.say(beyond(terms, policy));
    if terms.immutable {
        step.say("It does not change while it is fresh (RFC 8246 §2).");
    }
    step
}

fn ages(step: &mut Step, headers: &HeaderMap, terms: &Terms, now: Timestamp) {
    let fresh = &terms.freshness;
    let came = fresh.response_time;
    let apparent = freshness::apparent_age(headers, came);
    let told = freshness::age_value(headers);
    step.say(format!(
        "Date is {} and it came at {}: by that it was {} old.",
        value(headers, &DATE),
        format_date(came).to_str().unwrap_or("?"),
        seconds(apparent)
    ));
    let age_field = if headers.contains_key(&AGE) {
        format!("Age was {}, read as {}", value(headers, &AGE), seconds(told))
    } else {
        "It came without Age, which counts as 0 s".to_owned()
    };
    step.say(format!("{age_field}; the time that the request took is added to that."));
    step.say(format!(
        "The larger is its corrected initial age: {}. It was here for {}: its current age is {}.",
        seconds(fresh.initial_age),
        seconds(now.since(came)),
        seconds(fresh.age(now))
    ));
}

fn lifetime(
    (status, headers): (StatusCode, &HeaderMap),
    terms: &Terms,
    method: &Method,
    policy: &Policy,
) -> String {
    let (came, held) = (terms.freshness.response_time, terms.freshness.lifetime);
    let facts = RequestFacts { method, headers: &HeaderMap::new() };
    match storage::judge(&facts, status, headers, policy, came, came) {
        Judgement::Store(storable) if storable.terms.freshness.lifetime == held => {
            format!("Its lifetime is {}, {}.", seconds(held), basis(storable.basis, headers, policy, came))
        }
        Judgement::Store(storable) => format!(
            "Its lifetime is {}, by rules that have changed since; today it would be {}.",
            seconds(held),
            seconds(storable.terms.freshness.lifetime)
        ),
        Judgement::Refuse(refusal) => format!(
            "Its lifetime is {}; by the rules of today it would not be stored ({}).",
            seconds(held),
            refusal.name()
        ),
    }
}

fn basis(basis: Basis, headers: &HeaderMap, policy: &Policy, came: Timestamp) -> String {
    match basis {
        Basis::Stated => stated(headers, policy, came),
        Basis::Forced => "which the operator has forced on every answer, against the RFC".into(),
        Basis::ByStatus => "the operator's for its status, because it states none".into(),
        Basis::Default => "the operator's for answers that state none (default_lifetime)".into(),
        Basis::Heuristic => {
            let unchanged = freshness::unchanged_for(headers, came).unwrap_or_default();
            let heuristic = policy.lifetimes.heuristic;
            format!(
                "guessed: {} % of the {} for which it had not changed by its Last-Modified of {}, at most {} \
                 (RFC 9111 §4.2.2)",
                heuristic.percent,
                seconds(unchanged),
                value(headers, &LAST_MODIFIED),
                seconds(heuristic.max)
            )
        }
        Basis::None => "because it states none: it is confirmed at each use".into(),
    }
}

fn stated(headers: &HeaderMap, policy: &Policy, came: Timestamp) -> String {
    let cc = storage::ruling(headers, policy);
    let field = targeted::ruling_field(headers, &policy.targets).unwrap_or(&CACHE_CONTROL);
    let Some((said, by)) = freshness::stated(headers, &cc, came) else {
        return "which nothing states".into();
    };
    let by = match by {
        Statement::SMaxage => format!("s-maxage in {field}: {}", value(headers, field)),
        Statement::MaxAge => format!("max-age in {field}: {}", value(headers, field)),
        Statement::Expires => format!("Expires, {}, less Date", value(headers, &EXPIRES)),
    };
    let (min, max) = (policy.lifetimes.min, policy.lifetimes.max);
    let within = if said < min.unwrap_or_default() || said > max.unwrap_or(Duration::MAX) {
        format!(", which says {}; the operator's limits hold", seconds(said))
    } else {
        String::new()
    };
    format!("stated by {by}{within} (RFC 9111 §4.2.1)")
}

/// What it may do once it is stale.
fn beyond(terms: &Terms, policy: &Policy) -> String {
    let Stale::Allowed { while_revalidate, if_error } = terms.stale else {
        return "Stale it may never be used (RFC 9111 §4.2.4).".into();
    };
    let from = |own: Option<Duration>, otherwise: Duration| match own {
        Some(own) => format!("{} by its own word", seconds(own)),
        None => format!("{} by the operator's", seconds(otherwise)),
    };
    format!(
        "Stale it may be used for {} while it is refreshed (RFC 5861 §3), and for {} if the origin fails \
         (RFC 5861 §4).",
        from(while_revalidate, policy.outlasting.while_revalidate),
        from(if_error, policy.outlasting.grace)
    )
}
