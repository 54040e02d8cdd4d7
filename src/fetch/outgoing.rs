//! The request that goes to the origin: rebuilt for it, never a copy of the client's.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Version};

use super::ask::Ask;
use crate::body::Body;
use crate::cache::object::Object;
use crate::origin::OriginRequest;
use crate::semantics::coding::Coding;
use crate::semantics::fields::EARLY_DATA;
use crate::semantics::notable::Notable;
use crate::semantics::ranges::{self, Part};
use crate::semantics::{cdn_loop, client_cert, coded_tag, fields, validation};

/// How the node names itself to origins.
#[derive(Debug)]
pub(super) struct Us {
    node: String,
    /// Where the version that a client spoke is not told.
    via: Option<HeaderValue>,
    cdn_id: Option<HeaderValue>,
}

impl Us {
    /// By these names in `Via` and `CDN-Loop`. One that no field could have is left out.
    pub(super) fn new(node: &str, cdn_id: &str) -> Self {
        let cdn_id = HeaderValue::from_str(cdn_id).ok();
        Self { node: node.to_owned(), via: via("1.1", node), cdn_id }
    }

    /// Adds itself to `CDN-Loop`, and to what is in `Via` if the client spoke `version`, which is told then.
    fn sign(&self, headers: &mut HeaderMap, version: Option<Version>) {
        let via = match version.map(protocol) {
            None | Some("1.1") => self.via.clone(),
            Some(other) => via(other, &self.node),
        };
        if let Some(via) = via {
            headers.append(header::VIA, via);
        }
        if let Some(id) = &self.cdn_id {
            cdn_loop::append(headers, id);
        }
    }
}

fn via(protocol: &str, node: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("{protocol} {node}")).ok()
}

/// What is one client's business in a request whose answer may be for many: its range, its content, and its wishes
/// of the caches on the way. It is needed to answer the client, and so is still among the ask's fields.
const PERSONAL: [HeaderName; 7] = [
    header::RANGE,
    // An older word for it, which widespread servers still heed.
    HeaderName::from_static("request-range"),
    header::EXPECT,
    header::CONTENT_LENGTH,
    header::CACHE_CONTROL,
    header::PRAGMA,
    header::ACCEPT_ENCODING,
];

/// A normalised request for something that may be stored: a GET, or what the key says instead of one, without the
/// client's conditions and range, in the codings that the site says, with the validators of `stale` if there is something to confirm.
/// Nothing in it is of this client that is not in the key or told apart by `Vary`, but its address, if the site tells
/// that.
pub(super) fn normalised(ask: &Ask, stale: Option<&Object>, we: &Us) -> OriginRequest {
    let mut headers = for_many(ask, we);
    if let Some(stale) = stale.filter(|_| ask.method.is_safe() || ask.method.as_str() == "QUERY") {
        validation::add_validators(&mut headers, &stale.head.headers());
    }
    let body = match &ask.content {
        Some(content) => {
            headers.insert(header::CONTENT_LENGTH, content.len().into());
            Body::Bytes(content.clone())
        }
        None => Body::Empty,
    };
    OriginRequest { method: ask.fetch_method().clone(), target: ask.normal_target().clone(), headers, body }
}

/// Whether a client's own wish for parts is sent along where the answer is for it alone.
pub(super) fn asks_for_part(ask: &Ask) -> bool {
    ask.notable.may_have(Notable::RANGE)
        && ask.method == Method::GET
        && ask.content.is_none()
        && ranges::asked(&ask.headers).is_some()
}

/// Adds a client's own wish for parts, with its condition.
pub(super) fn add_range(request: &mut OriginRequest, ask: &Ask) {
    if asks_for_part(ask) {
        for name in [header::RANGE, header::IF_RANGE] {
            if let Some(value) = ask.headers.get(&name) {
                request.headers.insert(name, value.clone());
            }
        }
        request.headers.insert(header::ACCEPT_ENCODING, IN_NO_CODING);
    }
}

/// Asks for a part, of content in no coding.
pub(super) fn add_part(request: &mut OriginRequest, part: Part) {
    request.headers.insert(header::RANGE, part.asked());
    request.headers.insert(header::ACCEPT_ENCODING, IN_NO_CODING);
}

/// A request for a part of what is stored, on condition that it has not changed (RFC 9110 §13.1.5).
pub(super) fn of_part(ask: &Ask, part: Part, stored: &Object, we: &Us) -> OriginRequest {
    let mut request = normalised(ask, None, we);
    let mut fields = stored.head.headers();
    add_part(&mut request, part);
    if let Some(coding) = fields.remove(header::CONTENT_ENCODING) {
        request.headers.insert(header::ACCEPT_ENCODING, coding);
    }
    if let Some(tag) = fields.remove(header::ETAG) {
        request.headers.insert(header::IF_RANGE, tag);
    }
    request
}

/// The client's own request with its content, whose answer may be stored for others.
pub(super) fn written_through(ask: &Ask, body: Body, we: &Us) -> OriginRequest {
    let mut headers = for_many(ask, we);
    for name in [header::CONTENT_LENGTH, header::EXPECT] {
        if let Some(value) = ask.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    if let Some(trailer) = &ask.trailer {
        headers.insert(header::TRAILER, trailer.clone());
    }
    OriginRequest { method: ask.method.clone(), target: ask.normal_target().clone(), headers, body }
}

/// The client's own request, for an answer that is for this client alone; of a HEAD that is shareable, what it tells of
/// the resource is for all, and so it says no more than a normalised request beside its conditions.
pub(super) fn passed(ask: &Ask, body: Body, we: &Us) -> OriginRequest {
    let body = match (&ask.content, body) {
        // It was read for the key, and passes for another reason.
        (Some(content), Body::Empty) => Body::Bytes(content.clone()),
        (_, body) => body,
    };
    if ask.method == Method::HEAD && ask.shareable {
        let mut headers = for_many(ask, we);
        for name in ask.headers.keys().filter(|name| validation::is_conditional(name)) {
            for value in ask.headers.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        coded_tag::by_plain_tags(&mut headers);
        return OriginRequest { method: Method::HEAD, target: ask.normal_target().clone(), headers, body };
    }
    let mut headers = ask.headers.clone();
    coded_tag::by_plain_tags(&mut headers);
    if ask.takes_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
    add_our_own(&mut headers, ask, true);
    if let Some(certificate) = &ask.certificate {
        client_cert::tell(&mut headers, &certificate.own, &certificate.beside);
    }
    tell_early(&mut headers, ask);
    we.sign(&mut headers, Some(ask.version));
    if let Some(trailer) = &ask.trailer {
        headers.insert(header::TRAILER, trailer.clone());
    }
    if let Some(upgrade) = &ask.upgrade {
        headers.insert(header::UPGRADE, upgrade.clone());
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    OriginRequest { method: ask.method.clone(), target: ask.target.clone(), headers, body }
}

/// The fields of a request whose answer may be for many: in an order that is always the same, and with a `Via` that does
/// not say which version this client spoke.
fn for_many(ask: &Ask, we: &Us) -> HeaderMap {
    let in_key = |name: &HeaderName| ask.policy.variant_fields.contains(name);
    let is_ours = |name: &HeaderName| *name == header::HOST || *name == header::VIA;
    let goes = |name: &HeaderName| is_one_clients(name) || (is_other_spelling(name) && !in_key(name));
    let stays = |(name, _): &(&HeaderName, &HeaderValue)| !is_ours(name) && !goes(name);
    let mut fields: Vec<_> = ask.headers.iter().filter(stays).collect();
    // Stable: the lines of one name keep their order.
    fields.sort_by_key(|(name, _)| name.as_str());
    let mut headers = HeaderMap::with_capacity(ask.headers.len() + 8);
    // Its place is the first one; its value follows.
    headers.insert(header::HOST, HeaderValue::from_static(""));
    for (name, value) in fields {
        headers.append(name, value.clone());
    }
    headers.insert(header::ACCEPT_ENCODING, codings_asked(ask));
    add_our_own(&mut headers, ask, !ask.policy.hide_clients);
    tell_early(&mut headers, ask);
    we.sign(&mut headers, None);
    headers
}

/// The codings that an origin is asked for: those that the site names; of another node of the operator's all that can be taken
/// off, because it sends what it has.
fn codings_asked(ask: &Ask) -> HeaderValue {
    let is_shield = ask.pool().is_some_and(|pool| pool.is_shield());
    let codings = if is_shield { &Coding::ALL[..] } else { &ask.policy.compression.from_origin };
    let names: Vec<&str> = codings.iter().map(|coding| coding.name()).collect();
    let list = if names.is_empty() { None } else { HeaderValue::from_str(&names.join(", ")).ok() };
    list.unwrap_or(IN_NO_CODING)
}

/// Asks for content as it is: of that there are parts.
const IN_NO_CODING: HeaderValue = HeaderValue::from_static("identity");

/// Says that a request may be a replay: by what this node knows, or by what one before it has said, which is never taken off
/// (RFC 8470 §5.1).
fn tell_early(headers: &mut HeaderMap, ask: &Ask) {
    let by_client = || ask.notable.may_have(Notable::EARLY_DATA) && headers.contains_key(EARLY_DATA);
    if ask.is_early() || by_client() {
        headers.insert(EARLY_DATA, HeaderValue::from_static("1"));
    }
}

/// Whether a request says that it may be a replay by what this node alone knows: who gets a 425 for that can wait for the end
/// of the handshake, and ask once more (RFC 8470 §5.2).
pub(super) fn is_early_by_us(request: &OriginRequest, ask: &Ask) -> bool {
    ask.early.is_some() && request.headers.contains_key(EARLY_DATA) && !ask.headers.contains_key(EARLY_DATA)
}

/// Whether a field stays here where the answer may be for many.
pub(super) fn is_one_clients(name: &HeaderName) -> bool {
    PERSONAL.contains(name) || validation::is_conditional(name)
}

/// Whether a name is what some programs take for a field that is one client's, or belongs to the hop: behind CGI, WSGI or
/// PHP `If_None_Match` is `If-None-Match`.
fn is_other_spelling(name: &HeaderName) -> bool {
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if name.as_str().bytes().all(usual) {
        return false;
    }
    let hyphened: Vec<u8> = name.as_str().bytes().map(|byte| if usual(byte) { byte } else { b'-' }).collect();
    HeaderName::from_bytes(&hyphened).is_ok_and(|name| is_one_clients(&name) || fields::is_hop_by_hop(&name))
}

/// Our own word for what is not believed of a client ([`Fields::new`](super::ask::Fields::new)), but for fields that the
/// site has in its keys: those say what the client said, or nothing.
fn add_our_own(headers: &mut HeaderMap, ask: &Ask, tell_address: bool) {
    let said = Forwarded::of(ask, tell_address);
    let mut set = |name: HeaderName, value: Option<HeaderValue>| {
        if !ask.policy.variant_fields.contains(&name)
            && let Some(value) = value
        {
            headers.insert(name, value);
        }
    };
    let host = said.part(&said.host);
    set(header::HOST, host.clone());
    if !said.address.is_empty() {
        set(HeaderName::from_static("x-forwarded-for"), said.part(&said.address));
    }
    set(HeaderName::from_static("x-forwarded-proto"), said.part(&said.scheme));
    set(HeaderName::from_static("x-forwarded-host"), host);
    set(header::FORWARDED, said.part(&(0..said.text.len())));
}

/// What is told of a client, as `Forwarded` has it (RFC 7239 §4): one text, parts of which are other fields' values.
struct Forwarded {
    text: Bytes,
    address: Range<usize>,
    host: Range<usize>,
    scheme: Range<usize>,
}

impl Forwarded {
    /// An IPv6 address goes in brackets and quotes; so does anything with a port. A client without an address is unknown
    /// (§6.2), which `X-Forwarded-For` has no word for.
    fn of(ask: &Ask, tell_address: bool) -> Self {
        let mut text = String::with_capacity(64 + ask.host().len());
        let address = match ask.peer {
            _ if !tell_address => 0..0,
            Some(IpAddr::V4(address)) => add(&mut text, "for=", |text| push_ipv4(text, address), ";"),
            Some(IpAddr::V6(address)) => {
                let write = |text: &mut String| _ = write!(text, "{address}");
                add(&mut text, "for=\"[", write, "]\";")
            }
            None => {
                text.push_str("for=unknown;");
                0..0
            }
        };
        let host = add(&mut text, "host=\"", |text| text.push_str(ask.host()), "\";");
        let scheme = add(&mut text, "proto=", |text| text.push_str(ask.scheme.as_str()), "");
        Self { text: text.into(), address, host, scheme }
    }

    /// A part of it as a field's value, without a copy.
    fn part(&self, range: &Range<usize>) -> Option<HeaderValue> {
        HeaderValue::from_maybe_shared(self.text.slice(range.clone())).ok()
    }
}

/// Adds to `text` what `write` writes, with these around it, and tells where it is.
fn add(text: &mut String, before: &str, write: impl FnOnce(&mut String), after: &str) -> Range<usize> {
    text.push_str(before);
    let start = text.len();
    write(text);
    let end = text.len();
    text.push_str(after);
    start..end
}

/// Every request has one: the way of `Display` costs five times as much.
fn push_ipv4(text: &mut String, address: Ipv4Addr) {
    let mut digits = itoa::Buffer::new();
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            text.push('.');
        }
        text.push_str(digits.format(octet));
    }
}

/// The received protocol as `Via` names it (RFC 9110 §7.6.3).
fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}
