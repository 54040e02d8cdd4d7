//! What each fuzz target does with its bytes: it must not panic, and some things must hold. The test `fuzz_corpus` runs
//! the same over the corpora in `fuzz/corpus` and over bytes like them, on stable Rust.

use bytes::Bytes;
use forebay::base::clock::Timestamp;
use forebay::base::ids::{KeyRules, SiteId};
use forebay::cache::key::{Key, KeyParts};
use forebay::http1::chunked::{Chunked, Decoded, Malformed};
use forebay::listener::Settings;
use forebay::listener::http1::framing::Framing;
use forebay::listener::http1::head;
use forebay::listener::proxied::header;
use forebay::listener::tls::tickets::{TicketKey, TicketKeys};
use forebay::origin::http1::framing::Framing as ResponseFraming;
use forebay::origin::http1::head as response;
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
pub const TARGETS: [Target; 11] = [
    ("cache_control", cache_control),
    ("targeted", targeted),
    ("vary", vary),
    ("dates", dates),
    ("key", key),
    ("ranges", ranges),
    ("http1_head", http1_head),
    ("http1_chunked", http1_chunked),
    ("origin_head", origin_head),
    ("proxied", proxied),
    ("ticket", ticket),
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

/// What a client sends as a request: a head that is taken says one thing only, and the same however it comes.
pub fn http1_head(data: &[u8]) {
    let settings = Settings { max_head: 1 << 10, max_fields: 60, ..Settings::default() };
    let mut rest = Bytes::copy_from_slice(data);
    let taken = head::take(&mut rest, &settings);
    let Ok(Some(head)) = taken else { return };
    let length = data.len() - rest.len();
    let text = &data[..length];
    assert!(rest == data[length..] && text.ends_with(b"\r\n\r\n"));
    // Nothing but CR LF ends a line, for any reader.
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    assert!(
        lines
            .iter()
            .rev()
            .skip(1)
            .all(|line| line.ends_with(b"\r") && !line[..line.len() - 1].contains(&b'\r'))
    );
    for shorter in 0..length {
        let mut part = Bytes::copy_from_slice(&data[..shorter]);
        assert!(matches!(head::take(&mut part, &settings), Ok(None)), "{shorter} of {length} bytes");
    }
    // The framing is what a slow and simple reader finds.
    let lines_of =
        |name: &str| head.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
    let (lengths, codings) = (lines_of("content-length"), lines_of("transfer-encoding"));
    match head.framing {
        Framing::Chunked => {
            assert!(lengths.is_empty() && codings.len() == 1 && codings[0].len() == "chunked".len());
        }
        Framing::Length(length) => {
            assert!(codings.is_empty() && lengths.len() == 1);
            assert_eq!(std::str::from_utf8(lengths[0]).unwrap().parse(), Ok(length));
        }
        Framing::Empty => {
            assert!(codings.is_empty() && lengths.iter().all(|line| line.iter().all(|c| *c == b'0')));
        }
    }
    let path = head.target.path.as_str();
    assert!(
        !path.contains(['#', ' ', '\r', '\n'])
            && (path.starts_with('/') || path == "*" || path.starts_with('?'))
    );
}

/// Chunked content: it is the same however it comes, and nothing behind its end is taken.
pub fn http1_chunked(data: &[u8]) {
    let whole = decoded(data, data.len());
    for step in [1, 3, 7] {
        assert_eq!(decoded(data, step), whole, "in steps of {step}");
    }
    // What is content comes out as it went in.
    let mut framed = Vec::new();
    for piece in data.chunks(9) {
        framed.extend_from_slice(format!("{:x};n\r\n", piece.len()).as_bytes());
        framed.extend_from_slice(piece);
        framed.extend_from_slice(b"\r\n");
    }
    framed.extend_from_slice(b"0\r\nx-sum: 1\r\n\r\nmore");
    if data.len() < 9 * 1000 {
        let (content, end) = decoded(&framed, 5);
        assert_eq!((content.as_slice(), end), (data, Ok(Some((1, 4)))));
    }
}

/// The head of an origin's response.
pub fn origin_head(data: &[u8]) {
    const MAX_HEAD: usize = 1 << 10;
    let mut rest = Bytes::copy_from_slice(data);
    let Ok(Some(head)) = response::take(&mut rest, MAX_HEAD) else { return };
    let length = data.len() - rest.len();
    assert!(rest == data[length..] && length <= MAX_HEAD && data[..length].ends_with(b"\n"));
    for shorter in 0..length {
        let mut part = Bytes::copy_from_slice(&data[..shorter]);
        assert!(matches!(response::take(&mut part, MAX_HEAD), Ok(None)), "{shorter} of {length} bytes");
    }
    // The framing is what a slow and simple reader finds.
    let members = |name: &str| {
        let lines = head.headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
        lines.collect::<Vec<_>>().join(",")
    };
    let (lengths, codings) = (members("content-length"), members("transfer-encoding"));
    match head.claims.framing(head.status, false) {
        Ok(ResponseFraming::Length(length)) => {
            assert!(codings.is_empty() && length > 0);
            assert!(lengths.split(',').all(|said| said.trim().parse() == Ok(length)), "{lengths}");
        }
        Ok(ResponseFraming::Chunked) => {
            assert!(lengths.is_empty() && codings.eq_ignore_ascii_case("chunked"));
        }
        Ok(ResponseFraming::UntilClose) => {
            assert!(lengths.is_empty() && !codings.to_ascii_lowercase().contains("chunk"));
        }
        Ok(ResponseFraming::Empty) | Err(_) => {}
    }
    if head.claims.framing(head.status, false).is_ok() {
        assert!(head.claims.framing(head.status, true) == Ok(ResponseFraming::Empty));
    }
}

/// What a proxy says first.
pub fn proxied(data: &[u8]) {
    let Ok(Some((client, length))) = header(data) else { return };
    assert!(length <= data.len() && client.is_none_or(|client| client.is_ipv4() || client.is_ipv6()));
    // What is behind it changes nothing, and a part of it says nothing yet.
    assert_eq!(header(&data[..length]).unwrap(), Some((client, length)));
    for shorter in 1..length {
        assert_eq!(header(&data[..shorter]).unwrap(), None, "{shorter} of {length} bytes");
    }
}

/// A session ticket that somebody made up, and a session that becomes one.
pub fn ticket(data: &[u8]) {
    let key = |first: u8| TicketKey::new(&(first..first + 80).collect::<Vec<_>>()).unwrap();
    let (keys, now) = (TicketKeys::new(vec![key(0), key(100)]), Timestamp::from_secs(1_800_000_000));
    assert_eq!(keys.open(data, now), None);
    let made = keys.seal(data, now).unwrap();
    assert_eq!(keys.open(&made, now).as_deref(), Some(data));
    // By a key that has this name, too.
    let named = [made.get(..16).unwrap(), data].concat();
    assert_eq!(keys.open(&named, now), None);
}

/// The content, and how it ended: the number of trailers and of bytes behind the end, nothing if more is to come.
type Content = (Vec<u8>, Result<Option<(usize, usize)>, ()>);

fn decoded(data: &[u8], step: usize) -> Content {
    let (mut chunked, mut content, mut at) = (Chunked::new(1 << 10), Vec::new(), 0);
    let mut input = Bytes::new();
    loop {
        match chunked.decode(&mut input) {
            Ok(Decoded::Data(bytes)) => {
                assert!(!bytes.is_empty());
                content.extend_from_slice(&bytes);
            }
            Ok(Decoded::End(trailers)) => {
                let behind = input.len() + data.len() - at;
                return (content, Ok(Some((trailers.map_or(0, |trailers| trailers.len()), behind))));
            }
            Ok(Decoded::More) if at == data.len() => return (content, Ok(None)),
            Ok(Decoded::More) => {
                let next = &data[at..(at + step).min(data.len())];
                at += next.len();
                input = [&input[..], next].concat().into();
            }
            Err(Malformed(_)) => return (content, Err(())),
        }
    }
}
