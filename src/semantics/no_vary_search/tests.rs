use proptest::prelude::*;

use super::*;
use crate::semantics::testing::{fields, repeated};

fn rule(value: &str) -> Option<SearchRule> {
    SearchRule::of(&fields(&[("no-vary-search", value)]))
}

/// Whether two URLs are the same by a rule; a URL without a question mark has no query.
#[track_caller]
fn same(value: &str, a: &str, b: &str) -> bool {
    let query = |target: &str| target.split_once('?').map(|(_, query)| query.to_owned());
    let (rule, a, b) = (rule(value).unwrap(), query(a), query(b));
    let same = rule.equivalent(a.as_deref(), b.as_deref());
    assert_eq!(same, rule.normal_form(a.as_deref()) == rule.normal_form(b.as_deref()));
    same
}

#[test]
fn what_is_no_rule_leaves_every_difference() {
    for none in [
        "unknown-key",
        "key-order=\"text\"",
        "key-order=1",
        "key-order=()",
        "params=\"text\"",
        "params=(a)",
        "params=a",
        "params=1",
        "params=(\"a\" 1)",
        "params=(\"a\"), except=(\"x\")",
        "params=(), except=()",
        "params=?0, except=(\"x\")",
        "params, except=(a)",
        "params, except=\"text\"",
        "params, except=?1",
        "except=(\"x\")",
        "except=()",
        "key-order, except=()",
        "params=?0",
        "params=()",
        "key-order=?0",
        "",
        "params=(\"a\"",
        "Params",
        "params,,key-order",
        "params;",
        "params=(\"a\\x\")",
        "params=:YQ==:",
        "key-order params",
    ] {
        assert_eq!(rule(none), None, "{none}");
    }
    assert_eq!(SearchRule::of(&HeaderMap::new()), None);
}

#[test]
fn what_is_said_otherwise_may_be_the_same_rule() {
    for (one, other) in [
        ("params=?1", "params"),
        ("key-order=?1", "key-order"),
        ("params, key-order, except=(\"x\")", "key-order, params, except=(\"x\")"),
        ("params=(\"b\" \"a\" \"b\")", "params=(\"a\" \"b\")"),
        ("params=(\"%61+b\")", "params=(\"a b\")"),
        ("params, except=()", "params"),
        ("params;x=1, key-order=?0, other=1.5", "params"),
        ("params=(\"a\"), params", "params"),
    ] {
        assert_eq!(rule(one), rule(other), "{one}");
        assert!(rule(one).is_some(), "{one}");
    }
    let lines = fields(&[("no-vary-search", "params"), ("no-vary-search", "except=(\"x\")")]);
    assert_eq!(SearchRule::of(&lines), rule("params, except=(\"x\")"));
}

#[test]
fn named_parameters_make_no_difference() {
    let ignoring = "params=(\"utm\" \"%C3%A9+x\")";
    assert!(same(ignoring, "/?a=1&utm=2", "/?utm=3&utm&a=1"));
    assert!(same(ignoring, "/?utm=1", "/"));
    assert!(same(ignoring, "/?%75tm=1&%c3%a9%20x=2", "/"));
    assert!(!same(ignoring, "/?a=1", "/?a=2"));
    assert!(!same(ignoring, "/?a=1&b=1", "/?b=1&a=1"));
    assert!(!same(ignoring, "/?UTM=1", "/"));
}

#[test]
fn only_named_parameters_make_a_difference() {
    assert!(same("params", "/?a=1&b", "/?c"));
    assert!(same("params, except=(\"id\")", "/?id=1&x=2", "/?y&id=1"));
    assert!(!same("params, except=(\"id\")", "/?id=1", "/?id=2"));
    assert!(!same("params, except=(\"id\")", "/?id=1", "/?id=1&id=1"));
    assert!(!same("params, except=(\"a\" \"b\")", "/?a&b", "/?b&a"));
    assert!(same("params, except=(\"a\" \"b\"), key-order", "/?a&b&c", "/?b&a"));
}

#[test]
fn the_order_of_names_may_make_no_difference_but_that_of_values_does() {
    assert!(same("key-order", "/?a=1&b=2", "/?b=2&a=1"));
    assert!(same("key-order", "/?a=1&b=0&a=2", "/?b=0&a=1&a=2"));
    assert!(!same("key-order", "/?a=1&a=2", "/?a=2&a=1"));
}

#[test]
fn queries_are_read_as_forms() {
    for (a, b) in [
        ("/", "/?"),
        ("/?a=x", "/?%61=%78"),
        ("/?a=x&&&&", "/?a=x"),
        ("/?a=", "/?a"),
        ("/?a=%20", "/?a=+"),
        ("/?a=%2b", "/?a=%2B"),
        ("/?a=%", "/?a=%25"),
        ("/?a=%4", "/?a=%254"),
        ("/?a=%zz", "/?a=%25zz"),
        ("/?=", "/?=&"),
    ] {
        assert!(same("key-order", a, b), "{a} {b}");
    }
    for (a, b) in [("/?a=b=c", "/?a=b"), ("/?a=%26b", "/?a=&b"), ("/?a=%3D", "/?a=="), ("/?a=1", "/?A=1")] {
        assert_eq!(same("key-order", a, b), a == "/?a=%3D", "{a} {b}");
    }
    assert!(!same("key-order", "/?a=%f6", "/?a=%ef%bf%bd"), "stricter than the draft");
}

fn any_rule() -> impl Strategy<Value = SearchRule> {
    let names =
        prop::collection::vec(prop::collection::vec(prop::sample::select(b"ab ".as_slice()), 0..2), 0..3);
    (names, any::<[bool; 2]>()).prop_map(|(names, [but, ordered])| SearchRule {
        counted: if but { Counted::AllBut(names) } else { Counted::NoneBut(names) },
        ordered,
    })
}

proptest! {
    #[test]
    fn the_normal_form_tells_what_is_equivalent(rule in any_rule(), a in "[ab=&+%2]{0,9}", b in "[ab=&+%2]{0,9}") {
        let same = rule.equivalent(Some(&a), Some(&b));
        prop_assert_eq!(same, rule.normal_form(Some(&a)) == rule.normal_form(Some(&b)));
        prop_assert_eq!(same, rule.equivalent(Some(&b), Some(&a)));
        prop_assert!(rule.equivalent(Some(&a), Some(&a)));
    }

    #[test]
    fn an_ignored_parameter_may_stand_anywhere(a in "[abc=&]{0,9}", ignored in "x(=[a-c]{0,2})?") {
        let rule = rule("params=(\"x\")").unwrap();
        for query in [format!("{ignored}&{a}"), format!("{a}&{ignored}")] {
            prop_assert!(rule.equivalent(Some(&a), Some(&query)));
        }
    }

    #[test]
    fn field_soup_never_panics(lines in prop::collection::vec("[ -~]{0,24}", 0..3)) {
        SearchRule::of(&repeated(&NO_VARY_SEARCH, &lines));
    }

    #[test]
    fn rule_soup_never_panics(lines in prop::collection::vec("(params|except|key-order|=|\\?[01]|\\(|\\)|\"[a%+]\"|, | |;){0,9}", 0..3)) {
        SearchRule::of(&repeated(&NO_VARY_SEARCH, &lines));
    }
}
