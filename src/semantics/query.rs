//! Parameters of a query that say nothing about the resource, such as those that count visitors.

use http::uri::PathAndQuery;

/// Names of parameters that are left out, of the key and of what the origin is asked for alike, so that both always
/// mean the same resource.
///
/// A parameter is what stands between two `&`, and its name is what stands before the first `=`, byte for byte:
/// `utm_%73ource` is not `utm_source`. The order and the spelling of all others stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IgnoredQuery {
    names: Vec<String>,
    beginnings: Vec<String>,
}

impl IgnoredQuery {
    /// Parameters of these names; a name that ends in `*` is the beginning of many. In any order, and repeated or
    /// not, the same names are the same rule.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut names, mut beginnings) = (Vec::new(), Vec::new());
        for pattern in patterns {
            match pattern.strip_suffix('*') {
                Some(beginning) => beginnings.push(beginning.to_owned()),
                None => names.push(pattern.to_owned()),
            }
        }
        for list in [&mut names, &mut beginnings] {
            list.sort_unstable();
            list.dedup();
        }
        Self { names, beginnings }
    }

    /// What tells one rule from another: the exact names, then the beginnings, each of those marked.
    pub(super) fn patterns(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str).chain(["*"]).chain(self.beginnings.iter().map(String::as_str))
    }

    /// `target` without the ignored parameters; `None` if it has none of them. A query of which nothing is left goes
    /// with its question mark.
    pub fn strip(&self, target: &PathAndQuery) -> Option<PathAndQuery> {
        if self.names.is_empty() && self.beginnings.is_empty() {
            return None;
        }
        let query = target.query()?;
        let parameters = || query.split('&');
        if !parameters().any(|parameter| self.ignores(parameter)) {
            return None;
        }
        let mut stripped = target.path().to_owned();
        let mut separator = '?';
        for parameter in parameters().filter(|parameter| !self.ignores(parameter)) {
            stripped.push(separator);
            stripped.push_str(parameter);
            separator = '&';
        }
        // Made of parts of a legal target: it is one.
        stripped.parse().ok()
    }

    fn ignores(&self, parameter: &str) -> bool {
        let name = parameter.split('=').next().unwrap_or(parameter);
        self.names.iter().any(|ignored| ignored == name)
            || self.beginnings.iter().any(|beginning| name.starts_with(beginning.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn strip(patterns: &[&str], target: &str) -> Option<String> {
        let ignored = IgnoredQuery::new(patterns.iter().copied());
        ignored.strip(&target.parse().expect("a target")).map(|target| target.to_string())
    }

    #[test]
    fn ignored_parameters_go_and_the_others_stay_as_they_are() {
        let strip = |target| strip(&["fbclid", "utm_*"], target);
        assert_eq!(strip("/a?b=1&utm_source=x&c&fbclid=2").as_deref(), Some("/a?b=1&c"));
        assert_eq!(strip("/a?fbclid").as_deref(), Some("/a"));
        assert_eq!(strip("/a?utm_=&&b=%20").as_deref(), Some("/a?&b=%20"));
        for untouched in ["/a", "/a?", "/a?b=fbclid", "/a?fbclid2=1", "/a?Fbclid=1", "/fbclid?x"] {
            assert_eq!(strip(untouched), None, "{untouched}");
        }
    }

    #[test]
    fn a_lone_star_ignores_every_parameter() {
        assert_eq!(strip(&["*"], "/a?b=1&c").as_deref(), Some("/a"));
        assert_eq!(strip(&[], "/a?b=1&c"), None);
    }

    #[test]
    fn the_order_of_names_makes_no_other_rule() {
        assert_eq!(IgnoredQuery::new(["b", "a", "b"]), IgnoredQuery::new(["a", "b"]));
        assert_ne!(IgnoredQuery::new(["a*"]), IgnoredQuery::new(["a"]));
    }

    proptest! {
        #[test]
        fn nothing_ignored_is_left_and_stripping_twice_changes_nothing(
            target in "/[a-c/]{0,4}(\\?[ab&=*%]{0,12})?", patterns in prop::collection::vec("[ab]{0,2}\\*?", 0..3),
        ) {
            let ignored = IgnoredQuery::new(patterns.iter().map(String::as_str));
            let Ok(target) = target.parse::<PathAndQuery>() else { return Ok(()) };
            if let Some(stripped) = ignored.strip(&target) {
                prop_assert!(stripped.as_str().len() < target.as_str().len());
                prop_assert_eq!(ignored.strip(&stripped), None);
                prop_assert_eq!(stripped.path(), target.path());
            }
        }
    }
}
