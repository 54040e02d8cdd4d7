//! Places: the right to use one connection of one endpoint, and the queue of those who wait for one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::health::Begun;
use super::roster::{Pick, Roster};

/// How often those who wait look whether an endpoint may be tried again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// All places of a pool. One short lock for each request to an origin; hits never come here.
#[derive(Debug)]
pub(super) struct Places {
    inner: Mutex<Inner>,
    /// By endpoint: whether it has failed since its last answer, to be asked without the lock.
    troubled: Box<[AtomicBool]>,
    most_waiting: usize,
    patience: Duration,
    refused: AtomicU64,
}

#[derive(Debug)]
struct Inner {
    roster: Roster,
    /// In the order in which they came.
    waiting: BTreeMap<u64, Waiter>,
    came: u64,
}

#[derive(Debug)]
struct Waiter {
    tried: Vec<usize>,
    tell: oneshot::Sender<Place>,
}

/// A place that goes to somebody who waited.
type Grant = (oneshot::Sender<Place>, Place);

/// What comes of asking.
enum Asked {
    Had(Place),
    Waits(InQueue, oneshot::Receiver<Place>),
    Turned(NoPlace),
}

/// Why a request gets no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// The queue is full, or a place did not come in time.
    Crowded,
    /// There is no endpoint left that it may try: it has tried the others, or they are drained.
    Nobody,
}

/// The right to one connection of an endpoint, and the duty to say what came of it. Dropping it gives it to the
/// next who waits; if nothing was said, it says nothing about the endpoint.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    index: usize,
    begun: Option<Begun>,
}

impl Places {
    /// At most `most_waiting` requests wait, none longer than `patience`.
    pub(super) fn new(
        roster: Roster,
        endpoints: usize,
        most_waiting: usize,
        patience: Duration,
    ) -> Arc<Self> {
        let troubled = (0..endpoints).map(|_| AtomicBool::new(false)).collect();
        let inner = Mutex::new(Inner { roster, waiting: BTreeMap::new(), came: 0 });
        Arc::new(Self { inner, troubled, most_waiting, patience, refused: AtomicU64::new(0) })
    }

    /// A place at an endpoint that is not in `tried`; in turn, if it has to be waited for. Cancel-safe: whoever
    /// leaves the queue, or leaves with a place just given, leaves it to the next.
    pub(super) async fn get(self: &Arc<Self>, tried: &[usize]) -> Result<Place, NoPlace> {
        let (in_queue, granted) = match self.ask(tried) {
            Asked::Had(place) => return Ok(place),
            Asked::Waits(in_queue, granted) => (in_queue, granted),
            Asked::Turned(away) => return Err(away),
        };
        let granted = tokio::time::timeout(self.patience, self.granted(granted)).await;
        drop(in_queue);
        match granted {
            Ok(granted) => granted.map_err(|_| NoPlace::Nobody),
            Err(_) => Err(self.refuse()),
        }
    }

    /// What the queue grants. Nobody is woken when a pause ends: whoever waits looks again now and then.
    async fn granted(
        self: &Arc<Self>,
        mut granted: oneshot::Receiver<Place>,
    ) -> Result<Place, oneshot::error::RecvError> {
        loop {
            match tokio::time::timeout(LOOK_AGAIN, &mut granted).await {
                Ok(granted) => return granted,
                Err(_) => self.change(|_| ()),
            }
        }
    }

    fn ask(self: &Arc<Self>, tried: &[usize]) -> Asked {
        let mut inner = self.inner.lock();
        // Time alone may have made a place: then those who wait come first.
        let grants = self.serve(&mut inner);
        let asked = match inner.roster.pick(tried) {
            Pick::Go(index, begun) => Asked::Had(self.place(index, begun)),
            Pick::Nobody => Asked::Turned(NoPlace::Nobody),
            Pick::Full if inner.waiting.len() >= self.most_waiting => Asked::Turned(self.refuse()),
            Pick::Full => {
                let (tell, granted) = oneshot::channel();
                let number = inner.came;
                inner.came += 1;
                inner.waiting.insert(number, Waiter { tried: tried.to_vec(), tell });
                Asked::Waits(InQueue { places: Arc::clone(self), number }, granted)
            }
        };
        drop(inner);
        hand_out(grants);
        asked
    }

    fn place(self: &Arc<Self>, index: usize, begun: Begun) -> Place {
        Place { places: Arc::clone(self), index, begun: Some(begun) }
    }

    fn refuse(&self) -> NoPlace {
        self.refused.fetch_add(1, Ordering::Relaxed);
        NoPlace::Crowded
    }

    /// The places that can be had now, for those who wait, in turn. To be handed out without the lock.
    fn serve(self: &Arc<Self>, inner: &mut Inner) -> Vec<Grant> {
        let mut grants = Vec::new();
        let mut from = 0;
        while let Some((&number, waiter)) = inner.waiting.range(from..).next() {
            from = number + 1;
            match inner.roster.pick(&waiter.tried) {
                Pick::Go(index, begun) => {
                    if let Some(waiter) = inner.waiting.remove(&number) {
                        grants.push((waiter.tell, self.place(index, begun)));
                    }
                }
                // Its sender is dropped, which tells it.
                Pick::Nobody => drop(inner.waiting.remove(&number)),
                // Others may take what one will not that has been there.
                Pick::Full if waiter.tried.is_empty() => break,
                Pick::Full => {}
            }
        }
        grants
    }

    fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut Roster) -> T) -> T {
        let mut inner = self.inner.lock();
        let out = change(&mut inner.roster);
        let grants = self.serve(&mut inner);
        drop(inner);
        hand_out(grants);
        out
    }

    /// Sends nobody to an endpoint any more, or does so again. Who waits for it alone is told at once.
    pub(super) fn drain(self: &Arc<Self>, index: usize, drained: bool) {
        self.change(|roster| roster.drain(index, drained));
    }

    /// Whether an endpoint is up, and how many of its connections are in use.
    pub(super) fn state(&self, index: usize) -> (bool, usize) {
        self.inner.lock().roster.state(index)
    }

    /// How many requests wait, and how many were turned away.
    pub(super) fn crowd(&self) -> (usize, u64) {
        (self.inner.lock().waiting.len(), self.refused.load(Ordering::Relaxed))
    }
}

/// A place that nobody takes any more comes back by its drop.
fn hand_out(grants: Vec<Grant>) {
    for (tell, place) in grants {
        let _ = tell.send(place);
    }
}

/// A number in the queue, until this is dropped.
struct InQueue {
    places: Arc<Places>,
    number: u64,
}

impl Drop for InQueue {
    fn drop(&mut self) {
        let left = self.places.inner.lock().waiting.remove(&self.number);
        drop(left);
    }
}

impl Place {
    /// The number of its endpoint.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// A head came. True if that brought the endpoint back.
    pub(super) fn answered(&mut self) -> bool {
        self.begun = None;
        let troubled = self.places.troubled.get(self.index);
        troubled.is_some_and(|troubled| {
            troubled.load(Ordering::Relaxed) && troubled.swap(false, Ordering::Relaxed)
        }) && self.places.change(|roster| roster.answered(self.index))
    }

    /// The request failed before its head, by the endpoint's fault. The pause that this began.
    pub(super) fn failed(&mut self) -> Option<Duration> {
        let begun = self.begun.take()?;
        let pause = self.places.change(|roster| roster.failed(self.index, begun));
        if let Some(troubled) = self.places.troubled.get(self.index) {
            troubled.store(true, Ordering::Relaxed);
        }
        pause
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let begun = self.begun.take();
        self.places.change(|roster| roster.release(self.index, begun));
    }
}

#[cfg(test)]
mod tests;
