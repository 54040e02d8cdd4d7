//! How old a response is, and how long it is fresh (RFC 9111 §4.2).

use std::time::Duration;

use http::HeaderMap;
use http::header::{AGE, DATE, EXPIRES, LAST_MODIFIED};

use super::cache_control::CacheControl;
use super::date::parse_date;
use super::delta::Delta;
use super::fields::{date_of, list_members};
use crate::base::clock::Timestamp;

/// How long the response is fresh in a shared cache, by what it says itself (RFC 9111 §4.2.1): `s-maxage`,
/// else `max-age`, else `Expires` less `Date`. `None` if it says nothing.
///
/// An `Expires` that is no date, such as `0`, is in the past; of several the earliest counts. Without a
/// `Date` the time of receipt stands for it. Beside a targeted field `Expires` says nothing (RFC 9213 §2.2).
pub fn lifetime(headers: &HeaderMap, cc: &CacheControl, response_time: Timestamp) -> Option<Duration> {
    stated(headers, cc, response_time).map(|(lifetime, _)| lifetime)
}

/// What states how long a response is fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statement {
    /// `s-maxage`.
    SMaxage,
    /// `max-age`.
    MaxAge,
    /// `Expires`.
    Expires,
}

/// [`lifetime`], and what states it.
pub fn stated(
    headers: &HeaderMap,
    cc: &CacheControl,
    response_time: Timestamp,
) -> Option<(Duration, Statement)> {
    let directives = [(cc.s_maxage, Statement::SMaxage), (cc.max_age, Statement::MaxAge)];
    if let Some(found) = directives.into_iter().find_map(|(delta, by)| Some((delta?.as_duration(), by))) {
        return Some(found);
    }
    if cc.targeted {
        return None;
    }
    let date = date_of(headers, &DATE).unwrap_or(response_time);
    headers
        .get_all(EXPIRES)
        .into_iter()
        .map(|line| parse_date(line).map_or(Duration::ZERO, |expires| expires.since(date)))
        .min()
        .map(|lifetime| (lifetime, Statement::Expires))
}

/// How long the response had been unchanged when it was made: `Date` less `Last-Modified`, from which a cache may
/// guess how long it will last (RFC 9111 §4.2.2). `None` without a valid `Last-Modified` in the past.
pub fn unchanged_for(headers: &HeaderMap, response_time: Timestamp) -> Option<Duration> {
    let date = date_of(headers, &DATE).unwrap_or(response_time);
    let modified = date_of(headers, &LAST_MODIFIED)?;
    Some(date.since(modified)).filter(|unchanged| !unchanged.is_zero())
}

/// The age that a response had when it arrived, and its lifetime: all that freshness needs besides the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// When the response arrived.
    pub response_time: Timestamp,
    /// `corrected_initial_age` (RFC 9111 §4.2.3): how old it was by then.
    pub initial_age: Duration,
    /// How long it is fresh, counted from its making.
    pub lifetime: Duration,
}

/// Whether a stored response may be used as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Younger than its lifetime.
    Fresh {
        /// How long it will stay so; never zero.
        ttl: Duration,
    },
    /// As old as its lifetime, or older.
    Stale {
        /// For how long it has been so.
        by: Duration,
    },
}

impl Freshness {
    /// The freshness of a response that lasts for `lifetime`, whatever it says itself.
    pub fn with_lifetime(
        headers: &HeaderMap,
        lifetime: Duration,
        request_time: Timestamp,
        response_time: Timestamp,
    ) -> Self {
        let initial_age = initial_age(headers, request_time, response_time);
        Self { response_time, initial_age, lifetime }
    }

    /// `current_age` (RFC 9111 §4.2.3). A clock that steps back makes nothing younger than on arrival.
    pub fn age(&self, now: Timestamp) -> Duration {
        self.initial_age.saturating_add(now.since(self.response_time))
    }

    /// The same, but over at `time` if not before.
    #[must_use]
    pub fn over_at(self, time: Timestamp) -> Self {
        let before_it_came = self.response_time.since(time);
        let age = self.age(time).saturating_sub(before_it_came);
        Self { lifetime: self.lifetime.min(age), ..self }
    }

    /// Whether it is fresh at `now`, and how far from the border (RFC 9111 §4.2).
    pub fn state(&self, now: Timestamp) -> State {
        let age = self.age(now);
        match self.lifetime.checked_sub(age) {
            Some(ttl) if !ttl.is_zero() => State::Fresh { ttl },
            _ => State::Stale { by: age.saturating_sub(self.lifetime) },
        }
    }

    /// What is left of the lifetime in seconds; negative once it is over.
    pub fn left(&self, now: Timestamp) -> i64 {
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        match self.state(now) {
            State::Fresh { ttl } => seconds(ttl),
            State::Stale { by } => -seconds(by),
        }
    }

    /// Whether it is younger than its lifetime at `now` (RFC 9111 §4.2).
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.age(now) < self.lifetime
    }
}

/// `corrected_initial_age` (RFC 9111 §4.2.3).
fn initial_age(headers: &HeaderMap, request_time: Timestamp, response_time: Timestamp) -> Duration {
    let response_delay = response_time.since(request_time);
    let corrected_age = age_value(headers).saturating_add(response_delay);
    apparent_age(headers, response_time).max(corrected_age)
}

/// How long ago `Date` was, in whole seconds: its own fraction is unknown, and counting ours would make a
/// response that was just made look up to a second old.
pub(super) fn apparent_age(headers: &HeaderMap, response_time: Timestamp) -> Duration {
    let date = date_of(headers, &DATE).unwrap_or(response_time);
    Duration::from_secs(response_time.as_secs().saturating_sub(date.as_secs()))
}

/// What `Age` says: its first valid member, as `Age: 30, 1` comes from a cache that added its own instead
/// of replacing the older; zero if there is none (RFC 9111 §5.1). What follows a number after a `;` does not make the
/// response younger.
pub(super) fn age_value(headers: &HeaderMap) -> Duration {
    let number = |member: &[u8]| {
        let before = member.split(|byte| *byte == b';').next().unwrap_or(member);
        Delta::parse(before.trim_ascii_end())
    };
    list_members(headers, &AGE).find_map(number).unwrap_or_default().as_duration()
}

#[cfg(test)]
mod tests;
