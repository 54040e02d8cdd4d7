//! What the head of a response means: whether it is stored, who may have it, and how its body is kept.

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName};

use super::Settings;
use super::ask::Ask;
use super::flight::Others;
use super::unbelieved::is_unbelieved;
use crate::base::clock::Timestamp;
use crate::body::busy::Retention;
use crate::body::content::BLOCK;
use crate::cache::object::Representation;
use crate::semantics::cache_control::qualified_fields;
use crate::semantics::etag::ETag;
use crate::semantics::fields;
use crate::semantics::reuse::{Reuse, Terms};
use crate::semantics::storage::{self, Judgement, RequestFacts, Storable};
use crate::semantics::tags::Tags;
use crate::semantics::target;
use crate::semantics::vary::VarySet;

/// The verdict on a head.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Present if the response goes into the cache.
    pub(super) store: Option<(Storable, VarySet)>,
    /// How it may be used, if others may have it at all.
    pub(super) terms: Option<Terms>,
    /// Fields that are for this one client, and are neither stored nor handed to others.
    pub(super) unshared: Vec<HeaderName>,
    /// Who may have it.
    pub(super) others: Others,
    /// By what it is purged together with others.
    pub(super) tags: Tags,
    /// Why it is not stored, in the word that `Cache-Status` and the log use.
    pub(super) refusal: Option<&'static str>,
    /// It is refused for what the request is, and says nothing about the key.
    pub(super) speaks_of_request: bool,
}

impl Verdict {
    /// On the answer to a client's own request.
    pub(super) fn passed() -> Self {
        Self {
            store: None,
            terms: None,
            unshared: Vec::new(),
            others: Others::Alone,
            tags: Tags::default(),
            refusal: None,
            speaks_of_request: true,
        }
    }

    /// On an error that may be the fault of a range that was asked for.
    pub(super) fn of_range() -> Self {
        Self { refusal: Some("asked-for-part"), ..Self::passed() }
    }

    /// On an answer that is not stored for this reason, and is for the one who asked.
    pub(super) fn refused(refusal: &'static str) -> Self {
        Self { refusal: Some(refusal), speaks_of_request: false, ..Self::passed() }
    }
}

/// Whether an answer to a request with `Range` may be what one without would get. An error may be the range's fault: kept
/// for all, it would be one client's way to deny them the resource.
pub(super) fn is_of_resource(status: StatusCode) -> bool {
    status.is_success()
        || status.is_redirection()
        || matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE)
}

/// The verdict on the answer to a normalised request, sent and received at `times`.
pub(super) fn judge(
    ask: &Ask,
    settings: &Settings,
    status: StatusCode,
    headers: &HeaderMap,
    ends_by_close: bool,
    (sent, received): (Timestamp, Timestamp),
) -> Verdict {
    if ends_by_close && !ask.policy.store_until_close {
        return Verdict::refused("end-by-close");
    }
    if is_event_stream(headers) {
        return Verdict::refused("event-stream");
    }
    let facts = RequestFacts { method: ask.fetch_method(), headers: &ask.headers };
    let storable = match storage::judge(&facts, status, headers, &ask.policy, sent, received) {
        Judgement::Store(storable) => storable,
        Judgement::Refuse(refusal) => {
            let speaks_of_request = refusal.blames_request() || blames_request(status);
            return Verdict { speaks_of_request, ..Verdict::refused(refusal.name()) };
        }
    };
    let Some(vary) = VarySet::of(headers) else {
        return Verdict::refused(storage::Refusal::VaryStar.name());
    };
    if vary.names().iter().any(|name| differs_by_client(name, ask) || fields::is_hop_by_hop(name)) {
        // It differs by what this node itself says of each client or connection, which no two requests can be
        // compared by.
        return Verdict::refused("vary-unbelieved");
    }
    let Ok(tags) = ask.policy.tags.tags(headers, &ask.scheme, ask.host()) else {
        return Verdict::refused("too-many-tags");
    };
    let terms = Some(storable.terms);
    let unshared =
        if storable.may_name_fields { qualified_fields(headers, &ask.policy.targets) } else { Vec::new() };
    let others = match storable.terms.reuse {
        Reuse::Shared => Others::Share(vary.clone()),
        Reuse::Validate => Others::Alone,
    };
    let too_large = |length: &u64| *length > settings.max_object && divided(headers, *length).is_none();
    if fields::announced_length(headers).is_some_and(|length| too_large(&length)) {
        // Too large to keep, but those who came in time may read it together.
        return Verdict { terms, unshared, others, tags, ..Verdict::refused("too-large") };
    }
    let store = Some((storable, vary));
    Verdict { store, terms, unshared, others, tags, refusal: None, speaks_of_request: false }
}

/// What is longer is stored block by block, if it can be; what is not is kept as a whole until it is.
pub(super) const LONG: u64 = 16 * BLOCK as u64;

/// A content of so many bytes under this head as blocks that can stand alone: only a strong validator ties them together
/// (RFC 9110 §15.3.7.3).
pub(super) fn divided(headers: &HeaderMap, length: u64) -> Option<Representation> {
    let strong = ETag::of(headers).is_some_and(|tag| tag.matches_strongly(tag));
    if strong { Representation::divided(length) } else { None }
}

/// Whether an origin that varies by `name` varies by what it is told, of each client, by others than the client. What
/// the key has in it differs by key only.
fn differs_by_client(name: &HeaderName, ask: &Ask) -> bool {
    let in_key = ["x-forwarded-proto", "x-forwarded-host"].contains(&name.as_str())
        || ask.policy.variant_fields.contains(name);
    is_unbelieved(name) && !in_key
}

/// Whether the answer to a POST says that it is what a GET would be answered (RFC 9110 §9.3.3): its content is the
/// target's own.
pub(super) fn stands_for_get(ask: &Ask, status: StatusCode, headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(header::CONTENT_LOCATION).iter();
    let location = lines.next().filter(|_| lines.next().is_none()).and_then(|value| value.to_str().ok());
    status == StatusCode::OK
        && location.is_some_and(|location| {
            target::is_same(location, ask.scheme.as_str(), ask.host(), ask.normal_target().as_str())
        })
}

/// Errors that one client's request brings about, and others' need not.
fn blames_request(status: StatusCode) -> bool {
    status.is_client_error()
        && !matches!(
            status,
            StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS
        )
}

/// How a body is kept that will not be stored: an event stream has no end, so it waits for its reader.
pub(super) fn retention_unstored(headers: &HeaderMap) -> Retention {
    if is_event_stream(headers) { Retention::Window } else { Retention::Spool }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim();
    essence.eq_ignore_ascii_case("text/event-stream")
}
