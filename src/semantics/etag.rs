//! Entity tags (RFC 9110 §8.8.3).

use http::HeaderMap;
use http::header::ETAG;

/// An entity tag: opaque text that names one state of a representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ETag<'a> {
    /// Whether it is only promised to name equivalent content, not equal bytes.
    pub weak: bool,
    /// The text between the quotes.
    pub tag: &'a [u8],
}

impl<'a> ETag<'a> {
    /// Reads `"tag"` or `W/"tag"` and nothing around it; `None` for anything else, unquoted tags included.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        match Self::parse_prefix(text)? {
            (etag, []) => Some(etag),
            _ => None,
        }
    }

    /// The `ETag` of a message, if it has one that is well formed.
    pub fn of(headers: &'a HeaderMap) -> Option<Self> {
        Self::parse(headers.get(ETAG)?.as_bytes())
    }

    /// Whether both heads have the same strong tag: they are of the same bytes (RFC 9110 §8.8.1).
    pub fn is_shared_by(one: &HeaderMap, other: &HeaderMap) -> bool {
        ETag::of(one).zip(ETag::of(other)).is_some_and(|(one, other)| one.matches_strongly(other))
    }

    /// Both are strong and the same: equal bytes (RFC 9110 §8.8.3.2).
    pub fn matches_strongly(self, other: ETag<'_>) -> bool {
        !self.weak && !other.weak && self.tag == other.tag
    }

    /// The tags are the same, weak or not: equivalent content (RFC 9110 §8.8.3.2).
    pub fn matches_weakly(self, other: ETag<'_>) -> bool {
        self.tag == other.tag
    }

    /// The tag that `text` begins with, and what follows it. No character of a tag is an escape: a
    /// backslash before the closing quote belongs to the tag.
    fn parse_prefix(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (weak, quoted) = match text.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, text),
        };
        let inside = quoted.strip_prefix(b"\"")?;
        let end = inside.iter().position(|byte| !is_tag_byte(*byte))?;
        let (tag, rest) = inside.split_at_checked(end)?;
        Some((Self { weak, tag }, rest.strip_prefix(b"\"")?))
    }
}

/// `etagc`: anything visible but the quote.
fn is_tag_byte(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x7e | 0x80..)
}

/// The tags of one line of `If-Match` or `If-None-Match` (RFC 9110 §13.1). Members that are no tags are
/// left out; a comma within a tag is part of it.
pub fn tag_list(line: &[u8]) -> impl Iterator<Item = ETag<'_>> {
    let mut rest = line;
    std::iter::from_fn(move || {
        loop {
            rest = skip_separators(rest);
            if rest.is_empty() {
                return None;
            }
            if let Some((etag, after)) = ETag::parse_prefix(rest) {
                let separated = skip_blanks(after);
                rest = skip_to_comma(separated);
                if rest.len() == separated.len() {
                    return Some(etag);
                }
            } else {
                rest = skip_to_comma(rest);
            }
        }
    })
}

fn skip_separators(text: &[u8]) -> &[u8] {
    skip_while(text, |byte| matches!(byte, b' ' | b'\t' | b','))
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    skip_while(text, |byte| matches!(byte, b' ' | b'\t'))
}

fn skip_to_comma(text: &[u8]) -> &[u8] {
    skip_while(text, |byte| byte != b',')
}

fn skip_while(text: &[u8], skipped: impl Fn(u8) -> bool) -> &[u8] {
    let start = text.iter().position(|byte| !skipped(*byte)).unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tags(line: &str) -> Vec<String> {
        tag_list(line.as_bytes())
            .map(|etag| {
                let weak = if etag.weak { "W/" } else { "" };
                format!("{weak}{}", String::from_utf8_lossy(etag.tag))
            })
            .collect()
    }

    #[test]
    fn a_tag_is_quoted() {
        assert_eq!(ETag::parse(br#""a""#), Some(ETag { weak: false, tag: b"a" }));
        assert_eq!(ETag::parse(br#"W/"a""#), Some(ETag { weak: true, tag: b"a" }));
        assert_eq!(ETag::parse(br#""""#), Some(ETag { weak: false, tag: b"" }));
        for wrong in ["a", r#""a"#, r#"w/"a""#, r#""a" "#, r#""a b""#, "", "*"] {
            assert_eq!(ETag::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn weak_and_strong_compare_as_the_rfc_tables() {
        let weak = ETag { weak: true, tag: b"1" };
        let strong = ETag { weak: false, tag: b"1" };
        let other = ETag { weak: true, tag: b"2" };
        assert!(!weak.matches_strongly(weak) && weak.matches_weakly(weak));
        assert!(!weak.matches_strongly(other) && !weak.matches_weakly(other));
        assert!(!weak.matches_strongly(strong) && weak.matches_weakly(strong));
        assert!(strong.matches_strongly(strong) && strong.matches_weakly(strong));
    }

    #[test]
    fn lists_keep_commas_within_tags_and_skip_nonsense() {
        assert_eq!(tags(r#""a,b" , W/"c",,"d""#), ["a,b", "W/c", "d"]);
        assert_eq!(tags(r#""a\", "b""#), ["a\\", "b"]);
        assert_eq!(tags(r#"x, "a" y, "b"z, "c""#), ["c"]);
        assert_eq!(tags(r#""never ends, "a""#), ["a"]);
        assert!(tags(r#""never,"a""#).is_empty());
        assert!(tags("*").is_empty());
    }

    proptest! {
        #[test]
        fn well_formed_lists_read_whole(names in prop::collection::vec("[a-z,\\\\]{0,5}", 0..5)) {
            let line: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
            prop_assert_eq!(tags(&line.join(", ")), names);
        }

        #[test]
        fn no_line_hangs_or_panics(line: Vec<u8>) {
            prop_assert!(tag_list(&line).count() <= line.len());
        }
    }
}
