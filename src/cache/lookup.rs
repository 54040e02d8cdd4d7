//! The question that a request asks of the tiers, and its possible answers.

use std::sync::Arc;

use http::HeaderMap;

use super::key::Key;
use super::memory::{KeyState, MemoryTier};
use super::object::Object;
use crate::base::clock::Timestamp;
use crate::body::content::Parts;
use crate::semantics::freshness::State;
use crate::semantics::storage::Reuse;
use crate::semantics::{coding, vary::VarySet};

/// What the tiers know.
#[derive(Debug)]
pub enum Lookup {
    /// May be used as it is.
    Fresh(Hit),
    /// May be used once the origin has confirmed it.
    Stale(Hit),
    /// Nothing that may be used.
    Miss(Missing),
}

/// Why there is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The key is not known.
    Uri,
    /// The key is known, but no variant of it is for this request.
    Variant,
}

/// A stored object with its content pinned: whatever the tier does, the bytes stay until they are sent.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The object.
    pub object: Arc<Object>,
    /// All of its content.
    pub parts: Parts,
}

pub(super) fn lookup(tier: &MemoryTier, key: &Key, request: &HeaderMap, now: Timestamp) -> Lookup {
    let mut newest: Option<Arc<Object>> = None;
    let values = |set: &VarySet| set.values(request);
    let state = tier.candidates(key, values, |object| {
        let usable = coding::accepts_coding(request, &object.head.headers);
        let newer = newest.as_ref().is_none_or(|best| is_newer(object, best));
        if usable && newer {
            newest = Some(Arc::clone(object));
        }
    });
    let Some(object) = newest else {
        return Lookup::Miss(match state {
            KeyState::Unknown => Missing::Uri,
            KeyState::Known => Missing::Variant,
        });
    };
    // Until ranges come, an object of which a block was evicted is as good as gone. Its head stays: through it
    // the tier learns that the blocks are wanted.
    let Some(parts) = tier.parts(key, &object) else {
        return Lookup::Miss(Missing::Uri);
    };
    let hit = Hit { object, parts };
    if hit.is_fresh(now) { Lookup::Fresh(hit) } else { Lookup::Stale(hit) }
}

/// The later `Date` wins; our own receipt decides between equals (RFC 9111 §4.1).
fn is_newer(a: &Object, b: &Object) -> bool {
    let date = |object: &Object| {
        object.head.headers.get(http::header::DATE).and_then(crate::semantics::fields::parse_date)
    };
    (date(a), a.freshness.response_time) > (date(b), b.freshness.response_time)
}

impl Hit {
    /// Whether it may be used without asking the origin.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.object.reuse == Reuse::Shared && matches!(self.object.freshness.state(now), State::Fresh { .. })
    }
}
