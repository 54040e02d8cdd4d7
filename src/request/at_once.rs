//! The short way, which most requests take: a plain GET for what is fresh in memory is answered from the request as it
//! stands. Nothing is decided here that the long way would decide otherwise: whatever is not plain takes that, and a test
//! holds the two against each other.

use std::sync::Arc;

use http::Method;

use super::ClientMachine;
use super::begun::{Begun, Told};
use super::coded::{Sent, is_sent_as_stored};
use crate::admission::Admitted;
use crate::body::Body;
use crate::body::message::{Reply, Request};
use crate::cache::key::{Key, KeyParts};
use crate::cache::lookup::{Held, Hit, Lookup};
use crate::deliver;
use crate::route::Site;
use crate::semantics::fields::only_keeps_alive;
use crate::semantics::notable::Notable;
use crate::semantics::policy::Policy;
use crate::semantics::request_directives::RequestDirectives;
use crate::semantics::reuse::{self, Because, Decision};
use crate::telemetry::metrics::Outcome;

/// What a request that is plain was found to ask for, and what memory has for it.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) key: Key,
    pub(super) found: Lookup,
}

/// Kinds of fields that do not let a request take the short way.
fn is_more_than_plain(notable: Notable) -> bool {
    let (hop, conditions) = (Notable::HOP_BY_HOP, Notable::CONDITION | Notable::ORIGIN_CONDITION);
    let (asks, claims) = (Notable::DIRECTIVES | Notable::RANGE, Notable::EARLY_DATA | Notable::OTHER);
    notable.may_have(hop | conditions | asks | claims)
}

/// Whether nothing in the request, and nothing that the site says of such, makes it more than its URL and the fields that
/// an origin would see.
fn is_plain(request: &Request, notable: Notable, policy: &Policy) -> bool {
    request.method == Method::GET
        && matches!(request.body, Body::Empty)
        && request.certificate.is_none()
        && !is_more_than_plain(notable)
        && (!notable.may_have(Notable::CONNECTION) || only_keeps_alive(&request.headers))
        && policy.treats_alike(&request.target)
}

impl ClientMachine {
    /// The answer to a plain request for what is fresh in memory. If it has to take the long way: what was seen on this
    /// one, so that nobody looks twice. `Connection` is still among its fields: no variant is stored for a request that
    /// had one.
    pub(super) fn at_once(
        &self,
        request: &Request,
        admitted: &Admitted,
        site: &Site,
        begun: Begun,
    ) -> Result<Reply, Option<Seen>> {
        // A peer is told more than is written ready to be sent.
        if admitted.is_peer || !is_plain(request, admitted.notable, &site.policy) {
            return Err(None);
        }
        let key = Key::new(&KeyParts {
            site: site.id,
            rules: site.key_rules,
            scheme: &request.scheme,
            host: &admitted.host,
            target: &request.target,
            arm: "",
        });
        let found = self.cache.lookup(&key, &request.headers);
        let is_to_decode = |hit: &Hit| hit.object.head.to_decode_for(&request.headers).is_some();
        let fresh = found.hit().filter(|hit| is_as_good_as_new(hit, site, begun) && !is_to_decode(hit));
        let rules = &site.policy.compression;
        let answer = |hit: &Hit| {
            if is_sent_as_stored(hit, rules) {
                return deliver::plain(hit, &self.name, begun.time);
            }
            match self.coding_of(&key, hit, &request.headers, rules) {
                Sent::AsStored => deliver::plain(hit, &self.name, begun.time),
                Sent::Coded(coded) => deliver::plain(&coded, &self.name, begun.time),
                Sent::Streamed(..) => None,
            }
        };
        let Some(mut reply) = fresh.and_then(answer) else {
            return Err(Some(Seen { key, found }));
        };
        if let Some(strict) = site.policy.strict_transport_by(&request.scheme) {
            deliver::tell_strict_transport(&mut reply, strict);
        }
        self.counters.hits.inc();
        let account = Some((Arc::clone(&site.metrics), Outcome::Hit));
        begun.record(&mut reply, account, None, |status, head_ms| {
            let told = Told::of(request, Some(site.metrics.name()), Some(&admitted.host));
            let said = (Outcome::Hit.name(), None);
            self.log.as_ref().map(|log| begun.line(log, &told, (status, head_ms), said))
        });
        Ok(reply)
    }
}

/// Whether it is fresh, and not about to be refreshed.
fn is_as_good_as_new(hit: &Hit, site: &Site, begun: Begun) -> bool {
    let (terms, policy, now) = (&hit.object.terms(), &site.policy, begun.time);
    let decision = reuse::decide(terms, &RequestDirectives::default(), &policy.outlasting, now);
    matches!(hit.content, Held::Memory(_))
        && decision == Decision::Use(Because::Fresh)
        && !reuse::is_due_ahead(terms, policy.refresh_ahead, now)
}
