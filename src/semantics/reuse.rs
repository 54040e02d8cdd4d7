//! Whether a stored response may answer a request, and how (RFC 9111 §4, RFC 5861, RFC 8246).

use std::time::Duration;

use super::freshness::{Freshness, State};
use super::policy::Outlasting;
use super::request_directives::RequestDirectives;
use crate::base::clock::Timestamp;

/// The terms on which a stored response may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Its age and lifetime.
    pub freshness: Freshness,
    /// What it may do for other requests while it is fresh.
    pub reuse: Reuse,
    /// What it may do when it is stale.
    pub stale: Stale,
    /// It does not change while it is fresh (RFC 8246).
    pub immutable: bool,
}

impl Terms {
    /// The same for a response that was softly purged at `time`: stale from then on, if not before. Grace counts from
    /// there.
    #[must_use]
    pub fn stale_since(self, time: Timestamp) -> Self {
        Self { freshness: self.freshness.over_at(time), ..self }
    }
}

/// How a stored response serves requests other than its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reuse {
    /// As it is, while it is fresh, or stale as [`Stale`] allows.
    Shared,
    /// Only after the origin confirmed it: it has `no-cache`, or was of no use from the start.
    Validate,
}

/// Whether a response may be used stale without validation (RFC 9111 §4.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// Never: it says `must-revalidate`, `proxy-revalidate`, `s-maxage` or `no-cache`.
    Forbidden,
    /// Where there is reason to, for as long as it says itself, or else as the operator says.
    Allowed {
        /// While it is refreshed (RFC 5861 §3).
        while_revalidate: Option<Duration>,
        /// When the origin fails (RFC 5861 §4).
        if_error: Option<Duration>,
    },
}

/// What is to be done with a stored response that a request selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Answer with it.
    Use(Because),
    /// Answer with it, and refresh it behind the answer.
    UseAndRefresh,
    /// Ask the origin first.
    Validate(Cause),
}

/// Why it may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// It is fresh (RFC 9111 §4.2).
    Fresh,
    /// It is stale, and the request takes it so (`max-stale`, RFC 9111 §5.2.1.2).
    MaxStale,
}

/// Why the origin has to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It is stale.
    Stale,
    /// It may never be used without validation.
    Always,
    /// The request does not take it as it is (RFC 9111 §5.2.1).
    Request,
}

/// What to do at `now` with a stored response that a request selects (RFC 9111 §4).
pub fn decide(
    terms: &Terms,
    wanted: &RequestDirectives,
    outlasting: &Outlasting,
    now: Timestamp,
) -> Decision {
    let state = terms.freshness.state(now);
    if terms.reuse == Reuse::Validate {
        return Decision::Validate(if is_fresh(state) { Cause::Always } else { Cause::Stale });
    }
    if !wanted.is_empty() && !takes(wanted, terms, state, now) {
        return Decision::Validate(Cause::Request);
    }
    match state {
        State::Fresh { .. } => Decision::Use(Because::Fresh),
        State::Stale { by } => match terms.stale {
            Stale::Allowed { .. } if wanted.max_stale.is_some_and(|most| by <= most) => {
                Decision::Use(Because::MaxStale)
            }
            Stale::Allowed { while_revalidate, .. }
                if by < while_revalidate.unwrap_or(outlasting.while_revalidate) =>
            {
                Decision::UseAndRefresh
            }
            Stale::Allowed { .. } | Stale::Forbidden => Decision::Validate(Cause::Stale),
        },
    }
}

/// Whether the request takes it, as old and as fresh as it is (RFC 9111 §5.2.1).
fn takes(wanted: &RequestDirectives, terms: &Terms, state: State, now: Timestamp) -> bool {
    let fresh = is_fresh(state);
    let age = terms.freshness.age(now);
    // Who says how old it may be wants nothing stale, unless he says so (§5.2.1.1).
    let stale_is_welcome = fresh || wanted.max_stale.is_some();
    let too_old = wanted.max_age.is_some_and(|most| most.is_zero() || age > most || !stale_is_welcome);
    let too_stale =
        wanted.min_fresh.is_some_and(|least| terms.freshness.lifetime < age.saturating_add(least));
    // A reload (`max-age=0`) of what does not change asks for nothing (RFC 8246 §2).
    let promised = terms.immutable && fresh;
    !wanted.no_cache && (!too_old || promised) && !too_stale
}

/// Whether it may answer although the origin, which should have been asked, failed (RFC 9111 §4.2.4, RFC 5861 §4).
pub fn may_use_on_error(
    terms: &Terms,
    wanted: &RequestDirectives,
    outlasting: &Outlasting,
    now: Timestamp,
) -> bool {
    let Stale::Allowed { if_error, while_revalidate } = terms.stale else {
        // What is fresh was refused for what the request wants, or must always be validated.
        return terms.reuse == Reuse::Shared && !wanted.no_cache && is_fresh(terms.freshness.state(now));
    };
    if wanted.no_cache {
        return false;
    }
    match terms.freshness.state(now) {
        State::Fresh { .. } => true,
        State::Stale { by } => {
            let longest = if_error.or(wanted.stale_if_error).unwrap_or(outlasting.grace);
            by <= longest.max(while_revalidate.unwrap_or(outlasting.while_revalidate))
        }
    }
}

/// Whether it is of any use at `now`, be it to be confirmed.
pub fn is_kept(terms: &Terms, outlasting: &Outlasting, now: Timestamp) -> bool {
    let (State::Stale { by }, Some(keep)) = (terms.freshness.state(now), outlasting.keep) else {
        return true;
    };
    let own = match terms.stale {
        Stale::Forbidden => Duration::ZERO,
        Stale::Allowed { while_revalidate, if_error } => {
            let while_revalidate = while_revalidate.unwrap_or(outlasting.while_revalidate);
            while_revalidate.max(if_error.unwrap_or(outlasting.grace))
        }
    };
    by <= own.saturating_add(keep)
}

/// Whether it is in the last `percent` of its lifetime: time to refresh it, if it is asked for often.
pub fn is_due_ahead(terms: &Terms, percent: u8, now: Timestamp) -> bool {
    match terms.freshness.state(now) {
        State::Fresh { ttl } if percent > 0 => {
            ttl < terms.freshness.lifetime.saturating_mul(u32::from(percent)) / 100
        }
        _ => false,
    }
}

fn is_fresh(state: State) -> bool {
    matches!(state, State::Fresh { .. })
}

#[cfg(test)]
mod tests;
