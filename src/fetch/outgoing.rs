//! The request that goes to the origin: rebuilt for it, never a copy of the client's.

use std::fmt::Write as _;
use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Version};

use super::ask::Ask;
use crate::body::Body;
use crate::cache::object::Object;
use crate::origin::OriginRequest;
use crate::semantics::validation;

/// What is one client's business in a request whose answer may be for many: its range, its content, and its wishes
/// of the caches on the way.
const PERSONAL: [HeaderName; 5] =
    [header::RANGE, header::EXPECT, header::CONTENT_LENGTH, header::CACHE_CONTROL, header::PRAGMA];

/// A normalised request for something that may be stored: a GET without the client's conditions and range, in
/// identity coding, with the validators of `stale` if there is something to confirm.
pub(super) fn normalised(ask: &Ask, stale: Option<&Object>, node: &str) -> OriginRequest {
    let mut headers = believed(ask, node);
    validation::strip_conditionals(&mut headers);
    for name in &PERSONAL {
        headers.remove(name);
    }
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(stale) = stale {
        validation::add_validators(&mut headers, &stale.head.headers);
    }
    OriginRequest { method: Method::GET, target: ask.normal_target().clone(), headers, body: Body::Empty }
}

/// The client's own request, for an answer that is for this client alone.
pub(super) fn passed(ask: &Ask, body: Body, node: &str) -> OriginRequest {
    let mut headers = believed(ask, node);
    if let Some(trailer) = &ask.trailer {
        headers.insert(header::TRAILER, trailer.clone());
    }
    if let Some(upgrade) = &ask.upgrade {
        headers.insert(header::UPGRADE, upgrade.clone());
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    OriginRequest { method: ask.method.clone(), target: ask.target.clone(), headers, body }
}

/// The client's fields as far as they are believed ([`Ask::new`]), and our own word for the rest.
fn believed(ask: &Ask, node: &str) -> HeaderMap {
    let mut headers = ask.headers.clone();
    if ask.takes_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(header::HOST, &ask.host);
    set(HeaderName::from_static("x-forwarded-for"), &ask.peer.to_string());
    set(HeaderName::from_static("x-forwarded-proto"), ask.scheme.as_str());
    set(HeaderName::from_static("x-forwarded-host"), &ask.host);
    set(header::FORWARDED, &forwarded(ask));
    if let Ok(via) = HeaderValue::from_str(&format!("{} {node}", protocol(ask.version))) {
        headers.append(header::VIA, via);
    }
    headers
}

/// RFC 7239 §4. An IPv6 address goes in brackets and quotes; so does anything with a port.
fn forwarded(ask: &Ask) -> String {
    let mut text = String::with_capacity(64);
    let _ = match ask.peer {
        IpAddr::V4(address) => write!(text, "for={address}"),
        IpAddr::V6(address) => write!(text, "for=\"[{address}]\""),
    };
    let _ = write!(text, ";host=\"{}\";proto={}", ask.host, ask.scheme);
    text
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
