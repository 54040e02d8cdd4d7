//! Parameters of a query that say nothing about the resource, such as those that count visitors, and their order where
//! that says nothing either.

use http::uri::PathAndQuery;

use super::patterns::Names;

/// What makes the **normal target** of a request: path and query of the key, and of what the origin is asked for where
/// the answer may be stored. One function makes it for both, so that they always mean the same resource.
///
/// A parameter is what stands between two `&`, and its name is what stands before the first `=`, byte for byte:
/// `utm_%73ource` is not `utm_source`. The path, and the spelling of every parameter that stays, are as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryRules {
    /// Parameters that are left out.
    pub ignored: Names,
    /// If these are said, all others are left out.
    pub kept: Option<Names>,
    /// Whether parameters are put in the order of their names; those of one name stay in the order in which they came.
    pub sort: bool,
}

impl QueryRules {
    /// Rules that only leave out parameters of these names ([`Names::new`]).
    pub fn ignoring<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        Self { ignored: Names::new(patterns), ..Self::default() }
    }

    /// The normal target; `None` if that is `target` as it is. A query of which nothing is left goes with its question
    /// mark; one that was empty stays. The normal target is its own.
    pub fn normal(&self, target: &PathAndQuery) -> Option<PathAndQuery> {
        if self.ignored.is_empty() && self.kept.is_none() && !self.sort {
            return None;
        }
        let query = target.query().filter(|query| !query.is_empty())?;
        let kept = || query.split('&').filter(|parameter| self.keeps(parameter));
        let in_order = !self.sort || kept().is_sorted_by_key(name_of);
        if in_order && kept().count() == query.split('&').count() {
            return None;
        }
        let mut parameters: Vec<&str> = kept().collect();
        if self.sort {
            parameters.sort_by_key(|parameter| name_of(parameter));
        }
        let mut normal = String::with_capacity(target.as_str().len());
        normal.push_str(target.path());
        let mut separator = '?';
        for parameter in parameters {
            normal.push(separator);
            normal.push_str(parameter);
            separator = '&';
        }
        // Made of parts of a legal target: it is one.
        normal.parse().ok()
    }

    /// The parameters of `target` that are no part of its normal target, in their order.
    pub fn left_out<'a>(&self, target: &'a PathAndQuery) -> Vec<&'a str> {
        let query = target.query().filter(|query| !query.is_empty());
        let parameters = query.into_iter().flat_map(|query| query.split('&'));
        parameters.filter(|parameter| !self.keeps(parameter)).collect()
    }

    fn keeps(&self, parameter: &str) -> bool {
        let name = name_of(parameter).as_bytes();
        !self.ignored.has(name) && self.kept.as_ref().is_none_or(|kept| kept.has(name))
    }

    /// What tells one set of rules from another.
    pub(super) fn patterns(&self) -> Vec<&str> {
        let mut patterns: Vec<&str> = self.ignored.patterns().collect();
        if let Some(kept) = &self.kept {
            // No name has a `=`.
            patterns.push("=");
            patterns.extend(kept.patterns());
        }
        if self.sort {
            patterns.push("==");
        }
        patterns
    }
}

fn name_of(parameter: &str) -> &str {
    parameter.split('=').next().unwrap_or(parameter)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(rules: &QueryRules, target: &str) -> Option<String> {
        rules.normal(&target.parse().expect("a target")).map(|target| target.to_string())
    }

    #[test]
    fn ignored_parameters_go_and_the_others_stay_as_they_are() {
        let normal = |target| normal(&QueryRules::ignoring(["fbclid", "utm_*"]), target);
        assert_eq!(normal("/a?b=1&utm_source=x&c&fbclid=2").as_deref(), Some("/a?b=1&c"));
        assert_eq!(normal("/a?fbclid").as_deref(), Some("/a"));
        assert_eq!(normal("/a?utm_=&&b=%20").as_deref(), Some("/a?&b=%20"));
        for untouched in ["/a", "/a?", "/a?b=fbclid", "/a?fbclid2=1", "/a?Fbclid=1", "/fbclid?x"] {
            assert_eq!(normal(untouched), None, "{untouched}");
        }
    }

    #[test]
    fn a_lone_star_ignores_every_parameter() {
        assert_eq!(normal(&QueryRules::ignoring(["*"]), "/a?b=1&c").as_deref(), Some("/a"));
        assert_eq!(normal(&QueryRules::ignoring([]), "/a?b=1&c"), None);
    }

    #[test]
    fn where_some_are_kept_all_others_go() {
        let kept = QueryRules { kept: Some(Names::new(["id", "p_*"])), ..QueryRules::default() };
        assert_eq!(normal(&kept, "/a?x=1&id=2&p_a=3&ID=4&id=5").as_deref(), Some("/a?id=2&p_a=3&id=5"));
        assert_eq!(normal(&kept, "/a?id=2&p_a"), None);
        assert_eq!(normal(&kept, "/a?x").as_deref(), Some("/a"));
        assert_eq!(normal(&kept, "/a?"), None);
        let none = QueryRules { kept: Some(Names::default()), ..QueryRules::default() };
        assert_eq!(normal(&none, "/a?x&").as_deref(), Some("/a"));
        let but = QueryRules { ignored: Names::new(["p_a"]), ..kept };
        assert_eq!(normal(&but, "/a?p_a=1&p_b=2").as_deref(), Some("/a?p_b=2"));
    }

    #[test]
    fn sorted_by_name_with_equals_as_they_came() {
        let sort = QueryRules { sort: true, ..QueryRules::default() };
        assert_eq!(normal(&sort, "/a?b=2&a=9&b=1&B&a").as_deref(), Some("/a?B&a=9&a&b=2&b=1"));
        assert_eq!(normal(&sort, "/a?a=2&a=1&b"), None);
        assert_eq!(normal(&sort, "/a?b&&a").as_deref(), Some("/a?&a&b"));
    }

    fn rules() -> impl Strategy<Value = QueryRules> {
        let names = || prop::collection::vec("[ab]{0,2}\\*?", 0..3);
        (names(), prop::option::of(names()), any::<bool>()).prop_map(|(ignored, kept, sort)| QueryRules {
            ignored: Names::new(ignored.iter().map(String::as_str)),
            kept: kept.map(|kept| Names::new(kept.iter().map(String::as_str))),
            sort,
        })
    }

    /// The parameters of each name, in their order.
    fn by_name(target: &PathAndQuery) -> Vec<(String, Vec<String>)> {
        let mut groups: Vec<(String, Vec<String>)> = Vec::new();
        for parameter in target.query().into_iter().flat_map(|query| query.split('&')) {
            let name = name_of(parameter).to_owned();
            match groups.iter_mut().find(|(known, _)| *known == name) {
                Some((_, group)) => group.push(parameter.to_owned()),
                None => groups.push((name, vec![parameter.to_owned()])),
            }
        }
        groups.sort();
        groups
    }

    proptest! {
        #[test]
        fn the_normal_target_is_its_own_and_loses_nothing_that_is_kept(
            rules in rules(), target in "/[a-c/]{0,4}(\\?[ab&=*%]{0,12})?",
        ) {
            let Ok(target) = target.parse::<PathAndQuery>() else { return Ok(()) };
            let normal = rules.normal(&target).unwrap_or_else(|| target.clone());
            prop_assert_eq!(rules.normal(&normal), None);
            prop_assert_eq!(normal.path(), target.path());
            if target.query().is_some_and(|query| !query.is_empty()) {
                let mut kept = by_name(&target);
                kept.retain(|(name, _)| rules.keeps(name));
                prop_assert_eq!(by_name(&normal), kept);
            }
        }
    }
}
