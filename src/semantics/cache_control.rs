//! `Cache-Control`, read for a shared cache (RFC 9111 §5.2).

use http::HeaderMap;
use http::header::CACHE_CONTROL;

use super::delta::Delta;
use super::fields::list_members;

/// What a response's `Cache-Control` says to a shared cache (RFC 9111 §5.2.2).
///
/// Names are read in any case of letters; unknown directives, and arguments where none belongs, are
/// ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a directive that is there or not")]
pub struct CacheControl {
    /// `max-age`: how long it is fresh. See [`CacheControl::of`] for what happens to malformed numbers.
    pub max_age: Option<Delta>,
    /// `s-maxage`: the same for shared caches only, above `max-age`.
    pub s_maxage: Option<Delta>,
    /// `no-store`: may not be kept.
    pub no_store: bool,
    /// `no-cache`: may not be reused without asking the origin.
    pub no_cache: NoCache,
    /// `private`: meant for one user. The qualified form, `private="set-cookie"`, would let a cache keep
    /// the rest; it counts as the bare one, the safe reading.
    pub private: bool,
    /// `public`: may be kept though the request had credentials.
    pub public: bool,
    /// `must-revalidate`: never to be served stale.
    pub must_revalidate: bool,
    /// `proxy-revalidate`: the same for shared caches.
    pub proxy_revalidate: bool,
    /// `must-understand`: may be kept only by a cache that knows the status code.
    pub must_understand: bool,
}

/// The forms of `no-cache` (RFC 9111 §5.2.2.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoCache {
    /// Absent.
    #[default]
    No,
    /// `no-cache="a, b"`: only those fields need validation. For reuse this counts as [`NoCache::All`],
    /// which can only ask the origin too often.
    Fields,
    /// Bare: nothing may be reused without validation.
    All,
}

impl CacheControl {
    /// Reads all lines of the field (RFC 9111 §5.2.2).
    ///
    /// A malformed number (empty, negative, `+60`, `60s`, spaces around the `=`) counts as zero: §4.2.1
    /// encourages taking such a response for stale. Of a directive given twice the smaller number counts,
    /// again the reading that is stale first. The quoted form, `max-age="60"`, is accepted.
    pub fn of(headers: &HeaderMap) -> Self {
        list_members(headers, &CACHE_CONTROL).map(Directive::split).fold(Self::default(), Self::with)
    }

    /// These directives and one more.
    fn with(mut self, directive: Directive<'_>) -> Self {
        if directive.is("max-age") {
            self.max_age = Some(directive.smaller_of(self.max_age));
        } else if directive.is("s-maxage") {
            self.s_maxage = Some(directive.smaller_of(self.s_maxage));
        } else if directive.is("no-cache") {
            let bare = directive.argument.is_none() || self.no_cache == NoCache::All;
            self.no_cache = if bare { NoCache::All } else { NoCache::Fields };
        } else {
            self.no_store |= directive.is("no-store");
            self.private |= directive.is("private");
            self.public |= directive.is("public");
            self.must_revalidate |= directive.is("must-revalidate");
            self.proxy_revalidate |= directive.is("proxy-revalidate");
            self.must_understand |= directive.is("must-understand");
        }
        self
    }
}

/// Whether the request asks that no part of it or of its answer be kept (`no-store`, RFC 9111 §5.2.1.5).
pub fn request_forbids_store(headers: &HeaderMap) -> bool {
    list_members(headers, &CACHE_CONTROL).any(|member| Directive::split(member).is("no-store"))
}

/// One directive: `name` or `name=argument`.
#[derive(Clone, Copy)]
struct Directive<'a> {
    name: &'a [u8],
    argument: Option<&'a [u8]>,
}

impl<'a> Directive<'a> {
    fn split(member: &'a [u8]) -> Self {
        let mut parts = member.splitn(2, |byte| *byte == b'=');
        Self { name: parts.next().unwrap_or_default(), argument: parts.next() }
    }

    /// Whether this is the directive `name`. A space before the `=` does not hide a `private`; the number
    /// of a directive written so is malformed (see [`Directive::delta`]).
    fn is(&self, name: &str) -> bool {
        self.name.trim_ascii_end().eq_ignore_ascii_case(name.as_bytes())
    }

    fn smaller_of(&self, before: Option<Delta>) -> Delta {
        let delta = self.delta();
        before.map_or(delta, |before| before.min(delta))
    }

    /// The argument as a number, zero if it is none.
    fn delta(&self) -> Delta {
        if self.name.ends_with(b" ") || self.name.ends_with(b"\t") {
            return Delta::ZERO;
        }
        self.argument.and_then(|text| Delta::parse(unquoted(text))).unwrap_or(Delta::ZERO)
    }
}

/// The inside of `"text"`, or `text` as it is.
fn unquoted(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::semantics::testing::{fields, repeated};

    fn read(value: &str) -> CacheControl {
        CacheControl::of(&fields(&[("cache-control", value)]))
    }

    fn max_age(value: &str) -> Option<u64> {
        read(value).max_age.map(|delta| delta.as_duration().as_secs())
    }

    #[test]
    fn directives_have_no_case_and_may_span_lines() {
        let headers = fields(&[("cache-control", "Public, MAX-AGE=60"), ("cache-control", "S-MaxAge=5")]);
        let cc = CacheControl::of(&headers);
        assert!(cc.public);
        assert_eq!(cc.max_age.map(Delta::as_duration), Some(Duration::from_mins(1)));
        assert_eq!(cc.s_maxage.map(Delta::as_duration), Some(Duration::from_secs(5)));
    }

    #[test]
    fn numbers_are_read_or_count_as_stale() {
        assert_eq!(max_age("max-age=60"), Some(60));
        assert_eq!(max_age("max-age=\"60\""), Some(60));
        assert_eq!(max_age("max-age=99999999999999999999"), Some(1 << 31));
        for wrong in ["max-age", "max-age=", "max-age=-1", "max-age=+60", "max-age=60s", "max-age= 60"] {
            assert_eq!(max_age(wrong), Some(0), "{wrong}");
        }
        for wrong in ["max-age =60", "max-age='60'", "max-age=\"60", "max-age=1.5"] {
            assert_eq!(max_age(wrong), Some(0), "{wrong}");
        }
        assert_eq!(max_age("xmax-age=60"), None);
    }

    #[test]
    fn of_two_numbers_the_smaller_counts() {
        assert_eq!(max_age("max-age=60, max-age=5"), Some(5));
        assert_eq!(max_age("max-age=5, max-age=60"), Some(5));
        assert_eq!(max_age("max-age=60, max-age=x"), Some(0));
    }

    #[test]
    fn an_argument_is_not_a_directive() {
        let cc = read(r#"ext="no-store, max-age=5", max-age=60"#);
        assert!(!cc.no_store);
        assert_eq!(cc.max_age.map(Delta::as_duration), Some(Duration::from_mins(1)));
    }

    #[test]
    fn the_qualified_forms_are_seen() {
        assert_eq!(read("no-cache").no_cache, NoCache::All);
        assert_eq!(read(r#"no-cache="a, b""#).no_cache, NoCache::Fields);
        assert_eq!(read(r#"no-cache, no-cache="a""#).no_cache, NoCache::All);
        assert_eq!(read(r#"no-cache="a", no-cache"#).no_cache, NoCache::All);
        assert!(read(r#"private="set-cookie""#).private);
        assert!(read("private =x").private);
    }

    #[test]
    fn a_request_can_forbid_keeping() {
        assert!(request_forbids_store(&fields(&[("cache-control", "max-age=0, No-Store")])));
        assert!(!request_forbids_store(&fields(&[("cache-control", "no-cache")])));
    }

    proptest! {
        #[test]
        fn adding_private_is_always_seen(before in r#"[a-z=", \\]{0,20}"#) {
            let headers = repeated(&CACHE_CONTROL, &[before, "private".to_owned()]);
            prop_assert!(CacheControl::of(&headers).private);
        }
    }
}
