//! Which responses may stand for one another.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, Method};

use crate::base::ids::{KeyRules, SiteId};

/// What every key is made of. The host is canonical already; path and query are taken byte for byte, as they are
/// forwarded.
#[derive(Clone, Debug)]
pub struct KeyParts<'a> {
    /// The site.
    pub site: SiteId,
    /// The generation of its key rules.
    pub rules: KeyRules,
    /// The scheme that the client used.
    pub scheme: &'a Scheme,
    /// The canonical host, with its port unless that is the scheme's default.
    pub host: &'a str,
    /// Path and query. A query that is empty differs from none.
    pub target: &'a PathAndQuery,
    /// The arm of an experiment; empty for now.
    pub arm: &'a str,
}

/// Bytes of the site and its rules, before the parts that have a length.
const BEFORE_PARTS: usize = 4 + size_of::<KeyRules>();

thread_local! {
    /// Where keys are put together: every request makes one. It grows to the longest, which is bounded by the longest
    /// head of a request.
    static WORK: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Parts of a full key.
#[derive(Default)]
struct Parts<'a> {
    scheme: &'a str,
    host: &'a str,
    path: &'a str,
    /// All that comes before the query.
    before_query: &'a [u8],
    query: Option<&'a str>,
    /// What comes after the query.
    after: &'a [u8],
}

/// A full key with its hash. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    full: Arc<[u8]>,
    hash: KeyHash,
}

/// BLAKE3 of a full key: names the entry. The full key is compared on every hit all the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash([u8; 32]);

impl Key {
    /// The key of these parts. Each part is length-prefixed, so that no two lists of parts share a key.
    pub fn new(parts: &KeyParts<'_>) -> Self {
        Self::with(parts, &Extras::default())
    }

    /// The same, and of what else tells responses apart. Without extras it is [`Key::new`].
    pub fn with(parts: &KeyParts<'_>, extras: &Extras) -> Self {
        WORK.with_borrow_mut(|full| {
            full.clear();
            full.extend_from_slice(&parts.site.0.to_be_bytes());
            full.extend_from_slice(&parts.rules.0.to_be_bytes());
            push_url(full, parts.scheme, parts.host, parts.target);
            push_part(full, parts.arm);
            if !extras.0.is_empty() {
                full.extend_from_slice(blake3::hash(&extras.0).as_bytes());
            }
            Self::of_full(full.as_slice().into())
        })
    }

    /// The host that it was made of; empty if it was made otherwise.
    pub fn host(&self) -> &str {
        let host = || {
            let mut rest = self.full.get(self.after_part(BEFORE_PARTS)?..)?;
            take_part(&mut rest)
        };
        host().unwrap_or_default()
    }

    /// The key of a full key that was made before.
    pub fn of_full(full: Arc<[u8]>) -> Self {
        let hash = KeyHash(*blake3::hash(&full).as_bytes());
        Self { full, hash }
    }

    /// Scheme, host and path; each empty if it was made otherwise.
    pub fn place(&self) -> (&str, &str, &str) {
        let Parts { scheme, host, path, .. } = self.parts().unwrap_or_default();
        (scheme, host, path)
    }

    /// The hash that names the entry.
    pub fn hash(&self) -> KeyHash {
        self.hash
    }

    /// All parts, length-prefixed: what is compared on a hit.
    pub fn full(&self) -> &[u8] {
        &self.full
    }

    /// The same, to keep.
    pub fn shared_full(&self) -> Arc<[u8]> {
        Arc::clone(&self.full)
    }

    /// The site, which is the first part.
    pub fn site(&self) -> SiteId {
        SiteId(self.full.first_chunk().map_or(0, |site| u32::from_be_bytes(*site)))
    }

    /// The part that names the canonical URL, as [`url`] makes it: what purges match, whatever site, rules and arm.
    pub fn url(&self) -> &[u8] {
        let end = || {
            let path = [0; 3].into_iter().try_fold(BEFORE_URL, |at, _: u8| self.after_part(at))?;
            // Whether there is a query comes before it.
            self.after_part(path + 1)
        };
        end().and_then(|end| self.full.get(BEFORE_URL..end)).unwrap_or_default()
    }

    /// Where the part ends whose length is at `at`.
    fn after_part(&self, at: usize) -> Option<usize> {
        let length = self.full.get(at..)?.first_chunk()?;
        usize::try_from(u64::from_be_bytes(*length)).ok()?.checked_add(at + 8)
    }

    /// What a person would call it: the URL without what the site ignores of it. Everything in it is what the request
    /// said itself.
    pub fn readable(&self) -> String {
        let Parts { scheme, host, path, query, .. } = self.parts().unwrap_or_default();
        let (mark, query) = query.map_or(("", ""), |query| ("?", query));
        format!("{scheme}://{host}{path}{mark}{query}")
    }

    /// The hash of all of it but the query. That of no key: it is made in another context.
    pub fn path(&self) -> KeyHash {
        let mut hasher = blake3::Hasher::new_derive_key("forebay path of a key");
        if let Some(Parts { before_query, after, .. }) = self.parts() {
            hasher.update(before_query);
            hasher.update(after);
        }
        KeyHash(*hasher.finalize().as_bytes())
    }

    /// The query, if there is one.
    pub fn query(&self) -> Option<&str> {
        self.parts()?.query
    }

    /// The parts as they were put together; `None` never, but for a key that was put together otherwise.
    fn parts(&self) -> Option<Parts<'_>> {
        let mut rest = self.full.get(BEFORE_PARTS..)?;
        let (scheme, host, path) = (take_part(&mut rest)?, take_part(&mut rest)?, take_part(&mut rest)?);
        let before_query = self.full.get(..self.full.len() - rest.len())?;
        let (has_query, after) = rest.split_first()?;
        rest = after;
        let query = take_part(&mut rest).map(|query| (*has_query == 1).then_some(query))?;
        Some(Parts { scheme, host, path, before_query, query, after: rest })
    }

    /// Bytes of the full key.
    pub fn weight(&self) -> usize {
        self.full.len()
    }

    /// The name of the variant of this key whose request had these selecting values
    /// (see [`crate::semantics::vary::VarySet::values`]).
    pub fn variant(&self, values: &[u8]) -> KeyHash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.hash.0);
        hasher.update(values);
        KeyHash(*hasher.finalize().as_bytes())
    }

    /// The key under which the disk has one block of a divided object of this key, in a slot of it. It is no key of a
    /// request: only the key's own parts and what is hashed of its extras are shorter.
    #[must_use]
    pub fn block(&self, slot: KeyHash, index: u32) -> Self {
        let mut full = Vec::with_capacity(self.full.len() + slot.0.len() + size_of::<u32>());
        full.extend_from_slice(&self.full);
        full.extend_from_slice(&slot.0);
        full.extend_from_slice(&index.to_be_bytes());
        Self::of_full(full.into())
    }
}

/// What tells responses of some requests apart beside the usual parts: what the site's rules name of their fields, and
/// their content. A key has only a BLAKE3 hash of it, so that it stays small. Order of the calls matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras(Vec<u8>);

impl Extras {
    /// Cookies of the request, as they stand in it. Call it also if there are none, so that this differs from any.
    pub fn cookies<'a>(&mut self, pairs: impl Iterator<Item = &'a [u8]>) {
        self.0.push(1);
        for pair in pairs {
            self.0.push(1);
            push_bytes(&mut self.0, pair);
        }
        self.0.push(0);
    }

    /// All lines of a field, as they came. An absent field differs from an empty one.
    pub fn field(&mut self, name: &HeaderName, request: &HeaderMap) {
        self.0.push(2);
        push_part(&mut self.0, name.as_str());
        for line in request.get_all(name) {
            self.0.push(1);
            push_bytes(&mut self.0, line.as_bytes());
        }
        self.0.push(0);
    }

    /// Method and content of a request that is more than a GET, with the fields that say what the content is.
    pub fn content(&mut self, method: &Method, request: &HeaderMap, content: &[u8]) {
        self.0.push(3);
        push_part(&mut self.0, method.as_str());
        let mut names: Vec<&HeaderName> = request.keys().filter(|name| describes_content(name)).collect();
        names.sort_unstable_by_key(|name| name.as_str());
        for name in names {
            self.field(name, request);
        }
        self.0.push(4);
        self.0.extend_from_slice(&(content.len() as u64).to_be_bytes());
        self.0.extend_from_slice(blake3::hash(content).as_bytes());
    }
}

/// `Content-Type`, `Content-Encoding` and their like; the length is the content's own.
fn describes_content(name: &HeaderName) -> bool {
    name.as_str().starts_with("content-") && name != http::header::CONTENT_LENGTH
}

impl KeyHash {
    /// Its first sixteen bytes, in two halves.
    pub fn halves(&self) -> (u64, u64) {
        let second = self.0.get(8..).and_then(<[u8]>::first_chunk).unwrap_or(&[0; 8]);
        (self.short(), u64::from_le_bytes(*second))
    }

    /// The name of a slot beside this one, another for each number that is not zero.
    #[must_use]
    pub fn beside(mut self, number: u8) -> Self {
        for byte in &mut self.0 {
            *byte ^= number;
        }
        self
    }

    /// Eight of its bytes: as good as random, so that tables need no hash of their own.
    pub fn short(&self) -> u64 {
        let (eight, _) = self.0.split_first_chunk().unwrap_or((&[0; 8], &[]));
        u64::from_le_bytes(*eight)
    }
}

/// Bytes of site and rules.
const BEFORE_URL: usize = 8;

/// The canonical URL of `target` at `host`, as keys have it: what is stored under it is found by [`Key::url`].
pub fn url(scheme: &Scheme, host: &str, target: &PathAndQuery) -> Arc<[u8]> {
    let mut url = Vec::new();
    push_url(&mut url, scheme, host, target);
    url.into()
}

fn push_url(full: &mut Vec<u8>, scheme: &Scheme, host: &str, target: &PathAndQuery) {
    push_part(full, scheme.as_str());
    push_part(full, host);
    push_part(full, target.path());
    full.push(u8::from(target.query().is_some()));
    push_part(full, target.query().unwrap_or_default());
}

fn push_part(full: &mut Vec<u8>, part: &str) {
    push_bytes(full, part.as_bytes());
}

fn push_bytes(full: &mut Vec<u8>, part: &[u8]) {
    full.extend_from_slice(&(part.len() as u64).to_be_bytes());
    full.extend_from_slice(part);
}

/// Takes a part off the beginning.
fn take_part<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let (length, after) = rest.split_first_chunk::<8>()?;
    let (part, after) = after.split_at_checked(usize::try_from(u64::from_be_bytes(*length)).ok()?)?;
    *rest = after;
    std::str::from_utf8(part).ok()
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.hash)
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(site: u32, host: &str, target: &str, arm: &str) -> Key {
        Key::new(&KeyParts {
            site: SiteId(site),
            rules: KeyRules(0),
            scheme: &Scheme::HTTP,
            host,
            target: &target.parse().expect("a target"),
            arm,
        })
    }

    #[test]
    fn every_part_tells_keys_apart() {
        let one = key(1, "a.example", "/x?y", "");
        assert_eq!(one, key(1, "a.example", "/x?y", ""));
        assert_ne!(one, key(2, "a.example", "/x?y", ""));
        assert_ne!(one, key(1, "b.example", "/x?y", ""));
        assert_ne!(one, key(1, "a.example", "/x", ""));
        assert_ne!(one, key(1, "a.example", "/x?y", "b"));
        assert_ne!(key(1, "a.example", "/x?", ""), key(1, "a.example", "/x", ""));
    }

    fn extras(say: impl FnOnce(&mut Extras)) -> Key {
        let mut extras = Extras::default();
        say(&mut extras);
        let target = PathAndQuery::from_static("/");
        let (site, rules, scheme) = (SiteId(1), KeyRules(0), &Scheme::HTTP);
        Key::with(&KeyParts { site, rules, scheme, host: "a", target: &target, arm: "" }, &extras)
    }

    fn request(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().expect("a value"));
        }
        headers
    }

    #[test]
    fn every_extra_tells_keys_apart() {
        let (query, post) = (Method::from_bytes(b"QUERY").expect("a method"), Method::POST);
        let (x, y) = (HeaderName::from_static("x"), HeaderName::from_static("y"));
        let (none, json) = (request(&[]), request(&[("content-type", "application/json")]));
        let keys = [
            extras(|_| {}),
            extras(|extras| extras.cookies([].into_iter())),
            extras(|extras| extras.cookies([&b""[..]].into_iter())),
            extras(|extras| extras.cookies([&b"ab"[..]].into_iter())),
            extras(|extras| extras.cookies([&b"a"[..], b"b"].into_iter())),
            extras(|extras| extras.field(&x, &none)),
            extras(|extras| extras.field(&y, &none)),
            extras(|extras| extras.field(&x, &request(&[("x", "")]))),
            extras(|extras| extras.field(&x, &request(&[("x", "a, b")]))),
            extras(|extras| extras.field(&x, &request(&[("x", "a"), ("x", "b")]))),
            extras(|extras| extras.content(&query, &none, b"")),
            extras(|extras| extras.content(&post, &none, b"")),
            extras(|extras| extras.content(&query, &none, b"a")),
            extras(|extras| extras.content(&query, &json, b"a")),
            extras(|extras| extras.content(&query, &request(&[("content-encoding", "gzip")]), b"a")),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys.iter().skip(index + 1).any(|other| other == key), "{index}");
        }
        let same = request(&[("accept", "a"), ("content-length", "1")]);
        assert_eq!(
            extras(|extras| extras.content(&query, &same, b"a")),
            extras(|extras| extras.content(&query, &none, b"a"))
        );
    }

    #[test]
    fn keys_of_one_url_share_it_whatever_else_differs() {
        let target = "/x?y".parse().expect("a target");
        let of = url(&Scheme::HTTP, "a.example", &target);
        for (site, arm) in [(1, ""), (2, "b")] {
            assert_eq!(key(site, "a.example", "/x?y", arm).url(), &*of);
        }
        for (host, target) in
            [("b.example", "/x?y"), ("a.example", "/x"), ("a.example", "/x?"), ("a.example", "/x?y2")]
        {
            assert_ne!(key(1, host, target, "").url(), &*of, "{host}{target}");
        }
    }

    #[test]
    fn a_key_can_be_told_as_a_url() {
        for (target, url) in [
            ("/x?y=%20&z", "http://a.example/x?y=%20&z"),
            ("/", "http://a.example/"),
            ("/?", "http://a.example/?"),
        ] {
            assert_eq!(key(1, "a.example", target, "").readable(), url);
        }
    }

    #[test]
    fn keys_that_differ_by_their_query_alone_have_one_path() {
        let one = key(1, "a.example", "/x?y=1", "b");
        for query in ["/x", "/x?", "/x?y=2&z"] {
            assert_eq!(one.path(), key(1, "a.example", query, "b").path(), "{query}");
        }
        assert_eq!([one.query(), key(1, "a", "/x", "").query()], [Some("y=1"), None]);
        for other in [
            key(2, "a.example", "/x?y=1", "b"),
            key(1, "b.example", "/x?y=1", "b"),
            key(1, "a.example", "/y?y=1", "b"),
            key(1, "a.example", "/x?y=1", ""),
        ] {
            assert_ne!(one.path(), other.path(), "{}", other.readable());
        }
        assert_ne!(key(1, "a", "/x", "").path(), key(1, "a", "/x", "").hash());
    }

    proptest! {
        #[test]
        fn cookies_never_run_into_each_other(
            a in prop::collection::vec("[a=]{0,3}", 0..3), b in prop::collection::vec("[a=]{0,3}", 0..3),
        ) {
            let key = |pairs: &[String]| extras(|extras| extras.cookies(pairs.iter().map(String::as_bytes)));
            prop_assert_eq!(key(&a) == key(&b), a == b);
        }

        #[test]
        fn parts_never_run_into_each_other(
            host_a in "[a-z.]{0,6}", path_a in "/[a-z?]{0,6}", host_b in "[a-z.]{0,6}", path_b in "/[a-z?]{0,6}",
        ) {
            let same = host_a == host_b && path_a == path_b;
            prop_assert_eq!(key(1, &host_a, &path_a, "") == key(1, &host_b, &path_b, ""), same);
        }
    }
}
