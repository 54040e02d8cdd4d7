use http::HeaderValue;

use super::*;

fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        fields.append(*name, HeaderValue::from_str(value).expect("a value"));
    }
    fields
}

fn tags(lines: &[(&'static str, &str)]) -> Vec<Tag> {
    let tags = TagRules::default().tags(&fields(lines), &Scheme::HTTPS, "a.example").expect("not too many");
    tags.iter().collect()
}

fn named(names: &[&str]) -> Vec<Tag> {
    Tags::new(names.iter().map(|name| Tag::of(name.as_bytes())).collect()).iter().collect()
}

#[test]
fn tags_are_parted_by_blanks_and_commas_over_all_lines() {
    let two =
        [("surrogate-key", "post-1  post-2"), ("surrogate-key", "\thome"), ("cache-tag", "a,b , post-1")];
    assert_eq!(tags(&two), named(&["post-1", "post-2", "home", "a", "b"]));
    assert_eq!(tags(&[("surrogate-key", " , ")]), named(&[]));
    assert_ne!(named(&["Home"]), named(&["home"]));
}

#[test]
fn a_group_is_its_origins_and_has_a_bare_name_too() {
    let found = tags(&[("cache-groups", "\"scripts\", \"with blank\";x=1, token, (\"in\" \"list\"), 1")]);
    let of = |name: &str| [Tag::of(name.as_bytes()), Tag::of_group(&Scheme::HTTPS, "a.example", name)];
    assert_eq!(found, Tags::new([of("scripts"), of("with blank")].concat()).iter().collect::<Vec<_>>());
    for (scheme, host) in [(Scheme::HTTP, "a.example"), (Scheme::HTTPS, "b.example")] {
        assert_ne!(Tag::of_group(&scheme, host, "scripts"), of("scripts")[1]);
    }
    assert_eq!(tags(&[("cache-groups", "\"broken")]), []);
    let ignoring = TagRules { heeds_groups: false, ..TagRules::default() };
    let none = ignoring.tags(&fields(&[("cache-groups", "\"a\"")]), &Scheme::HTTPS, "a.example");
    assert_eq!(none, Ok(Tags::default()));
}

#[test]
fn groups_over_several_lines_are_one_list() {
    let lines = fields(&[("cache-groups", "\"a\""), ("cache-groups", "\"b\", \"c\"")]);
    assert_eq!(groups(&lines, &CACHE_GROUPS), ["a", "b", "c"]);
}

#[test]
fn as_many_tags_as_an_object_can_have_and_no_more() {
    let names = |count: usize| (0..count).map(|nth| nth.to_string()).collect::<Vec<_>>().join(" ");
    let of = |count| {
        let fields = fields(&[("surrogate-key", &names(count)), ("cache-tag", "1,2,3")]);
        TagRules::default().tags(&fields, &Scheme::HTTP, "a").map(|tags| tags.iter().len())
    };
    assert_eq!((of(MOST_TAGS), of(MOST_TAGS + 1)), (Ok(MOST_TAGS), Err(TooManyTags)));
}

#[test]
fn hidden_fields_are_hidden_unless_shown() {
    let shown = TagRules { are_shown: true, ..TagRules::default() };
    let key = HeaderName::from_static("surrogate-key");
    assert!(
        TagRules::default().hides(&key) && !shown.hides(&key) && !TagRules::default().hides(&CACHE_GROUPS)
    );
}
