use http::uri::Scheme;

use super::*;
use crate::cache::key;
use crate::cache::ledger::name::DEEPEST;

fn read(wish: &Wish) -> Result<Vec<Purge>, Unfulfilled> {
    // Sites of this test take no query into their keys that begins with x.
    wish.read(|_, target| match target.query() {
        Some(query) if query.starts_with('x') => target.path().parse().expect("a path"),
        _ => target,
    })
}

fn url(scheme: &Scheme, host: &str, target: &str) -> Subject {
    Subject::Named(Name::of_url(&key::url(scheme, host, &target.parse().expect("a target"))))
}

fn subjects(wish: &Wish) -> Vec<Subject> {
    read(wish).expect("sense").into_iter().map(|purge| purge.subject).collect()
}

#[test]
fn a_url_is_that_of_the_keys() {
    let (http, https) = (Scheme::HTTP, Scheme::HTTPS);
    for (text, expected) in [
        ("HTTP://A.Test.:80/x?y#z", vec![url(&http, "a.test", "/x?y")]),
        ("https://a.test:8443", vec![url(&https, "a.test:8443", "/")]),
        ("https://a.test?q", vec![url(&https, "a.test", "/?q")]),
        ("//a.test/x?x=1", vec![url(&http, "a.test", "/x"), url(&https, "a.test", "/x")]),
        ("http://[2001:DB8::0]/", vec![url(&http, "[2001:db8::]", "/")]),
    ] {
        assert_eq!(subjects(&Wish::of_url(text)), expected, "{text}");
    }
}

#[test]
fn what_no_client_asks_for_as_it_is_written_is_refused() {
    for local in ["ü", "\"", "<", ">", "a\\b", "^", "`", "{x}", " ", "?q=ü", "?q=\"", "?<", "?>"] {
        let url = Wish::of_url(format!("http://a.test/{local}"));
        let Err(Unfulfilled::Wrong(wrong)) = read(&url) else { panic!("{local} was read") };
        assert!(wrong[0].why.contains("write it as %XX"), "{}", wrong[0]);
        if !local.contains('?') {
            let prefix = Wish { prefixes: vec![format!("a.test/{local}")], ..Wish::default() };
            assert!(matches!(read(&prefix), Err(Unfulfilled::Wrong(_))), "{local}");
        }
    }
    // Browsers send these as they are.
    for local in ["a|b", "?a=b|c&d={e}\\^`", "%C3%BC", "~!$&'()*+,;=:@-._[]"] {
        assert!(read(&Wish::of_url(format!("http://a.test/{local}"))).is_ok(), "{local}");
    }
}

#[test]
fn tags_are_purged_softly_and_all_else_hard_unless_it_is_said() {
    let wish = |soft| Wish {
        tags: vec!["a".into()],
        hosts: vec!["A.test".into()],
        all: true,
        soft,
        ..Wish::default()
    };
    let strengths = |soft| read(&wish(soft)).expect("sense").iter().map(|p| p.strength).collect::<Vec<_>>();
    assert_eq!(strengths(None), [Strength::Soft, Strength::Hard, Strength::Hard]);
    assert_eq!(strengths(Some(true)), [Strength::Soft; 3]);
    assert_eq!(strengths(Some(false)), [Strength::Hard; 3]);
    assert_eq!(subjects(&wish(None))[1], Subject::Named(Name::of_host("a.test")));
}

#[test]
fn a_prefix_ends_without_its_slash_and_may_have_a_scheme() {
    let of = |text: &str| subjects(&Wish { prefixes: vec![text.into()], ..Wish::default() });
    let named = |scheme, path| [Subject::Named(Name::of_prefix(scheme, "a.test", path))];
    for text in ["a.test/b", "//a.test/b/", "A.TEST/b//"] {
        assert_eq!(of(text), named("", "/b"), "{text}");
    }
    assert_eq!(of("https://a.test:443/b"), named("https", "/b"));
    assert_eq!(of("a.test"), named("", ""));
}

#[test]
fn everything_wrong_is_told_in_its_place_and_nothing_is_purged() {
    let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let deep = format!("a/{}", "b/".repeat(DEEPEST + 1));
    let wish = Wish {
        urls: list(&[
            "http://fine.test/",
            "/path",
            "ftp://a/",
            "http://a b/",
            "http://a/ü ",
            "www.a.test/x",
            "http://",
        ]),
        tags: list(&["", "ok", "a\nb"]),
        prefixes: list(&["a/b?c", "a/*", &deep]),
        globs: list(&["/x*"]),
        hosts: list(&["http://a", "a..b"]),
        ..Wish::default()
    };
    let Err(Unfulfilled::Wrong(wrong)) = read(&wish) else { panic!("nonsense was read") };
    let places: Vec<_> = wrong.iter().map(|wrong| (wrong.list, wrong.place)).collect();
    let urls = [1, 2, 3, 4, 5, 6].map(|place| ("urls", place));
    assert_eq!(places[..6], urls);
    let rest = [
        ("tags", 0),
        ("tags", 2),
        ("prefixes", 0),
        ("prefixes", 1),
        ("prefixes", 2),
        ("globs", 0),
        ("hosts", 0),
        ("hosts", 1),
    ];
    assert_eq!(places[6..], rest);
    assert!(wrong[0].to_string().contains("https://www.example.com/path"), "{}", wrong[0]);
}

#[test]
fn a_wish_names_something_and_not_too_much() {
    assert_eq!(read(&Wish::default()), Err(Unfulfilled::Nothing));
    let many = |count| Wish { tags: vec!["a".into(); count], ..Wish::default() };
    assert!(read(&many(MOST_NAMED)).is_ok());
    assert_eq!(read(&many(MOST_NAMED + 1)), Err(Unfulfilled::TooMuch(MOST_NAMED + 1)));
}

#[test]
fn the_hosts_that_are_named_are_told_once() {
    let wish = Wish {
        urls: vec!["http://b.test/".into(), "//a.test/x".into()],
        prefixes: vec!["a.test/y".into()],
        hosts: vec!["C.test".into()],
        ..Wish::default()
    };
    assert_eq!(wish.hosts_named(), ["a.test", "b.test", "c.test"]);
}
