//! What the fetch machine would do for a request, for one who only wants to know: nothing is started, joined or
//! counted. What it would do is asked of the functions by which it does it.

use super::{Ask, Fetcher, Hindrance};
use crate::base::clock::Timestamp;
use crate::cache::lookup::Hit;
use crate::cache::markers::Marker;

/// What a request meets that needs the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prospect {
    /// The last answer was not for sharing: it would fetch alone.
    pub marker: Option<Marker>,
    /// A fetch is under way that it would join, unless of its body bytes are gone.
    pub under_way: bool,
    /// As many fetches are running as may: one more would be refused with 503.
    pub full: bool,
}

/// What is held against the origin of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failing {
    /// How often it has failed in a row.
    pub failures: u32,
    /// Until when it is not asked again behind an answer.
    pub until: Timestamp,
}

impl Fetcher {
    /// What [`Fetcher::join`] would meet.
    pub fn prospect(&self, ask: &Ask, now: Timestamp) -> Prospect {
        let shared = &self.shared;
        let flights = shared.table.lock(ask.key.hash());
        Prospect {
            marker: shared.cache.marker(&ask.key, now),
            under_way: self.suited(&flights, ask, now).next().is_some(),
            full: shared.places.is_full(),
        }
    }

    /// Why [`Fetcher::refresh`] would not refresh; `None` if it would.
    pub fn refresh_hindrance(&self, ask: &Ask, hit: &Hit, now: Timestamp) -> Option<Hindrance> {
        self.may_not_refresh(ask, hit, now).or_else(|| {
            let flights = self.shared.table.lock(ask.key.hash());
            let none_left = self.shared.refreshes.is_full();
            let refused = none_left.then_some(Hindrance::TooMany);
            if Self::is_refreshed(&flights, ask, hit) { Some(Hindrance::UnderWay) } else { refused }
        })
    }

    /// Whether the origin has of late failed to refresh what is stored for it.
    pub fn failing(&self, ask: &Ask, hit: &Hit) -> Option<Failing> {
        let (failures, until) = self.shared.backoff.rest(hit.object.slot(&ask.key))?;
        Some(Failing { failures, until })
    }
}
