//! The question that a request asks of the tiers, and its possible answers.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use super::disk::DiskTier;
use super::disk::find::Pinned;
use super::disk::intake::{Change, Intent};
use super::key::Key;
use super::ledger::Ledger;
use super::memory::{KeyState, MemoryTier};
use super::object::Object;
use crate::base::clock::Timestamp;
use crate::body::content::Parts;
use crate::semantics::policy::Outlasting;
use crate::semantics::{reuse, vary::VarySet};

/// What the tiers know.
#[derive(Debug)]
pub enum Lookup {
    /// What the request selects, fresh or not: [`reuse::decide`] says what may be done with it.
    Found(Hit),
    /// Nothing.
    Miss(Missing),
}

impl Lookup {
    /// What was found.
    pub fn hit(&self) -> Option<&Hit> {
        match self {
            Self::Found(hit) => Some(hit),
            Self::Miss(_) => None,
        }
    }

    /// The same, without what has outlasted its use: nobody asks the origin to confirm that any more.
    #[must_use]
    pub fn if_kept(self, outlasting: &Outlasting, now: Timestamp) -> Self {
        match self {
            Self::Found(hit) if !hit.is_kept(outlasting, now) => Self::Miss(Missing::Uri),
            other => other,
        }
    }
}

/// Why there is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The key is not known.
    Uri,
    /// The key is known, but no variant of it is for this request.
    Variant,
    /// Memory does not know the key, and the disk may have something under it, or may not.
    Either,
}

/// A stored object with its content pinned: whatever the tiers do, the bytes stay until they are sent.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The object.
    pub object: Arc<Object>,
    /// Its content.
    pub content: Held,
}

/// Where the content of a hit is held.
#[derive(Clone, Debug)]
pub enum Held {
    /// All of it in memory.
    Memory(Parts),
    /// On disk, but for the first block, which was verified.
    Disk(Pinned, Bytes),
    /// Wherever its blocks are; nothing is pinned, and what is gone is fetched again.
    Divided,
}

/// What memory has for a request, by the purges so far. What is found dead is handed to `bury`.
pub(super) fn lookup(
    (tier, disk): (&MemoryTier, Option<&DiskTier>),
    ledger: &Ledger,
    key: &Key,
    request: &HeaderMap,
    bury: impl Fn(&Object),
) -> Lookup {
    let mut newest: Option<Arc<Object>> = None;
    let mut dead: Vec<Arc<Object>> = Vec::new();
    let values = |set: &VarySet| set.values(request);
    let state = tier.candidates(key, values, |object| {
        if !object.is_alive(key, ledger) {
            return dead.push(Arc::clone(object));
        }
        let usable = object.head.is_accepted_by(request);
        let newer = newest.as_ref().is_none_or(|best| is_newer(object, best));
        if usable && newer {
            newest = Some(Arc::clone(object));
        }
    });
    for object in &dead {
        bury(object);
    }
    // An object of which a block was evicted is as good as gone from memory. Its head stays: through it the tier learns
    // that the blocks are wanted.
    let content = newest.as_ref().and_then(|object| tier.content(key, object));
    if let (Some(object), Some(content)) = (&newest, content) {
        return Lookup::Found(Hit { object: Arc::clone(object), content });
    }
    // What waits to be written to disk is in memory too, whether the memory tier took it or not.
    if let Some(hit) = disk.and_then(|disk| waiting(disk, ledger, key, request, &tier.known_vary(key))) {
        return Lookup::Found(hit);
    }
    Lookup::Miss(match state {
        KeyState::Unknown if disk.is_some_and(|disk| disk.may_have(key.hash().short())) => Missing::Either,
        KeyState::Unknown => Missing::Uri,
        KeyState::Known if newest.is_some() || !dead.is_empty() => Missing::Uri,
        KeyState::Known => Missing::Variant,
    })
}

/// The newest object for a request among those that wait to be written.
fn waiting(
    disk: &DiskTier,
    ledger: &Ledger,
    key: &Key,
    request: &HeaderMap,
    known: &[VarySet],
) -> Option<Hit> {
    if disk.is_settled() {
        return None;
    }
    let base = disk.waiting(key.hash().short(), key);
    let noted = base.as_ref().map_or(&[][..], |intent| &intent.vary);
    let unseen = known.iter().filter(|set| !noted.contains(set));
    let variants = noted.iter().chain(unseen).filter_map(|set| {
        let values = set.values(request);
        let intent = disk.waiting(key.variant(&values).short(), key)?;
        stored(intent).filter(|hit| *hit.object.vary_values == *values)
    });
    let mut newest: Option<Hit> = None;
    for hit in variants.collect::<Vec<_>>().into_iter().chain(base.clone().and_then(stored)) {
        let usable = hit.object.head.is_accepted_by(request) && hit.object.is_alive(key, ledger);
        if usable && newest.as_ref().is_none_or(|best| is_newer(&hit.object, &best.object)) {
            newest = Some(hit);
        }
    }
    newest
}

fn stored(intent: Intent) -> Option<Hit> {
    match intent.change {
        Change::Store(hit) => Some(hit),
        Change::Keep | Change::Gone(_) => None,
    }
}

/// The later `Date` wins; our own receipt decides between equals (RFC 9111 §4.1).
pub(super) fn is_newer(a: &Object, b: &Object) -> bool {
    let order = |object: &Object| (object.head.date(), object.terms().freshness.response_time);
    order(a) > order(b)
}

impl Hit {
    /// Whether it is of any use, be it to be confirmed.
    pub fn is_kept(&self, outlasting: &Outlasting, now: Timestamp) -> bool {
        reuse::is_kept(&self.object.terms(), outlasting, now)
    }
}
