//! What an origin says before its answer (RFC 9110 §15.2, RFC 8297), for all who wait for a fetch.
//!
//! It is handed on as it comes, and kept with the fetch, for those who join before the head is there. Nothing of it is
//! stored, and nothing of it gets into the answer or into the verdict on it.
//!
//! Whom an answer is for is known by its head alone, and this comes before. So where a fetch is for many:
//!
//! - fields that mean something only to one client or before content, such as `Set-Cookie`, are handed on to nobody
//!   ([`interim`]); where it is for one client, that client gets them;
//! - a waiter is told only what was said to a request like its own ([`are_alike`]): what the origin has made for the
//!   leader's cookie is not for another one's.

use std::sync::{Arc, Weak};

use http::{HeaderMap, HeaderName, StatusCode, header};
use parking_lot::Mutex;

use super::Shared;
use super::ask::Ask;
use super::cleaned::interim;
use super::flight::Flight;
use super::outgoing::is_one_clients;
use crate::body::budget::Charge;
use crate::body::message::Interim;
use crate::cache::object::head_weight;
use crate::origin::Hear;

/// The most that is kept of a fetch, over all endpoints and requests that it takes; what comes beyond is passed over.
const MOST: usize = 8;

/// The most bytes of it, with what a head takes beside its fields.
const MOST_BYTES: usize = 32 << 10;

/// What was said so far, in order. Only ever grows.
#[derive(Debug, Default)]
pub(super) struct Heard {
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    interims: Vec<(Arc<Interim>, Charge)>,
    bytes: usize,
}

impl Heard {
    /// How much was said.
    pub(super) fn count(&self) -> usize {
        self.said.lock().interims.len()
    }

    /// What was said after the first so many.
    pub(super) fn since(&self, many: usize) -> Vec<Arc<Interim>> {
        let said = self.said.lock();
        let new = said.interims.get(many..).unwrap_or_default();
        new.iter().map(|(interim, _)| Arc::clone(interim)).collect()
    }
}

/// Hears for those who wait for one fetch, as long as there is that.
#[derive(Debug)]
pub(super) struct Ear {
    shared: Arc<Shared>,
    flight: Weak<Flight>,
    /// Nobody but one client waits for it, ever.
    for_one: bool,
}

impl Ear {
    pub(super) fn new(shared: &Arc<Shared>, flight: &Arc<Flight>, for_one: bool) -> Arc<Self> {
        Arc::new(Self { shared: Arc::clone(shared), flight: Arc::downgrade(flight), for_one })
    }
}

impl Hear for Ear {
    fn hear(&self, status: StatusCode, headers: &HeaderMap) {
        let Some(flight) = self.flight.upgrade() else { return };
        let names: usize = headers.keys().map(|name| name.as_str().len()).sum();
        let weight = head_weight(headers) + names;
        let mut said = flight.heard.said.lock();
        // Asked before anything is copied: an origin may say as much as it likes.
        if said.interims.len() >= MOST || said.bytes + weight > MOST_BYTES {
            return;
        }
        let origins = flight.ask.pool().into_iter().flat_map(|pool| pool.authorities());
        let interim = interim(status, headers, &flight.ask, &origins, self.for_one);
        if status.as_u16() == EARLY_HINTS && interim.headers.is_empty() {
            // Hints of nothing; any other status says something by itself.
            return;
        }
        said.bytes += weight;
        said.interims.push((Arc::new(interim), self.shared.means.budget.charge(weight as u64)));
        drop(said);
        flight.news.notify_waiters();
    }
}

/// RFC 8297.
const EARLY_HINTS: u16 = 103;

/// Whether two requests that wait for one fetch say the same of who their clients are: all fields that the origin gets to
/// see are the same, but for those that say what kind of program a client is and how it came here. An answer may differ
/// by these as well, and then a hint is for another variant and of no use; it is no secret.
pub(super) fn are_alike(one: &Ask, other: &Ask) -> bool {
    let (one, other) = (&one.headers, &other.headers);
    let same = |name: &&HeaderName| one.get_all(*name) == other.get_all(*name);
    let tells = |name: &&HeaderName| tells_who(name);
    one.keys().filter(tells).all(|name| same(&name)) && other.keys().filter(tells).all(|name| same(&name))
}

fn tells_who(name: &HeaderName) -> bool {
    const OF_PROGRAMS: [HeaderName; 10] = [
        header::ACCEPT,
        header::HOST,
        header::USER_AGENT,
        header::REFERER,
        header::ORIGIN,
        header::DNT,
        header::UPGRADE_INSECURE_REQUESTS,
        HeaderName::from_static("priority"),
        HeaderName::from_static("save-data"),
        HeaderName::from_static("sec-gpc"),
    ];
    let begins = |beginning: &&str| name.as_str().starts_with(beginning);
    let of_programs = OF_PROGRAMS.contains(name) || ["accept-", "sec-ch-", "sec-fetch-"].iter().any(begins);
    !of_programs && !is_one_clients(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_a_client_is_may_be_in_any_field_that_does_not_describe_its_program() {
        for who in ["cookie", "authorization", "x-api-key", "sec-session", "x-anything", "accepted-user"] {
            assert!(tells_who(&HeaderName::from_static(who)), "{who}");
        }
        for what in
            ["accept", "accept-language", "user-agent", "sec-ch-ua", "sec-fetch-mode", "if-none-match"]
        {
            assert!(!tells_who(&HeaderName::from_static(what)), "{what}");
        }
    }
}
