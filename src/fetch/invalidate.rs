//! What the answer to an unsafe request takes back (RFC 9111 §4.4, RFC 9875 §3).

use std::sync::Arc;

use http::{Method, header};

use super::Shared;
use super::ask::Ask;
use crate::base::clock::Timestamp;
use crate::base::ids::Sequence;
use crate::body::message::ReplyHead;
use crate::cache::key;
use crate::cache::ledger::name::Name;
use crate::cache::ledger::receipt::Kept;
use crate::cache::ledger::record::Purge;
use crate::semantics::invalidation::{self, Target};
use crate::semantics::tags::{self, CACHE_GROUP_INVALIDATION, Tag};

/// The most groups that one answer takes back: as many as every cache has to heed of one response (RFC 9875 §2).
const MOST_GROUPS: usize = 128;

/// Purges what the answer to the client's own request says has changed, before anybody is told of that answer: the URL
/// that was asked for, and those of the same origin that the answer names, with the groups that it names.
///
/// Returns what the answer itself, whose request left at `born`, counts as born at: it is not among what it takes back.
///
/// Dropped while it waits, the purge holds, and is written all the same.
pub(super) async fn after(
    shared: &Shared,
    ask: &Ask,
    head: &ReplyHead,
    born: Sequence,
    now: Timestamp,
) -> Sequence {
    // Where a site has POST only ask, it changes nothing.
    let only_asks = ask.policy.methods.reuse_post && ask.method == Method::POST;
    if only_asks || !invalidation::is_due(&ask.method, head.status) {
        return born;
    }
    let asked = Target { scheme: &ask.scheme, host: ask.host(), target: &ask.target };
    let named = [header::LOCATION, header::CONTENT_LOCATION].into_iter().filter_map(|name| {
        let reference = head.headers.get(name)?.to_str().ok()?;
        invalidation::same_origin(&asked, reference)
    });
    let mut urls: Vec<Arc<[u8]>> = Vec::with_capacity(3);
    for target in std::iter::once(ask.target.clone()).chain(named) {
        let normal = ask.policy.query.normal(&target);
        let url = key::url(&ask.scheme, ask.host(), normal.as_ref().unwrap_or(&target));
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    let named = urls.iter().map(|url| Name::of_url(url)).chain(groups(ask, head));
    let (receipt, answer_born) = shared.cache.purge_for(&ask.key, named.map(Purge::of_name), now, born);
    if receipt.kept(shared.cache.purge_patience()).await == Kept::NotDurable {
        tracing::debug!(key = ?ask.key, "an invalidation is not durable yet");
    }
    answer_born
}

/// The groups of this origin that an answer takes back, as many as it can be taken for meaning.
fn groups(ask: &Ask, head: &ReplyHead) -> impl Iterator<Item = Name> {
    let heeded = ask.policy.tags.heeds_groups && head.headers.contains_key(CACHE_GROUP_INVALIDATION);
    let named = if heeded { tags::groups(&head.headers, &CACHE_GROUP_INVALIDATION) } else { Vec::new() };
    named
        .into_iter()
        .take(MOST_GROUPS)
        .map(|group| Name::of_tag(Tag::of_group(&ask.scheme, ask.host(), &group)))
}
