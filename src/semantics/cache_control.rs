//! What a response's `Cache-Control` says to a shared cache (RFC 9111 §5.2.2).

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName};

use super::delta::Delta;
use super::directive::{Directive, smaller, unquoted};
use super::targeted::{self, TargetList};

/// The directives that rule a response here.
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
    pub no_cache: Qualified,
    /// `private`: meant for one user.
    pub private: Qualified,
    /// `public`: may be kept though the request had credentials.
    pub public: bool,
    /// `must-revalidate`: never to be served stale.
    pub must_revalidate: bool,
    /// `proxy-revalidate`: the same for shared caches.
    pub proxy_revalidate: bool,
    /// `must-understand`: may be kept only by a cache that knows the status code.
    pub must_understand: bool,
    /// `immutable`: does not change while it is fresh (RFC 8246).
    pub immutable: bool,
    /// `stale-while-revalidate`: for so long it may be used stale while it is refreshed (RFC 5861 §3).
    pub stale_while_revalidate: Option<Delta>,
    /// `stale-if-error`: for so long it may be used stale when the origin fails (RFC 5861 §4).
    pub stale_if_error: Option<Delta>,
    /// They come from a targeted field, beside which `Expires` says nothing (RFC 9213 §2.2).
    pub targeted: bool,
}

/// The forms of `no-cache` and `private` (RFC 9111 §5.2.2.4, §5.2.2.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Qualified {
    /// Absent.
    #[default]
    No,
    /// `no-cache="a, b"`: it is about those fields only, which are not stored ([`qualified_fields`]).
    Fields,
    /// Bare, or with an argument that names no fields: it is about the whole response.
    All,
}

impl Qualified {
    /// The stronger one of two.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::Fields, _) | (_, Self::Fields) => Self::Fields,
            _ => Self::No,
        }
    }

    /// The form of a directive with this argument.
    pub(super) fn of(argument: Option<&[u8]>) -> Self {
        if argument.is_some_and(|argument| field_names(argument).is_some()) {
            Self::Fields
        } else {
            Self::All
        }
    }
}

impl CacheControl {
    /// What rules a response: the first targeted field of `targets` that is well-formed and says something, else
    /// `Cache-Control` (RFC 9213 §2.2).
    pub fn ruling(headers: &HeaderMap, targets: &TargetList) -> Self {
        targeted::ruling(headers, targets).unwrap_or_else(|| Self::of(headers))
    }

    /// Reads all lines of `Cache-Control` (RFC 9111 §5.2.2).
    ///
    /// A malformed number (empty, negative, `+60`, `60s`, spaces around the `=`) counts as zero: §4.2.1
    /// encourages taking such a response for stale. Of a directive given twice the smaller number counts,
    /// again the reading that is stale first. The quoted form, `max-age="60"`, is accepted.
    pub fn of(headers: &HeaderMap) -> Self {
        Directive::all_of(headers, &CACHE_CONTROL).fold(Self::default(), Self::with)
    }

    /// These directives and one more.
    fn with(mut self, directive: Directive<'_>) -> Self {
        let number = |before| Some(smaller(before, directive.delta().unwrap_or(Delta::ZERO)));
        if directive.is("max-age") {
            self.max_age = number(self.max_age);
        } else if directive.is("s-maxage") {
            self.s_maxage = number(self.s_maxage);
        } else if directive.is("stale-while-revalidate") {
            self.stale_while_revalidate = number(self.stale_while_revalidate);
        } else if directive.is("stale-if-error") {
            self.stale_if_error = number(self.stale_if_error);
        } else if directive.is("no-cache") {
            self.no_cache = self.no_cache.and(Qualified::of(directive.argument));
        } else if directive.is("private") {
            self.private = self.private.and(Qualified::of(directive.argument));
        } else {
            self.no_store |= directive.is("no-store");
            self.public |= directive.is("public");
            self.must_revalidate |= directive.is("must-revalidate");
            self.proxy_revalidate |= directive.is("proxy-revalidate");
            self.must_understand |= directive.is("must-understand");
            self.immutable |= directive.is("immutable");
        }
        self
    }

    /// Whether it is about some fields of the response only, which then are not stored.
    pub fn names_fields(&self) -> bool {
        self.no_cache == Qualified::Fields || self.private == Qualified::Fields
    }
}

/// The fields that a response's `no-cache="…"` and `private="…"` name: they are not stored, and not handed to other
/// clients (RFC 9111 §5.2.2.4, §5.2.2.7).
///
/// `Cache-Control` itself and the fields that say how the content is coded cannot be taken out this way.
pub fn qualified_fields(headers: &HeaderMap, targets: &TargetList) -> Vec<HeaderName> {
    if let Some(names) = targeted::qualified_fields(headers, targets) {
        return names;
    }
    Directive::all_of(headers, &CACHE_CONTROL)
        .filter(|directive| directive.is("no-cache") || directive.is("private"))
        .filter_map(|directive| field_names(directive.argument?))
        .flatten()
        .filter(may_be_left_out)
        .collect()
}

/// The names in an argument, quoted or a single token; `None` if there is none or something that is no name.
pub(super) fn field_names(argument: &[u8]) -> Option<Vec<HeaderName>> {
    let argument = unquoted(argument);
    let members = argument.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let names: Option<Vec<_>> =
        members.filter(|name| !name.is_empty()).map(|name| HeaderName::from_bytes(name).ok()).collect();
    names.filter(|names| !names.is_empty())
}

/// Without these a stored response would mean something else.
pub(super) fn may_be_left_out(name: &HeaderName) -> bool {
    use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, VARY};
    ![CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, VARY].contains(name)
}

#[cfg(test)]
mod tests;
