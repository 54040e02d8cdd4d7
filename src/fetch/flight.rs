//! One fetch, as those see it who wait for it.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use http::{HeaderName, HeaderValue, StatusCode};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::ask::Ask;
use super::board::{Announcer, Board};
use super::heard::{self, Heard};
use super::running::Running;
use crate::base::blame::Blame;
use crate::base::clock::Timestamp;
use crate::base::ids::Sequence;
use crate::body::busy::{BusyBody, Reader};
use crate::body::message::{Interim, ReplyHead};
use crate::body::tunnel::Tunnel;
use crate::cache::Cache;
use crate::cache::lookup::Hit;
use crate::origin::OriginError;
use crate::semantics::coding;
use crate::semantics::reuse::{Decision, Terms};
use crate::semantics::tags::Tags;
use crate::semantics::vary::VarySet;

/// A fetch under way: who asked first, what was announced of it, and the body as it arrives.
#[derive(Debug)]
pub struct Flight {
    pub(super) ask: Arc<Ask>,
    /// How many leaders failed before this one, for the same waiters.
    pub(super) attempt: u8,
    /// The client's own request goes through as it is.
    passes: bool,
    /// Where it is known what was purged.
    cache: Arc<Cache>,
    /// The era in which it began, and whether its fetch has let go of that: nobody waits any more for what it brings.
    era: u64,
    is_let_go: AtomicBool,
    pub(super) busy: BusyBody,
    /// The ordinal of the ledger's sequence than which nothing that it brings is older: that of its start, and then of its
    /// latest request.
    born: AtomicU64,
    /// What the origin has said before the head.
    pub(super) heard: Heard,
    pub(super) board: Board,
    /// Something was heard, announced, or will never be.
    pub(super) news: Notify,
}

/// What the fetch machine tells all who wait, once. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Announcement {
    /// The head of a response; its body is arriving.
    Head(Arc<Announced>),
    /// The origin confirmed what was stored.
    Refreshed(Arc<Refreshed>),
    /// The disk had it: the origin was not asked.
    Stored(Hit),
    /// The head is stored, and blocks follow.
    Divided(Arc<Divided>),
    /// What came is of no use for anybody: all ask for themselves.
    Unshared,
    /// The origin does not answer what may be a replay, as the request was that was sent (RFC 8470 §5.2).
    TooEarly,
    /// No head came.
    Failed(Failure),
}

/// Why no head came that could be used, and what is stored instead.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What went wrong.
    pub trouble: Trouble,
    /// What was to be confirmed, for those whose request selects it.
    pub stale: Option<Hit>,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No head came.
    NoHead(OriginError),
    /// The origin answered with this server error, which what is stored may bridge (RFC 5861 §4).
    Answered(StatusCode),
}

impl Trouble {
    /// Whether another leader may fare better at once.
    pub(super) fn may_pass(self) -> bool {
        matches!(self, Self::NoHead(error) if error.next_leader_may_succeed())
    }

    /// Whether the origin is to blame.
    pub(super) fn is_of_origin(self) -> bool {
        match self {
            Self::NoHead(error) => error.blame == Blame::Origin,
            Self::Answered(_) => true,
        }
    }
}

impl From<OriginError> for Failure {
    fn from(error: OriginError) -> Self {
        Self { trouble: Trouble::NoHead(error), stale: None }
    }
}

/// A response's head with the verdict on it.
#[derive(Debug)]
pub struct Announced {
    /// Status and end-to-end fields.
    pub head: ReplyHead,
    /// Who may read it.
    pub others: Others,
    /// Whether it is on its way into the cache.
    pub storing: bool,
    /// Why it is not.
    pub refusal: Option<&'static str>,
    /// It came in the place of something stale that was stored.
    pub replaces_stale: bool,
    /// What is stored in the place of a server error, for those of the waiters who take it (RFC 5861 §4).
    pub bridge: Option<Hit>,
    /// How it may be used, if others may have it at all.
    pub terms: Option<Terms>,
    /// Fields that are for the client whose request was sent, and no other.
    pub unshared: Vec<HeaderName>,
    /// By what it is purged together with others.
    pub tags: Tags,
    /// The origin's announcement of trailers.
    pub trailer: Option<HeaderValue>,
    /// After a 101: the connection, for the one client that asked.
    pub tunnel: Mutex<Option<Tunnel>>,
}

impl Announced {
    /// Whether a client takes its codings that sent this request.
    fn is_accepted_by(&self, ask: &Ask) -> bool {
        coding::accepts_coding(&ask.headers, &self.head.headers)
    }
}

/// A stored response that the origin has just confirmed.
#[derive(Debug)]
pub struct Refreshed {
    /// The response under its new head.
    pub hit: Hit,
    /// Who may use it.
    pub others: Others,
    /// Whether it went back into the cache.
    pub stored: bool,
}

/// A response that is stored block by block.
#[derive(Debug)]
pub struct Divided {
    /// Its head is stored; its blocks are gathered.
    pub hit: Hit,
    /// Who may use it.
    pub others: Others,
    /// It came in the place of something stale that was stored.
    pub replaces_stale: bool,
}

/// What clients other than the one that the request was made for may do with a response.
#[derive(Clone, Debug)]
pub enum Others {
    /// Use it, if their requests select the same variant.
    Share(VarySet),
    /// Ask for themselves, in parallel, without waiting for each other.
    Alone,
}

/// What a client that waited should do now.
#[derive(Debug)]
pub enum Advice {
    /// Take this head and read the body.
    Read(Arc<Announced>),
    /// Answer with what was confirmed.
    Use(Arc<Refreshed>),
    /// Answer with what the disk had.
    Hit(Hit),
    /// Gather what is stored of it, and what follows.
    Gather(Arc<Divided>),
    /// Look again: this was another variant.
    Again,
    /// Look again: this was purged before the client came.
    Purged,
    /// Look again: the leader failed, and one of the waiters takes its place; with the error, for one who has
    /// waited for enough of them.
    TakeOver(Failure),
    /// Fetch alone: this answer is not for sharing.
    Alone,
    /// Look again once the own handshake has ended: the request that went to the origin may be a replay, and was refused.
    TooEarly,
    /// Give up together.
    Fail(Failure),
}

/// Leaders that may fail before a head one after the other, for the same waiters.
pub const MAX_ATTEMPTS: u8 = 3;

impl Flight {
    pub(super) fn new(
        ask: Arc<Ask>,
        attempt: u8,
        passes: bool,
        busy: BusyBody,
        cache: Arc<Cache>,
        era: u64,
    ) -> (Arc<Self>, Announcer) {
        let born = AtomicU64::new(cache.sequence().ordinal());
        let (heard, board, news) = (Heard::default(), Board::default(), Notify::new());
        let flight = Arc::new(Self {
            ask,
            attempt,
            passes,
            cache,
            era,
            is_let_go: AtomicBool::new(false),
            busy,
            born,
            heard,
            board,
            news,
        });
        let announcer = Announcer::of(&flight);
        (flight, announcer)
    }

    /// Nothing that it brings is older than this.
    pub(super) fn born(&self) -> Sequence {
        Sequence::of_ordinal(self.born.load(Ordering::Acquire))
    }

    /// A request is about to leave.
    pub(super) fn leaves(&self, born: Sequence) {
        self.born.store(born.ordinal(), Ordering::Release);
    }

    /// Whether its leader's handshake had not ended when it began.
    pub(super) fn began_early(&self) -> bool {
        self.ask.early.is_some()
    }

    /// Whether a request like `ask` may wait for this fetch, as far as is known: before the head by the
    /// `known` variants of the key, after it by its own `Vary`, and as long as it is fresh.
    pub(super) fn suits(&self, ask: &Ask, known: &[VarySet], now: Timestamp) -> bool {
        match self.board.told() {
            None => known.iter().all(|set| set.selects_same(&self.ask.headers, &ask.headers)),
            Some(Announcement::Head(announced)) => {
                let usable = |terms| !matches!(ask.decide(&terms, now), Decision::Validate(_));
                announced.terms.is_none_or(usable)
                    && self.for_waiter(&announced.others, ask, || announced.is_accepted_by(ask)).is_none()
            }
            Some(
                Announcement::Refreshed(_)
                | Announcement::Stored(_)
                | Announcement::Divided(_)
                | Announcement::Unshared
                | Announcement::TooEarly
                | Announcement::Failed(_),
            ) => false,
        }
    }

    /// Whether it will bring what a refresh of the variant that `ask` selects by `vary` would.
    pub(super) fn refreshes(&self, vary: &VarySet, ask: &Ask) -> bool {
        vary.selects_same(&self.ask.headers, &ask.headers)
    }

    /// Whether nothing was purged since it was born that its answer is, as far as that is known: who asks now may join it.
    pub(super) fn is_untouched(&self, ask: &Ask) -> bool {
        // What was purged since then may not be known any more.
        if self.is_let_go.load(Ordering::Acquire) && !self.cache.is_current(self.era) {
            return false;
        }
        let (told, none) = (self.board.told(), Tags::default());
        let brought = told.as_ref().and_then(|told| self.brought(told));
        let (born, tags) = brought.unwrap_or((self.born(), &none));
        self.cache.is_untouched(&ask.key, born, tags)
    }

    /// Than what the response is no older that was announced, and its tags.
    fn brought<'a>(&self, announcement: &'a Announcement) -> Option<(Sequence, &'a Tags)> {
        let stored = |hit: &'a Hit| Some((hit.object.born, &hit.object.tags));
        match announcement {
            Announcement::Head(announced) => Some((self.born(), &announced.tags)),
            Announcement::Refreshed(refreshed) => stored(&refreshed.hit),
            Announcement::Divided(divided) => stored(&divided.hit),
            Announcement::Stored(hit) => stored(hit),
            Announcement::Unshared | Announcement::TooEarly | Announcement::Failed(_) => None,
        }
    }

    /// Its fetch holds its era no longer: what it brings will not be stored.
    pub(super) fn let_go(&self) {
        self.is_let_go.store(true, Ordering::Release);
    }

    /// Whether a purge matches what was announced that came after it was born, and before somebody who arrived then.
    fn is_too_old(&self, announcement: &Announcement, ask: &Ask, arrived: Sequence) -> bool {
        if let Announcement::Stored(hit) = announcement {
            // If it is stale by now, that is for who uses it to see.
            return !self.cache.is_alive(&ask.key, &hit.object);
        }
        let touched = |(born, tags)| arrived > born && !self.cache.is_untouched(&ask.key, born, tags);
        self.brought(announcement).is_some_and(touched)
    }

    /// A waiter's place, unless bytes are gone already.
    pub(super) fn seat(self: &Arc<Self>) -> Option<Seat> {
        self.busy.reader().map(|reader| self.seat_with(reader, None))
    }

    /// The place of the client whose request goes to the origin.
    pub(super) fn leading_seat(self: &Arc<Self>, first: Reader, running: Running) -> Seat {
        self.seat_with(first, Some(running))
    }

    fn seat_with(self: &Arc<Self>, reader: Reader, running: Option<Running>) -> Seat {
        // Who comes when the head is there has no use for what was said before it.
        let told = if self.board.told().is_some() { usize::MAX } else { 0 };
        let leads = running.is_some();
        Seat { flight: Arc::clone(self), running, reader, leads, told, arrived: self.cache.sequence() }
    }

    fn advise(&self, announcement: Announcement, leads: bool, ask: &Ask) -> Advice {
        match announcement {
            Announcement::Head(announced) if leads => Advice::Read(announced),
            Announcement::Refreshed(refreshed) if leads => Advice::Use(refreshed),
            Announcement::Stored(hit) if leads => Advice::Hit(hit),
            Announcement::Divided(divided) if leads => Advice::Gather(divided),
            Announcement::Unshared => Advice::Alone,
            Announcement::TooEarly => Advice::TooEarly,
            Announcement::Failed(failure) if leads => Advice::Fail(failure),
            Announcement::Head(announced) => {
                let bridge = announced.bridge.clone();
                if let Some(hit) = bridge.filter(|hit| self.stored_for_waiter(hit, ask).is_none()) {
                    let trouble = Trouble::Answered(announced.head.status);
                    return Advice::Fail(Failure { trouble, stale: Some(hit) });
                }
                match self.for_waiter(&announced.others, ask, || announced.is_accepted_by(ask)) {
                    None => Advice::Read(announced),
                    Some(advice) => advice,
                }
            }
            Announcement::Refreshed(refreshed) => {
                let head = &refreshed.hit.object.head;
                match self.for_waiter(&refreshed.others, ask, || head.is_accepted_by(&ask.headers)) {
                    None => Advice::Use(refreshed),
                    Some(advice) => advice,
                }
            }
            Announcement::Divided(divided) => {
                let head = &divided.hit.object.head;
                match self.for_waiter(&divided.others, ask, || head.is_accepted_by(&ask.headers)) {
                    None => Advice::Gather(divided),
                    Some(advice) => advice,
                }
            }
            Announcement::Stored(hit) => match self.stored_for_waiter(&hit, ask) {
                None => Advice::Hit(hit),
                Some(advice) => advice,
            },
            Announcement::Failed(Failure { trouble, stale }) => {
                let stale = stale.filter(|hit| self.stored_for_waiter(hit, ask).is_none());
                let failure = Failure { trouble, stale };
                if trouble.may_pass() && self.attempt + 1 < MAX_ATTEMPTS {
                    Advice::TakeOver(failure)
                } else {
                    Advice::Fail(failure)
                }
            }
        }
    }

    /// Where a waiter goes that may not use what is stored for the leader's request; `None` if it may.
    fn stored_for_waiter(&self, hit: &Hit, ask: &Ask) -> Option<Advice> {
        let others = Others::Share(hit.object.vary.clone());
        self.for_waiter(&others, ask, || hit.object.head.is_accepted_by(&ask.headers))
    }

    /// Where a waiter goes that may not use this response; `None` if it may. `accepted`: it takes its codings.
    fn for_waiter(&self, others: &Others, ask: &Ask, accepted: impl FnOnce() -> bool) -> Option<Advice> {
        match others {
            Others::Alone => Some(Advice::Alone),
            Others::Share(vary) if !vary.selects_same(&self.ask.headers, &ask.headers) => Some(Advice::Again),
            Others::Share(_) if !accepted() => Some(Advice::Alone),
            Others::Share(_) => None,
        }
    }
}

/// One client's place at a fetch. It counts as interest in the body from the first moment on; dropping it is
/// how a client leaves.
#[derive(Debug)]
pub struct Seat {
    flight: Arc<Flight>,
    /// The fetch itself, as long as the client that began it waits for its head.
    running: Option<Running>,
    reader: Reader,
    leads: bool,
    /// How much it has been told of what the origin said before the head.
    told: usize,
    /// The ledger's sequence when the client came: what was purged before is not for it.
    arrived: Sequence,
}

impl Seat {
    /// As [`Seat::advice_told`], for a client that is told nothing before its answer.
    pub async fn advice(&mut self, ask: &Ask) -> Advice {
        self.advice_told(ask, |_| {}).await
    }

    /// Waits for the announcement. `tell` gets what the origin says before it (RFC 9110 §15.2), in order, each once, and
    /// from the beginning also if this client came later; a waiter only if the origin could have said it to its own request.
    ///
    /// Cancel-safe: dropped here, the client has left; a fetch that it moved along goes on in a task of its own. What was said
    /// is told before the next await.
    pub async fn advice_told(&mut self, ask: &Ask, mut tell: impl FnMut(&Arc<Interim>)) -> Advice {
        while self.running.is_some() {
            let has_news = poll_fn(|cx| self.poll_fetch(cx)).await;
            self.tell(ask, &mut tell);
            if !has_news {
                self.hand_over();
            }
        }
        let flight = Arc::clone(&self.flight);
        let announcement = loop {
            // Before the look at what there is, so that nothing slips in between.
            let news = flight.news.notified();
            self.tell(ask, &mut tell);
            if let Some(announcement) = flight.board.told_or_over() {
                break announcement;
            }
            news.await;
        };
        if !self.leads && flight.is_too_old(&announcement, ask, self.arrived) {
            return Advice::Purged;
        }
        let advice = flight.advise(announcement, self.leads, ask);
        if matches!(advice, Advice::Read(_) | Advice::Use(_) | Advice::Gather(_)) {
            // What came along with the head was said before it.
            self.tell(ask, &mut tell);
        }
        advice
    }

    /// Moves the fetch along until it is over or has something to say: true for something before its announcement.
    fn poll_fetch(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let over = self.running.as_mut().is_none_or(|running| running.poll(cx).is_ready());
        if over || self.flight.board.told().is_some() {
            return Poll::Ready(false);
        }
        if self.flight.heard.count() > self.told { Poll::Ready(true) } else { Poll::Pending }
    }

    /// Tells what was said since it was last told.
    fn tell(&mut self, ask: &Ask, tell: &mut impl FnMut(&Arc<Interim>)) {
        let new = self.flight.heard.since(self.told);
        if new.is_empty() {
            return;
        }
        self.told += new.len();
        if self.leads || heard::are_alike(&self.flight.ask, ask) {
            new.iter().for_each(tell);
        }
    }

    /// Has the fetch go on in a task of its own from here on, as it does when its client has the head or leaves.
    pub fn hand_over(&mut self) {
        self.running = None;
    }

    /// Whether this client's request is the one that went to the origin.
    pub fn leads(&self) -> bool {
        self.leads
    }

    /// How many leaders had failed before this one.
    pub fn attempt(&self) -> u8 {
        self.flight.attempt
    }

    /// Whether the origin saw this client's own request, conditions and all.
    pub fn passes(&self) -> bool {
        self.flight.passes
    }

    /// The body from its first byte on.
    pub fn into_reader(self) -> Reader {
        self.reader
    }
}
