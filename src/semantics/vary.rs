//! Which request fields choose between the variants of one key (RFC 9111 §4.1).

use std::sync::Arc;

use http::header::{ACCEPT_ENCODING, VARY};
use http::{HeaderMap, HeaderName};

use super::fields::{all_members, list_members};

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
    /// response: there is a `*` among the members, or something that is no field name.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut names = list_members(headers, &VARY).map(varying_name).collect::<Option<Vec<_>>>()?;
        names.retain(|name| name != ACCEPT_ENCODING);
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        Some(Self(names.into()))
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
    /// do. An absent field equals only an absent one.
    pub fn selects_same(&self, a: &HeaderMap, b: &HeaderMap) -> bool {
        // A present field has at least one member, if an empty one; only an absent field has none.
        self.0.iter().all(|name| all_members(a, name).eq(all_members(b, name)))
    }

    /// The names and the request's values for them, as bytes that are equal for two requests exactly if
    /// [`VarySet::selects_same`] holds for them. Made for hashing into a variant's key; never changes
    /// between versions.
    pub fn values(&self, headers: &HeaderMap) -> Vec<u8> {
        let mut out = Vec::new();
        for name in self.names() {
            push_prefixed(&mut out, name.as_str().as_bytes());
            push_length(&mut out, all_members(headers, name).count());
            for member in all_members(headers, name) {
                push_prefixed(&mut out, member);
            }
        }
        out
    }
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
    fn a_star_or_nonsense_anywhere_matches_nothing() {
        for vary in ["*", "origin, *", "*, origin", ", *,", "origin;q=1", "a b", "\"origin\""] {
            assert_eq!(VarySet::of(&fields(&[("vary", vary)])), None, "{vary}");
        }
    }

    #[test]
    fn spaces_and_lines_do_not_matter_but_order_does() {
        let set = set("accept-language");
        let one = fields(&[("accept-language", "de , en")]);
        let two = fields(&[("accept-language", "de"), ("accept-language", "en")]);
        let turned = fields(&[("accept-language", "en, de")]);
        assert!(set.selects_same(&one, &two));
        assert!(!set.selects_same(&one, &turned));
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
    }
}
