//! Which request fields choose between the variants of one key (RFC 9111 §4.1).

use std::sync::Arc;

use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, VARY};
use http::{HeaderMap, HeaderName};

use super::fields::{all_members, list_members};
use super::language;

/// The most fields that a `Vary` may name. One that names more is taken for `*`: each of them is compared at every
/// look-up.
pub const MAX_NAMES: usize = 64;

/// The field names of a response's `Vary`, sorted, each once, without `Accept-Encoding`.
///
/// `Accept-Encoding` is left out because no client's value of it ever reaches the origin on a storable
/// fetch: the fetch sends its own. What a stored coding may serve is decided by
/// [`accepts_coding`](super::coding::accepts_coding), whatever `Vary` says.
///
/// Cloning is cheap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct VarySet(Arc<[HeaderName]>);

impl VarySet {
    /// Reads all lines of `Vary` (RFC 9110 §12.5.5). `None` means that no other request may ever use the
    /// response: there is a `*` among the members, or something that is no field name (with a parameter, in
    /// quotes, with a space within), or there are more than [`MAX_NAMES`] of them.
    ///
    /// Empty members are left out, as in every list, and so an empty `Vary` names nothing. A field named twice,
    /// or in other letters, is one; one that no request has is a name like any other.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut names = list_members(headers, &VARY).map(varying_name).collect::<Option<Vec<_>>>()?;
        names.retain(|name| name != ACCEPT_ENCODING);
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        (names.len() <= MAX_NAMES).then(|| Self(names.into()))
    }

    /// The set of these names, as [`VarySet::names`] gave them before it was written down.
    pub fn of_names(names: impl IntoIterator<Item = HeaderName>) -> Self {
        Self(names.into_iter().collect())
    }

    /// Whether all requests for the key get the same variant.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, sorted.
    pub fn names(&self) -> &[HeaderName] {
        &self.0
    }

    /// Whether two requests get the same variant (RFC 9111 §4.1): for each name both have the same values.
    ///
    /// The lines of a field count as one list; whitespace around its commas does not matter, order and case
    /// do. An absent field equals only an absent one. `Accept-Language` is compared by what it asks for
    /// ([`language::preferences`]), unless it is malformed.
    pub fn selects_same(&self, a: &HeaderMap, b: &HeaderMap) -> bool {
        self.0.iter().all(|name| {
            if *name == ACCEPT_LANGUAGE {
                Compared::of(a, name).members().eq(Compared::of(b, name).members())
            } else {
                // A present field has at least one member, if an empty one; only an absent field has none.
                all_members(a, name).eq(all_members(b, name))
            }
        })
    }

    /// The names and the request's values for them, as bytes that are equal for two requests exactly if
    /// [`VarySet::selects_same`] holds for them. Made for hashing into a variant's key, and written to disk.
    ///
    /// The form never changes between versions. What is compared by its meaning is written in its normal form,
    /// as a client might have sent it: where an earlier version wrote down other bytes for the same request,
    /// what it stored is not found any more, and what is found means the same.
    pub fn values(&self, headers: &HeaderMap) -> Vec<u8> {
        let mut out = Vec::new();
        for name in self.names() {
            push_prefixed(&mut out, name.as_str().as_bytes());
            let compared = Compared::of(headers, name);
            push_length(&mut out, compared.members().count());
            for member in compared.members() {
                push_prefixed(&mut out, member);
            }
        }
        out
    }
}

/// One field of a request as it is compared with another's.
enum Compared<'a> {
    /// Byte by byte.
    AsSent(&'a HeaderMap, &'a HeaderName),
    /// By what it asks for.
    Languages(Vec<String>),
}

impl<'a> Compared<'a> {
    fn of(headers: &'a HeaderMap, name: &'a HeaderName) -> Self {
        let languages = if *name == ACCEPT_LANGUAGE { language::preferences(headers) } else { None };
        languages.map_or(Self::AsSent(headers, name), Self::Languages)
    }

    fn members(&self) -> impl Iterator<Item = &[u8]> {
        let (sent, meant) = match self {
            Self::AsSent(headers, name) => (Some(all_members(headers, name)), &[][..]),
            Self::Languages(languages) => (None, languages.as_slice()),
        };
        sent.into_iter().flatten().chain(meant.iter().map(String::as_bytes))
    }
}

/// What [`VarySet::values`] has written down, for people: each name with what the request said for it. What tells who
/// somebody is, is left out. Bytes of another form end it.
pub fn told(values: &[u8]) -> Vec<(String, Vec<String>)> {
    let (mut rest, mut all) = (values, Vec::new());
    while let Some((name, members)) = take_name(&mut rest) {
        let is_secret =
            [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION].iter().any(|secret| secret.as_str() == name);
        all.push((name, if is_secret { vec!["(not told)".to_owned()] } else { members }));
    }
    all
}

fn take_name(rest: &mut &[u8]) -> Option<(String, Vec<String>)> {
    let name = take_prefixed(rest)?;
    let count = take_length(rest)?;
    // Each has a length of its own: no more are asked for than there are.
    let members = (0..count).map_while(|_| take_prefixed(rest)).collect();
    Some((name, members))
}

fn take_prefixed(rest: &mut &[u8]) -> Option<String> {
    let length = take_length(rest)?;
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(String::from_utf8_lossy(bytes).into_owned())
}

fn take_length(rest: &mut &[u8]) -> Option<usize> {
    let (length, after) = rest.split_first_chunk()?;
    *rest = after;
    usize::try_from(u64::from_be_bytes(*length)).ok()
}

/// A member of `Vary` as a field name; `None` for `*`, which is a token and would pass for one.
fn varying_name(member: &[u8]) -> Option<HeaderName> {
    if member == b"*" { None } else { HeaderName::from_bytes(member).ok() }
}

fn push_prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    push_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn push_length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&(length as u64).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::semantics::testing::{fields, repeated};

    fn set(vary: &str) -> VarySet {
        VarySet::of(&fields(&[("vary", vary)])).unwrap()
    }

    #[test]
    fn names_are_lower_sorted_and_unique() {
        let headers = fields(&[("vary", "Origin, accept-language"), ("vary", "ORIGIN, Accept-Encoding")]);
        let set = VarySet::of(&headers).unwrap();
        assert_eq!(set.names(), ["accept-language", "origin"]);
        assert!(VarySet::of(&HeaderMap::new()).unwrap().is_empty());
        assert_eq!(set, self::set("accept-language,origin"));
    }

    #[test]
    fn what_was_written_down_can_be_told_but_for_secrets() {
        let request = fields(&[("origin", "a, b"), ("cookie", "id=7")]);
        let values = set("Origin, X, Cookie").values(&request);
        let pair = |name: &str, members: &[&str]| {
            (name.to_owned(), members.iter().map(|member| (*member).to_owned()).collect::<Vec<_>>())
        };
        let all = [pair("cookie", &["(not told)"]), pair("origin", &["a", "b"]), pair("x", &[])];
        assert_eq!(told(&values), all);
        for cut in 0..values.len() {
            assert!(told(&values[..cut]).len() <= 3);
        }
        assert!(told(&[0xff; 40]).is_empty());
    }

    #[test]
    fn a_star_or_nonsense_anywhere_matches_nothing() {
        for vary in [
            "*",
            "*,*",
            "origin, *",
            "*, origin",
            ", *,",
            "*a,*",
            "origin;q=1",
            "origin=1",
            "a b",
            "\"origin\"",
            "\"a, b\"",
            "\"a",
            "a\tb",
            "origin:",
            "(origin)",
            "[\"origin\"]",
            "origin; accept",
            "a/b",
            "@",
            "%2a,{}",
            "<origin>",
            "é",
        ] {
            assert_eq!(VarySet::of(&fields(&[("vary", vary)])), None, "{vary}");
        }
        for lines in [
            [("vary", "origin"), ("vary", "*")],
            [("vary", ""), ("vary", "*")],
            [("vary", "*"), ("vary", "*")],
        ] {
            assert_eq!(VarySet::of(&fields(&lines)), None, "{lines:?}");
        }
        let beyond_ascii = http::HeaderValue::from_bytes(b"origin\xff").unwrap();
        assert_eq!(VarySet::of(&HeaderMap::from_iter([(VARY, beyond_ascii)])), None);
    }

    #[test]
    fn empty_members_name_nothing() {
        for vary in ["", " ", ",", " , ,\t"] {
            assert!(set(vary).is_empty(), "{vary:?}");
        }
        assert_eq!(set(",origin,,\taccept ,"), set("accept, origin"));
    }

    #[test]
    fn a_name_is_any_token_in_any_case() {
        assert_eq!(set("X_Y!#$%&'*+-.^`|~, 9, **").names(), ["**", "9", "x_y!#$%&'*+-.^`|~"]);
    }

    #[test]
    fn too_many_names_are_a_star() {
        let names = |count| (0..count).map(|n| format!("f{n}")).collect::<Vec<_>>().join(",");
        assert!(VarySet::of(&fields(&[("vary", &names(MAX_NAMES))])).is_some());
        assert_eq!(VarySet::of(&fields(&[("vary", &names(MAX_NAMES + 1))])), None);
    }

    #[test]
    fn spaces_and_lines_do_not_matter_but_order_does() {
        let set = set("x-tags");
        let one = fields(&[("x-tags", "de , en")]);
        let two = fields(&[("x-tags", "de"), ("x-tags", "en")]);
        let turned = fields(&[("x-tags", "en, de")]);
        let shouted = fields(&[("x-tags", "DE, EN")]);
        assert!(set.selects_same(&one, &two));
        assert!(!set.selects_same(&one, &turned));
        assert!(!set.selects_same(&one, &shouted));
    }

    #[test]
    fn languages_are_compared_by_what_they_ask_for() {
        let same = |a: &str, b: &str| {
            let (a, b) = (fields(&[("accept-language", a)]), fields(&[("accept-language", b)]));
            let set = set("accept-language");
            assert_eq!(set.selects_same(&a, &b), set.values(&a) == set.values(&b));
            set.selects_same(&a, &b)
        };
        assert!(same("en, de", "de,eN"));
        assert!(same("en;q=0.5, de", "de;q=1, en;q=0.50"));
        assert!(!same("en;q=0.5, de", "en, de;q=0.5"));
        assert!(!same("en, de", "fr;q=0.5, de;q=1.0"), "what it means is not the same");
    }

    #[test]
    fn malformed_languages_are_compared_byte_by_byte() {
        let set = set("accept-language");
        let of = |value: &str| set.values(&fields(&[("accept-language", value)]));
        assert_ne!(of("en_US, de"), of("de, en_US"));
        assert_ne!(of("en_US"), of("en_us"));
        assert_eq!(of("en_US ,de"), of("en_US, de"));
        assert_ne!(of(""), set.values(&HeaderMap::new()));
    }

    #[test]
    fn what_is_written_to_disk_stays_as_it_is() {
        let request = fields(&[("accept-language", "EN;q=0.50, de"), ("x", "1,2")]);
        let expected = b"\0\0\0\0\0\0\0\x0faccept-language\0\0\0\0\0\0\0\x02\
            \0\0\0\0\0\0\0\x02de\0\0\0\0\0\0\0\x08en;q=0.5\
            \0\0\0\0\0\0\0\x01x\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x011\0\0\0\0\0\0\0\x012";
        assert_eq!(set("x, accept-language").values(&request), expected);
    }

    #[test]
    fn spaces_within_quotes_do_matter() {
        let (narrow, wide) = (fields(&[("x", r#""a,b""#)]), fields(&[("x", r#""a, b""#)]));
        assert!(!set("x").selects_same(&narrow, &wide));
    }

    #[test]
    fn absent_is_not_empty() {
        let empty = fields(&[("x", "")]);
        assert!(!set("x").selects_same(&empty, &HeaderMap::new()));
        assert!(set("x").selects_same(&HeaderMap::new(), &fields(&[("y", "1")])));
    }

    fn few_lines() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(r#"[a, "]{0,3}"#, 0..3)
    }

    proptest! {
        #[test]
        fn equal_values_mean_the_same_variant(
            (ax, ay) in (few_lines(), few_lines()), (bx, by) in (few_lines(), few_lines()),
        ) {
            let (x, y) = (HeaderName::from_static("x"), HeaderName::from_static("y"));
            let request = |xs: &[String], ys: &[String]| {
                let mut headers = repeated(&x, xs);
                headers.extend(repeated(&y, ys));
                headers
            };
            let (a, b) = (request(&ax, &ay), request(&bx, &by));
            let set = set("y, x");
            prop_assert_eq!(set.values(&a) == set.values(&b), set.selects_same(&a, &b));
        }

        #[test]
        fn equal_languages_mean_the_same_variant(
            a in prop::collection::vec("[aB*_]{0,2}(;q=[01](\\.[05])?)?(, ?[aB*]{1,2})?", 0..3),
            b in prop::collection::vec("[aB*_]{0,2}(;q=[01](\\.[05])?)?(, ?[aB*]{1,2})?", 0..3),
        ) {
            let (a, b) = (repeated(&ACCEPT_LANGUAGE, &a), repeated(&ACCEPT_LANGUAGE, &b));
            let set = set("accept-language");
            prop_assert_eq!(set.values(&a) == set.values(&b), set.selects_same(&a, &b));
            if let (Some(one), Some(other)) = (language::preferences(&a), language::preferences(&b)) {
                prop_assert_eq!(one == other, set.selects_same(&a, &b));
            }
        }

        #[test]
        fn field_soup_never_panics_and_a_star_always_tells(
            lines in prop::collection::vec("[a*,;\"\\\\ \t=-]{0,12}", 0..4), at in 0_usize..5,
        ) {
            let mut lines = lines;
            VarySet::of(&repeated(&VARY, &lines));
            lines.insert(at.min(lines.len()), "*".to_owned());
            prop_assert_eq!(VarySet::of(&repeated(&VARY, &lines)), None);
        }
    }
}
