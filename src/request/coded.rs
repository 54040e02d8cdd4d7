//! In which coding a hit is sent: as it is stored, as it was coded before, coded as it leaves, or decoded.

use std::sync::Arc;

use http::HeaderMap;
use tokio::sync::OwnedSemaphorePermit;

use super::ClientMachine;
use super::turn::Turn;
use crate::body::Body;
use crate::body::coded::encoder::Effort;
use crate::body::content::Parts;
use crate::body::message::Reply;
use crate::cache::key::Key;
use crate::cache::lookup::{Held, Hit};
use crate::deliver::{self, Decoding, For};
use crate::fetch::flight::Announced;
use crate::origin::OriginError;
use crate::semantics::coding::Coding;
use crate::semantics::compressed::is_compressed;
use crate::semantics::compression::{self, Compression, Levels};

/// What is sent of a hit.
#[derive(Debug)]
pub(super) enum Sent {
    /// What the origin sent.
    AsStored,
    /// A coding of it that is stored beside it.
    Coded(Hit),
    /// The same, coded as it leaves: one that is stored is in the making.
    Streamed(Coding, OwnedSemaphorePermit),
}

impl ClientMachine {
    /// What is sent of a hit to a request with these fields, which wants no part of it. A coding that is wanted and not there is
    /// made behind the answer. Never waits.
    pub(super) fn coding_of(&self, key: &Key, hit: &Hit, request: &HeaderMap, rules: &Compression) -> Sent {
        let object = &hit.object;
        if is_sent_as_stored(hit, rules) {
            return Sent::AsStored;
        }
        let look = || {
            let length = Some(object.representation.length);
            rules.covers(object.head.status, &object.head.headers(), length) && !is_compressed(first_of(hit))
        };
        if !object.codings.is_covered(rules.print, look) {
            return Sent::AsStored;
        }
        let Some(coding) = rules.for_request(request) else { return Sent::AsStored };
        if object.codings.is_useless(coding) {
            return Sent::AsStored;
        }
        // Also where this object does not know of it: one that comes from disk time and again knows nothing.
        if let Some(coded) = self.cache.coded(key, object, coding, &self.budget) {
            object.codings.made_ready(coding);
            return Sent::Coded(coded);
        }
        if object.codings.is_ready(coding) {
            object.codings.lost(coding);
        }
        self.press.ask(key, object, coding, [effort(coding, rules.dense), effort(coding, rules.fast)]);
        self.press.place().map_or(Sent::AsStored, |place| Sent::Streamed(coding, place))
    }
}

impl ClientMachine {
    /// The answer of a fetch, in the coding in which it leaves: as it came, coded, or decoded for a client that does not take
    /// what the origin sent. That fails if it cannot be.
    pub(super) fn recode(
        &self,
        turn: &Turn,
        announced: &Announced,
        to: &For<'_>,
        mut reply: Reply,
        normalised: bool,
    ) -> Result<Reply, OriginError> {
        if let Some(coding) = deliver::to_be_decoded(announced, to, normalised) {
            let decoding = Decoding { coding, budget: &self.budget, when_wrong: None };
            deliver::decode(&mut reply, to, decoding)?;
            return Ok(self.decoded(reply));
        }
        let rules = &turn.ask.policy.compression;
        if turn.needs_whole || !deliver::may_be_coded(announced, to, rules) {
            return Ok(reply);
        }
        compression::vary(&mut reply.head.headers);
        let first = if let Body::Busy(reader) = &reply.body { reader.first_bytes() } else { None };
        let is_whole = reply.head.status == announced.head.status && !to.may_want_part();
        if is_whole
            && !first.is_some_and(|first| is_compressed(&first))
            && let Some(coding) = rules.for_request(&turn.ask.headers)
        {
            let fast = (coding, effort(coding, rules.fast));
            let code = |plain| self.counted(self.fetcher.code(announced, plain, fast));
            deliver::code(&mut reply, coding, code);
        }
        Ok(reply)
    }

    /// Counts content that is coded as it leaves.
    pub(super) fn counted(&self, coded: Result<Body, Box<Body>>) -> Result<Body, Box<Body>> {
        coded.inspect(|_| self.counters.coded.inc())
    }

    /// Counts an answer whose content is decoded as it leaves.
    pub(super) fn decoded(&self, reply: Reply) -> Reply {
        if matches!(reply.body, Body::Decoded(_)) {
            self.counters.decoded.inc();
        }
        reply
    }

    /// How the coding of a hit is taken off. A content that turns out not to be in it is not kept: the next request has it from
    /// the origin.
    pub(super) fn decoding(&self, key: &Key, hit: &Hit, coding: Coding) -> Decoding<'_> {
        let (cache, counters) = (Arc::clone(&self.cache), Arc::clone(&self.counters));
        let (key, object) = (key.clone(), Arc::clone(&hit.object));
        let when_wrong = move || {
            tracing::warn!(
                ?key,
                "a stored content is not in the coding that its origin said: it is thrown away"
            );
            counters.undecodable.inc();
            cache.remove(&key, &object);
        };
        Decoding { coding, budget: &self.budget, when_wrong: Some(Box::new(when_wrong)) }
    }
}

/// Whether it is known without a look that a hit is sent as it is stored.
pub(super) fn is_sent_as_stored(hit: &Hit, rules: &Compression) -> bool {
    rules.codings.is_empty()
        || hit.object.codings.is_plain(rules.print)
        || matches!(hit.content, Held::Divided)
}

/// The first bytes of a hit, as far as they are here.
fn first_of(hit: &Hit) -> &[u8] {
    match &hit.content {
        Held::Memory(Parts::Inline(bytes)) | Held::Disk(_, bytes) => bytes,
        Held::Memory(Parts::Blocks(blocks)) => blocks.first().map_or(&[], |block| block),
        Held::Divided => &[],
    }
}

/// How hard a coding is worked at.
pub(super) fn effort(coding: Coding, levels: Levels) -> Effort {
    match coding {
        Coding::Brotli => Effort::Brotli(levels.brotli),
        Coding::Zstd => Effort::Zstd(levels.zstd),
        Coding::Gzip => Effort::Gzip(levels.gzip),
    }
}
