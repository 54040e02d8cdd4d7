//! What a client is given of a divided object: blocks that are in memory at once, all else by a gather.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::gather::{Gather, slice_of};
use crate::body::content::Blocks;
use crate::body::multipart::Source;
use crate::cache::lookup::Hit;
use crate::cache::object::{Object, Representation};
use crate::fetch::Fetcher;
use crate::fetch::ask::Ask;
use crate::fetch::flight::Trouble;

/// So many blocks at most are handed out at once, if memory has all of them.
const MOST_AT_ONCE: usize = 16;

/// So many blocks are looked for in the tiers to tell whether all are there: the first of a whole 1 GiB.
const MOST_LOOKED_AT: usize = 1024;

/// Why nothing can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoStart {
    /// The origin has something else by now: what was stored is gone.
    Changed,
    /// It did not bring what is missing.
    Failed(Trouble),
}

/// What a gather gives.
#[derive(Debug)]
pub struct Gathered {
    /// The bytes that were asked for, or an error in their course; never bytes of another version.
    pub source: Source,
    /// All of them were stored, as far as that was looked at.
    pub complete: bool,
}

impl Fetcher {
    /// Gives parts of a divided object to one client, one after the other, or the whole. It waits for the first bytes, so
    /// that an object that has changed is found out before its head is passed on. Cancel-safe: dropped while it waits,
    /// the client has left, and blocks that were asked for already come and are kept.
    pub async fn gather(
        &self,
        ask: &Arc<Ask>,
        hit: &Hit,
        parts: Option<VecDeque<Range<u64>>>,
    ) -> Result<Gathered, NoStart> {
        let parts = parts.unwrap_or_else(|| std::iter::once(0..hit.object.representation.length).collect());
        if let Some(blocks) = self.all_in_memory(ask, &hit.object, &parts) {
            return Ok(Gathered { source: Source::Blocks(blocks), complete: true });
        }
        let complete = self.has_first(ask, hit, &parts, MOST_LOOKED_AT);
        let mut gather = Gather::new(&self.shared, ask, &hit.object, parts);
        gather.begin().await?;
        Ok(Gathered { source: Source::Busy(gather.start()), complete })
    }

    /// Whether all of these parts of a divided object are stored, or all of it, as far as that is known without reading:
    /// for who may have nothing asked of the origin (RFC 9111 §5.2.1.7).
    pub fn has_all(&self, ask: &Ask, hit: &Hit, parts: Option<&VecDeque<Range<u64>>>) -> bool {
        let whole = || std::iter::once(0..hit.object.representation.length).collect();
        parts.map_or_else(
            || self.has_first(ask, hit, &whole(), usize::MAX),
            |parts| self.has_first(ask, hit, parts, usize::MAX),
        )
    }

    /// Whether the first blocks of these parts, so many at most, are stored.
    fn has_first(&self, ask: &Ask, hit: &Hit, parts: &VecDeque<Range<u64>>, most: usize) -> bool {
        let stored = |index| self.shared.cache.has_block(&ask.key, &hit.object, index);
        parts.iter().flat_map(Representation::blocks_of).take(most).all(stored)
    }

    fn all_in_memory(&self, ask: &Ask, object: &Object, parts: &VecDeque<Range<u64>>) -> Option<Blocks> {
        let blocks =
            || parts.iter().flat_map(|part| Representation::blocks_of(part).map(move |at| (at, part)));
        if blocks().nth(MOST_AT_ONCE).is_some() {
            return None;
        }
        let slice = |(index, part)| {
            let block = self.shared.cache.block_in_memory(&ask.key, object, index)?;
            slice_of(&object.representation, index, &block, part)
        };
        blocks().map(slice).collect::<Option<Vec<_>>>().map(Blocks::new)
    }
}
