//! What the cookies of a request mean to the cache, by the operator's word (RFC 6265 §4.2).

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use super::patterns::Names;

/// What the cookies of a site's requests mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CookieRules {
    /// They say nothing about the response, and are taken out of requests whose response may be stored: the origin
    /// never sees them there, so that `Vary: Cookie` tells variants apart by the others. A cookie that means something
    /// by another rule is not ignored.
    pub ignored: Names,
    /// Their values are part of the key.
    pub variant: Names,
    /// A request with one of them passes by the cache.
    pub bypass: Names,
}

impl CookieRules {
    /// Whether no cookie has a meaning.
    pub fn is_empty(&self) -> bool {
        self.ignored.is_empty() && self.variant.is_empty() && self.bypass.is_empty()
    }

    /// Takes the ignored cookies out, but those in `personal`. A field of which nothing is left goes; a line without
    /// ignored cookies stays byte for byte.
    pub fn strip_ignored(&self, headers: &mut HeaderMap, personal: &[String]) {
        if self.ignored.is_empty() || !headers.contains_key(COOKIE) {
            return;
        }
        let ignores = |pair: &&[u8]| {
            let name = name_of(pair);
            self.ignored.has(name)
                && !self.variant.has(name)
                && !self.bypass.has(name)
                && !personal.iter().any(|personal| personal.as_bytes() == name)
        };
        let lines: Vec<&HeaderValue> = headers.get_all(COOKIE).into_iter().collect();
        if !lines.iter().any(|line| pairs(line).any(|pair| ignores(&pair))) {
            return;
        }
        let kept: Vec<HeaderValue> = lines
            .into_iter()
            .filter_map(|line| {
                if !pairs(line).any(|pair| ignores(&pair)) {
                    return Some(line.clone());
                }
                let kept: Vec<&[u8]> =
                    pairs(line).filter(|pair| !ignores(pair) && !pair.is_empty()).collect();
                // Made of parts of a legal value: it is one.
                if kept.is_empty() { None } else { HeaderValue::from_bytes(&kept.join(&b"; "[..])).ok() }
            })
            .collect();
        headers.remove(COOKIE);
        for line in kept {
            headers.append(COOKIE, line);
        }
    }

    /// The pairs of the request that are part of the key, in the order in which they came: one that is absent differs
    /// from one without a value, and a cookie that is there twice from one that is there once.
    pub fn variant_pairs<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a [u8]> {
        all_pairs(headers).filter(|pair| self.variant.has(name_of(pair)))
    }

    /// Whether the request has a cookie for which it passes by the cache.
    pub fn bypass(&self, headers: &HeaderMap) -> bool {
        !self.bypass.is_empty() && names(headers).any(|name| self.bypass.has(name))
    }
}

/// The names of a request's cookies.
pub fn names(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    all_pairs(headers).map(name_of)
}

fn all_pairs(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(COOKIE).into_iter().flat_map(pairs)
}

fn pairs(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii)
}

fn name_of(pair: &[u8]) -> &[u8] {
    pair.split(|byte| *byte == b'=').next().unwrap_or(pair).trim_ascii()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::semantics::testing::{fields, repeated};

    fn rules(ignored: &[&str], variant: &[&str], bypass: &[&str]) -> CookieRules {
        let names = |list: &[&str]| Names::new(list.iter().copied());
        CookieRules { ignored: names(ignored), variant: names(variant), bypass: names(bypass) }
    }

    fn left(rules: &CookieRules, lines: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, line.parse().expect("a value"));
        }
        rules.strip_ignored(&mut headers, &["session".to_owned()]);
        headers.get_all(COOKIE).iter().map(|line| line.to_str().expect("text").to_owned()).collect()
    }

    #[test]
    fn ignored_cookies_go_and_an_emptied_field_with_them() {
        let ignoring = rules(&["_ga*", "seen"], &[], &[]);
        assert_eq!(left(&ignoring, &["_ga=1; a=2;seen; b=_ga"]), ["a=2; b=_ga"]);
        assert_eq!(left(&ignoring, &["_ga_X=1", "a=2;b=3"]), ["a=2;b=3"]);
        assert_eq!(left(&ignoring, &["_ga=1;; seen=2"]), [""; 0]);
        assert_eq!(left(&ignoring, &["a=1 ;;b"]), ["a=1 ;;b"]);
        assert_eq!(left(&rules(&[], &[], &[]), &["_ga=1"]), ["_ga=1"]);
    }

    #[test]
    fn a_cookie_that_means_something_is_not_ignored() {
        let all_but = rules(&["*"], &["lang"], &["admin"]);
        assert_eq!(left(&all_but, &["x=1; lang=de; session=2; admin"]), ["lang=de; session=2; admin"]);
    }

    #[test]
    fn a_cookie_without_a_value_is_not_one_that_is_absent() {
        let rules = rules(&[], &["lang"], &[]);
        let pairs = |line: &str| {
            let headers = fields(&[("cookie", line)]);
            rules.variant_pairs(&headers).map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        let lines = ["x=1", "lang=", "lang", "lang=de", "lang=de; lang=en", "lang=en; lang=de"];
        let different: std::collections::BTreeSet<_> = lines.map(pairs).into_iter().collect();
        assert_eq!(different.len(), lines.len());
        assert_eq!(pairs("y=2;  lang=de"), pairs("lang=de ;x"));
    }

    #[test]
    fn one_is_enough_to_pass_by() {
        let rules = rules(&[], &[], &["wp_*"]);
        assert!(rules.bypass(&fields(&[("cookie", "a=1; wp_in=2")])));
        assert!(!rules.bypass(&fields(&[("cookie", "a=wp_in")])) && !rules.bypass(&HeaderMap::new()));
    }

    proptest! {
        #[test]
        fn nothing_else_is_lost_and_nothing_ignored_is_left(lines in prop::collection::vec("[ab=; ]{0,8}", 0..3)) {
            let rules = rules(&["a*"], &[], &[]);
            let before = repeated(&COOKIE, &lines);
            let mut after = before.clone();
            rules.strip_ignored(&mut after, &[]);
            let kept = |headers: &HeaderMap| {
                let pairs = all_pairs(headers).filter(|pair| !pair.is_empty() && !name_of(pair).starts_with(b"a"));
                pairs.map(<[u8]>::to_vec).collect::<Vec<_>>()
            };
            prop_assert_eq!(kept(&before), kept(&after));
            prop_assert!(names(&after).all(|name| !name.starts_with(b"a")));
            let once = after.clone();
            rules.strip_ignored(&mut after, &[]);
            prop_assert_eq!(once, after);
        }
    }
}
