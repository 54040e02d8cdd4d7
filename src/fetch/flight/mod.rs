//! One fetch, as those see it who wait for it.
//!
//! - here: the fetch. - `announcement`: what is told of it. - `seat`: a client's place at it.

mod announcement;
mod seat;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

use super::ask::Ask;
use super::board::{Announcer, Board};
use super::heard::Heard;
use super::running::Running;
use crate::base::clock::Timestamp;
use crate::base::ids::Sequence;
use crate::body::busy::{BusyBody, Reader};
use crate::cache::Cache;
use crate::cache::lookup::Hit;
use crate::semantics::reuse::Decision;
use crate::semantics::tags::Tags;
use crate::semantics::vary::VarySet;
pub use announcement::{Advice, Announced, Announcement, Divided, Failure, Others, Refreshed, Trouble};
pub use seat::Seat;

/// A fetch under way: who asked first, what was announced of it, and the body as it arrives.
#[derive(Debug)]
pub struct Flight {
    pub(in crate::fetch) ask: Arc<Ask>,
    /// How many leaders failed before this one, for the same waiters.
    pub(in crate::fetch) attempt: u8,
    /// The client's own request goes through as it is.
    passes: bool,
    /// Where it is known what was purged.
    cache: Arc<Cache>,
    /// The era in which it began, and whether its fetch has let go of that: nobody waits any more for what it brings.
    era: u64,
    is_let_go: AtomicBool,
    pub(in crate::fetch) busy: BusyBody,
    /// The ordinal of the ledger's sequence than which nothing that it brings is older: that of its start, and then of its
    /// latest request.
    born: AtomicU64,
    /// What the origin has said before the head.
    pub(in crate::fetch) heard: Heard,
    pub(in crate::fetch) board: Board,
    /// Something was heard, announced, or will never be.
    pub(in crate::fetch) news: Notify,
}

/// Leaders that may fail before a head one after the other, for the same waiters.
pub const MAX_ATTEMPTS: u8 = 3;

impl Flight {
    pub(in crate::fetch) fn new(
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
    pub(in crate::fetch) fn born(&self) -> Sequence {
        Sequence::of_ordinal(self.born.load(Ordering::Acquire))
    }

    /// A request is about to leave.
    pub(in crate::fetch) fn leaves(&self, born: Sequence) {
        self.born.store(born.ordinal(), Ordering::Release);
    }

    /// Whether its leader's handshake had not ended when it began.
    pub(in crate::fetch) fn began_early(&self) -> bool {
        self.ask.early.is_some()
    }

    /// Whether a request like `ask` may wait for this fetch, as far as is known: before the head by the
    /// `known` variants of the key, after it by its own `Vary`, and as long as it is fresh.
    pub(in crate::fetch) fn suits(&self, ask: &Ask, known: &[VarySet], now: Timestamp) -> bool {
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
    pub(in crate::fetch) fn refreshes(&self, vary: &VarySet, ask: &Ask) -> bool {
        vary.selects_same(&self.ask.headers, &ask.headers)
    }

    /// Whether nothing was purged since it was born that its answer is, as far as that is known: who asks now may join it.
    pub(in crate::fetch) fn is_untouched(&self, ask: &Ask) -> bool {
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
    pub(in crate::fetch) fn let_go(&self) {
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
    pub(in crate::fetch) fn seat(self: &Arc<Self>) -> Option<Seat> {
        self.busy.reader().map(|reader| self.seat_with(reader, None))
    }

    /// The place of the client whose request goes to the origin.
    pub(in crate::fetch) fn leading_seat(self: &Arc<Self>, first: Reader, running: Running) -> Seat {
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
