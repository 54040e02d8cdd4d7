//! What purges would match that were never made.

use super::super::key::Key;
use super::index::{Index, Standing};
use super::name::Facts;
use super::record::{Purge, Record, Says};
use super::{TooManyGlobs, few_globs};
use crate::base::clock::Timestamp;
use crate::base::ids::Sequence;
use crate::semantics::tags::Tags;

/// Tells what purges would match that were never made.
#[derive(Debug)]
pub(in crate::cache) struct Matcher(Index);

impl Matcher {
    /// Of these purges, of which as many may be globs as in a ledger.
    pub(in crate::cache) fn of(purges: Vec<Purge>) -> Result<Self, TooManyGlobs> {
        few_globs(&purges)?;
        let mut index = Index::default();
        let (sequence, time) = (Sequence::of_ordinal(1), Timestamp::default());
        for purge in purges {
            index.add(&Record { sequence, time, id: 0, stream: 0, says: Says::Purge(purge) });
        }
        Ok(Self(index))
    }

    pub(in crate::cache) fn matches(&self, key: &Key, tags: &Tags) -> bool {
        self.0.judge(0, &Facts::new(key, tags)) != Standing::Alive
    }
}
