//! In which coding a hit is sent: as it is stored, as it was coded before, or coded as it leaves.

use http::HeaderMap;

use super::ClientMachine;
use crate::body::coded::encoder::Effort;
use crate::cache::key::Key;
use crate::cache::lookup::{Held, Hit};
use crate::semantics::coding::Coding;
use crate::semantics::compression::{Compression, Levels};

/// What is sent of a hit.
#[derive(Debug)]
pub(super) enum Sent {
    /// What the origin sent.
    AsStored,
    /// A coding of it that is stored beside it.
    Coded(Hit),
    /// The same, coded as it leaves: one that is stored is in the making.
    Streamed(Coding),
}

impl ClientMachine {
    /// What is sent of a hit to a request with these fields, which wants no part of it. A coding that is wanted and not there is
    /// made behind the answer. Never waits.
    pub(super) fn coding_of(&self, key: &Key, hit: &Hit, request: &HeaderMap, rules: &Compression) -> Sent {
        let object = &hit.object;
        if is_sent_as_stored(hit, rules) {
            return Sent::AsStored;
        }
        let look =
            || rules.covers(object.head.status, &object.head.headers(), Some(object.representation.length));
        if !object.codings.is_covered(look) {
            return Sent::AsStored;
        }
        let Some(coding) = rules.for_request(request) else { return Sent::AsStored };
        if object.codings.is_useless(coding) {
            return Sent::AsStored;
        }
        // Also where this object does not know of it: one that comes from disk time and again knows nothing.
        if let Some(coded) = self.cache.coded(key, object, coding) {
            object.codings.made_ready(coding);
            return Sent::Coded(coded);
        }
        if object.codings.is_ready(coding) {
            object.codings.lost(coding);
        }
        self.press.ask(key, object, coding, effort(coding, rules.dense));
        Sent::Streamed(coding)
    }
}

/// Whether it is known without a look that a hit is sent as it is stored.
pub(super) fn is_sent_as_stored(hit: &Hit, rules: &Compression) -> bool {
    rules.codings.is_empty() || hit.object.codings.is_plain() || !matches!(hit.content, Held::Memory(_))
}

/// How hard a coding is worked at.
pub(super) fn effort(coding: Coding, levels: Levels) -> Effort {
    match coding {
        Coding::Brotli => Effort::Brotli(levels.brotli),
        Coding::Zstd => Effort::Zstd(levels.zstd),
        Coding::Gzip => Effort::Gzip(levels.gzip),
    }
}
