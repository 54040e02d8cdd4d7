//! The steps of the client machine, in the order in which a request meets them.

use http::{Method, StatusCode};

use super::coded::{Sent, effort};
use super::preface::Preface;
use super::troubles::bounded;
use super::turn::Turn;
use super::{ClientMachine, Step};
use crate::base::clock::Timestamp;
use crate::body::Body;
use crate::body::coded::Coded;
use crate::body::content::Blocks;
use crate::body::message::Reply;
use crate::body::multipart::Source;
use crate::cache::key::Key;
use crate::cache::lookup::{Held, Hit, Lookup, Missing};
use crate::deliver;
use crate::fetch::ask::Ask;
use crate::fetch::blocks::give::NoStart;
use crate::fetch::flight::{Advice, Announced, Divided, Failure, MAX_ATTEMPTS, Refreshed, Seat};
use crate::fetch::{Joined, Why};
use crate::semantics::cache_status::{CacheStatus, Forward};
use crate::semantics::coded_tag;
use crate::semantics::reuse::{self, Because, Decision};
use crate::semantics::storage;

/// A waiter that was sent back this often fetches alone.
pub(super) const MAX_SENT_BACK: u8 = 2;

/// The detail of a request that did not wait because of a marker.
pub(super) const HIT_FOR_MISS: &str = "hit-for-miss";

/// The detail of a request that is answered past all caches, because purges that its sender knows have not come here yet.
const BEHIND_PURGES: &str = "behind-purges";

/// The detail of a hit on disk.
pub(super) const DISK: &str = "disk";

/// The detail of a hit under another URL.
pub(super) const NO_VARY_SEARCH: &str = "no-vary-search";

/// The detail of a stale answer that is refreshed behind it.
const STALE_WHILE_REVALIDATE: &str = "stale-while-revalidate";

/// The detail of a stale answer that the client takes as such.
const MAX_STALE: &str = "max-stale";

/// What memory knows for a request.
pub(super) enum Known {
    /// It answers.
    Use(Hit, Decision),
    /// What is stored under another URL, with this key, answers.
    Equivalent(Key, Hit),
    /// The origin has to be asked, and may confirm this.
    Ask(Why, Option<Hit>),
}

impl ClientMachine {
    /// Memory, without any lock, unless it is known already what was `found` there; then what the disk has at once. Requests
    /// that are for one person or must leave no trace wait for nobody.
    pub(super) fn lookup(&self, turn: &mut Turn, found: Option<Lookup>) -> Step {
        if self.fetcher.is_behind(&turn.ask) {
            return self.past_caches(turn);
        }
        let ask = &turn.ask;
        let found = found.unwrap_or_else(|| self.cache.lookup(&ask.key, &ask.headers));
        let equivalent =
            |fresh: &dyn Fn(&Hit) -> bool| self.cache.lookup_equivalent(&ask.key, &ask.headers, fresh);
        let (why, stale) = match self.known(ask, found, turn.time(), equivalent) {
            Known::Use(hit, decision) => return self.hit(turn, &hit, decision),
            Known::Equivalent(key, hit) => {
                turn.detail = Some(NO_VARY_SEARCH);
                turn.other_key = Some(key);
                return self.used(turn, &hit);
            }
            Known::Ask(why, stale) => (why, stale),
        };
        turn.note(why);
        if turn.ask.directives.only_if_cached {
            return Step::Disk;
        }
        if goes_alone(&turn.ask, stale.as_ref()) {
            turn.stale.clone_from(&stale);
            return Step::Alone(stale);
        }
        if stale.is_none()
            && let Some(step) = self.disk_at_once(turn)
        {
            return step;
        }
        Step::Join
    }

    /// A peer knows of purges that have not come here yet: what is stored or under way here may be what they took back.
    fn past_caches(&self, turn: &mut Turn) -> Step {
        turn.detail = Some(BEHIND_PURGES);
        turn.forward = Forward::Bypass;
        if turn.ask.directives.only_if_cached {
            return Step::Done(deliver::not_stored(&turn.not_stored(&self.settings.node), self.clock.now()));
        }
        Step::Alone(None)
    }

    /// The disk, as far as the system has in memory what is on it. What has to be waited for, or confirmed, is left to a
    /// fetch, one for all who ask; so is what one that is under way will bring, or was not for sharing of late.
    fn disk_at_once(&self, turn: &mut Turn) -> Option<Step> {
        let (ask, now) = (&turn.ask, turn.time());
        let is_for_fetch =
            || self.fetcher.is_under_way(&ask.key) || self.cache.marker(&ask.key, now).is_some();
        if !self.cache.may_have_at_once(&ask.key) || is_for_fetch() {
            return None;
        }
        let decide = |hit: &Hit| self.fetcher.decide(ask, hit, now);
        let is_usable = |hit: &Hit| !matches!(decide(hit), Decision::Validate(_));
        let hit = self.cache.find_at_once(&ask.key, &ask.headers, is_usable)?;
        let decision = decide(&hit);
        Some(self.disk_hit(turn, &hit, decision))
    }

    /// What is to be done at `now` with what memory has `found`.
    ///
    /// `equivalent` gives what is stored under a URL that is the same by `No-Vary-Search`, where nothing is stored under
    /// this one. Only what is fresh, and fresh enough for the request: all else goes its way under its own key, and waits
    /// for no fetch of the other URL. Nor is the other one refreshed ahead.
    pub(super) fn known(
        &self,
        ask: &Ask,
        found: Lookup,
        now: Timestamp,
        equivalent: impl FnOnce(&dyn Fn(&Hit) -> bool) -> Option<(Key, Hit)>,
    ) -> Known {
        let missing = match found.if_kept(&ask.policy.outlasting, now) {
            Lookup::Found(hit) => {
                return match self.fetcher.decide(ask, &hit, now) {
                    Decision::Validate(cause) => Known::Ask(Why::Validate(cause), Some(hit)),
                    decision => Known::Use(hit, decision),
                };
            }
            Lookup::Miss(missing) => missing,
        };
        let fresh = |hit: &Hit| matches!(self.fetcher.decide(ask, hit, now), Decision::Use(Because::Fresh));
        // The disk may have it under this URL.
        let by_own_url = ask.policy.ignore_no_vary_search || missing == Missing::Either;
        let other = if by_own_url { None } else { equivalent(&fresh) };
        other.map_or(Known::Ask(Why::Missing(missing), None), |(key, hit)| Known::Equivalent(key, hit))
    }

    /// The disk, for a request whose origin may not be asked (`only-if-cached`, RFC 9111 §5.2.1.7). Cancel-safe.
    pub(super) async fn disk(&self, turn: &mut Turn) -> Step {
        let found = self.cache.find(&turn.ask.key, &turn.ask).await;
        match found.map(|hit| (self.fetcher.decide(&turn.ask, &hit, turn.time()), hit)) {
            Some((decision, hit)) if !matches!(decision, Decision::Validate(_)) => {
                self.disk_hit(turn, &hit, decision)
            }
            _ => Step::Done(deliver::not_stored(&turn.not_stored(&self.settings.node), self.clock.now())),
        }
    }

    /// Joins or starts the fetch for the key.
    pub(super) fn join(&self, turn: &mut Turn) -> Step {
        // Asked anew: the request may have waited since it came.
        let now = self.clock.now();
        match self.fetcher.join(&turn.ask, turn.attempt, turn.joins_surely, now) {
            Joined::Hit(hit, decision) => self.hit(turn, &hit, decision),
            Joined::Seat(seat, why, stale) => {
                turn.note(why);
                turn.stale = stale;
                Step::Wait(seat)
            }
            Joined::Marked(marker, why, stale) => {
                tracing::trace!(reason = marker.reason, "hit-for-miss");
                turn.note(why);
                turn.detail = Some(HIT_FOR_MISS);
                if turn.ask.method == Method::HEAD && stale.is_none() {
                    // Nothing to store is expected: no content need be asked for.
                    return Step::Pass(Body::Empty);
                }
                turn.stale.clone_from(&stale);
                Step::Alone(stale)
            }
        }
    }

    pub(super) fn alone(&self, turn: &Turn, stale: Option<Hit>) -> Step {
        Step::Wait(self.fetcher.alone(&turn.ask, stale))
    }

    pub(super) fn pass(&self, turn: &mut Turn, body: Body) -> Step {
        if let Body::Busy(content) = &body {
            turn.content = Some(content.body());
        }
        Step::Wait(self.fetcher.pass(&turn.ask, body))
    }

    /// The client's own request, whose answer may be stored for others.
    pub(super) fn through(&self, turn: &mut Turn, body: Body) -> Step {
        if let Body::Busy(content) = &body {
            turn.content = Some(content.body());
        }
        Step::Wait(self.fetcher.through(&turn.ask, body))
    }

    /// Waits for the head, tells the client what comes before it, and does as advised. Cancel-safe: dropped while waiting, the
    /// client has left its seat.
    pub(super) async fn wait(&self, turn: &mut Turn, mut seat: Seat, preface: &mut Preface) -> Step {
        match seat.advice_told(&turn.ask, |interim| preface.tell(interim)).await {
            Advice::Read(announced) => {
                let reply = self.read(turn, &announced, seat);
                turn.answered(reply)
            }
            Advice::Use(refreshed) => self.confirmed(turn, &refreshed, &seat),
            Advice::Gather(divided) => self.divided(turn, &divided, &seat),
            Advice::Hit(hit) => match self.fetcher.decide(&turn.ask, &hit, self.clock.now()) {
                Decision::Validate(_) => send_back(self, turn),
                decision => self.disk_hit(turn, &hit, decision),
            },
            Advice::Again => send_back(self, turn),
            // However often that happens: each purge makes one more fetch, for all whom it sends on.
            Advice::Purged => {
                self.counters.released.inc();
                Step::Join
            }
            Advice::TakeOver(failure) => {
                turn.attempt = turn.attempt.max(seat.attempt()) + 1;
                if turn.attempt < MAX_ATTEMPTS { Step::Join } else { self.fail(turn, failure) }
            }
            Advice::Alone => {
                self.counters.released.inc();
                Step::Alone(turn.stale.clone())
            }
            Advice::TooEarly => self.asked_too_early(turn, seat).await,
            Advice::Fail(failure) => self.fail(turn, failure),
        }
    }

    /// Answered from what is stored, which is refreshed behind the answer where it is time for that.
    fn hit(&self, turn: &mut Turn, hit: &Hit, decision: Decision) -> Step {
        let now = turn.time();
        turn.detail = detail_of(decision).or(turn.detail);
        match decision {
            Decision::UseAndRefresh => {
                self.fetcher.refresh(&turn.ask, hit, now);
            }
            Decision::Use(Because::MaxStale) => {}
            Decision::Use(Because::Fresh) | Decision::Validate(_) => {
                if reuse::is_due_ahead(&hit.object.terms(), turn.ask.policy.refresh_ahead, now)
                    && hit.object.heat.is_hot()
                {
                    self.fetcher.refresh(&turn.ask, hit, now);
                }
            }
        }
        self.used(turn, hit)
    }

    /// Answered from what is stored.
    fn used(&self, turn: &mut Turn, hit: &Hit) -> Step {
        self.counters.hits.inc();
        turn.hit = true;
        let now = turn.time();
        self.stored(turn, hit, hit_status(turn, hit), now)
    }

    fn disk_hit(&self, turn: &mut Turn, hit: &Hit, decision: Decision) -> Step {
        self.counters.disk_hits.inc();
        turn.detail = Some(DISK);
        self.hit(turn, hit, decision)
    }

    /// Answered by a body that is still arriving.
    fn read(&self, turn: &mut Turn, announced: &Announced, seat: Seat) -> Reply {
        self.counters.forwarded.inc();
        turn.detail = turn.detail.or(announced.refusal);
        if announced.replaces_stale {
            turn.note_stored();
        }
        let now = self.clock.now();
        let cache = CacheStatus {
            stored: announced.storing && seat.leads(),
            collapsed: !seat.leads(),
            ttl: announced.terms.filter(|_| announced.storing).map(|terms| terms.freshness.left(now)),
            ..turn.forwarded()
        };
        let normalised = !seat.passes();
        let to = turn.answer(&self.settings.node, cache);
        let reply = deliver::fetched(announced, seat.into_reader(), &to, normalised, now);
        let mut reply = match self.recode(turn, announced, &to, reply, normalised) {
            Ok(reply) => reply,
            Err(error) => return deliver::failed(error, &to, now),
        };
        if !normalised && reply.head.status == StatusCode::NOT_MODIFIED {
            coded_tag::put_back(&turn.ask.headers, &mut reply.head.headers);
        }
        let ours = reply.head.status == StatusCode::RANGE_NOT_SATISFIABLE;
        if let Some(terms) = announced.terms.filter(|_| cache.collapsed && !ours) {
            deliver::set_age(&mut reply, terms.freshness.age(now));
            deliver::leave_out(&mut reply, &announced.unshared);
        }
        reply
    }

    /// Answered from memory after the origin confirmed it.
    fn confirmed(&self, turn: &mut Turn, refreshed: &Refreshed, seat: &Seat) -> Step {
        self.counters.forwarded.inc();
        turn.note_stored();
        let now = self.clock.now();
        let cache = CacheStatus {
            forward_status: Some(StatusCode::NOT_MODIFIED),
            stored: refreshed.stored && seat.leads(),
            collapsed: !seat.leads(),
            ttl: Some(refreshed.hit.object.terms().freshness.left(now)),
            ..turn.forwarded()
        };
        self.stored(turn, &refreshed.hit, cache, now)
    }

    /// Answered from what is stored of something whose blocks follow.
    fn divided(&self, turn: &mut Turn, divided: &Divided, seat: &Seat) -> Step {
        self.counters.forwarded.inc();
        if divided.replaces_stale {
            turn.note_stored();
        }
        let cache = CacheStatus {
            stored: seat.leads(),
            collapsed: !seat.leads(),
            ttl: Some(divided.hit.object.terms().freshness.left(self.clock.now())),
            ..turn.forwarded()
        };
        Step::Gather(divided.hit.clone(), cache)
    }

    /// Waits for the first bytes of what is stored in blocks, and answers. Cancel-safe: dropped while waiting, the client
    /// has left.
    pub(super) async fn gather(&self, turn: &mut Turn, hit: &Hit, cache: CacheStatus) -> Step {
        // Its blocks are fetched for all who want them, as they are read: by nobody who may be a replay.
        if turn.ask.end_of_handshake().await.is_err() {
            return self.never_ended(turn);
        }
        let to = turn.answer(&self.settings.node, cache);
        let gathered = match deliver::content_of(hit, &to) {
            None => None,
            Some(wanted)
                if turn.ask.directives.only_if_cached
                    && !self.fetcher.has_all(&turn.ask, hit, wanted.as_ref()) =>
            {
                turn.hit = false;
                return Step::Done(deliver::not_stored(
                    &turn.not_stored(&self.settings.node),
                    self.clock.now(),
                ));
            }
            Some(wanted) => match self.fetcher.gather(&turn.ask, hit, wanted).await {
                Ok(gathered) => Some(gathered),
                Err(NoStart::Changed) => return send_back(self, turn),
                Err(NoStart::Failed(trouble)) => {
                    // It cannot stand in for what is missing of itself.
                    turn.stale.take_if(|stale| stale.object.generation == hit.object.generation);
                    let trouble = bounded(turn, trouble);
                    return self.fail(turn, Failure { trouble, stale: None });
                }
            },
        };
        let cache = match &gathered {
            Some(gathered) if cache.hit && !gathered.complete => {
                self.counters.forwarded.inc();
                turn.hit = false;
                turn.forward = Forward::Partial;
                CacheStatus { hit: false, forward: Some(Forward::Partial), ..cache }
            }
            _ => cache,
        };
        let to = turn.answer(&self.settings.node, cache);
        let open = |_: &Hit, _| gathered.map_or(Source::Blocks(Blocks::new([])), |gathered| gathered.source);
        let now = self.clock.now();
        Step::Done(match hit.object.head.to_decode_for(&turn.ask.headers) {
            Some(coding) => {
                self.decoded(deliver::decoded(hit, &to, now, self.decoding(&turn.ask.key, hit, coding), open))
            }
            None => deliver::stored(hit, &to, now, open),
        })
    }

    /// What is stored, as the answer of this turn.
    pub(super) fn stored(&self, turn: &Turn, hit: &Hit, cache: CacheStatus, now: Timestamp) -> Step {
        if matches!(hit.content, Held::Divided) {
            return Step::Gather(hit.clone(), cache);
        }
        let replay = |hit: &Hit, wanted| Source::Busy(self.fetcher.replay(&turn.ask, hit, wanted));
        let (ask, to) = (&turn.ask, turn.answer(&self.settings.node, cache));
        if let Some(coding) = hit.object.head.to_decode_for(&ask.headers) {
            let decoding = self.decoding(turn.key(), hit, coding);
            return Step::Done(self.decoded(deliver::decoded(hit, &to, now, decoding, replay)));
        }
        // A part is one of what the origin sent, and so is what another node of the operator's stores.
        let is_for_all = !ask.is_peer && !to.may_want_part();
        let rules = &ask.policy.compression;
        let sent = is_for_all.then(|| self.coding_of(turn.key(), hit, &ask.headers, rules));
        Step::Done(match sent.unwrap_or(Sent::AsStored) {
            Sent::Streamed(..) if turn.needs_whole => deliver::stored(hit, &to, now, replay),
            Sent::AsStored => deliver::stored(hit, &to, now, replay),
            Sent::Coded(coded) => deliver::stored(&coded, &to, now, replay),
            Sent::Streamed(coding, place) => {
                let fast = effort(coding, rules.fast);
                let coded =
                    |plain| Coded::over(plain, fast, &self.budget).map(|coded| coded.at(place).into());
                let code = |plain| self.counted(coded(plain));
                deliver::streamed(hit, &to, now, (coding, code), replay)
            }
        })
    }
}

/// Looks again; whoever has been sent back too often fetches alone.
fn send_back(machine: &ClientMachine, turn: &mut Turn) -> Step {
    turn.sent_back += 1;
    machine.counters.released.inc();
    if turn.sent_back < MAX_SENT_BACK { Step::Join } else { Step::Alone(turn.stale.take()) }
}

/// What `Cache-Status` says where the answer is what is stored.
pub(super) fn hit_status(turn: &Turn, hit: &Hit) -> CacheStatus {
    CacheStatus { detail: turn.detail, ..CacheStatus::hit(hit.object.terms().freshness.left(turn.time())) }
}

/// What there is to say of a hit beside that it is one.
pub(super) fn detail_of(decision: Decision) -> Option<&'static str> {
    match decision {
        Decision::UseAndRefresh => Some(STALE_WHILE_REVALIDATE),
        Decision::Use(Because::MaxStale) => Some(MAX_STALE),
        Decision::Use(Because::Fresh) | Decision::Validate(_) => None,
    }
}

/// Whether the request waits for nobody, unless what is stored says that it is for others too.
pub(super) fn goes_alone(ask: &Ask, stale: Option<&Hit>) -> bool {
    let known_shareable = || {
        stale.is_some_and(|hit| {
            let cc = storage::ruling(&hit.object.head.headers(), &ask.policy);
            storage::shareable_despite_authorization(&cc)
        })
    };
    ask.goes_alone() && (ask.directives.no_store || !known_shareable())
}
