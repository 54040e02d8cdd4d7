//! Cache directives for some caches only: `CDN-Cache-Control` and its kin (RFC 9213).

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use super::cache_control::{CacheControl, Qualified, field_names, may_be_left_out};
use super::delta::Delta;

/// `CDN-Cache-Control` (RFC 9213 §3.1).
pub const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// `Surrogate-Control`, which says the same in an older word. It is meant for the next cache alone, so it is never
/// passed on.
pub const SURROGATE_CONTROL: HeaderName = HeaderName::from_static("surrogate-control");

/// The targeted fields that this cache heeds, in the order of preference (RFC 9213 §2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetList(Box<[HeaderName]>);

impl Default for TargetList {
    fn default() -> Self {
        Self(Box::new([CDN_CACHE_CONTROL, SURROGATE_CONTROL]))
    }
}

impl TargetList {
    /// The fields of these names, the first one before all others.
    pub fn new(names: impl IntoIterator<Item = HeaderName>) -> Self {
        Self(names.into_iter().collect())
    }

    /// The names in order.
    pub fn names(&self) -> &[HeaderName] {
        &self.0
    }
}

/// The directives of the first targeted field that is a well-formed dictionary with at least one member; `None` if
/// there is none and `Cache-Control` rules (RFC 9213 §2.2).
///
/// A member that is no directive is ignored. A number that is none counts as zero and a flag that is none as set,
/// as in `Cache-Control`: the readings that are stale first.
pub(super) fn ruling(headers: &HeaderMap, targets: &TargetList) -> Option<CacheControl> {
    let dictionary = dictionary(headers, targets)?;
    let flag = |name: &str| match item(&dictionary, name) {
        None => false,
        Some(value) => value != Value::Item(&BareItem::Boolean(false)),
    };
    let number = |name: &str| item(&dictionary, name).map(Value::delta);
    let qualified = |name: &str| if flag(name) { form(&dictionary, name) } else { Qualified::No };
    Some(CacheControl {
        max_age: number("max-age"),
        s_maxage: number("s-maxage"),
        no_store: flag("no-store"),
        no_cache: qualified("no-cache"),
        private: qualified("private"),
        public: flag("public"),
        must_revalidate: flag("must-revalidate"),
        proxy_revalidate: flag("proxy-revalidate"),
        must_understand: flag("must-understand"),
        immutable: flag("immutable"),
        stale_while_revalidate: number("stale-while-revalidate"),
        stale_if_error: number("stale-if-error"),
        targeted: true,
    })
}

/// The fields that the ruling targeted field names in `no-cache` and `private`; `None` if none rules.
pub(super) fn qualified_fields(headers: &HeaderMap, targets: &TargetList) -> Option<Vec<HeaderName>> {
    let dictionary = dictionary(headers, targets)?;
    let names = ["no-cache", "private"].into_iter().filter_map(|name| listed(&dictionary, name)).flatten();
    Some(names.filter(may_be_left_out).collect())
}

/// The targeted field that rules a response; `None` if `Cache-Control` does (RFC 9213 §2.2).
pub fn ruling_field<'a>(headers: &HeaderMap, targets: &'a TargetList) -> Option<&'a HeaderName> {
    targets.names().iter().find(|name| said(headers, name).is_some())
}

fn dictionary(headers: &HeaderMap, targets: &TargetList) -> Option<Dictionary> {
    targets.names().iter().find_map(|name| said(headers, name))
}

/// What a targeted field says, if it is well-formed and says anything.
fn said(headers: &HeaderMap, name: &HeaderName) -> Option<Dictionary> {
    parse(headers, name).filter(|members| !members.is_empty())
}

/// All lines of a field as one dictionary (RFC 9651 §4.2); `None` if they are none, or absent.
fn parse(headers: &HeaderMap, name: &HeaderName) -> Option<Dictionary> {
    let mut lines = headers.get_all(name).into_iter();
    let first = lines.next()?.as_bytes();
    match lines.next() {
        None => Parser::new(first).parse().ok(),
        Some(second) => {
            let lines = [first, second.as_bytes()].into_iter().chain(lines.map(http::HeaderValue::as_bytes));
            Parser::new(&lines.collect::<Vec<_>>().join(&b", "[..])).parse().ok()
        }
    }
}

/// A member's value, its parameters aside.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value<'a> {
    Item(&'a BareItem),
    List,
}

impl Value<'_> {
    fn delta(self) -> Delta {
        match self {
            Self::Item(BareItem::Integer(number)) => {
                Delta::parse(i64::from(*number).to_string().as_bytes()).unwrap_or(Delta::ZERO)
            }
            _ => Delta::ZERO,
        }
    }
}

fn item<'a>(dictionary: &'a Dictionary, name: &str) -> Option<Value<'a>> {
    Some(match dictionary.get(name)? {
        ListEntry::Item(item) => Value::Item(&item.bare_item),
        ListEntry::InnerList(_) => Value::List,
    })
}

fn form(dictionary: &Dictionary, name: &str) -> Qualified {
    if listed(dictionary, name).is_some() { Qualified::Fields } else { Qualified::All }
}

/// The names in `no-cache="a, b"`, or in an inner list of strings or tokens.
fn listed(dictionary: &Dictionary, name: &str) -> Option<Vec<HeaderName>> {
    match dictionary.get(name)? {
        ListEntry::Item(item) => field_names(text(&item.bare_item)?.as_bytes()),
        ListEntry::InnerList(list) => {
            let names =
                list.items.iter().map(|item| HeaderName::from_bytes(text(&item.bare_item)?.as_bytes()).ok());
            names.collect::<Option<Vec<_>>>().filter(|names| !names.is_empty())
        }
    }
}

fn text(item: &BareItem) -> Option<&str> {
    match item {
        BareItem::String(text) => Some(text.as_str()),
        BareItem::Token(text) => Some(text.as_str()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::semantics::testing::fields;

    fn read(lines: &[(&'static str, &str)]) -> CacheControl {
        CacheControl::ruling(&fields(lines), &TargetList::default())
    }

    fn seconds(delta: Option<Delta>) -> Option<u64> {
        delta.map(|delta| delta.as_duration().as_secs())
    }

    #[test]
    fn the_targeted_field_rules_and_the_others_say_nothing() {
        let cc = read(&[("cache-control", "no-store"), ("cdn-cache-control", "max-age=60, foo=(a b);c")]);
        assert_eq!((seconds(cc.max_age), cc.no_store, cc.targeted), (Some(60), false, true));
        let cc = read(&[("surrogate-control", "max-age=5"), ("cdn-cache-control", "max-age=60")]);
        assert_eq!(seconds(cc.max_age), Some(60));
        assert_eq!(seconds(read(&[("surrogate-control", "max-age=5")]).max_age), Some(5));
    }

    #[test]
    fn one_that_is_malformed_or_empty_is_ignored() {
        for wrong in ["max-age=60, &&&", "", "MaX-aGe=60", "max-age =60", "max-age= 60", "max-age=60,"] {
            let cc = read(&[("cache-control", "no-store"), ("cdn-cache-control", wrong)]);
            assert!(cc.no_store && !cc.targeted, "{wrong}");
        }
    }

    #[test]
    fn values_of_the_wrong_type_are_stale_first() {
        for (text, age) in [("max-age=\"60\"", 0), ("max-age=60.5", 0), ("max-age=-1", 0), ("max-age", 0)] {
            assert_eq!(seconds(read(&[("cdn-cache-control", text)]).max_age), Some(age), "{text}");
        }
        assert_eq!(seconds(read(&[("cdn-cache-control", "max-age=999999999999")]).max_age), Some(1 << 31));
        assert!(read(&[("cdn-cache-control", "no-store=1")]).no_store);
        assert!(!read(&[("cdn-cache-control", "no-store=?0")]).no_store);
        assert_eq!(seconds(read(&[("cdn-cache-control", "max-age=5, max-age=60")]).max_age), Some(60));
    }

    #[test]
    fn fields_may_be_named_as_a_text_or_as_a_list() {
        let names = |text| {
            let headers = fields(&[("cdn-cache-control", text), ("cache-control", "no-cache=z")]);
            (
                CacheControl::ruling(&headers, &TargetList::default()).no_cache,
                super::qualified_fields(&headers, &TargetList::default()),
            )
        };
        let these =
            |names: &[&'static str]| Some(names.iter().map(|name| HeaderName::from_static(name)).collect());
        assert_eq!(names("no-cache=\"a, b\""), (Qualified::Fields, these(&["a", "b"])));
        assert_eq!(names("no-cache=(\"a\" b)"), (Qualified::Fields, these(&["a", "b"])));
        assert_eq!(names("no-cache"), (Qualified::All, these(&[])));
        assert_eq!(names("no-cache=()"), (Qualified::All, these(&[])));
        assert_eq!(names("no-cache=7"), (Qualified::All, these(&[])));
    }

    #[test]
    fn lines_are_one_dictionary_and_the_list_is_ones_own() {
        let cc = read(&[("cdn-cache-control", "max-age=60"), ("cdn-cache-control", "no-store")]);
        assert!(cc.no_store && cc.max_age.is_some());
        let own = TargetList::new([HeaderName::from_static("edge-cache-control")]);
        let headers = fields(&[("cdn-cache-control", "no-store"), ("edge-cache-control", "max-age=1")]);
        assert_eq!(seconds(CacheControl::ruling(&headers, &own).max_age), Some(1));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[ -~]{0,40}") {
            let _ = read(&[("cdn-cache-control", &text)]);
        }
    }
}
