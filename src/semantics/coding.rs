//! Codings of content: which of them a client takes, and which it likes best (RFC 9110 §8.4, §12.5.3).

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderMap, HeaderValue};

use super::fields::{line_members, list_members};

/// A coding that this cache can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// Brotli (RFC 7932).
    Brotli,
    /// Zstandard (RFC 8878, and windows as RFC 9659 bounds them).
    Zstd,
    /// gzip (RFC 1952).
    Gzip,
}

impl Coding {
    /// All of them, the densest first.
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// Its name in `Content-Encoding`, and in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// The one that has this name in `Content-Encoding`, old spellings included (RFC 9110 §8.4.1).
    pub fn named(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|coding| coding.name().as_bytes().eq_ignore_ascii_case(plain_name(name)))
    }
}

/// The coding among these that a request likes best, the first of those that it likes the same; `None` if it takes none of
/// them, or likes content better that is not coded.
pub fn preferred(request: &HeaderMap, among: impl IntoIterator<Item = Coding>) -> Option<Coding> {
    let weights = Weights::of(request);
    let uncoded = weights.plain.unwrap_or(0);
    let mut best = None;
    for coding in among {
        let liked = weights.own(coding).or(weights.any).unwrap_or(0);
        if liked > 0 && liked >= uncoded && best.is_none_or(|(_, most)| liked > most) {
            best = Some((coding, liked));
        }
    }
    best.map(|(coding, _)| coding)
}

/// How much a request likes content in no coding, in thousandths, if it says anything of that: by its name, else by `*`.
pub(super) fn weight_of_plain(request: &HeaderMap) -> Option<u16> {
    weight(request, b"identity").or_else(|| weight(request, b"*"))
}

/// Whether a response with these fields may go to a client that sent this request: each coding in the
/// response's `Content-Encoding` that is registered must be acceptable by the request's `Accept-Encoding` (RFC 9110 §12.5.3).
///
/// An uncoded response always may. A request without `Accept-Encoding` is read as taking only uncoded
/// ones: the RFC would allow any coding, but clients that leave the field out seldom decode. A coding is
/// refused by `q=0`, by a weight that is malformed, or by any of several mentions.
pub fn accepts_coding(request: &HeaderMap, response: &HeaderMap) -> bool {
    accepts_coded(request, response.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes))
}

/// The same of a response with these lines of `Content-Encoding`.
pub fn accepts_coded<'a>(request: &HeaderMap, lines: impl IntoIterator<Item = &'a [u8]>) -> bool {
    let mut codings = lines.into_iter().flat_map(line_members);
    codings.all(|coding| !is_coding(coding) || accepts(request, plain_name(coding)))
}

/// Whether this is a content coding that is registered, and so one that a client could take or not (RFC 9110 §8.4.1).
/// Anything else is a word of the origin's own, for which no client asks: it goes to all as it comes, as it would
/// without a cache.
fn is_coding(name: &[u8]) -> bool {
    const REGISTERED: [&[u8]; 10] = [
        b"aes128gcm",
        b"br",
        b"compress",
        b"dcb",
        b"dcz",
        b"deflate",
        b"exi",
        b"gzip",
        b"pack200-gzip",
        b"zstd",
    ];
    REGISTERED.iter().any(|coding| coding.eq_ignore_ascii_case(plain_name(name)))
}

/// Whether `Accept-Encoding` takes this one coding: by its name, else by `*`.
pub(super) fn accepts(request: &HeaderMap, coding: &[u8]) -> bool {
    weight(request, coding).or_else(|| weight(request, b"*")).is_some_and(|weight| weight > 0)
}

/// How much `Accept-Encoding` likes each coding that this cache makes, in thousandths, read once: the least of several mentions.
#[derive(Default)]
struct Weights {
    own: [Option<u16>; Coding::ALL.len()],
    plain: Option<u16>,
    any: Option<u16>,
}

impl Weights {
    fn of(request: &HeaderMap) -> Self {
        let mut weights = Self::default();
        for mention in list_members(request, &ACCEPT_ENCODING).map(Preference::split) {
            let weight = match mention.coding {
                b"*" => &mut weights.any,
                name if name.eq_ignore_ascii_case(b"identity") => &mut weights.plain,
                name => match Coding::named(name).and_then(|coding| weights.own.get_mut(coding as usize)) {
                    Some(weight) => weight,
                    None => continue,
                },
            };
            *weight = Some(weight.map_or(mention.weight, |least| least.min(mention.weight)));
        }
        weights
    }

    fn own(&self, coding: Coding) -> Option<u16> {
        self.own.get(coding as usize).copied().flatten()
    }
}

/// How much `Accept-Encoding` likes this one coding, in thousandths, if it is mentioned by this name; by the least of several
/// mentions.
fn weight(request: &HeaderMap, coding: &[u8]) -> Option<u16> {
    let preferences = list_members(request, &ACCEPT_ENCODING).map(Preference::split);
    let of_it = preferences.filter(|mention| plain_name(mention.coding).eq_ignore_ascii_case(coding));
    of_it.map(|mention| mention.weight).min()
}

/// One member of `Accept-Encoding`.
struct Preference<'a> {
    coding: &'a [u8],
    /// In thousandths; what is malformed is refused.
    weight: u16,
}

impl<'a> Preference<'a> {
    fn split(member: &'a [u8]) -> Self {
        let mut parts = member.splitn(2, |byte| *byte == b';').map(<[u8]>::trim_ascii);
        let coding = parts.next().unwrap_or_default();
        Self { coding, weight: parts.next().map_or(MOST, |said| weight_said(said).unwrap_or(0)) }
    }
}

/// The weight of what is mentioned without one.
const MOST: u16 = 1000;

/// The thousandths of `q=` and a well-formed weight (RFC 9110 §12.4.2).
fn weight_said(parameter: &[u8]) -> Option<u16> {
    let (b'q' | b'Q', [b'=', weight @ ..]) = parameter.split_first()? else { return None };
    match weight {
        [b'0'] => Some(0),
        [b'1'] => Some(MOST),
        [b'1', b'.', zeros @ ..] => {
            (zeros.len() <= 3 && zeros.iter().all(|digit| *digit == b'0')).then_some(MOST)
        }
        [b'0', b'.', digits @ ..] if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) => {
            let padded = digits.iter().copied().chain(std::iter::repeat(b'0')).take(3);
            Some(padded.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')))
        }
        _ => None,
    }
}

/// The coding without the `x-` that old senders write (RFC 9110 §8.4.1).
fn plain_name(coding: &[u8]) -> &[u8] {
    match coding {
        [b'x' | b'X', b'-', plain @ ..]
            if plain.eq_ignore_ascii_case(b"gzip") || plain.eq_ignore_ascii_case(b"compress") =>
        {
            plain
        }
        _ => coding,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::semantics::testing::{fields, repeated};

    fn accepts(accept: &str, coding: &str) -> bool {
        let request = fields(&[("accept-encoding", accept)]);
        accepts_coding(&request, &fields(&[("content-encoding", coding)]))
    }

    #[test]
    fn an_uncoded_response_always_may() {
        let nothing = HeaderMap::new();
        assert!(accepts_coding(&nothing, &nothing));
        assert!(accepts_coding(&fields(&[("accept-encoding", "identity;q=0")]), &nothing));
        assert!(accepts_coding(&nothing, &fields(&[("content-encoding", "identity")])));
    }

    #[test]
    fn a_coded_one_must_be_asked_for() {
        assert!(!accepts_coding(&HeaderMap::new(), &fields(&[("content-encoding", "gzip")])));
        assert!(!accepts("", "gzip"));
        assert!(!accepts("br", "gzip"));
        assert!(accepts("br, GZIP", "gzip"));
        assert!(accepts("x-gzip", "gzip"));
        assert!(accepts("gzip", "X-GZip"));
        assert!(!accepts("x-br", "br"));
    }

    fn liked(accept: &str) -> Option<&'static str> {
        preferred(&fields(&[("accept-encoding", accept)]), Coding::ALL).map(Coding::name)
    }

    #[test]
    fn what_is_liked_best_is_made_and_the_densest_of_what_is_liked_the_same() {
        assert_eq!(preferred(&HeaderMap::new(), Coding::ALL), None);
        let cases = [
            ("gzip, deflate, br, zstd", Some("br")),
            ("gzip, deflate", Some("gzip")),
            ("gzip;q=1, br;q=0.5", Some("gzip")),
            ("br;q=0.001, gzip;q=0.01, *;q=0.1", Some("zstd")),
            ("*", Some("br")),
            ("*, br;q=0", Some("zstd")),
            ("x-gzip", Some("gzip")),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.5, gzip;q=0.5", Some("gzip")),
            ("identity;q=0, *;q=0", None),
            ("deflate", None),
            ("br;q=2, gzip;q=", None),
            ("", None),
        ];
        for (accept, coding) in cases {
            assert_eq!(liked(accept), coding, "{accept:?}");
        }
    }

    #[test]
    fn every_coding_of_a_stack_must_be_accepted() {
        assert!(accepts("gzip, br", "gzip, br"));
        assert!(!accepts("gzip", "gzip, br"));
    }

    #[test]
    fn weights_decide() {
        for yes in ["gzip;q=1", "gzip ; Q=0.001", "gzip;q=1.000", "*", "*;q=0.5", "*;q=0, gzip"] {
            assert!(accepts(yes, "gzip"), "{yes}");
        }
        for no in ["gzip;q=0", "gzip;q=0.000", "*;q=0", "*, gzip;q=0", "gzip, gzip;q=0", "gzip;q=0."] {
            assert!(!accepts(no, "gzip"), "{no}");
        }
    }

    #[test]
    fn a_malformed_weight_refuses() {
        for no in ["gzip;q=", "gzip;", "gzip;q=2", "gzip;q=0.1234", "gzip;q=.5", "gzip;q=1.1", "gzip;v=1"] {
            assert!(!accepts(no, "gzip"), "{no}");
        }
    }

    proptest! {
        #[test]
        fn what_is_made_is_taken(accept in "[a-z0-9;=*,. ]{0,30}|((br|zstd|gzip|identity|\\*)(;q=[01](\\.[0-9]{1,3})?)?,?){0,5}") {
            let request = repeated(&ACCEPT_ENCODING, &[accept]);
            if let Some(coding) = preferred(&request, Coding::ALL) {
                prop_assert!(accepts_coding(&request, &fields(&[("content-encoding", coding.name())])));
            }
        }

        #[test]
        fn refusing_by_name_is_final(before in "[a-z0-9;=*,. ]{0,20}", after in "[a-z0-9;=*,. ]{0,20}") {
            let request = repeated(&ACCEPT_ENCODING, &[before, "gzip;q=0".to_owned(), after]);
            prop_assert!(!accepts_coding(&request, &fields(&[("content-encoding", "gzip")])));
        }
    }
}
