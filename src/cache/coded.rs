//! Codings that were made of what is stored: representations beside it, each in a slot of its own in memory.

use std::sync::Arc;

use super::Cache;
use super::key::Key;
use super::lookup::{Held, Hit};
use super::object::Object;
use crate::body::content::Parts;
use crate::semantics::coding::Coding;

impl Cache {
    /// A coding of `object`, if it is there, of the same generation and under the same head. What was confirmed or fetched
    /// since it was made has another, and nobody is given this.
    pub fn coded(&self, key: &Key, object: &Object, coding: Coding) -> Option<Hit> {
        let coded = self.made_of(key, object, coding)?;
        let is_of_head = coded.given == object.given && coded.born == object.born;
        // What soft purges there were is noted in it.
        if !is_of_head || !coded.is_alive(key, &self.ledger) {
            return None;
        }
        let content = self.memory.content(key, &coded)?;
        Some(Hit { object: coded, content })
    }

    /// The same, whatever its head.
    pub fn made_of(&self, key: &Key, object: &Object, coding: Coding) -> Option<Arc<Object>> {
        let coded = self.memory.object(key, object.coded_slot(key, coding))?;
        (coded.generation == object.generation).then_some(coded)
    }

    /// All of the content of what is stored, if it is in memory.
    pub fn content(&self, key: &Key, object: &Object) -> Option<Parts> {
        match self.memory.content(key, object)? {
            Held::Memory(parts) => Some(parts),
            Held::Disk(..) | Held::Divided => None,
        }
    }

    /// Puts a coding beside the object that it was made of; false if it was purged since that was born.
    pub fn store_coded(&self, key: &Key, coded: &Hit) -> bool {
        let lives = || coded.object.is_alive(key, &self.ledger);
        let stored = lives() && self.memory.store(key, coded).0;
        if stored && !lives() {
            self.memory.remove(key, &coded.object);
            return false;
        }
        stored
    }

    /// Takes the codings of an object out, which nobody finds any more.
    pub(super) fn forget_codings(&self, key: &Key, object: &Object) {
        for coding in Coding::ALL.into_iter().filter(|coding| object.codings.is_ready(*coding)) {
            if let Some(coded) = self.made_of(key, object, coding) {
                self.memory.remove(key, &coded);
            }
        }
    }
}
