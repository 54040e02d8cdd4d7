//! The fetch machine: one request for many.
//!
//! A [`Fetcher`] answers a client's wish for something that memory does not have. It either joins the client to
//! a fetch under way, or starts one, which that client moves along until its head has come ([`running`](self)), and
//! which no client can end by leaving while others read it or it will be stored. The two machines meet in the busy body; before the head is there,
//! a client waits in a [`flight::Seat`], and is told there what the origin says before it.

pub mod ask;
mod backoff;
pub mod blocks;
mod board;
mod cleaned;
pub mod coded;
pub mod flight;
pub mod foresee;
mod heard;
mod invalidate;
mod lead;
mod outgoing;
mod reading;
mod replay;
mod running;
pub mod setup;
mod store;
mod table;
mod unbelieved;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use tokio_util::task::TaskTracker;

use crate::base::clock::{Clock, Timestamp};
use crate::base::limit::{Limit, Place};
use crate::body::Body;
use crate::body::budget::Charge;
use crate::body::busy::{BusyBody, Means, Reader, Retention, Writer};
use crate::cache::Cache;
use crate::cache::era::Era;
use crate::cache::key::Key;
use crate::cache::lookup::{Hit, Lookup, Missing};
use crate::cache::markers::Marker;
use crate::cache::short_hash::ShortHash;
use crate::origin::{Exchange, OriginError, OriginRequest, Pool};
use crate::semantics::applied::FOREBAY_APPLIED;
use crate::semantics::reuse::{Cause, Decision};
use crate::telemetry::counters::Counters;
use ask::Ask;
use backoff::Backoff;
use blocks::assembly::Assemblies;
use board::Announcer;
use flight::{Flight, Seat};
use running::Running;
use table::{Claim, FlightTable, Shard};

/// Limits and rules of fetches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How this node names itself in `Via`.
    pub node: String,
    /// What stands for it in `CDN-Loop`.
    pub cdn_id: String,
    /// Most fetches at a time; beyond, requests that need one are answered with 503.
    pub max_fetches: usize,
    /// Most refreshes behind answers at a time; beyond, what is stale is refreshed later.
    pub max_refreshes: usize,
    /// How long a key rests after its origin failed to refresh it; this doubles with each further failure.
    pub backoff: Duration,
    /// How long it rests at most.
    pub max_backoff: Duration,
    /// The largest body that is stored, in bytes.
    pub max_object: u64,
    /// The most bytes of a body of unknown length that are taken at the origin's speed; beyond, it is taken for
    /// an endless stream and gets a bounded window.
    pub max_spool: u64,
}

/// Starts fetches and joins clients to them. Cloning shares everything.
#[derive(Clone, Debug)]
pub struct Fetcher {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    cache: Arc<Cache>,
    table: Arc<FlightTable>,
    means: Means,
    clock: Clock,
    counters: Arc<Counters>,
    tasks: TaskTracker,
    places: Limit,
    refreshes: Limit,
    backoff: Backoff,
    assemblies: Arc<Assemblies>,
}

impl Shared {
    /// Asks the pool of a site for something beside a fetch that has its place already. Cancelled, the connection is
    /// closed.
    async fn exchange(&self, ask: &Ask, mut request: OriginRequest) -> Result<Exchange, OriginError> {
        let _place = self.places.take().ok_or_else(OriginError::too_many)?;
        let pool = ask.pool().ok_or_else(OriginError::internal)?;
        self.counters.fetches.inc();
        self.tell_shield(ask, pool, &mut request);
        pool.exchange(request).await
    }

    /// Whether whoever sent this knows of purges that were not applied here yet.
    fn is_behind(&self, ask: &Ask) -> bool {
        ask.applied > 0 && ask.applied > self.cache.ledger().stream
    }

    /// Tells a shield up to which purge what it answers must be younger: what this node has applied, or knows of another.
    fn tell_shield(&self, ask: &Ask, pool: &Pool, request: &mut OriginRequest) {
        let applied = if pool.is_shield() { ask.applied.max(self.cache.ledger().stream) } else { 0 };
        if applied > 0 {
            request.headers.insert(FOREBAY_APPLIED, applied.into());
        }
    }
}

/// What came of the wish to join.
#[derive(Debug)]
pub enum Joined {
    /// It was stored in the meantime, and may be used.
    Hit(Hit, Decision),
    /// A place at a fetch: one under way, or one that was started for this client. Beside it, why memory could
    /// not answer, and what it has that needs the origin's word.
    Seat(Seat, Why, Option<Hit>),
    /// The last answer was not for sharing: fetch alone.
    Marked(Marker, Why, Option<Hit>),
}

/// Why memory could not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// What is stored needs the origin's word first.
    Validate(Cause),
    /// Nothing is stored for it.
    Missing(Missing),
}

/// Why what is stored is not refreshed behind an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hindrance {
    /// The request is for one person, or must leave no trace.
    Alone,
    /// The origin has failed of late.
    Resting,
    /// A fetch is under way already.
    UnderWay,
    /// Too many refreshes are running.
    TooMany,
}

/// What a fetch is for.
#[derive(Debug)]
enum Purpose {
    /// In the table: others may join, and it may be stored.
    Shared(#[allow(dead_code, reason = "held for its drop")] Claim),
    /// By itself, and it may be stored.
    Alone,
    /// The client's own request, whose answer may be stored for others' GETs.
    Through,
    /// The client's own request, for this client only.
    Pass,
}

impl Fetcher {
    /// A fetcher with nothing under way, within the limits of `settings`. By which rules it fetches, and of whom, each ask says
    /// (see [`setup::Setup`]).
    pub fn new(
        settings: &Settings,
        cache: Arc<Cache>,
        means: Means,
        clock: Clock,
        counters: Arc<Counters>,
    ) -> Self {
        let (table, tasks) = (Arc::new(FlightTable::new()), TaskTracker::new());
        let (places, refreshes) = (Limit::new(settings.max_fetches), Limit::new(settings.max_refreshes));
        let backoff = Backoff::new();
        let assemblies = Assemblies::new(&means);
        Self {
            shared: Arc::new(Shared {
                cache,
                table,
                means,
                clock,
                counters,
                tasks,
                places,
                refreshes,
                backoff,
                assemblies,
            }),
        }
    }

    /// From now on as many fetches and refreshes at a time as these say. Those under way go on, also if they are more.
    pub fn set_limits(&self, settings: &Settings) {
        self.shared.places.set(settings.max_fetches);
        self.shared.refreshes.set(settings.max_refreshes);
    }

    /// Joins the fetch that `ask` may wait for, or starts it; all decided under one short lock, under which
    /// memory is read once more, because a fetch leaves the table only when its store is visible.
    ///
    /// `attempt` counts the leaders that failed before, for this client. `surely`: no fetch whose leader may be a replay, as
    /// the origin has refused one.
    pub fn join(&self, ask: &Arc<Ask>, attempt: u8, surely: bool, now: Timestamp) -> Joined {
        let shared = &self.shared;
        let mut flights = shared.table.lock(ask.key.hash());
        let found = shared.cache.look_again(&ask.key, &ask.headers);
        let (why, stale) = match found.if_kept(&ask.policy.outlasting, now) {
            Lookup::Found(hit) => match self.decide(ask, &hit, now) {
                Decision::Validate(cause) => (Why::Validate(cause), Some(hit)),
                decision => return Joined::Hit(hit, decision),
            },
            Lookup::Miss(missing) => (Why::Missing(missing), None),
        };
        if let Some(marker) = shared.cache.marker(&ask.key, now) {
            return Joined::Marked(marker, why, stale);
        }
        let is_sure = |flight: &&Arc<Flight>| !(surely && flight.began_early());
        let seat = self.suited(&flights, ask, now).filter(is_sure).find_map(Flight::seat);
        if let Some(seat) = seat {
            shared.counters.collapsed.inc();
            return Joined::Seat(seat, why, stale);
        }
        let (flight, reader, ready) = self.prepare(ask, attempt, false, Retention::Store);
        let claim = Claim::insert(&shared.table, &mut flights, &flight);
        let running = self.start(&flight, ready, Purpose::Shared(claim), stale.clone(), Body::Empty);
        Joined::Seat(flight.leading_seat(reader, running), why, stale)
    }

    /// The fetches under way that `ask` may wait for.
    fn suited<'a>(
        &'a self,
        flights: &'a Shard,
        ask: &'a Ask,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a Arc<Flight>> {
        let cache = &self.shared.cache;
        let under_way = flights.get(&ShortHash(ask.key.hash()));
        // Mostly there is none, and then nobody need know.
        let known = under_way.map(|_| cache.known_vary(&ask.key)).unwrap_or_default();
        // What was purged while it was under way is not for those who ask afterwards.
        let alive = |flight: &&Arc<Flight>| flight.is_untouched(ask);
        // One that was begun before a reload may go to a pool that is no more.
        let goes_there = |flight: &&Arc<Flight>| flight.ask.has_same_pool(ask);
        let suits = move |flight: &&Arc<Flight>| flight.suits(ask, &known, now);
        under_way.into_iter().flatten().filter(goes_there).filter(alive).filter(suits)
    }

    /// What is to be done with what is stored for `ask`. Who waits for nobody also refreshes nothing for others: what is
    /// stale is confirmed for him first.
    pub fn decide(&self, ask: &Ask, hit: &Hit, now: Timestamp) -> Decision {
        match ask.decide(&hit.object.terms(), now) {
            Decision::UseAndRefresh if ask.goes_alone() => Decision::Validate(Cause::Stale),
            decision => decision,
        }
    }

    /// Refreshes what is stored behind an answer that has been given: unless that is under way, the key rests after a
    /// failure, or too many refreshes are running. Needs no client: it goes on when the one that brought it up leaves.
    pub fn refresh(&self, ask: &Arc<Ask>, hit: &Hit, now: Timestamp) {
        let shared = &self.shared;
        if self.may_not_refresh(ask, hit, now).is_some() {
            return;
        }
        let mut flights = shared.table.lock(ask.key.hash());
        // Looked at again, as a fetch leaves the table only when its store is visible.
        let overtaken = matches!(shared.cache.look_again(&ask.key, &ask.headers),
            Lookup::Found(now) if !Arc::ptr_eq(&now.object, &hit.object));
        if overtaken || Self::is_refreshed(&flights, ask, hit) {
            return;
        }
        let Some(place) = shared.refreshes.take() else {
            shared.counters.refreshes_refused.inc();
            return;
        };
        shared.counters.refreshes.inc();
        let (flight, reader, mut ready) = self.prepare(ask, 0, false, Retention::Store);
        ready.refresh = Some(place);
        let claim = Claim::insert(&shared.table, &mut flights, &flight);
        let running = self.start(&flight, ready, Purpose::Shared(claim), Some(hit.clone()), Body::Empty);
        drop(flights);
        drop((running, reader));
    }

    fn may_not_refresh(&self, ask: &Ask, hit: &Hit, now: Timestamp) -> Option<Hindrance> {
        if ask.goes_alone() {
            return Some(Hindrance::Alone);
        }
        let rests = self.shared.backoff.rests(hit.object.slot(&ask.key), now);
        rests.then_some(Hindrance::Resting)
    }

    /// Whether a fetch is under way that will bring what a refresh of `hit` would.
    fn is_refreshed(flights: &Shard, ask: &Ask, hit: &Hit) -> bool {
        let mut under_way = flights.get(&ShortHash(ask.key.hash())).into_iter().flatten();
        under_way.any(|flight| flight.refreshes(&hit.object.vary, ask))
    }

    /// Fetches for this client alone; what comes may be stored. If the request forbids that, the fetch ends when
    /// the client leaves.
    pub fn alone(&self, ask: &Arc<Ask>, stale: Option<Hit>) -> Seat {
        let retention = if ask.directives.no_store { Retention::Spool } else { Retention::Store };
        let (flight, reader, ready) = self.prepare(ask, 0, false, retention);
        let running = self.start(&flight, ready, Purpose::Alone, stale, Body::Empty);
        flight.leading_seat(reader, running)
    }

    /// Passes the client's own request with its content; nothing is stored, and when the client leaves the
    /// fetch ends.
    pub fn pass(&self, ask: &Arc<Ask>, body: Body) -> Seat {
        let (flight, reader, ready) = self.prepare(ask, 0, true, Retention::Spool);
        let running = self.start(&flight, ready, Purpose::Pass, None, body);
        flight.leading_seat(reader, running)
    }

    /// Passes the client's own request with its content; what comes answers this client, and is stored for GETs to come
    /// if it says that it may be (RFC 9110 §9.3.3). Nobody can join it.
    pub fn through(&self, ask: &Arc<Ask>, body: Body) -> Seat {
        let (flight, reader, ready) = self.prepare(ask, 0, true, Retention::Store);
        let running = self.start(&flight, ready, Purpose::Through, None, body);
        flight.leading_seat(reader, running)
    }

    /// Whether whoever sent this knows of purges that were not applied here yet.
    pub fn is_behind(&self, ask: &Ask) -> bool {
        self.shared.is_behind(ask)
    }

    /// Whether a fetch for the key can be joined now, by whoever it suits.
    pub fn is_under_way(&self, key: &Key) -> bool {
        self.shared.table.lock(key.hash()).contains_key(&ShortHash(key.hash()))
    }

    /// How many fetches can be joined now.
    pub fn joinable(&self) -> usize {
        self.shared.table.len()
    }

    /// Of how many divided objects blocks are under way or read.
    pub fn assembling(&self) -> usize {
        self.shared.assemblies.len()
    }

    /// How many fetches are running.
    pub fn running(&self) -> usize {
        self.shared.tasks.len()
    }

    /// Resolves when no fetch is running and none will be started. Cancel-safe.
    pub async fn finished(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// A flight, the first reader of what it brings, and what its fetch needs.
    fn prepare(
        &self,
        ask: &Arc<Ask>,
        attempt: u8,
        passes: bool,
        retention: Retention,
    ) -> (Arc<Flight>, Reader, Ready) {
        let (busy, writer, reader) = BusyBody::with_reader(self.shared.means.clone(), retention);
        // Before the flight is born.
        let era = self.shared.cache.era();
        let (flight, announcer) =
            Flight::new(Arc::clone(ask), attempt, passes, busy, Arc::clone(&self.shared.cache), era.number());
        let heads = HEADS * map_weight(&ask.headers) as u64;
        let memory = self.shared.means.budget.charge(heads);
        (flight, reader, Ready { announcer, writer, memory, era, refresh: None })
    }

    /// The fetch, of which nothing happens before it is moved along.
    fn start(
        &self,
        flight: &Arc<Flight>,
        ready: Ready,
        purpose: Purpose,
        stale: Option<Hit>,
        body: Body,
    ) -> Running {
        let Ready { announcer, writer, memory, era, refresh } = ready;
        // What is said to a refresh was said to nobody who waits for an answer.
        let for_one = !matches!(purpose, Purpose::Shared(_));
        let hears = refresh.is_none().then(|| heard::Ear::new(&self.shared, flight, for_one) as _);
        let lead = Box::new(lead::Lead {
            shared: Arc::clone(&self.shared),
            flight: Arc::clone(flight),
            announcer,
            writer,
            purpose,
            hears,
            stale,
            asked: None,
            asks_whole: false,
            place: None,
            refresh,
            era: Some(era),
            _memory: memory,
        });
        Running::new(lead.run(body), &self.shared.tasks)
    }
}

/// What a fetch owns beside its flight.
struct Ready {
    announcer: Announcer,
    writer: Writer,
    memory: Charge,
    era: Era,
    refresh: Option<Place>,
}

/// Heads that a fetch holds of one request: the ask, the request that is sent, and one to send again.
const HEADS: u64 = 3;

/// What a head under way takes in memory, roughly: names are mostly shared statics, values are their bytes, and the map
/// has its slots.
fn map_weight(headers: &HeaderMap) -> usize {
    const MAP: usize = 512;
    const FIELD: usize = 112;
    MAP + headers.values().map(|value| value.len() + FIELD).sum::<usize>()
}
