//! What a request's `Cache-Control` asks of a cache (RFC 9111 §5.2.1).

use std::time::Duration;

use http::HeaderMap;
use http::header::{CACHE_CONTROL, PRAGMA};

use super::delta::Delta;
use super::directive::Directive;

/// The directives of a request. They are advisory: a cache may ignore them, and a site can have it so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a directive that is there or not")]
pub struct RequestDirectives {
    /// `no-cache`: nothing stored may be used without asking the origin.
    pub no_cache: bool,
    /// `no-store`: nothing of the request or its answer may be kept.
    pub no_store: bool,
    /// `only-if-cached`: the origin may not be asked.
    pub only_if_cached: bool,
    /// `max-age`: nothing older.
    pub max_age: Option<Duration>,
    /// `min-fresh`: nothing that is fresh for less.
    pub min_fresh: Option<Duration>,
    /// `max-stale`: stale for at most so long is welcome.
    pub max_stale: Option<Duration>,
    /// `stale-if-error`: stale for at most so long will do if the origin fails (RFC 5861 §4).
    pub stale_if_error: Option<Duration>,
}

impl RequestDirectives {
    /// Reads all lines of `Cache-Control`; without that field, `Pragma: no-cache` says the same as `no-cache`
    /// (RFC 9111 §5.4).
    ///
    /// Numbers that are malformed count as what the origin is asked for: `max-age` as zero, `min-fresh` as endless,
    /// the others as absent. Of two the stricter one counts.
    pub fn of(headers: &HeaderMap) -> Self {
        if headers.contains_key(CACHE_CONTROL) {
            return Directive::all_of(headers, &CACHE_CONTROL).fold(Self::default(), Self::with);
        }
        let no_cache = headers.contains_key(PRAGMA)
            && Directive::all_of(headers, &PRAGMA).any(|directive| directive.is("no-cache"));
        Self { no_cache, ..Self::default() }
    }

    /// What is left where a site does not heed its clients' wishes: that nothing be kept.
    #[must_use]
    pub fn unheeded(self) -> Self {
        Self { no_store: self.no_store, ..Self::default() }
    }

    /// Whether it asks for anything at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn with(mut self, directive: Directive<'_>) -> Self {
        let least = |before: Option<Duration>, delta: Option<Delta>| {
            let delta = delta.map(Delta::as_duration);
            before.into_iter().chain(delta).min()
        };
        if directive.is("max-age") {
            self.max_age = least(self.max_age, directive.delta().or(Some(Delta::ZERO)));
        } else if directive.is("min-fresh") {
            let asked = directive.delta().map_or(Duration::MAX, Delta::as_duration);
            self.min_fresh = self.min_fresh.max(Some(asked));
        } else if directive.is("max-stale") {
            self.max_stale = if directive.argument.is_none() {
                self.max_stale.or(Some(Duration::MAX))
            } else {
                least(self.max_stale, directive.delta())
            };
        } else if directive.is("stale-if-error") {
            self.stale_if_error = least(self.stale_if_error, directive.delta());
        } else {
            self.no_cache |= directive.is("no-cache");
            self.no_store |= directive.is("no-store");
            self.only_if_cached |= directive.is("only-if-cached");
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::testing::fields;

    fn read(value: &str) -> RequestDirectives {
        RequestDirectives::of(&fields(&[("cache-control", value)]))
    }

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn each_is_read() {
        let all =
            "No-Cache, no-store, only-if-cached, max-age=1, min-fresh=2, max-stale=3, stale-if-error=\"4\"";
        let read = read(all);
        assert!(read.no_cache && read.no_store && read.only_if_cached);
        let numbers = [read.max_age, read.min_fresh, read.max_stale, read.stale_if_error];
        assert_eq!(numbers, [1, 2, 3, 4].map(|number| Some(secs(number))));
        assert!(RequestDirectives::of(&HeaderMap::new()).is_empty());
    }

    #[test]
    fn what_is_malformed_asks_the_origin() {
        assert_eq!(read("max-age=x").max_age, Some(secs(0)));
        assert_eq!(read("min-fresh=x").min_fresh, Some(Duration::MAX));
        for wrong in ["max-stale=x", "max-stale=", "max-stale=\"\""] {
            assert_eq!(read(wrong).max_stale, None, "{wrong}");
        }
        assert_eq!(read("stale-if-error=-1").stale_if_error, None);
    }

    #[test]
    fn of_two_the_stricter_counts() {
        assert_eq!(read("max-age=5, max-age=3").max_age, Some(secs(3)));
        assert_eq!(read("min-fresh=5, min-fresh=3").min_fresh, Some(secs(5)));
        assert_eq!(read("max-stale, max-stale=3").max_stale, Some(secs(3)));
        assert_eq!(read("max-stale=3, max-stale").max_stale, Some(secs(3)));
        assert_eq!(read("max-stale").max_stale, Some(Duration::MAX));
    }

    #[test]
    fn pragma_speaks_only_where_cache_control_is_silent() {
        assert!(RequestDirectives::of(&fields(&[("pragma", "No-Cache")])).no_cache);
        assert!(RequestDirectives::of(&fields(&[("pragma", "x")])).is_empty());
        let both = fields(&[("pragma", "no-cache"), ("cache-control", "max-age=5")]);
        assert!(!RequestDirectives::of(&both).no_cache);
    }

    #[test]
    fn unheeded_only_the_wish_to_leave_no_trace_is_left() {
        assert_eq!(read("no-cache, max-age=0, only-if-cached").unheeded(), RequestDirectives::default());
        assert!(read("no-store, no-cache").unheeded().no_store);
    }
}
