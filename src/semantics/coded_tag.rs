//! Validators of the codings that this cache makes (RFC 9110 §8.8.3.3), and the way back to those of the origin.
//!
//! `"v1"` becomes `W/"v1~br"` while nobody knows all bytes, and `"v1~br.1f2e3d4c"` with a digest of them once they are stored.
//! So no two codings share a tag, and none has a strong one for other bytes.

use http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::coding::{self, Coding};
use super::decoding::takes_plain;
use super::etag::{ETag, tag_list};

/// What stands for no coding, in the tag of content whose coding was taken off.
pub(super) const IDENTITY: &str = "identity";

/// What parts the origin's own tag from what this cache adds.
const MARK: u8 = b'~';

/// The validator of what has this one in another coding, with a digest of its bytes if they are known. A weak one stays weak.
pub(super) fn coded_tag(tag: ETag<'_>, coding: &str, digest: Option<u32>) -> Option<HeaderValue> {
    let digest = digest.filter(|_| !tag.weak).map(|digest| format!(".{digest:08x}"));
    let is_weak = digest.is_none();
    let opaque = [tag.tag, &[MARK], coding.as_bytes(), digest.unwrap_or_default().as_bytes()].concat();
    HeaderValue::from_bytes(&written(is_weak, &opaque)).ok()
}

fn written(is_weak: bool, opaque: &[u8]) -> Vec<u8> {
    let begin: &[u8] = if is_weak { b"W/\"" } else { b"\"" };
    [begin, opaque, b"\""].concat()
}

/// The text of the tag that one with this text was made of; `None` if it is none of ours.
fn plain(opaque: &[u8]) -> Option<&[u8]> {
    apart(opaque).map(|(plain, _)| plain)
}

/// A text of ours taken apart: that of the tag that it was made of, and the name of the coding.
fn apart(opaque: &[u8]) -> Option<(&[u8], &'static str)> {
    let (plain, ours) = opaque.split_at(opaque.iter().rposition(|byte| *byte == MARK)?);
    let mut words = ours.get(1..)?.split(|byte| *byte == b'.');
    let said = words.next()?;
    let mut names = Coding::ALL.iter().map(|coding| coding.name()).chain([IDENTITY]);
    let coding = names.find(|name| name.as_bytes() == said)?;
    let is_digest = |word: &[u8]| word.len() == 8 && word.iter().all(u8::is_ascii_hexdigit);
    (words.next().is_none_or(is_digest) && words.next().is_none()).then_some((plain, coding))
}

/// Of the tags that a request knows (`If-None-Match`) one of ours that was made of what has these fields, in a coding that the
/// request takes: who has that has this content, be it coded anew. `is_made`: the fields are those of a coding themselves.
pub fn known_tag(request: &HeaderMap, fields: &HeaderMap, is_made: bool) -> Option<HeaderValue> {
    let own = ETag::of(fields)?.tag;
    let of = if is_made { plain(own)? } else { own };
    let lines = request.get_all(IF_NONE_MATCH).iter().filter(|line| line.as_bytes().contains(&MARK));
    let mut known = lines.flat_map(|line| tag_list(line.as_bytes()));
    let is_of =
        |tag: &ETag<'_>| apart(tag.tag).is_some_and(|(plain, name)| plain == of && takes(request, name));
    let tag = known.find(is_of)?;
    HeaderValue::from_bytes(&written(tag.weak, tag.tag)).ok()
}

fn takes(request: &HeaderMap, coding: &str) -> bool {
    if coding == IDENTITY { takes_plain(request) } else { coding::accepts(request, coding.as_bytes()) }
}

/// Puts the tag of ours that a request knew back into a 304 of the origin, which speaks of its own (RFC 9110 §15.4.5): the client
/// has the bytes of ours.
pub fn put_back(request: &HeaderMap, fields: &mut HeaderMap) {
    if let Some(tag) = known_tag(request, fields, false) {
        fields.insert(ETAG, tag);
    }
}

/// Adds the origin's own tags to ours, in the conditions of a request that goes to it. What we gave as weak was strong, if the
/// origin gave it so: `If-Match` compares nothing else (RFC 9110 §13.1.1). Not in `If-Range`: parts of what the origin has are
/// none of what is coded here, and a tag that it does not know makes it send the whole.
pub fn by_plain_tags(request: &mut HeaderMap) {
    for (name, keeps_weak) in [(IF_NONE_MATCH, true), (IF_MATCH, false)] {
        let has_ours = request.get_all(&name).iter().any(|line| line.as_bytes().contains(&MARK));
        if has_ours {
            rewrite(request, &name, keeps_weak);
        }
    }
}

fn rewrite(request: &mut HeaderMap, name: &HeaderName, keeps_weak: bool) {
    // One that is the origin's after all stays beside what was made of it.
    let of_origin = |tag: ETag<'_>| {
        let plain = plain(tag.tag).map(|plain| written(tag.weak && keeps_weak, plain));
        plain.into_iter().chain([written(tag.weak, tag.tag)])
    };
    let lines: Vec<HeaderValue> = request
        .get_all(name)
        .iter()
        .map(|line| {
            let tags: Vec<Vec<u8>> = tag_list(line.as_bytes()).flat_map(of_origin).collect();
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
    use http::header::IF_RANGE;

    use super::*;
    use crate::semantics::testing::fields;

    fn of(tag: &str, digest: Option<u32>) -> String {
        let tag = ETag::parse(tag.as_bytes()).expect("a tag");
        coded_tag(tag, "br", digest).expect("a value").to_str().expect("text").to_owned()
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
        assert_eq!(back("v1~identity"), Some(&b"v1"[..]));
        for other in ["v1", "v1~deflate", "v1~br.123", "v1~br.0123abcd.1", "v1~", "br", "~"] {
            assert_eq!(back(other), None, "{other}");
        }
    }

    #[test]
    fn who_has_a_coding_is_known_by_its_tag() {
        let stored = fields(&[("etag", "\"v1\"")]);
        let made = fields(&[("etag", "\"v1~br.0123abcd\"")]);
        let known = |accept: &str, tags: &str| {
            let request = fields(&[("accept-encoding", accept), ("if-none-match", tags)]);
            let by_plain = known_tag(&request, &stored, false);
            assert_eq!(by_plain, known_tag(&request, &made, true));
            by_plain.map(|tag| tag.to_str().expect("text").to_owned())
        };
        assert_eq!(known("br", "\"v0\", W/\"v1~br\"").as_deref(), Some("W/\"v1~br\""));
        assert_eq!(known("br", "\"v1~br.76543210\"").as_deref(), Some("\"v1~br.76543210\""));
        assert_eq!(known("gzip", "W/\"v1~br\""), None, "it takes that no more");
        assert_eq!(known("br", "W/\"v2~br\", \"v1\""), None);
        assert_eq!(known("br", "W/\"v1~identity\"").as_deref(), Some("W/\"v1~identity\""));
        let mut told = stored.clone();
        put_back(&fields(&[("accept-encoding", "br"), ("if-none-match", "W/\"v1~br\"")]), &mut told);
        assert_eq!(told[ETAG], "W/\"v1~br\"");
    }

    #[test]
    fn conditions_go_to_the_origin_by_its_own_tags() {
        let ours = "W/\"v1~br\", \"v1~gzip.0123abcd\", \"v2\"";
        let mut request =
            fields(&[("if-none-match", ours), ("if-match", ours), ("if-range", "\"v1~br.01234567\"")]);
        by_plain_tags(&mut request);
        let weak = "W/\"v1\", W/\"v1~br\", \"v1\", \"v1~gzip.0123abcd\", \"v2\"";
        assert_eq!(request[IF_NONE_MATCH], weak);
        let strong = "\"v1\", W/\"v1~br\", \"v1\", \"v1~gzip.0123abcd\", \"v2\"";
        assert_eq!(request[IF_MATCH], strong);
        assert_eq!(request[IF_RANGE], "\"v1~br.01234567\"", "no part of what the origin has is one of that");
        let mut others = fields(&[("if-none-match", "*"), ("if-match", "Sun, 06 Nov 1994 08:49:37 GMT~")]);
        let before = others.clone();
        by_plain_tags(&mut others);
        assert_eq!(others, before);
    }
}
