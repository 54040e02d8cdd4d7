//! The table that the memory tier is, and the one that it was before, while its entries are moved.
//!
//! moka cannot be given another limit, so a tier whose limit changes gets a table of its own. While there are two, what is
//! written goes into both, and what is read is looked for in both.

use std::sync::Arc;

use moka::sync::Cache;

use super::super::short_hash::{BuildShortHasher, ShortHash};
use super::entry::{Entry, EntryName, weight};

type Table = Cache<ShortHash<EntryName>, Arc<Entry>, BuildShortHasher>;

#[derive(Debug)]
pub(super) struct Tables {
    current: Table,
    /// Its entries are being moved into the current one.
    before: Option<Table>,
}

impl Tables {
    /// One, and empty.
    pub(super) fn new(limit: u64) -> Self {
        let current = Cache::builder()
            .max_capacity(limit)
            .weigher(|_, entry: &Arc<Entry>| weight(entry))
            .build_with_hasher(BuildShortHasher);
        Self { current, before: None }
    }

    /// A new one beside the current one, whose entries are to be moved.
    pub(super) fn beside(&self, limit: u64) -> Self {
        Self { before: Some(self.current.clone()), ..Self::new(limit) }
    }

    /// The current one alone.
    pub(super) fn alone(&self) -> Self {
        Self { current: self.current.clone(), before: None }
    }

    pub(super) fn get(&self, name: EntryName) -> Option<Arc<Entry>> {
        let name = ShortHash(name);
        self.current.get(&name).or_else(|| self.before.as_ref()?.get(&name))
    }

    /// Whether it is there. The policy does not take that for a wish to have it.
    pub(super) fn has(&self, name: EntryName) -> bool {
        let name = ShortHash(name);
        self.current.contains_key(&name)
            || self.before.as_ref().is_some_and(|before| before.contains_key(&name))
    }

    pub(super) fn insert(&self, name: EntryName, entry: Arc<Entry>) {
        if let Some(before) = &self.before {
            before.insert(ShortHash(name), Arc::clone(&entry));
        }
        self.current.insert(ShortHash(name), entry);
    }

    pub(super) fn remove(&self, name: EntryName) {
        let name = ShortHash(name);
        self.current.invalidate(&name);
        if let Some(before) = &self.before {
            before.invalidate(&name);
        }
    }

    /// What is in the table before, by this name.
    pub(super) fn before(&self, name: EntryName) -> Option<Arc<Entry>> {
        self.before.as_ref()?.get(&ShortHash(name))
    }

    /// Brings an entry over that is in the table before, and not here.
    pub(super) fn move_over(&self, name: EntryName) {
        if !self.current.contains_key(&ShortHash(name))
            && let Some(entry) = self.before(name)
        {
            self.current.insert(ShortHash(name), entry);
        }
    }

    /// The names of the table before.
    pub(super) fn names_before(&self) -> impl Iterator<Item = EntryName> {
        self.before.iter().flatten().map(|(name, _)| name.0)
    }

    /// Whether entries are being moved.
    pub(super) fn are_two(&self) -> bool {
        self.before.is_some()
    }

    /// All entries of the current table.
    pub(super) fn each(&self) -> impl Iterator<Item = Arc<Entry>> {
        self.current.iter().map(|(_, entry)| entry)
    }

    /// Lets what has to go go now: the policy puts it off by dozens of entries, which is much if they are blocks.
    pub(super) fn tidy(&self) {
        self.current.run_pending_tasks();
        if let Some(before) = &self.before {
            before.run_pending_tasks();
        }
    }

    /// Bytes of the entries. It lags behind.
    pub(super) fn weight(&self) -> u64 {
        self.most(Cache::weighted_size)
    }

    /// How many entries there are. It lags behind.
    pub(super) fn count(&self) -> u64 {
        self.most(Cache::entry_count)
    }

    /// Whether the current table has room for so many bytes more. It lags behind.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        self.current.weighted_size() + bytes <= self.limit()
    }

    fn most(&self, of: impl Fn(&Table) -> u64) -> u64 {
        self.before.as_ref().map_or(0, &of).max(of(&self.current))
    }

    pub(super) fn limit(&self) -> u64 {
        self.current.policy().max_capacity().unwrap_or(0)
    }
}
