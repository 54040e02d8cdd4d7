//! Validators of the codings that this cache makes (RFC 9110 §8.8.3.3), and the way back to those of the origin.
//!
//! `"v1"` becomes `W/"v1~br"` while nobody knows all bytes, and `"v1~br.1f2e3d4c"` with a digest of them once they are stored.
//! So no two codings share a tag, and none has a strong one for other bytes.

use http::header::{ETAG, IF_MATCH, IF_NONE_MATCH, IF_RANGE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::coding::Coding;
use super::etag::{ETag, tag_list};

/// What parts the origin's own tag from what this cache adds.
const MARK: u8 = b'~';

/// The validator of a coding of what has this one, with a digest of its bytes if they are known. A weak one stays weak.
pub(super) fn coded_tag(tag: ETag<'_>, coding: Coding, digest: Option<u32>) -> Option<HeaderValue> {
    let digest = digest.filter(|_| !tag.weak).map(|digest| format!(".{digest:08x}"));
    let is_weak = digest.is_none();
    let opaque = [tag.tag, &[MARK], coding.name().as_bytes(), digest.unwrap_or_default().as_bytes()].concat();
    HeaderValue::from_bytes(&written(is_weak, &opaque)).ok()
}

fn written(is_weak: bool, opaque: &[u8]) -> Vec<u8> {
    let begin: &[u8] = if is_weak { b"W/\"" } else { b"\"" };
    [begin, opaque, b"\""].concat()
}

/// The text of the tag that one with this text was made of; `None` if it is none of ours.
fn plain(opaque: &[u8]) -> Option<&[u8]> {
    let (plain, ours) = opaque.split_at(opaque.iter().rposition(|byte| *byte == MARK)?);
    let mut words = ours.get(1..)?.split(|byte| *byte == b'.');
    let is_coding =
        words.next().is_some_and(|name| Coding::ALL.iter().any(|it| it.name().as_bytes() == name));
    let is_digest = |word: &[u8]| word.len() == 8 && word.iter().all(u8::is_ascii_hexdigit);
    (is_coding && words.next().is_none_or(is_digest) && words.next().is_none()).then_some(plain)
}

/// The same fields by the tag that this coding has while it is made: who was given that has the same content.
pub fn by_streamed_tag(fields: &HeaderMap, coding: Coding) -> HeaderMap {
    let of_plain = |tag: ETag<'_>| coded_tag(ETag { weak: true, tag: plain(tag.tag)? }, coding, None);
    let streamed = ETag::of(fields).and_then(of_plain);
    let mut fields = fields.clone();
    if let Some(tag) = streamed {
        fields.insert(ETAG, tag);
    }
    fields
}

/// Puts the origin's own tags in the place of ours, in the conditions of a request that goes to it. What we gave as weak was
/// strong, if the origin gave it so: `If-Match` compares nothing else (RFC 9110 §13.1.1).
pub fn by_plain_tags(request: &mut HeaderMap) {
    for (name, keeps_weak) in [(IF_NONE_MATCH, true), (IF_MATCH, false), (IF_RANGE, false)] {
        let has_ours = request.get_all(&name).iter().any(|line| line.as_bytes().contains(&MARK));
        if has_ours {
            rewrite(request, &name, keeps_weak);
        }
    }
}

fn rewrite(request: &mut HeaderMap, name: &HeaderName, keeps_weak: bool) {
    let of_origin = |tag: ETag<'_>| match plain(tag.tag) {
        Some(plain) => written(tag.weak && keeps_weak, plain),
        None => written(tag.weak, tag.tag),
    };
    let lines: Vec<HeaderValue> = request
        .get_all(name)
        .iter()
        .map(|line| {
            let tags: Vec<Vec<u8>> = tag_list(line.as_bytes()).map(of_origin).collect();
            // What is no list of tags stays as it is.
            let made = (!tags.is_empty()).then(|| HeaderValue::from_bytes(&tags.join(&b", "[..])).ok());
            made.flatten().unwrap_or_else(|| line.clone())
        })
        .collect();
    request.remove(name);
    for line in lines {
        request.append(name.clone(), line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::testing::fields;

    fn of(tag: &str, digest: Option<u32>) -> String {
        let tag = ETag::parse(tag.as_bytes()).expect("a tag");
        coded_tag(tag, Coding::Brotli, digest).expect("a value").to_str().expect("text").to_owned()
    }

    #[test]
    fn each_coding_has_a_tag_of_its_own() {
        assert_eq!(of("\"v1\"", None), "W/\"v1~br\"");
        assert_eq!(of("\"v1\"", Some(0x1f)), "\"v1~br.0000001f\"");
        assert_eq!(of("W/\"v1\"", Some(0x1f)), "W/\"v1~br\"");
        assert_eq!(of("\"\"", None), "W/\"~br\"");
    }

    #[test]
    fn what_was_made_leads_back_and_nothing_else_does() {
        let back = |opaque: &'static str| plain(opaque.as_bytes());
        assert_eq!(back("v1~br"), Some(&b"v1"[..]));
        assert_eq!(back("v~1~zstd.0123abcd"), Some(&b"v~1"[..]));
        for other in ["v1", "v1~deflate", "v1~br.123", "v1~br.0123abcd.1", "v1~", "br", "~"] {
            assert_eq!(back(other), None, "{other}");
        }
    }

    #[test]
    fn conditions_go_to_the_origin_by_its_own_tags() {
        let ours = "W/\"v1~br\", \"v1~gzip.0123abcd\", \"v2\"";
        let mut request =
            fields(&[("if-none-match", ours), ("if-match", ours), ("if-range", "\"v1~br.01234567\"")]);
        by_plain_tags(&mut request);
        assert_eq!(request[IF_NONE_MATCH], "W/\"v1\", \"v1\", \"v2\"");
        assert_eq!(request[IF_MATCH], "\"v1\", \"v1\", \"v2\"");
        assert_eq!(request[IF_RANGE], "\"v1\"");
        let mut others = fields(&[("if-none-match", "*"), ("if-range", "Sun, 06 Nov 1994 08:49:37 GMT~")]);
        let before = others.clone();
        by_plain_tags(&mut others);
        assert_eq!(others, before);
    }
}
