//! Codings that were made of what is stored: representations beside it, each in a slot of its own in either tier.

use std::sync::Arc;

use super::Cache;
use super::key::Key;
use super::lookup::{Held, Hit};
use super::object::Object;
use crate::body::budget::Budget;
use crate::body::content::Parts;
use crate::semantics::coding::Coding;

impl Cache {
    /// A coding of `object`, if it is in memory, or on disk in what the system has in memory: of the same generation, and put
    /// under its head, if it was made under one that was not confirmed yet. Never waits.
    pub fn coded(&self, key: &Key, object: &Object, coding: Coding, budget: &Arc<Budget>) -> Option<Hit> {
        let slot = object.coded_slot(key, coding);
        let in_memory = || {
            let coded = self.memory.object(key, slot)?;
            let content = self.memory.content(key, &coded)?;
            Some(Hit { object: coded, content })
        };
        let on_disk = || self.disk.as_ref()?.slot_at_once(key, slot);
        let is_it = |hit: &Hit| hit.object.is_coding_of(object, coding);
        let mut found = in_memory().filter(is_it).or_else(|| on_disk().filter(is_it))?;
        if let Some(disk) = &self.disk {
            disk.count(slot.short());
        }
        if !found.object.has_head_of(object) {
            found.object = Arc::new(found.object.under_head_of(object, budget)?);
            self.take_up_coded(key, &found);
        }
        // What soft purges there were is noted in it.
        found.object.is_alive(key, &self.ledger).then_some(found)
    }

    /// The same with all of its content and whatever its head, wherever it is. Blocking.
    pub fn made_of(&self, key: &Key, object: &Object, coding: Coding) -> Option<(Arc<Object>, Parts)> {
        let slot = object.coded_slot(key, coding);
        let in_memory = || {
            let coded = self.memory.object(key, slot)?;
            let parts = whole(self.memory.content(key, &coded)?)?;
            Some((coded, parts))
        };
        let on_disk = || self.disk.as_ref()?.slot_whole(key, slot);
        let is_it = |(coded, _): &(Arc<Object>, Parts)| coded.is_coding_of(object, coding);
        in_memory().filter(is_it).or_else(|| on_disk().filter(is_it))
    }

    /// All of the content of what is stored. Blocking, if it is on disk.
    pub fn content(&self, key: &Key, object: &Object) -> Option<Parts> {
        let in_memory = || whole(self.memory.content(key, object)?);
        let on_disk = || {
            let (found, parts) = self.disk.as_ref()?.slot_whole(key, object.slot(key))?;
            (found.generation == object.generation).then_some(parts)
        };
        in_memory().or_else(on_disk)
    }

    /// Puts a coding beside the object that it was made of; false if it was purged since that was born.
    pub fn store_coded(&self, key: &Key, coded: &Hit) -> bool {
        let lives = || coded.object.is_alive(key, &self.ledger);
        let stored = lives() && self.memory.store(key, coded).0;
        if let Some(disk) = self.disk.as_ref().filter(|_| stored) {
            disk.store(key, coded);
        }
        if stored && !lives() {
            self.remove(key, &coded.object);
            return false;
        }
        stored
    }

    /// Takes a coding that is stored already into memory.
    pub fn take_up_coded(&self, key: &Key, coded: &Hit) {
        self.memory.store(key, coded);
        if !coded.object.is_alive(key, &self.ledger) {
            self.memory.remove(key, &coded.object);
        }
    }

    /// Takes the codings of an object out of memory, which nobody finds any more. On disk they are overwritten or evicted.
    pub(super) fn forget_codings(&self, key: &Key, object: &Object) {
        for coding in Coding::ALL.into_iter().filter(|coding| object.codings.is_ready(*coding)) {
            let coded = self.memory.object(key, object.coded_slot(key, coding));
            if let Some(coded) = coded.filter(|coded| coded.is_coding_of(object, coding)) {
                self.memory.remove(key, &coded);
            }
        }
    }
}

impl Object {
    /// Whether it is this coding of what that object is, under whichever head.
    fn is_coding_of(&self, object: &Self, coding: Coding) -> bool {
        self.generation == object.generation
            && self.codings.made.is_some_and(|made| made.coding == coding)
            && self.vary_values == object.vary_values
    }

    /// Whether it is under the same head as that object, but for what the coding makes of it.
    fn has_head_of(&self, object: &Self) -> bool {
        self.given == object.given && self.born == object.born
    }

    /// The same coding under the head of that object; `None` of what is none.
    fn under_head_of(&self, object: &Self, budget: &Arc<Budget>) -> Option<Self> {
        Some(object.coded(self.codings.made?, self.representation.clone(), budget))
    }
}

fn whole(content: Held) -> Option<Parts> {
    match content {
        Held::Memory(parts) => Some(parts),
        Held::Disk(..) | Held::Divided => None,
    }
}
