//! What `Accept-Language` asks for, whatever way it is written (RFC 9110 §12.5.4, RFC 4647 §2.1).

use std::fmt::Write as _;

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;

use super::fields::list_members;

/// The weight of a range that states none, in thousandths (RFC 9110 §12.4.2).
const FULL: u16 = 1000;

/// The members of a request's `Accept-Language` in their normal form: in small letters, the most wanted first and
/// those of equal weight by name, each once, weights as short as they can be written and left out where they are 1.
/// Two requests that give the same members ask for the same.
///
/// RFC 9111 §4.1 lets a cache compare by meaning. That members of equal weight have no order among them is the
/// reading of RFC 9110 §12.5.4, by which nobody can rely on one.
///
/// `None` if there is no member, or if one of them is malformed: nobody knows then how the origin reads any of them.
pub fn preferences(request: &HeaderMap) -> Option<Vec<String>> {
    let mut wanted =
        list_members(request, &ACCEPT_LANGUAGE).map(Wanted::parse).collect::<Option<Vec<_>>>()?;
    if wanted.is_empty() {
        return None;
    }
    wanted.sort_unstable_by(|a, b| b.weight.cmp(&a.weight).then_with(|| a.range.cmp(&b.range)));
    wanted.dedup();
    Some(wanted.iter().map(Wanted::text).collect())
}

/// One member: a language range and its weight in thousandths.
#[derive(PartialEq, Eq)]
struct Wanted {
    range: String,
    weight: u16,
}

impl Wanted {
    fn parse(member: &[u8]) -> Option<Self> {
        let mut parts = member.splitn(2, |byte| *byte == b';').map(<[u8]>::trim_ascii);
        let range = parts.next().filter(|range| is_range(range))?;
        let weight = parts.next().map_or(Some(FULL), weight)?;
        // Letters, digits and hyphens: never lossy.
        Some(Self { range: String::from_utf8_lossy(range).to_ascii_lowercase(), weight })
    }

    fn text(&self) -> String {
        let mut text = self.range.clone();
        match self.weight {
            FULL => {}
            0 => text.push_str(";q=0"),
            weight => {
                let digits = format!("{weight:03}");
                // Writing into a string cannot fail.
                let _ = write!(text, ";q=0.{}", digits.trim_end_matches('0'));
            }
        }
        text
    }
}

/// A basic language range (RFC 4647 §2.1).
fn is_range(text: &[u8]) -> bool {
    let mut subtags = text.split(|byte| *byte == b'-');
    let first = subtags.next().unwrap_or_default();
    let of = |subtag: &[u8], is: fn(&u8) -> bool| (1..=8).contains(&subtag.len()) && subtag.iter().all(is);
    text == b"*"
        || (of(first, u8::is_ascii_alphabetic) && subtags.all(|subtag| of(subtag, u8::is_ascii_alphanumeric)))
}

/// The thousandths of a well-formed weight (RFC 9110 §12.4.2).
fn weight(parameter: &[u8]) -> Option<u16> {
    let Some((b'q' | b'Q', [b'=', value @ ..])) = parameter.split_first() else { return None };
    let (whole, fraction) = match value {
        [whole] => (whole, &[][..]),
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return None,
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let thousandths =
        fraction.iter().chain(b"000").take(3).fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match whole {
        b'0' => Some(thousandths),
        b'1' if thousandths == 0 => Some(FULL),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::semantics::testing::{fields, repeated};

    fn of(value: &str) -> Option<Vec<String>> {
        preferences(&fields(&[("accept-language", value)]))
    }

    #[test]
    fn case_space_and_the_order_of_equals_do_not_matter() {
        for same in
            ["en, de", "de,en", "DE , eN", " en ,   de", "en;q=1, de;q=1.000", ",de,,en,", "de, en, de"]
        {
            assert_eq!(of(same).unwrap(), ["de", "en"], "{same:?}");
        }
        let lines = fields(&[("accept-language", "en"), ("accept-language", "de")]);
        assert_eq!(preferences(&lines).unwrap(), ["de", "en"]);
    }

    #[test]
    fn weights_order_and_are_written_one_way() {
        for same in ["en;q=0.5, de", "de, en;q=0.5", "de,en ; Q=0.500", "en;q=0.50, de"] {
            assert_eq!(of(same).unwrap(), ["de", "en;q=0.5"], "{same:?}");
        }
        assert_eq!(
            of("*;q=0.001, fr;q=0., de-ch-1996;q=0.12").unwrap(),
            ["de-ch-1996;q=0.12", "*;q=0.001", "fr;q=0"]
        );
        assert_ne!(of("de;q=0.5, en;q=0.6"), of("de;q=0.6, en;q=0.5"));
        assert_ne!(of("de, en"), of("de"));
        assert_ne!(of("de, en;q=0"), of("de"));
        assert_ne!(of("de;q=0.5"), of("de"));
    }

    #[test]
    fn what_is_malformed_has_no_meaning() {
        for bad in [
            "",
            ",",
            "en_US",
            "en-",
            "-en",
            "e n",
            "1en",
            "en;",
            "en;q",
            "en;q=",
            "en;q=2",
            "en;q=1.001",
            "en;q=0.1234",
            "en;q=.5",
            "en; q = 0.5",
            "en;q=0.5;x",
            "en;level=1",
            "abcdefghi",
            "en-*",
            "\"en\"",
            "de, en;q=x",
            "en;q=0,5",
        ] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
        assert_eq!(preferences(&HeaderMap::new()), None);
    }

    fn member() -> impl Strategy<Value = String> {
        ("(\\*|[a-c]{1,2}(-[A-B1]{1,2})?)", prop::option::of("(0(\\.[0-9]{0,3})?|1(\\.0{0,3})?)"))
            .prop_map(|(range, weight)| weight.map_or(range.clone(), |weight| format!("{range};q={weight}")))
    }

    proptest! {
        #[test]
        fn the_normal_form_is_its_own(members in prop::collection::vec(member(), 1..5)) {
            let normal = of(&members.join(", ")).unwrap();
            prop_assert_eq!(of(&normal.join(",")).unwrap(), normal);
        }

        #[test]
        fn no_shuffling_of_members_makes_another_meaning(
            members in prop::collection::vec(member(), 1..5).prop_flat_map(|members| {
                (Just(members.clone()), Just(members).prop_shuffle())
            }),
        ) {
            let (one, other) = members;
            prop_assert_eq!(of(&one.join(",")), of(&other.join(" , ").to_uppercase().replace("Q=", "q=")));
        }

        #[test]
        fn nothing_panics(lines in prop::collection::vec("[a-z0-9*;=q., \"-]{0,16}", 0..4)) {
            preferences(&repeated(&ACCEPT_LANGUAGE, &lines));
        }
    }
}
