//! How what is stored is found: in memory, on disk, under another URL.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::Instant;

use super::Cache;
use super::disk::DiskTier;
use super::disk::find::{Found, NoBlock, NoHit, Pinned};
use super::key::Key;
use super::lookup::{self, Held, Hit, Lookup};
use super::object::Object;
use crate::semantics::vary::VarySet;

/// How long a search waits for memory before it tries again.
pub(super) const MEMORY_PAUSE: Duration = Duration::from_millis(5);

impl Cache {
    /// What memory knows for a request with these fields, which is counted. Takes no lock if memory has it, and never
    /// waits.
    pub fn lookup(&self, key: &Key, request: &HeaderMap) -> Lookup {
        let found = self.look_again(key, request);
        self.count(key, found.hit());
        found
    }

    /// Counts a request that looked without being counted, and found this.
    pub fn count(&self, key: &Key, found: Option<&Hit>) {
        self.hot.note(key);
        let Some(disk) = &self.disk else { return };
        disk.count(key.hash().short());
        if let Some(hit) = found.filter(|hit| !hit.object.vary.is_empty()) {
            disk.count(hit.object.slot(key).short());
        }
    }

    /// The same for a request that has been counted.
    pub fn look_again(&self, key: &Key, request: &HeaderMap) -> Lookup {
        let tiers = (&*self.memory, self.disk());
        lookup::lookup(tiers, &self.ledger, key, request, |dead| self.remove(key, dead))
    }

    /// The same, for one who only wants to know: it is not counted, and what is found dead stays where it is. Beside it,
    /// whether something dead was found. The memory tier notes each read for its policy, and that too.
    pub fn peek(&self, key: &Key, request: &HeaderMap) -> (Lookup, bool) {
        let dead = Cell::new(false);
        let tiers = (&*self.memory, self.disk());
        let found = lookup::lookup(tiers, &self.ledger, key, request, |_| dead.set(true));
        (found, dead.get())
    }

    /// What [`Cache::find`] would find, for one who only wants to know: it does not go into memory, is not counted, and
    /// what is found damaged or dead stays where it is. Does not wait for memory. Cancel-safe.
    pub async fn peek_disk<R>(&self, key: &Key, request: &Arc<R>) -> Option<Hit>
    where
        R: AsRef<HeaderMap> + Send + Sync + 'static,
    {
        let disk = self.disk.as_ref()?;
        let found = disk.peek(key, request, self.known_vary(key)).await.ok()?;
        disk.is_current(key, &found).then_some(found.hit)
    }

    /// What the disk has for a request that memory could not answer, fresh or not; it goes into memory, as far as that
    /// takes it. Cancel-safe: dropped, the read under way is thrown away.
    pub async fn find<R>(&self, key: &Key, request: &Arc<R>) -> Option<Hit>
    where
        R: AsRef<HeaderMap> + Send + Sync + 'static,
    {
        let disk = self.disk.as_ref()?;
        let _era = self.era();
        let deadline = Instant::now() + disk.patience();
        let found = loop {
            match disk.find(key, request, self.known_vary(key)).await {
                Ok(found) => break found,
                // Others are reading: their memory will be free in a moment, while a fetch would want as much.
                Err(NoHit::NoMemory) if Instant::now() < deadline => {
                    self.memory.tidy();
                    tokio::time::sleep(MEMORY_PAUSE).await;
                }
                Err(_) => return None,
            }
        };
        self.take_up(disk, key, found)
    }

    /// The same, if the system has it in memory, and it `is_usable`: some microseconds, and nobody is waited for.
    pub fn find_at_once(
        &self,
        key: &Key,
        request: &HeaderMap,
        is_usable: impl FnOnce(&Hit) -> bool,
    ) -> Option<Hit> {
        let disk = self.disk.as_ref()?;
        let _era = self.era();
        let found = disk.find_at_once(key, request, &self.known_vary(key))?;
        if is_usable(&found.hit) { self.take_up(disk, key, found) } else { None }
    }

    /// Whether the disk has something under this key that may be found at once. A guess: nothing is read.
    pub fn may_have_at_once(&self, key: &Key) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.may_have_at_once(key))
    }

    /// Puts what the disk had into memory, as far as that takes it.
    fn take_up(&self, disk: &DiskTier, key: &Key, found: Found) -> Option<Hit> {
        // What came up while it was read must not be undone by it: looked at before, and again afterwards.
        if !disk.is_current(key, &found) {
            return None;
        }
        if !self.is_worth_memory(key, &found.hit) {
            // By that the next requests are grouped all the same.
            self.note_vary(key, &found.hit.object.vary);
            return Some(found.hit);
        }
        self.memory.store(key, &found.hit);
        // Nor must a purge that came meanwhile, of which a sweep may have passed by the memory already.
        if !disk.is_current(key, &found) || !self.is_alive(key, &found.hit.object) {
            self.memory.remove(key, &found.hit.object);
            return None;
        }
        Some(found.hit)
    }

    /// Whether what the disk had is to go into memory: as long as there is room, and then what comes back soon. Of what is
    /// long its head goes in any case, since blocks are told by it.
    fn is_worth_memory(&self, key: &Key, hit: &Hit) -> bool {
        let is_whole = matches!(hit.content, Held::Memory(_));
        !is_whole
            || self.memory.has_room_for(&hit.object)
            || self.doorkeeper.as_ref().is_none_or(|door| door.read().knows(hit.object.slot(key).short()))
    }

    /// A block of a hit that is on disk, from the tier that has it. Cancel-safe.
    pub async fn block(
        &self,
        key: &Key,
        object: &Object,
        pinned: &Pinned,
        index: u32,
    ) -> Result<Bytes, NoBlock> {
        if let Some(block) = self.memory.block_of(key, object, index) {
            return Ok(block);
        }
        let disk = self.disk.as_ref().ok_or(NoBlock::Damaged)?;
        let block = disk.block(pinned, index as usize).await.inspect_err(|_| self.memory.tidy())?;
        self.memory.offer_block(key, object, index, block.clone());
        Ok(block)
    }

    /// A block of a hit was found bad: the object is taken out of both tiers.
    pub fn report_damage(&self, key: &Key, object: &Object, pinned: &Pinned) {
        if let Some(disk) = &self.disk {
            disk.report(key, pinned);
        }
        self.memory.remove(key, object);
    }

    /// The names by which the known variants of `key` differ.
    pub fn known_vary(&self, key: &Key) -> Arc<[VarySet]> {
        self.memory.known_vary(key)
    }

    /// What is stored under another URL for a request with these fields, and says by its `No-Vary-Search` that this is
    /// the same one, and under which key: only what is in memory as a whole, and may be used as it is as `may_be_used` says.
    pub fn lookup_equivalent(
        &self,
        key: &Key,
        request: &HeaderMap,
        may_be_used: impl Fn(&Hit) -> bool,
    ) -> Option<(Key, Hit)> {
        self.equivalent_by(key, |other| self.lookup(other, request), may_be_used)
    }

    /// The same, for one who only wants to know: see [`Cache::peek`].
    pub fn peek_equivalent(
        &self,
        key: &Key,
        request: &HeaderMap,
        may_be_used: impl Fn(&Hit) -> bool,
    ) -> Option<(Key, Hit)> {
        self.equivalent_by(key, |other| self.peek(other, request).0, may_be_used)
    }

    fn equivalent_by(
        &self,
        key: &Key,
        look: impl Fn(&Key) -> Lookup,
        may_be_used: impl Fn(&Hit) -> bool,
    ) -> Option<(Key, Hit)> {
        let _era = self.aliases.is_used().then(|| self.era());
        self.aliases.of(key).into_iter().find_map(|other| match look(&other) {
            Lookup::Found(hit)
                if matches!(hit.content, Held::Memory(_))
                    && self.is_untouched(key, hit.object.born, &hit.object.tags)
                    && may_be_used(&hit) =>
            {
                let rule = hit.object.head.search_rule();
                let is_same = rule.is_some_and(|rule| rule.equivalent(key.query(), other.query()));
                is_same.then_some((other, hit))
            }
            _ => None,
        })
    }
}
