//! What of a request's fields decides about its way, found in one pass over their names: a look for each of a dozen
//! fields, of which mostly none is there, costs many times as much.

use std::ops::BitOr;

use http::{HeaderMap, HeaderName};

use super::fields::is_hop_by_hop;

/// Kinds of fields that a request may have. One that is not in a set is surely not in the request; one that is may have
/// been taken off since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notable(u16);

impl Notable {
    /// None of them.
    const NONE: Self = Self(0);
    /// `Connection`.
    pub const CONNECTION: Self = Self(1);
    /// Any other field that concerns one connection only (RFC 9110 §7.6.1).
    pub const HOP_BY_HOP: Self = Self(1 << 1);
    /// `Cache-Control` or `Pragma`.
    pub const DIRECTIVES: Self = Self(1 << 2);
    /// `If-None-Match` or `If-Modified-Since`.
    pub const CONDITION: Self = Self(1 << 3);
    /// `If-Match` or `If-Unmodified-Since`.
    pub const ORIGIN_CONDITION: Self = Self(1 << 4);
    /// `Range`.
    pub const RANGE: Self = Self(1 << 5);
    /// `Expect`.
    pub const EXPECT: Self = Self(1 << 6);
    /// `CDN-Loop`.
    pub const LOOP: Self = Self(1 << 7);
    /// `Early-Data`.
    pub const EARLY_DATA: Self = Self(1 << 8);
    /// Anything that is not known to be of every client, such as a claim that only a proxy may make.
    pub const OTHER: Self = Self(1 << 9);

    /// The kinds of a request's fields.
    pub fn of(request: &HeaderMap) -> Self {
        request.keys().fold(Self::NONE, |kinds, name| kinds | Self::of_name(name))
    }

    /// Whether one of these kinds may be there.
    pub const fn may_have(self, any_of: Self) -> bool {
        self.0 & any_of.0 != 0
    }

    /// The kind of one field.
    pub fn of_name(name: &HeaderName) -> Self {
        match name.as_str() {
            "host"
            | "user-agent"
            | "accept"
            | "accept-encoding"
            | "accept-language"
            | "referer"
            | "cookie"
            | "authorization"
            | "origin"
            | "if-range"
            | "dnt"
            | "priority"
            | "upgrade-insecure-requests" => Self::NONE,
            "connection" => Self::CONNECTION,
            "cache-control" | "pragma" => Self::DIRECTIVES,
            "if-none-match" | "if-modified-since" => Self::CONDITION,
            "if-match" | "if-unmodified-since" => Self::ORIGIN_CONDITION,
            "range" => Self::RANGE,
            "expect" => Self::EXPECT,
            "cdn-loop" => Self::LOOP,
            "early-data" => Self::EARLY_DATA,
            _ if is_hop_by_hop(name) => Self::HOP_BY_HOP,
            // What browsers say of themselves, and no page can (Fetch §4.4.2).
            name if name.starts_with("sec-") => Self::NONE,
            _ => Self::OTHER,
        }
    }
}

impl BitOr for Notable {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::testing::fields;
    use crate::semantics::validation;

    #[test]
    fn every_kind_is_found_and_no_other() {
        let all = [
            ("connection", Notable::CONNECTION),
            ("te", Notable::HOP_BY_HOP),
            ("pragma", Notable::DIRECTIVES),
            ("if-none-match", Notable::CONDITION),
            ("if-match", Notable::ORIGIN_CONDITION),
            ("range", Notable::RANGE),
            ("expect", Notable::EXPECT),
            ("cdn-loop", Notable::LOOP),
            ("early-data", Notable::EARLY_DATA),
            ("x-any", Notable::OTHER),
        ];
        for (name, kind) in all {
            let found = Notable::of(&fields(&[("host", "a"), (name, "x"), ("sec-fetch-mode", "cors")]));
            assert_eq!(found, kind, "{name}");
            for (_, other) in all {
                assert_eq!(found.may_have(other), other == kind, "{name}");
            }
        }
        assert_eq!(Notable::of(&fields(&[("accept", "*/*"), ("cookie", "a=b")])), Notable::NONE);
    }

    #[test]
    fn what_others_look_for_by_name_is_of_its_kind() {
        let condition = Notable::CONDITION | Notable::ORIGIN_CONDITION;
        for name in http_names() {
            let kind = Notable::of_name(&name);
            assert_eq!(
                is_hop_by_hop(&name),
                kind.may_have(Notable::CONNECTION | Notable::HOP_BY_HOP),
                "{name}"
            );
            let conditional = validation::is_conditional(&name) && name != http::header::IF_RANGE;
            assert_eq!(conditional, kind.may_have(condition), "{name}");
        }
    }

    fn http_names() -> Vec<HeaderName> {
        let names = "connection keep-alive proxy-connection proxy-authenticate proxy-authorization \
            proxy-authentication-info te trailer transfer-encoding upgrade if-match if-none-match if-modified-since \
            if-unmodified-since if-range range host accept x-forwarded-for keep_alive connection2 cache-control";
        names.split_whitespace().map(|name| name.parse().expect("a name")).collect()
    }
}
