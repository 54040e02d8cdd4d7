//! Lets the admin listener purge.

use std::pin::Pin;
use std::sync::Arc;

use crate::admin::Purger;
use crate::cache::ledger::Source;
use crate::cache::tally::Tally;
use crate::cache::wish::{Fulfilled, Unfulfilled, Wish};
use crate::request::Current;

/// Purges by the rules of the sites that the client machine in place knows.
pub(super) struct Purging(pub(super) Arc<Current>);

impl Purger for Purging {
    fn purge<'a>(
        &'a self,
        wish: &'a Wish,
    ) -> Pin<Box<dyn Future<Output = Result<Fulfilled, Unfulfilled>> + Send + 'a>> {
        let source = Source { id: fastrand::u128(..), stream: 0 };
        Box::pin(self.0.purge(wish, source))
    }

    fn tally(&self, wish: &Wish) -> Result<Tally, Unfulfilled> {
        self.0.tally(wish)
    }

    fn unknown_hosts(&self, wish: &Wish) -> Vec<String> {
        self.0.unknown_hosts(wish)
    }
}
