//! What each fuzz target does with its bytes: it must not panic, and some things must hold. The test `fuzz_corpus` runs
//! the same over the corpora in `fuzz/corpus` and over bytes like them, on stable Rust.

use forebay::base::clock::Timestamp;
use forebay::base::ids::{KeyRules, SiteId};
use forebay::cache::key::{Key, KeyParts};
use forebay::semantics::cache_control::{CacheControl, qualified_fields};
use forebay::semantics::date::{format_date, parse_date};
use forebay::semantics::delta::Delta;
use forebay::semantics::query::QueryRules;
use forebay::semantics::ranges::{ContentRange, RangeSpecs, Resolved, if_range_holds};
use forebay::semantics::request_directives::RequestDirectives;
use forebay::semantics::target::canonical_host;
use forebay::semantics::targeted::TargetList;
use forebay::semantics::vary::VarySet;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue};

/// A target, by its name and that of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 6] = [
    ("cache_control", cache_control),
    ("targeted", targeted),
    ("vary", vary),
    ("dates", dates),
    ("key", key),
    ("ranges", ranges),
];

/// Lines of `Cache-Control`, read as a response's and as a request's.
pub fn cache_control(data: &[u8]) {
    let headers = fields("cache-control", data);
    let cc = CacheControl::of(&headers);
    check(&cc);
    let named = qualified_fields(&headers, &TargetList::default());
    assert!(named.is_empty() || cc.names_fields() || !is_bare(&cc), "{named:?}");
    let wanted = RequestDirectives::of(&headers);
    assert!(wanted.max_age.is_none_or(|most| most <= Delta::MAX.as_duration()));
    assert!(wanted.unheeded().max_age.is_none());
}

/// Lines of `CDN-Cache-Control` beside a plain `no-store`.
pub fn targeted(data: &[u8]) {
    let mut headers = fields("cdn-cache-control", data);
    headers.insert("cache-control", HeaderValue::from_static("no-store"));
    let targets = TargetList::default();
    let cc = CacheControl::ruling(&headers, &targets);
    assert!(cc.targeted || cc == CacheControl::of(&headers));
    check(&cc);
    let _ = qualified_fields(&headers, &targets);
}

/// A line of `Vary`, then lines of `X-A` for one request, an empty line, and lines for another.
pub fn vary(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let names = fields("vary", parts.next().unwrap_or_default());
    let Some(set) = VarySet::of(&names) else { return };
    assert_eq!(VarySet::of_names(set.names().iter().cloned()), set);
    let rest = parts.next().unwrap_or_default();
    let middle = rest.windows(2).position(|pair| pair == b"\n\n");
    let (one, other) = middle.map_or((rest, rest), |at| (&rest[..at], &rest[at + 2..]));
    let (one, other) = (fields("x-a", one), fields("x-a", other));
    assert!(set.selects_same(&one, &one));
    assert_eq!(set.selects_same(&one, &other), set.values(&one) == set.values(&other));
}

/// A date.
pub fn dates(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    let Some(time) = parse_date(&value) else { return };
    assert_eq!(time, Timestamp::from_secs(time.as_secs()));
    assert_eq!(parse_date(&format_date(time)), Some(time));
}

/// A host, then a request target: what is normal stays as it is, and what is left is what the key holds.
pub fn key(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (host, target) = text.split_once('\n').unwrap_or((text, "/"));
    let Ok(host) = canonical_host(host, "http") else { return };
    assert_eq!(canonical_host(&host, "http").as_deref(), Ok(host.as_str()));
    let Ok(target) = target.parse::<PathAndQuery>() else { return };
    let rules = QueryRules { sort: true, ..QueryRules::ignoring(["utm_*", "fbclid"]) };
    let normal = rules.normal(&target).unwrap_or_else(|| target.clone());
    assert_eq!(rules.normal(&normal), None);
    assert_eq!(normal.path(), target.path());
    let key = |host: &str, target: &PathAndQuery| {
        Key::new(&KeyParts {
            site: SiteId(1),
            rules: KeyRules(0),
            scheme: &Scheme::HTTP,
            host,
            target,
            arm: "",
        })
    };
    let made = key(&host, &normal);
    assert_eq!(made, key(&host, &normal));
    assert_eq!(made == key(&host, &target), normal == target);
    assert_ne!(made, key(&format!("{host}x"), &normal));
}

/// A `Range`, a `Content-Range` and an `If-Range`, a line each, of bodies of several lengths.
pub fn ranges(data: &[u8]) {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    if let Some(asked) = RangeSpecs::parse(next()) {
        assert_eq!(RangeSpecs::parse(asked.to_string().as_bytes()).as_ref(), Some(&asked));
        for length in [0, 1, 100, 4096, u64::MAX] {
            let Resolved::Parts(parts) = asked.resolve(length, 16) else { continue };
            assert!(parts.len() <= asked.specs().len() && asked.specs().len() <= 16);
            let mut sorted = parts.clone();
            sorted.sort_unstable_by_key(|part| part.first);
            assert!(sorted.iter().all(|part| part.first <= part.last && part.last < length));
            assert!(sorted.windows(2).all(|pair| pair[0].end() < pair[1].first));
        }
    }
    if let Some(said) = ContentRange::parse(next()) {
        assert_eq!(ContentRange::parse(said.field().as_bytes()), Some(said));
        if let ContentRange::Part(part, complete) = said {
            assert!(part.first <= part.last && complete.is_none_or(|complete| part.last < complete));
        }
    }
    let mut response = HeaderMap::new();
    response.insert("etag", HeaderValue::from_static("\"a\""));
    let asked = fields("if-range", next());
    assert!(!if_range_holds(&asked, &response) || asked.is_empty() || asked["if-range"] == "\"a\"");
}

fn fields(name: &'static str, data: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok()) {
        headers.append(HeaderName::from_static(name), line);
    }
    headers
}

fn check(cc: &CacheControl) {
    let numbers = [cc.max_age, cc.s_maxage, cc.stale_while_revalidate, cc.stale_if_error];
    assert!(numbers.into_iter().flatten().all(|number| number <= Delta::MAX));
}

/// Neither `no-cache` nor `private` is there.
fn is_bare(cc: &CacheControl) -> bool {
    use forebay::semantics::cache_control::Qualified;
    cc.no_cache == Qualified::No && cc.private == Qualified::No
}
