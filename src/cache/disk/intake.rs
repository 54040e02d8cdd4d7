//! What the keeper has yet to write: a bounded queue, from which lookups are answered as well.
//!
//! For each slot there is one intent, the latest. An object is visible to lookup from the moment that it is taken
//! in, so that a fetch may leave its table although nothing is written yet. Over the limit objects are refused;
//! that a slot is to be emptied is never refused, because what is on disk would then outlive what replaced it.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use crate::base::clock::Timestamp;
use crate::base::ids::Generation;
use crate::cache::key::Key;
use crate::cache::lookup::{Held, Hit};
use crate::semantics::vary::VarySet;

/// Intents beside their objects are small, but not nothing.
const INTENT_COST: u64 = 512;

/// What takes more than this part of the limit is large: large and small objects have a half of it each, so that neither
/// keep the others out.
const LARGE: u64 = 32;

/// When more than this part of the limit waits, the keeper is woken from its lingering.
const MUCH: u64 = 16;

/// What is to become of a slot.
#[derive(Clone, Debug)]
pub struct Intent {
    /// The key that the slot belongs to.
    pub key: Key,
    /// What is to become of its object.
    pub change: Change,
    /// `Vary` sets to be noted.
    pub vary: Vec<VarySet>,
}

/// What is to become of a slot's object.
#[derive(Clone, Debug)]
pub enum Change {
    /// It stays as it is on disk.
    Keep,
    /// This takes its place.
    Store(Hit),
    /// It goes, if it is of this generation or an earlier one.
    Gone(Generation),
}

/// What comes of waiting for work.
#[derive(Debug)]
pub enum Work {
    /// An intent for a slot, with the ticket that [`Intake::done`] wants back.
    Intent(u64, u64, Intent),
    /// Nothing came within the time.
    Nothing,
    /// Nothing will come any more.
    Closed,
}

/// The queue.
#[derive(Debug)]
pub struct Intake {
    state: Mutex<State>,
    arrived: Condvar,
    /// Something has gone, or nothing will be taken in any more.
    room: Notify,
    /// Bytes that may wait.
    limit: AtomicU64,
    /// How long the keeper lingers when it has done all that waited: to wake a thread costs the request that does it more
    /// than all else that it has to do with the disk.
    linger: Duration,
}

#[derive(Debug, Default)]
struct State {
    intents: HashMap<u64, Waiting>,
    order: VecDeque<u64>,
    /// Bytes that wait, of what is small and of what is large.
    small: u64,
    large: u64,
    tickets: u64,
    closed: bool,
    /// The keeper is to look around although nothing has come.
    nudged: bool,
    /// Up to which ticket all is to be durable, and up to which it was made so because somebody wanted that.
    to_sync: u64,
    synced: u64,
    keeper: Doing,
}

/// What the keeper does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Doing {
    /// It sleeps until something comes.
    #[default]
    Rests,
    /// It was given something.
    Works,
    /// It has done all that waited, and looks by itself before long: who brings something need not wake it.
    Lingers,
}

impl State {
    /// Whether the keeper may wait.
    fn has_nothing_to_do(&self) -> bool {
        self.order.is_empty() && !self.closed && !self.nudged
    }

    /// What is to become of the object of a slot, if it is of this key.
    fn change_of(&self, slot: u64, key: &Key) -> Option<&Change> {
        self.intents
            .get(&slot)
            .map(|waiting| &waiting.intent)
            .filter(|intent| intent.key == *key)
            .map(|intent| &intent.change)
    }
}

/// Which of two changes is the later: by the generation that they are about, by when a store was last confirmed, and a
/// removal after what it removes.
fn order(change: &Change) -> (Generation, Timestamp) {
    match change {
        Change::Keep => (Generation::default(), Timestamp::default()),
        Change::Store(hit) => (hit.object.generation, hit.object.terms().freshness.response_time),
        Change::Gone(generation) => (*generation, Timestamp::from_millis(u64::MAX)),
    }
}

#[derive(Debug)]
struct Waiting {
    intent: Intent,
    ticket: u64,
    /// It is in `order`; otherwise the keeper is at it.
    queued: bool,
}

impl Intake {
    /// An empty queue in which so many bytes may wait, and as a rule no longer than `linger` until they are asked for.
    pub fn new(limit: u64, linger: Duration) -> Self {
        Self {
            state: Mutex::default(),
            arrived: Condvar::new(),
            room: Notify::new(),
            limit: AtomicU64::new(limit),
            linger,
        }
    }

    fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// So many bytes may wait from now on.
    pub fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Takes an object in; false if too much is waiting. One alone may be larger than the limit.
    pub fn store(&self, slot: u64, key: &Key, hit: Hit) -> bool {
        let change = Change::Store(hit);
        let (cost, large, order) = (cost(&change), self.is_large(&change), order(&change));
        self.add(slot, key, change, None, |state, limit| {
            let overtaken = state.change_of(slot, key).is_some_and(|waiting| self::order(waiting) > order);
            !overtaken
                && match (large, state.large) {
                    (false, _) => state.small + cost <= limit / 2,
                    (true, 0) => true,
                    (true, waiting) => waiting + cost <= limit / 2,
                }
        })
    }

    fn is_large(&self, change: &Change) -> bool {
        cost(change) > self.limit() / LARGE
    }

    fn count<'a>(&self, state: &'a mut State, change: &Change) -> &'a mut u64 {
        if self.is_large(change) { &mut state.large } else { &mut state.small }
    }

    /// Notes a `Vary` set of a key; false if too much is waiting.
    pub fn note_vary(&self, slot: u64, key: &Key, set: &VarySet) -> bool {
        self.add(slot, key, Change::Keep, Some(set), |state, limit| state.small + INTENT_COST <= limit / 2)
    }

    /// Empties a slot of an object of this generation, or an earlier one.
    pub fn forget(&self, slot: u64, key: &Key, generation: Generation) {
        let change = Change::Gone(generation);
        let order = order(&change);
        self.add(slot, key, change, None, |state, _| {
            state.change_of(slot, key).is_none_or(|waiting| self::order(waiting) <= order)
        });
    }

    fn add(
        &self,
        slot: u64,
        key: &Key,
        change: Change,
        vary: Option<&VarySet>,
        fits: impl FnOnce(&State, u64) -> bool,
    ) -> bool {
        let mut state = self.state.lock();
        if state.closed || !fits(&state, self.limit()) {
            return false;
        }
        state.tickets += 1;
        let ticket = state.tickets;
        let earlier = state.intents.remove(&slot);
        let queued = earlier.as_ref().is_some_and(|waiting| waiting.queued);
        if let Some(earlier) = &earlier {
            *self.count(&mut state, &earlier.intent.change) -= cost(&earlier.intent.change);
        }
        let earlier = earlier.filter(|waiting| waiting.intent.key == *key).map(|waiting| waiting.intent);
        let mut intent = Intent { key: key.clone(), change, vary: Vec::new() };
        if let Some(earlier) = earlier {
            if matches!(intent.change, Change::Keep) {
                intent.change = earlier.change;
            }
            intent.vary = earlier.vary;
        }
        if let Some(set) = vary.filter(|set| !intent.vary.contains(set)) {
            intent.vary.push(set.clone());
        }
        *self.count(&mut state, &intent.change) += cost(&intent.change);
        state.intents.insert(slot, Waiting { intent, ticket, queued: true });
        if !queued {
            state.order.push_back(slot);
        }
        let is_due = state.keeper != Doing::Lingers || state.small + state.large > self.limit() / MUCH;
        drop(state);
        if is_due {
            self.arrived.notify_one();
        }
        true
    }

    /// What is to become of a slot, if anything is.
    pub fn waiting(&self, slot: u64, key: &Key) -> Option<Intent> {
        let state = self.state.lock();
        state.intents.get(&slot).map(|waiting| &waiting.intent).filter(|intent| intent.key == *key).cloned()
    }

    /// Blocking: the next intent, which stays visible until it is [`done`](Self::done).
    pub fn next(&self, patience: Duration) -> Work {
        let mut state = self.state.lock();
        if state.has_nothing_to_do() && state.keeper == Doing::Works {
            state.keeper = Doing::Lingers;
            self.arrived.wait_for(&mut state, self.linger);
        }
        state.keeper = Doing::Rests;
        if state.has_nothing_to_do() {
            self.arrived.wait_for(&mut state, patience);
        }
        state.nudged = false;
        if !state.order.is_empty() {
            state.keeper = Doing::Works;
        }
        while let Some(slot) = state.order.pop_front() {
            if let Some(waiting) = state.intents.get_mut(&slot) {
                waiting.queued = false;
                return Work::Intent(slot, waiting.ticket, waiting.intent.clone());
            }
        }
        if state.closed { Work::Closed } else { Work::Nothing }
    }

    /// An intent was carried out, or given up: it is taken out unless a later one has taken its place.
    pub fn done(&self, slot: u64, ticket: u64) {
        let mut state = self.state.lock();
        if state.intents.get(&slot).is_some_and(|waiting| waiting.ticket == ticket)
            && let Some(waiting) = state.intents.remove(&slot)
        {
            *self.count(&mut state, &waiting.intent.change) -= cost(&waiting.intent.change);
        }
        drop(state);
        self.room.notify_waiters();
    }

    /// Resolves when something that waited is done, at once if nothing waits. Cancel-safe.
    pub async fn room(&self) {
        let room = self.room.notified();
        let waits = {
            let state = self.state.lock();
            !state.closed && !state.intents.is_empty()
        };
        if waits {
            room.await;
        }
    }

    /// Wakes the keeper although nothing has come.
    pub fn nudge(&self) {
        self.state.lock().nudged = true;
        self.arrived.notify_one();
    }

    /// Takes nothing in any more; what waits is still handed out.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.arrived.notify_one();
        self.room.notify_waiters();
    }

    /// Whether nothing will be taken in any more.
    pub fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// How many intents wait or are being carried out.
    pub fn len(&self) -> usize {
        self.state.lock().intents.len()
    }

    /// The ticket of the last intent that was taken in.
    pub fn last_ticket(&self) -> u64 {
        self.state.lock().tickets
    }

    /// Whether no intent up to this ticket waits, or is being carried out, any more.
    pub fn has_done(&self, ticket: u64) -> bool {
        self.state.lock().intents.values().all(|waiting| waiting.ticket > ticket)
    }

    /// Asks that everything be made durable that was taken in so far; gives the ticket that [`Intake::is_synced`] wants.
    pub fn ask_sync(&self) -> u64 {
        let mut state = self.state.lock();
        // One of its own, so that it is not taken for one that was made before.
        state.tickets += 1;
        let ticket = state.tickets;
        (state.to_sync, state.nudged) = (ticket, true);
        drop(state);
        self.arrived.notify_one();
        ticket
    }

    /// The ticket up to which the keeper is to make everything durable, if that is carried out by now.
    pub fn due_sync(&self) -> Option<u64> {
        let state = self.state.lock();
        let due = state.to_sync > state.synced;
        let done = || state.intents.values().all(|waiting| waiting.ticket > state.to_sync);
        (due && done()).then_some(state.to_sync)
    }

    /// Everything up to this ticket is durable.
    pub fn note_synced(&self, ticket: u64) {
        self.state.lock().synced = ticket;
    }

    /// Whether everything up to this ticket is durable, as far as somebody has asked for it.
    pub fn is_synced(&self, ticket: u64) -> bool {
        self.state.lock().synced >= ticket
    }

    /// Whether nothing waits and nothing is being carried out.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn cost(change: &Change) -> u64 {
    match change {
        Change::Keep | Change::Gone(_) => INTENT_COST,
        Change::Store(hit) => {
            let object = &hit.object;
            let content = match &hit.content {
                Held::Memory(_) => object.representation.length,
                // It is on disk, and stays there, or its blocks come one by one.
                Held::Disk(..) | Held::Divided => 0,
            };
            INTENT_COST + (object.head_weight() + object.vary_values.len()) as u64 + content
        }
    }
}
