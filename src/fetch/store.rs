//! What a fetch brought becomes an object that lookup can find.

use std::sync::Arc;

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName};

use super::Shared;
use super::ask::Ask;
use super::verdict::Verdict;
use crate::base::ids::{Generation, Sequence};
use crate::body::content::Content;
use crate::body::message::ReplyHead;
use crate::cache::codings::Codings;
use crate::cache::ledger::Checked;
use crate::cache::lookup::{Held, Hit};
use crate::cache::object::{Heat, Object, Representation, StoredHead, head_weight};
use crate::semantics::compression;
use crate::semantics::decoding;
use crate::semantics::reuse::{Reuse, Stale, Terms};
use crate::semantics::storage::Storable;
use crate::semantics::tags::Tags;
use crate::semantics::vary::VarySet;

/// What an object keeps of the verdict on it.
pub(super) struct Kept<'a> {
    pub(super) storable: &'a Storable,
    pub(super) vary: VarySet,
    pub(super) tags: Tags,
}

/// Stores a whole response.
pub(super) fn store(
    shared: &Shared,
    ask: &Ask,
    head: ReplyHead,
    content: &Content,
    kept: Kept<'_>,
    (born, generation): (Sequence, Generation),
) {
    let ReplyHead { status, mut headers, .. } = head;
    if status != StatusCode::NO_CONTENT {
        headers.insert(header::CONTENT_LENGTH, content.length.into());
    }
    tell_codings(ask, status, &mut headers, content.length);
    let head = ReplyHead::new(status, headers);
    let representation = Representation::of(content);
    let object = object(shared, ask, &head, representation, kept, (born, generation));
    let hit = Hit { object: Arc::new(object), content: Held::Memory(content.parts.clone()) };
    if shared.cache.store(&ask.key, &hit) {
        shared.counters.stored.inc();
        note(shared, ask, &hit.object);
    }
}

/// Stores the head of a response whose blocks will follow, without some of its fields. What it gives answers those who
/// wait, whether it was stored or not.
pub(super) fn divided(
    shared: &Shared,
    ask: &Ask,
    head: &ReplyHead,
    unshared: &[HeaderName],
    representation: Representation,
    kept: Kept<'_>,
    born: Sequence,
) -> Hit {
    let mut headers = head.headers.clone();
    for name in unshared {
        headers.remove(name);
    }
    let head = ReplyHead::new(head.status, headers);
    let generation = shared.cache.next_generation();
    let object = object(shared, ask, &head, representation, kept, (born, generation));
    let hit = Hit { object: Arc::new(object), content: Held::Divided };
    if shared.cache.store(&ask.key, &hit) {
        shared.counters.stored.inc();
        note(shared, ask, &hit.object);
    }
    hit
}

fn object(
    shared: &Shared,
    ask: &Ask,
    head: &ReplyHead,
    representation: Representation,
    Kept { storable, vary, tags }: Kept<'_>,
    (born, generation): (Sequence, Generation),
) -> Object {
    let charge = shared.means.budget.charge(head_weight(&head.headers) as u64);
    Object {
        generation,
        born,
        head: stored_head(ask, head.status, &head.headers),
        given: storable.terms,
        tags,
        vary_values: vary.values(&ask.headers).into(),
        vary,
        representation,
        heat: Heat::default(),
        codings: Codings::default(),
        checked: Checked::default(),
        charge: Some(charge),
    }
}

/// Says of what may be coded or decoded that there is a choice, whether this answer is or not.
fn tell_codings(ask: &Ask, status: StatusCode, headers: &mut HeaderMap, length: u64) {
    let is_decoded = || decoding::decodable(status, headers).is_some();
    if ask.policy.compression.covers(status, headers, Some(length)) || is_decoded() {
        compression::vary(headers);
    }
}

/// A head as clients of this site are shown it.
fn stored_head(ask: &Ask, status: StatusCode, headers: &HeaderMap) -> StoredHead {
    StoredHead::hiding(status, headers, |name| ask.policy.tags.hides(name))
}

/// What the cache should know of an object that was just stored, beside the object.
fn note(shared: &Shared, ask: &Ask, object: &Object) {
    let (cache, policy) = (&shared.cache, &ask.policy);
    if !policy.ignore_no_vary_search {
        cache.note_equivalents(&ask.key, object);
    }
    for _ in 0..cache.note_variant(&ask.key, object, &ask.headers, policy.max_variants.0) {
        shared.counters.surplus_variants.inc();
    }
}

/// Stores `stale` again under the `merged` fields that a 304 confirmed, unless another object has taken its place
/// meanwhile. It is taken out if those fields forbid to keep it, or select by others than before; it answers the
/// request that it was confirmed for in any case. Also tells whether it was stored.
pub(super) fn refreshed(
    shared: &Shared,
    ask: &Ask,
    stale: &Hit,
    merged: &HeaderMap,
    verdict: &Verdict,
    born: Sequence,
) -> (Hit, bool) {
    let mut merged = merged.clone();
    tell_codings(ask, stale.object.head.status, &mut merged, stale.object.representation.length);
    let merged = &merged;
    let charge = shared.means.budget.charge(head_weight(merged) as u64);
    let for_one_request = Terms { reuse: Reuse::Validate, stale: Stale::Forbidden, ..stale.object.terms() };
    let kept = verdict.store.as_ref().filter(|(_, vary)| *vary == stale.object.vary);
    let terms = kept.map_or(for_one_request, |(storable, _)| storable.terms);
    let head = stored_head(ask, stale.object.head.status, merged);
    let object = stale.object.refreshed(head, terms, verdict.tags.clone(), born, charge);
    let hit = Hit { object: Arc::new(object), content: stale.content.clone() };
    let stored = kept.is_some() && shared.cache.store(&ask.key, &hit);
    if stored {
        shared.counters.stored.inc();
        note(shared, ask, &hit.object);
    }
    if kept.is_none() && !verdict.speaks_of_request {
        shared.cache.remove(&ask.key, &stale.object);
    }
    (hit, stored)
}
