//! Host names as the operator writes them, and the table that finds the best match.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use crate::semantics::target::{HostError, canonical_host, without_port};

/// The hosts that a site answers for: `shop.example`, `*.shop.example` (every name below, at any depth), or `*`
/// (every host that no other pattern takes).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// This one.
    Exact(String),
    /// Every name below this one, at any depth, and not this one.
    Below(String),
    /// Every host that no other pattern takes.
    Any,
}

/// Why a text is no pattern of hosts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostPatternError {
    /// No host at all.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A star that does not stand alone before the first dot.
    #[error("a star stands for whole names only: write \"*.example.com\", or \"*\" for every host")]
    Star,
    /// A port, which routes know nothing of.
    #[error("a site answers on every port: leave the port out")]
    Port,
    /// A star before an address.
    #[error("there are no names below an address")]
    Address,
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (below, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        if name.contains('*') {
            return Err(HostPatternError::Star);
        }
        // With a scheme that has no default port, every port would be kept: none may be there.
        let host = canonical_host(name, "")?;
        if without_port(&host) != host {
            return Err(HostPatternError::Port);
        }
        if below && (host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok()) {
            return Err(HostPatternError::Address);
        }
        Ok(if below { Self::Below(host) } else { Self::Exact(host) })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Below(host) => write!(f, "*.{host}"),
            Self::Any => f.write_str("*"),
        }
    }
}

/// What belongs to hosts.
#[derive(Debug)]
pub(super) struct Hosts<T> {
    exact: HashMap<String, T>,
    below: HashMap<String, T>,
    /// The bytes of the longest name in `below`: longer ones are not looked for, or a host of thousands of labels
    /// would be hashed once for each of them.
    longest_below: usize,
    any: Option<T>,
}

impl<T> Default for Hosts<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), below: HashMap::new(), longest_below: 0, any: None }
    }
}

impl<T> Hosts<T> {
    /// What came first stays.
    pub(super) fn add(&mut self, pattern: HostPattern, what: T) {
        match pattern {
            HostPattern::Exact(host) => {
                self.exact.entry(host).or_insert(what);
            }
            HostPattern::Below(host) => {
                self.longest_below = self.longest_below.max(host.len());
                self.below.entry(host).or_insert(what);
            }
            HostPattern::Any => {
                self.any.get_or_insert(what);
            }
        }
    }

    /// The exact match, else the one with the most labels, else what every host gets.
    pub(super) fn find(&self, canonical: &str) -> Option<&T> {
        if self.exact.is_empty() && self.below.is_empty() {
            return self.any.as_ref();
        }
        let host = without_port(canonical);
        self.exact(host).or_else(|| self.longest(host)).or(self.any.as_ref())
    }

    fn exact(&self, host: &str) -> Option<&T> {
        if self.exact.is_empty() { None } else { self.exact.get(host) }
    }

    fn longest(&self, host: &str) -> Option<&T> {
        if self.below.is_empty() {
            return None;
        }
        let parents = std::iter::successors(parent(host), |host| parent(host));
        let short_enough = |parent: &&str| parent.len() <= self.longest_below;
        parents.filter(short_enough).find_map(|parent| self.below.get(parent))
    }
}

/// What is after the first dot.
fn parent(host: &str) -> Option<&str> {
    host.split_once('.').map(|(_, parent)| parent)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Result<String, HostPatternError> {
        text.parse::<HostPattern>().map(|pattern| pattern.to_string())
    }

    fn hosts(patterns: &[&str]) -> Hosts<String> {
        let mut hosts = Hosts::default();
        for text in patterns {
            hosts.add(text.parse().expect("a pattern"), (*text).to_owned());
        }
        hosts
    }

    #[test]
    fn the_narrowest_pattern_wins() {
        let hosts = hosts(&["a.example", "*.a.example", "*.example", "*.b.a.example", "[::1]"]);
        let find = |host| hosts.find(host).map(String::as_str);
        assert_eq!(find("a.example"), Some("a.example"));
        assert_eq!(find("a.example:8080"), Some("a.example"));
        assert_eq!(find("x.a.example"), Some("*.a.example"));
        assert_eq!(find("x.y.a.example:1"), Some("*.a.example"));
        assert_eq!(find("x.b.a.example"), Some("*.b.a.example"));
        assert_eq!(find("b.a.example"), Some("*.a.example"));
        assert_eq!(find("c.example"), Some("*.example"));
        assert_eq!(find("[::1]"), Some("[::1]"));
        assert_eq!(find("[::1]:8080"), Some("[::1]"));
        for nobody in ["example", "xa.example.org", "127.0.0.1", "[::2]"] {
            assert_eq!(find(nobody), None, "{nobody}");
        }
    }

    #[test]
    fn a_host_of_many_labels_finds_what_is_above_it() {
        let hosts = hosts(&["*.a.example", "*.b"]);
        let many = "x.".repeat(16_000);
        assert_eq!(hosts.find(&format!("{many}a.example")).map(String::as_str), Some("*.a.example"));
        assert_eq!(hosts.find(&format!("{many}c")), None);
    }

    #[test]
    fn a_star_alone_takes_what_is_left() {
        let hosts = hosts(&["*", "a.example"]);
        assert_eq!(hosts.find("a.example").map(String::as_str), Some("a.example"));
        assert_eq!(hosts.find("other").map(String::as_str), Some("*"));
    }

    #[test]
    fn patterns_are_canonical() {
        assert_eq!(pattern("*.Shop.Example.").as_deref(), Ok("*.shop.example"));
        assert_eq!(pattern("[0:0::1]").as_deref(), Ok("[::1]"));
        assert_eq!(pattern("a*.example"), Err(HostPatternError::Star));
        assert_eq!(pattern("*.*.example"), Err(HostPatternError::Star));
        assert_eq!(pattern("*a.example"), Err(HostPatternError::Star));
        assert_eq!(pattern("a.example:80"), Err(HostPatternError::Port));
        assert_eq!(pattern("[::1]:80"), Err(HostPatternError::Port));
        assert_eq!(pattern("*.127.0.0.1"), Err(HostPatternError::Address));
        assert_eq!(pattern("*.[::1]"), Err(HostPatternError::Address));
        assert!(matches!(pattern(""), Err(HostPatternError::Host(_))));
        assert!(matches!(pattern("http://a"), Err(HostPatternError::Host(_))));
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_accepted_reads_back(text in r"(\*\.)?[a-z0-9.:*\[\]-]{0,12}") {
            if let Ok(pattern) = text.parse::<HostPattern>() {
                prop_assert_eq!(pattern.to_string().parse(), Ok(pattern));
            }
        }

        #[test]
        fn a_name_below_is_found_at_any_depth(labels in prop::collection::vec("[a-z]{1,3}", 1..5)) {
            let hosts = hosts(&["*.site.example"]);
            let host = format!("{}.site.example", labels.join("."));
            prop_assert!(hosts.find(&host).is_some());
            prop_assert!(hosts.find("site.example").is_none());
        }
    }
}
