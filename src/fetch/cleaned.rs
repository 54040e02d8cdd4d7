//! The head of a response as clients may see it, and as it is stored: end-to-end fields, complete, and nothing
//! that tells who or where the origin is.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, Uri};

use super::ask::Ask;
use crate::base::clock::Timestamp;
use crate::body::message::{Interim, ReplyHead};
use crate::cache::object::StoredHead;
use crate::semantics::tags::{CACHE_GROUP_INVALIDATION, CACHE_GROUPS, TagRules};
use crate::semantics::targeted::{CDN_CACHE_CONTROL, SURROGATE_CONTROL};
use crate::semantics::{client_cert, date, fields};

/// What software answers behind this node is nobody's business; `Alt-Svc` would lead clients past it.
fn tells_who_answers(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "server"
            | "via"
            | "alt-svc"
            | "x-powered-by"
            | "x-aspnet-version"
            | "x-aspnetmvc-version"
            | "x-runtime"
            | "x-generator"
    )
}

/// Fields that mean something only before the content: its framing and its form, who may have it, how long it
/// may be kept, and where to go next.
const HEAD_ONLY: [HeaderName; 29] = [
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_TYPE,
    header::CONTENT_RANGE,
    header::CONTENT_LOCATION,
    header::HOST,
    header::AUTHORIZATION,
    header::WWW_AUTHENTICATE,
    HeaderName::from_static("authentication-info"),
    header::SET_COOKIE,
    header::COOKIE,
    header::AGE,
    header::CACHE_CONTROL,
    CDN_CACHE_CONTROL,
    SURROGATE_CONTROL,
    CACHE_GROUPS,
    CACHE_GROUP_INVALIDATION,
    HeaderName::from_static("surrogate-key"),
    HeaderName::from_static("cache-tag"),
    HeaderName::from_static("cache-status"),
    HeaderName::from_static("no-vary-search"),
    header::EXPIRES,
    header::PRAGMA,
    header::DATE,
    header::VARY,
    header::WARNING,
    header::LOCATION,
    header::RETRY_AFTER,
    header::MAX_FORWARDS,
];

/// Cleans the fields of a response to `ask` that came at `received` from one of `origins` (`host:port`).
pub(super) fn clean<'a>(
    head: ReplyHead,
    ask: &Ask,
    origins: &(impl Iterator<Item = &'a str> + Clone),
    received: Timestamp,
) -> ReplyHead {
    let ReplyHead { status, mut headers, .. } = head;
    fields::strip_hop_by_hop(&mut headers);
    fields::strip(&mut headers, tells_who_answers);
    // RFC 9110 §6.6.1: a recipient with a clock that stores or forwards adds a missing Date.
    if !headers.contains_key(header::DATE) && status != StatusCode::SWITCHING_PROTOCOLS {
        headers.insert(header::DATE, date::format_date(received));
    }
    // A client does not know what is told of it, and would take such an answer for every certificate's.
    if client_cert::selects(&headers) {
        headers.insert(header::VARY, HeaderValue::from_static("*"));
    }
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        hide_origin(&mut headers, name, ask, origins.clone());
    }
    ReplyHead::new(status, headers)
}

/// What one of `origins` said before its answer to `ask`, as clients may see it: nothing that belongs to the hop or to
/// framing, and nothing that tells who the origin is, nor tags. If it is not for one client alone, nothing either that means
/// something only before the content, which does not come yet, or to that client. Its values own their memory.
pub(super) fn interim<'a>(
    status: StatusCode,
    headers: &HeaderMap,
    ask: &Ask,
    origins: &(impl Iterator<Item = &'a str> + Clone),
    for_one: bool,
) -> Interim {
    let mut headers = headers.clone();
    fields::strip_hop_by_hop(&mut headers);
    headers.remove(header::CONTENT_LENGTH);
    let is_hidden = |name: &HeaderName| tells_who_answers(name) || ask.policy.tags.hides(name);
    fields::strip(&mut headers, |name| is_hidden(name) || !for_one && HEAD_ONLY.contains(name));
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        hide_origin(&mut headers, name, ask, origins.clone());
    }
    Interim { status, headers: StoredHead::new(status, &headers).headers() }
}

/// The trailers of a response as clients may see them: nothing that belongs to the hop, to the framing or to the
/// head's own decisions (RFC 9110 §6.5.1), which a client that merges trailers into the head would believe, and
/// nothing that tells who the origin is, nor tags.
pub(super) fn clean_trailers(mut trailers: HeaderMap, tags: &TagRules) -> HeaderMap {
    fields::strip_hop_by_hop(&mut trailers);
    fields::strip(&mut trailers, |name| is_no_trailer(name, tags));
    trailers
}

/// What a response says of its trailers in the fields as they came, but for those that are taken out.
pub(super) fn announced_trailers(headers: &HeaderMap, tags: &TagRules) -> Option<HeaderValue> {
    let comes = |name: &&[u8]| HeaderName::from_bytes(name).is_ok_and(|name| !is_no_trailer(&name, tags));
    let names: Vec<&[u8]> = fields::list_members(headers, &header::TRAILER).filter(comes).collect();
    if names.is_empty() { None } else { HeaderValue::from_bytes(&names.join(&b", "[..])).ok() }
}

fn is_no_trailer(name: &HeaderName, tags: &TagRules) -> bool {
    let is_of_head = fields::is_hop_by_hop(name) || HEAD_ONLY.contains(name);
    is_of_head || tells_who_answers(name) || tags.hides(name)
}

/// A link to the address of any endpoint becomes a link to the host that the client asked for. One without a scheme
/// (`//host/path`, RFC 3986 §4.2) stays without: the client knows better than we by which it came.
fn hide_origin<'a>(
    headers: &mut HeaderMap,
    name: HeaderName,
    ask: &Ask,
    mut origins: impl Iterator<Item = &'a str>,
) {
    let Some(link) = headers.get(&name).and_then(|value| value.to_str().ok()) else { return };
    let absolute = if link.starts_with("//") { format!("{}:{link}", ask.scheme) } else { link.to_owned() };
    let Ok(uri) = absolute.parse::<Uri>() else { return };
    let Some(authority) = uri.authority() else { return };
    if !origins.any(|origin| points_at_origin(authority.as_str(), ask, origin)) {
        return;
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    // The parser drops a fragment; the client wants it.
    let fragment = link.split_once('#').map_or("", |(_, fragment)| fragment);
    let hash = if link.contains('#') { "#" } else { "" };
    let scheme = if link.starts_with("//") { String::new() } else { format!("{}:", ask.scheme) };
    let visible = format!("{scheme}//{}{path}{hash}{fragment}", ask.host());
    if let Ok(visible) = HeaderValue::from_str(&visible) {
        headers.insert(name, visible);
    }
}

/// The origin's address itself, or the client's host with the origin's port (as servers build links that know
/// the `Host` field but not who stands in front).
fn points_at_origin(authority: &str, ask: &Ask, origin: &str) -> bool {
    if authority.eq_ignore_ascii_case(ask.host()) {
        return false;
    }
    let host_only = |authority: &str| match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host.to_ascii_lowercase(),
        _ => authority.to_ascii_lowercase(),
    };
    let port = |authority: &str| authority.rsplit_once(':').map(|(_, port)| port.to_owned());
    let is_origin = authority.eq_ignore_ascii_case(origin)
        || (host_only(authority) == host_only(origin) && port(authority).is_none());
    let is_host_with_origin_port =
        host_only(authority) == host_only(ask.host()) && port(authority) == port(origin);
    is_origin || is_host_with_origin_port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_say_nothing_of_the_origin_and_nothing_that_only_a_head_may() {
        let mut trailers = HeaderMap::new();
        let gone = ["server", "via", "set-cookie", "content-length", "transfer-encoding", "cache-control"];
        let tags = TagRules { fields: [HeaderName::from_static("x-tags")].into(), ..TagRules::default() };
        for name in gone.into_iter().chain(["x-tags", "x-sum"]) {
            trailers.append(header::TRAILER, HeaderValue::from_static(name));
            trailers.insert(name, HeaderValue::from_static("1"));
        }
        assert_eq!(announced_trailers(&trailers, &tags), Some(HeaderValue::from_static("x-sum")));
        let cleaned = clean_trailers(trailers, &tags);
        assert_eq!(cleaned.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-sum"]);
    }
}
