//! What a site adds to the rules of HTTP.

use std::time::Duration;

use http::StatusCode;

use super::freshness::State;
use super::query::IgnoredQuery;

/// What the operator of a site decides, where HTTP leaves it to him. The default adds nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Store responses that set a cookie, so that all clients get it. HTTP allows this; hardly any site
    /// means it, so it is off by default.
    pub store_set_cookie: bool,
    /// Names of cookies, as they are written, that make a request personal.
    pub personal_cookies: Vec<String>,
    /// How long responses last.
    pub lifetimes: Lifetimes,
    /// For how long an object outlasts its lifetime.
    pub outlasting: Outlasting,
    /// Parameters of the query that say nothing about the response.
    pub ignored_query: IgnoredQuery,
}

impl Policy {
    /// What tells the keys and the stored responses of one policy from those of another: two policies with equal
    /// texts may share what is stored. Lifetimes are not in it: a change of them is for what comes.
    pub fn key_rules(&self) -> Vec<u8> {
        let mut text = vec![u8::from(self.store_set_cookie)];
        let names = self.personal_cookies.iter().map(String::as_str);
        let parts = [names.collect::<Vec<_>>(), self.ignored_query.patterns().collect()];
        for part in parts {
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            for name in part {
                text.extend_from_slice(&(name.len() as u64).to_be_bytes());
                text.extend_from_slice(name.as_bytes());
            }
        }
        text
    }
}

/// Bounds on lifetimes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetimes {
    /// Of a response that states none and may be given one (RFC 9111 §4.2.2).
    pub default: Option<Duration>,
    /// Raises what responses state: **against the RFC**, by which the origin decides.
    pub min: Option<Duration>,
    /// Lowers what responses state, which a cache is free to do.
    pub max: Option<Duration>,
}

impl Lifetimes {
    /// Of a response that states `stated`.
    pub fn of_stated(&self, stated: Duration) -> Duration {
        self.capped(stated.max(self.min.unwrap_or_default()))
    }

    /// Of a response that states none. RFC 9111 §4.2.2 lets a cache choose for those whose status is heuristically
    /// cacheable and those that say `public`; of errors only those are taken that speak of the resource and not of
    /// one client's request.
    pub fn of_unstated(&self, status: StatusCode, public: bool) -> Option<Duration> {
        let usual = matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308 | 404 | 410);
        self.default
            .filter(|_| usual || (public && !status.is_client_error()))
            .map(|default| self.capped(default))
    }

    fn capped(&self, lifetime: Duration) -> Duration {
        lifetime.min(self.max.unwrap_or(Duration::MAX))
    }
}

/// For how long an object outlasts its lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlasting {
    /// For so long it may still answer when no head comes from the origin (RFC 9111 §4.2.4).
    pub grace: Duration,
    /// For so long beyond grace it is kept to be confirmed; `None`: as long as the tiers keep it.
    pub keep: Option<Duration>,
}

impl Default for Outlasting {
    fn default() -> Self {
        Self { grace: Duration::from_hours(24), keep: None }
    }
}

impl Outlasting {
    /// Whether an object in this state may answer when no head comes.
    pub fn in_grace(&self, state: State) -> bool {
        match state {
            State::Fresh { .. } => true,
            State::Stale { by } => by <= self.grace,
        }
    }

    /// Whether an object in this state is of any use.
    pub fn is_kept(&self, state: State) -> bool {
        match (state, self.keep) {
            (State::Fresh { .. }, _) | (_, None) => true,
            (State::Stale { by }, Some(keep)) => by <= self.grace.saturating_add(keep),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn a_stated_lifetime_is_kept_within_bounds() {
        let free = Lifetimes::default();
        assert_eq!(free.of_stated(secs(7)), secs(7));
        let bound = Lifetimes { min: Some(secs(5)), max: Some(secs(60)), ..free };
        assert_eq!([0, 5, 30, 61].map(|stated| bound.of_stated(secs(stated))), [5, 5, 30, 60].map(secs));
    }

    #[test]
    fn only_what_http_leaves_open_gets_the_default() {
        let lifetimes = Lifetimes { default: Some(secs(90)), max: Some(secs(60)), min: Some(secs(70)) };
        for status in [200, 203, 204, 300, 301, 308, 404, 410] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(lifetimes.of_unstated(status, false), Some(secs(60)), "{status}");
        }
        for status in [201, 302, 400, 403, 405, 414, 431, 500, 501, 503] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(lifetimes.of_unstated(status, false), None, "{status}");
        }
        assert_eq!(lifetimes.of_unstated(StatusCode::FOUND, true), Some(secs(60)));
        assert_eq!(lifetimes.of_unstated(StatusCode::FORBIDDEN, true), None);
        assert_eq!(Lifetimes::default().of_unstated(StatusCode::OK, true), None);
    }

    #[test]
    fn grace_comes_first_and_keep_after_it() {
        let stale = |by| State::Stale { by: secs(by) };
        let bound = Outlasting { grace: secs(10), keep: Some(secs(5)) };
        assert!(bound.in_grace(stale(10)) && !bound.in_grace(stale(11)));
        assert!(bound.is_kept(stale(15)) && !bound.is_kept(stale(16)));
        assert!(Outlasting { keep: None, ..bound }.is_kept(stale(u64::MAX)));
    }

    #[test]
    fn the_rules_of_keys_differ_where_keys_or_stored_responses_would() {
        let plain = Policy::default();
        let cookies = |names: &[&str]| Policy {
            personal_cookies: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Policy::default()
        };
        let ignoring = |names: &[&str]| Policy {
            ignored_query: IgnoredQuery::new(names.iter().copied()),
            ..Policy::default()
        };
        let longer = Policy {
            lifetimes: Lifetimes { max: Some(secs(1)), ..Lifetimes::default() },
            ..Policy::default()
        };
        let texts =
            [&plain, &cookies(&["ab"]), &cookies(&["a", "b"]), &ignoring(&["ab"])].map(Policy::key_rules);
        for (index, text) in texts.iter().enumerate() {
            assert!(!texts.iter().skip(index + 1).any(|other| other == text), "{index}");
        }
        assert_eq!(plain.key_rules(), longer.key_rules());
    }
}
