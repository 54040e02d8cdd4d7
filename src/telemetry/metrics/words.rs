//! Counts by word. The words are those of the code, so there are only so many of them.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// How often each word came up. Not for what every hit does: it takes a lock.
#[derive(Debug, Default)]
pub(super) struct Words(Mutex<BTreeMap<&'static str, u64>>);

impl Words {
    pub(super) fn count(&self, word: &'static str) {
        *self.0.lock().entry(word).or_default() += 1;
    }

    pub(super) fn add_to(&self, sum: &mut BTreeMap<&'static str, u64>) {
        for (word, count) in &*self.0.lock() {
            *sum.entry(word).or_default() += count;
        }
    }
}
