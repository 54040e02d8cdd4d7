//! What is stored for a request, and what may be done with it.

use std::time::Duration;

use http::header::{ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};

use super::{Outcome, Step, listed, seconds, value};
use crate::base::ids::{Generation, Sequence};
use crate::semantics::reuse::{Because, Cause, Decision, Reuse, Stale, Terms};
use crate::semantics::validation;

/// An object that a request selects.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// The tier that has it.
    pub tier: &'a str,
    /// Which store of its key it came from.
    pub generation: Generation,
    /// When it was born, by the ledger.
    pub born: Sequence,
    /// Its status.
    pub status: StatusCode,
    /// Its fields.
    pub headers: &'a HeaderMap,
    /// Bytes of its content.
    pub length: u64,
    /// How long ago it came, or was last confirmed.
    pub since: Duration,
}

/// What is stored; `purged`: something was, and a purge has killed it.
pub fn stored(kept: Option<&Kept<'_>>, purged: bool) -> Step {
    let mut step = Step::new("Stored", Some("RFC 9111 §4"));
    if purged {
        step.say("Something is stored that is not alive by the ledger: it was purged, or an unsafe request has taken it back (RFC 9111 §4.4).");
    }
    let Some(kept) = kept else {
        step.say("Nothing that this request selects is stored and alive.");
        return step;
    };
    let Kept { tier, generation, born, status, headers, length, since } = *kept;
    let Sequence { epoch, number } = born;
    step.say(format!("The {tier} tier has a {status} with {length} bytes of content."));
    step.say(format!("It came, or was last confirmed, {} ago.", seconds(since)));
    step.say(format!(
        "It is of generation {}, was born at purge {number} of epoch {epoch}, and is alive by the ledger.",
        generation.0
    ));
    for name in [ETAG, LAST_MODIFIED] {
        if headers.contains_key(&name) {
            step.say(format!("{name}: {}", value(headers, &name)));
        }
    }
    step
}

/// With which validators the origin would be asked whether it still holds.
pub fn validators(stored: &HeaderMap) -> String {
    let mut asked = HeaderMap::new();
    if !validation::add_validators(&mut asked, stored) {
        return "It has no validator: the origin is asked for the whole.".to_owned();
    }
    let names = [(IF_NONE_MATCH, "If-None-Match"), (IF_MODIFIED_SINCE, "If-Modified-Since")];
    let said: Vec<String> = names
        .into_iter()
        .filter(|(name, _)| asked.contains_key(name))
        .map(|(name, written)| format!("{written}: {}", value(&asked, &name)))
        .collect();
    format!("The origin is asked with {}.", listed(&said))
}

/// A decision in words: what would happen, why, and where it is written.
pub fn decided(decision: Decision, terms: &Terms) -> (Outcome, String, &'static str) {
    match decision {
        Decision::Use(Because::Fresh) => {
            (Outcome::Hit, "It is fresh and answers, without the origin.".into(), "RFC 9111 §4.2")
        }
        Decision::Use(Because::MaxStale) => (
            Outcome::Hit,
            "It is stale and answers, because the request takes it so (max-stale).".into(),
            "RFC 9111 §5.2.1.2",
        ),
        Decision::UseAndRefresh => (
            Outcome::HitAndRefresh,
            "It is stale and answers at once, to be refreshed behind the answer.".into(),
            "RFC 5861 §3",
        ),
        Decision::Validate(Cause::Request) => (
            Outcome::Revalidation,
            "The request does not take it as it is: the origin is asked first.".into(),
            "RFC 9111 §5.2.1",
        ),
        Decision::Validate(Cause::Always) => (
            Outcome::Revalidation,
            "It may never be used without the origin's word: the origin is asked first.".into(),
            "RFC 9111 §5.2.2.4",
        ),
        Decision::Validate(Cause::Stale) => (Outcome::Revalidation, stale(terms), "RFC 9111 §4.3"),
    }
}

fn stale(terms: &Terms) -> String {
    let why = match (terms.reuse, terms.stale) {
        (Reuse::Validate, _) => " and was never to be used without the origin's word",
        (_, Stale::Forbidden) => " and forbids to be used so (must-revalidate or its like)",
        (_, Stale::Allowed { .. }) => "",
    };
    format!("It is stale{why}: the origin is asked first.")
}
