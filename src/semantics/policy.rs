//! What a site adds to the rules of HTTP.

use std::time::Duration;

use http::{HeaderName, StatusCode};

use super::cache_control::{CacheControl, Qualified};
use super::cookies::CookieRules;
use super::patterns::Paths;
use super::query::QueryRules;
use super::targeted::TargetList;

/// What the operator of a site decides, where HTTP leaves it to him, or against it. The default adds nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a rule that holds or not")]
pub struct Policy {
    /// Store responses that set a cookie, so that all clients get it. HTTP allows this; hardly any site
    /// means it, so it is off by default.
    pub store_set_cookie: bool,
    /// Store responses whose end is told by the closing of the connection alone (RFC 9112 §8), and read a transfer
    /// coding that nobody knows as none.
    pub store_until_close: bool,
    /// Names of cookies, as they are written, that make a request personal.
    pub personal_cookies: Vec<String>,
    /// Whether `Cache-Status` tells the key, which shows how keys are made (RFC 9211 §2.7).
    pub tell_key: bool,
    /// Answer by the URL alone, whatever responses say of its query (`No-Vary-Search`).
    pub ignore_no_vary_search: bool,
    /// The most variants of one key.
    pub max_variants: MaxVariants,
    /// How long responses last.
    pub lifetimes: Lifetimes,
    /// For how long an object outlasts its lifetime.
    pub outlasting: Outlasting,
    /// The fields that rule above `Cache-Control` (RFC 9213).
    pub targets: TargetList,
    /// Heed the directives of requests (RFC 9111 §5.2.1), which a cache need not.
    pub request_directives: bool,
    /// Refresh what is asked for in the last so many percent of its lifetime, before that ends; 0 is off.
    pub refresh_ahead: u8,
    /// Directives of responses that are overheard: **against the RFC**.
    pub ignored: IgnoredDirectives,
    /// What of the query is part of the key, and in which order.
    pub query: QueryRules,
    /// What cookies mean.
    pub cookies: CookieRules,
    /// Fields whose values are part of the key, in order, each once.
    pub variant_fields: Vec<HeaderName>,
    /// Paths of which no request asks the cache.
    pub bypass_paths: Paths,
    /// The methods beside GET and HEAD whose responses may be stored.
    pub methods: CacheableMethods,
    /// Tell the origin nothing of the client's address where the response may be stored.
    pub hide_clients: bool,
}

/// The methods beside GET and HEAD whose responses may be stored: each is the operator's decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct CacheableMethods {
    /// QUERY, with its content in the key.
    pub query: bool,
    /// POST: its response may answer a later GET, if it says that it may (RFC 9110 §9.3.3). Every POST itself goes to
    /// the origin.
    pub post: bool,
    /// POST is treated like QUERY: **against the RFC**, by which a POST is never answered from a cache (RFC 9110
    /// §9.3.3, RFC 9111 §4).
    pub reuse_post: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            store_set_cookie: false,
            store_until_close: false,
            personal_cookies: Vec::new(),
            tell_key: false,
            ignore_no_vary_search: false,
            max_variants: MaxVariants::default(),
            lifetimes: Lifetimes::default(),
            outlasting: Outlasting::default(),
            targets: TargetList::default(),
            request_directives: true,
            refresh_ahead: 0,
            ignored: IgnoredDirectives::default(),
            query: QueryRules::default(),
            cookies: CookieRules::default(),
            variant_fields: Vec::new(),
            bypass_paths: Paths::default(),
            methods: CacheableMethods::default(),
            hide_clients: false,
        }
    }
}

/// The most variants of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxVariants(pub usize);

impl Default for MaxVariants {
    fn default() -> Self {
        Self(64)
    }
}

/// Directives of responses that a site has overheard, **against the RFC**.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a directive that is heeded or not")]
pub struct IgnoredDirectives {
    /// `no-store`.
    pub no_store: bool,
    /// `no-cache`.
    pub no_cache: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// That `s-maxage` forbids to serve stale (RFC 9111 §5.2.2.10), as it stands beside a `stale-while-revalidate`
    /// that many an origin sends with it.
    pub s_maxage_revalidates: bool,
}

impl IgnoredDirectives {
    /// What is left of `cc`.
    #[must_use]
    pub fn apply(&self, cc: CacheControl) -> CacheControl {
        CacheControl {
            no_store: cc.no_store && !self.no_store,
            no_cache: if self.no_cache { Qualified::No } else { cc.no_cache },
            must_revalidate: cc.must_revalidate && !self.must_revalidate,
            proxy_revalidate: cc.proxy_revalidate && !self.proxy_revalidate,
            ..cc
        }
    }
}

impl Policy {
    /// What tells the keys and the stored responses of one policy from those of another: two policies with equal
    /// texts may share what is stored. Lifetimes are not in it: a change of them is for what comes.
    pub fn key_rules(&self) -> Vec<u8> {
        let mut text = vec![u8::from(self.store_set_cookie), u8::from(self.store_until_close)];
        let names = self.personal_cookies.iter().map(String::as_str);
        push_list(&mut text, names.collect());
        push_list(&mut text, self.query.patterns());
        // What is left at its default is not written, so that what was stored before there was such a rule is kept.
        let cookies = [&self.cookies.ignored, &self.cookies.variant, &self.cookies.bypass];
        for (tag, names) in (1..).zip(cookies) {
            if !names.is_empty() {
                text.push(tag);
                push_list(&mut text, names.patterns().collect());
            }
        }
        if !self.variant_fields.is_empty() {
            text.push(4);
            push_list(&mut text, self.variant_fields.iter().map(HeaderName::as_str).collect());
        }
        if self.hide_clients {
            text.push(5);
        }
        text
    }
}

fn push_list(text: &mut Vec<u8>, list: Vec<&str>) {
    text.extend_from_slice(&(list.len() as u64).to_be_bytes());
    for name in list {
        text.extend_from_slice(&(name.len() as u64).to_be_bytes());
        text.extend_from_slice(name.as_bytes());
    }
}

/// How long responses last, beyond what they say themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifetimes {
    /// Of every response of a usual status, whatever it states: **against the RFC**, by which the origin decides.
    pub forced: Option<Duration>,
    /// Of responses that state none, by their status.
    pub by_status: Vec<(StatusRange, Duration)>,
    /// Of a response that states none and may be given one (RFC 9111 §4.2.2).
    pub default: Option<Duration>,
    /// The guess at how long a response lasts that states nothing but when it was last modified.
    pub heuristic: Heuristic,
    /// Raises what responses state: **against the RFC**, by which the origin decides.
    pub min: Option<Duration>,
    /// Lowers what responses state, which a cache is free to do.
    pub max: Option<Duration>,
}

/// Heuristic freshness (RFC 9111 §4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heuristic {
    /// So many percent of the time since the response was last modified; 0 is off.
    pub percent: u8,
    /// The most that comes of it.
    pub max: Duration,
}

impl Default for Heuristic {
    fn default() -> Self {
        Self { percent: 10, max: Duration::from_hours(24) }
    }
}

impl Heuristic {
    fn of(self, unchanged_for: Duration) -> Option<Duration> {
        let guess = unchanged_for.saturating_mul(u32::from(self.percent)) / 100;
        Some(guess.min(self.max)).filter(|guess| !guess.is_zero())
    }
}

/// Status codes from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StatusRange {
    /// The first one.
    pub first: u16,
    /// The last one.
    pub last: u16,
}

impl StatusRange {
    /// Whether a status is among them.
    pub fn contains(self, status: StatusCode) -> bool {
        (self.first..=self.last).contains(&status.as_u16())
    }
}

/// Where a lifetime comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The response states it (RFC 9111 §4.2.1).
    Stated,
    /// The operator's for all responses, against the RFC.
    Forced,
    /// The operator's for this status.
    ByStatus,
    /// The operator's for responses that state none.
    Default,
    /// Guessed from `Last-Modified` (RFC 9111 §4.2.2).
    Heuristic,
    /// It has none: it may be used only after validation.
    None,
}

impl Lifetimes {
    /// The lifetime of a response that states `stated`, or that states none and had been unchanged for so long; and
    /// where it comes from. `None` if it has none.
    pub fn of(
        &self,
        status: StatusCode,
        stated: Option<Duration>,
        unchanged_for: Option<Duration>,
        public: bool,
    ) -> Option<(Duration, Basis)> {
        if let Some(forced) = self.forced.filter(|_| is_usual(status)) {
            return Some((forced, Basis::Forced));
        }
        if let Some(stated) = stated {
            return Some((self.capped(stated.max(self.min.unwrap_or_default())), Basis::Stated));
        }
        let by_status = self.by_status.iter().find(|(range, _)| range.contains(status));
        let by_status = by_status.map(|(_, lifetime)| (*lifetime, Basis::ByStatus));
        let default = || {
            let may = is_usual(status) || (public && !status.is_client_error());
            self.default.filter(|_| may).map(|lifetime| (lifetime, Basis::Default))
        };
        let heuristic = || {
            let unchanged_for = unchanged_for.filter(|_| public || is_heuristically_cacheable(status))?;
            Some((self.heuristic.of(unchanged_for)?, Basis::Heuristic))
        };
        let (lifetime, basis) = by_status.or_else(default).or_else(heuristic)?;
        Some((self.capped(lifetime), basis))
    }

    fn capped(&self, lifetime: Duration) -> Duration {
        lifetime.min(self.max.unwrap_or(Duration::MAX))
    }
}

/// Whether a cache may guess a lifetime for this status (RFC 9110 §15.1).
fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// Whether an operator who gives all responses a lifetime means this status too: of errors only those are taken that
/// speak of the resource and not of one client's request.
fn is_usual(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308 | 404 | 410)
}

/// For how long an object outlasts its lifetime, where neither it nor the request says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlasting {
    /// For so long it may still answer when the origin fails (RFC 9111 §4.2.4).
    pub grace: Duration,
    /// For so long it may still answer while it is refreshed (RFC 5861 §3).
    pub while_revalidate: Duration,
    /// For so long beyond that it is kept to be confirmed; `None`: as long as the tiers keep it.
    pub keep: Option<Duration>,
}

impl Default for Outlasting {
    fn default() -> Self {
        Self { grace: Duration::from_hours(24), while_revalidate: Duration::ZERO, keep: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::patterns::Names;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn of(
        lifetimes: &Lifetimes,
        status: u16,
        stated: Option<u64>,
        unchanged: Option<u64>,
    ) -> Option<(u64, Basis)> {
        let status = StatusCode::from_u16(status).expect("a status");
        let found = lifetimes.of(status, stated.map(secs), unchanged.map(secs), false);
        found.map(|(lifetime, basis)| (lifetime.as_secs(), basis))
    }

    #[test]
    fn a_stated_lifetime_is_kept_within_bounds() {
        let free = Lifetimes::default();
        assert_eq!(of(&free, 200, Some(7), Some(1000)), Some((7, Basis::Stated)));
        let bound = Lifetimes { min: Some(secs(5)), max: Some(secs(60)), ..free };
        let lifetimes =
            [0, 5, 30, 61].map(|stated| of(&bound, 500, Some(stated), None).map(|(lifetime, _)| lifetime));
        assert_eq!(lifetimes, [5, 5, 30, 60].map(Some));
    }

    #[test]
    fn what_states_none_lasts_for_a_tenth_of_its_age_at_most_a_day() {
        let free = Lifetimes::default();
        for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
            assert_eq!(of(&free, status, None, Some(1000)), Some((100, Basis::Heuristic)), "{status}");
        }
        for status in [201, 302, 303, 307, 400, 403, 500, 502, 503, 504, 599] {
            assert_eq!(of(&free, status, None, Some(1000)), None, "{status}");
        }
        assert_eq!(of(&free, 200, None, Some(u64::MAX)), Some((86_400, Basis::Heuristic)));
        assert_eq!(of(&free, 200, None, None), None);
        let public = free.of(StatusCode::BAD_GATEWAY, None, Some(secs(1000)), true);
        assert_eq!(public, Some((secs(100), Basis::Heuristic)));
        let off = Lifetimes { heuristic: Heuristic { percent: 0, ..Heuristic::default() }, ..free };
        assert_eq!(of(&off, 200, None, Some(1000)), None);
    }

    #[test]
    fn the_operators_lifetimes_come_before_the_guess() {
        let lifetimes = Lifetimes {
            default: Some(secs(90)),
            by_status: vec![
                (StatusRange { first: 404, last: 404 }, secs(9)),
                (StatusRange { first: 500, last: 599 }, secs(1)),
            ],
            max: Some(secs(60)),
            min: Some(secs(70)),
            ..Lifetimes::default()
        };
        for status in [200, 203, 204, 300, 301, 308, 410] {
            assert_eq!(of(&lifetimes, status, None, Some(1000)), Some((60, Basis::Default)), "{status}");
        }
        assert_eq!(of(&lifetimes, 404, None, None), Some((9, Basis::ByStatus)));
        assert_eq!(of(&lifetimes, 503, None, None), Some((1, Basis::ByStatus)));
        for status in [201, 302, 400, 403, 405, 414, 431] {
            assert_eq!(of(&lifetimes, status, None, None), None, "{status}");
        }
        let public = |status| lifetimes.of(status, None, None, true).map(|(lifetime, _)| lifetime);
        assert_eq!(public(StatusCode::FOUND), Some(secs(60)));
        assert_eq!(public(StatusCode::FORBIDDEN), None);
    }

    #[test]
    fn a_forced_lifetime_is_above_all_for_usual_answers() {
        let forced = Lifetimes { forced: Some(secs(5)), max: Some(secs(1)), ..Lifetimes::default() };
        assert_eq!(of(&forced, 200, Some(3600), None), Some((5, Basis::Forced)));
        assert_eq!(of(&forced, 500, None, None), None);
        assert_eq!(of(&forced, 500, Some(9), None), Some((1, Basis::Stated)));
    }

    #[test]
    fn what_is_ignored_is_not_said() {
        let all = CacheControl {
            no_store: true,
            no_cache: Qualified::All,
            must_revalidate: true,
            proxy_revalidate: true,
            private: Qualified::All,
            ..CacheControl::default()
        };
        let ignored = IgnoredDirectives {
            no_store: true,
            no_cache: true,
            must_revalidate: true,
            proxy_revalidate: true,
            s_maxage_revalidates: true,
        };
        assert_eq!(ignored.apply(all), CacheControl { private: Qualified::All, ..CacheControl::default() });
        assert_eq!(IgnoredDirectives::default().apply(all), all);
    }

    #[test]
    fn the_rules_of_keys_differ_where_keys_or_stored_responses_would() {
        let plain = Policy::default();
        let cookies = |names: &[&str]| Policy {
            personal_cookies: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Policy::default()
        };
        let ignoring = |names: &[&str]| Policy {
            query: QueryRules::ignoring(names.iter().copied()),
            ..Policy::default()
        };
        let names = |name| Names::new([name]);
        let by_cookies = |cookies| Policy { cookies, ..Policy::default() };
        let none = CookieRules::default;
        let longer = Policy {
            lifetimes: Lifetimes { max: Some(secs(1)), ..Lifetimes::default() },
            ..Policy::default()
        };
        let texts = [
            &plain,
            &cookies(&["ab"]),
            &cookies(&["a", "b"]),
            &ignoring(&["ab"]),
            &Policy {
                query: QueryRules { kept: Some(names("ab")), ..QueryRules::default() },
                ..Policy::default()
            },
            &Policy { query: QueryRules { sort: true, ..QueryRules::default() }, ..Policy::default() },
            &by_cookies(CookieRules { ignored: names("ab"), ..none() }),
            &by_cookies(CookieRules { variant: names("ab"), ..none() }),
            &by_cookies(CookieRules { bypass: names("ab"), ..none() }),
            &Policy { variant_fields: vec![HeaderName::from_static("ab")], ..Policy::default() },
            &Policy { hide_clients: true, ..Policy::default() },
        ]
        .map(Policy::key_rules);
        for (index, text) in texts.iter().enumerate() {
            assert!(!texts.iter().skip(index + 1).any(|other| other == text), "{index}");
        }
        assert_eq!(plain.key_rules(), longer.key_rules());
    }
}
