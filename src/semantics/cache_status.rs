//! `Cache-Status`: what the cache did with a request, for people and tools (RFC 9211).

use http::header::CACHE_STATUS;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::structured::{push_integer, push_token_or_string};

/// Why a request went on to the origin: the values of `fwd` (RFC 9211 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forward {
    /// Nothing is stored for the URL.
    UriMiss,
    /// Something is stored for the URL, but for other values of the fields that `Vary` names.
    VaryMiss,
    /// Nothing usable is stored, for either reason.
    Miss,
    /// What is stored is stale.
    Stale,
    /// The cache was told not to handle this request.
    Bypass,
    /// The request's method is not answered from a cache.
    Method,
    /// What is stored is fresh, but the request does not allow its use.
    Request,
    /// What is stored does not hold all that is asked for.
    Partial,
}

impl Forward {
    /// All of them, in their order.
    pub const ALL: [Self; 8] = [
        Self::UriMiss,
        Self::VaryMiss,
        Self::Miss,
        Self::Stale,
        Self::Bypass,
        Self::Method,
        Self::Request,
        Self::Partial,
    ];

    /// The name in `fwd`, in logs and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Stale => "stale",
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::Request => "request",
            Self::Partial => "partial",
        }
    }
}

/// What this cache did with one request (RFC 9211 §2). It writes what it is given; by the RFC, a `hit` has no
/// `forward`, and `forward_status`, `stored` and `collapsed` go with a `forward`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatus {
    /// Answered from the cache, without going forward.
    pub hit: bool,
    /// Why the request went to the origin.
    pub forward: Option<Forward>,
    /// What the origin answered, where that is not the status which the client sees.
    pub forward_status: Option<StatusCode>,
    /// Seconds of freshness left; negative for a stale response.
    pub ttl: Option<i64>,
    /// Whether the origin's answer was stored.
    pub stored: bool,
    /// Whether the request shared another's fetch.
    pub collapsed: bool,
    /// More, in one word of the node's own.
    pub detail: Option<&'static str>,
}

impl CacheStatus {
    /// Adds this as the last member, after those of caches nearer to the origin (RFC 9211 §2): `name` says
    /// which cache speaks. Fields beyond what a header map holds are left out.
    pub fn append_to(&self, name: &str, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::try_from(self.text(name)) {
            // An overfull map only loses this note.
            let _ = headers.try_append(CACHE_STATUS, value);
        }
    }

    /// The member, as `forebay; hit; ttl=3599`.
    fn text(&self, name: &str) -> String {
        let mut out = String::with_capacity(name.len() + 64);
        push_token_or_string(&mut out, name);
        if self.hit {
            out.push_str("; hit");
        }
        if let Some(forward) = self.forward {
            out.push_str("; fwd=");
            out.push_str(forward.name());
        }
        if let Some(status) = self.forward_status {
            out.push_str("; fwd-status=");
            out.push_str(status.as_str());
        }
        if self.stored {
            out.push_str("; stored");
        }
        if self.collapsed {
            out.push_str("; collapsed");
        }
        if let Some(ttl) = self.ttl {
            out.push_str("; ttl=");
            push_integer(&mut out, ttl);
        }
        if let Some(detail) = self.detail {
            out.push_str("; detail=");
            push_token_or_string(&mut out, detail);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::testing::fields;

    #[test]
    fn a_hit_is_short() {
        let status = CacheStatus { hit: true, ttl: Some(3599), ..CacheStatus::default() };
        assert_eq!(status.text("forebay"), "forebay; hit; ttl=3599");
        let stale = CacheStatus { hit: true, ttl: Some(-12), ..CacheStatus::default() };
        assert_eq!(stale.text("forebay"), "forebay; hit; ttl=-12");
    }

    #[test]
    fn a_forward_says_why_and_what_came_of_it() {
        let miss = CacheStatus { forward: Some(Forward::UriMiss), stored: true, ..CacheStatus::default() };
        assert_eq!(miss.text("forebay"), "forebay; fwd=uri-miss; stored");
        let refreshed = CacheStatus {
            forward: Some(Forward::Stale),
            forward_status: Some(StatusCode::NOT_MODIFIED),
            stored: true,
            collapsed: true,
            detail: Some("hit-for-miss"),
            ..CacheStatus::default()
        };
        assert_eq!(
            refreshed.text("forebay"),
            "forebay; fwd=stale; fwd-status=304; stored; collapsed; detail=hit-for-miss"
        );
    }

    #[test]
    fn ours_comes_after_the_inner_caches() {
        let mut headers = fields(&[("cache-status", "inner; hit")]);
        CacheStatus { hit: true, ..CacheStatus::default() }.append_to("my edge", &mut headers);
        let lines: Vec<_> = headers.get_all(CACHE_STATUS).into_iter().collect();
        assert_eq!(lines, ["inner; hit", r#""my edge"; hit"#]);
    }
}
