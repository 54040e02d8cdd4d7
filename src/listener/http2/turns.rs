//! Whose content goes next. What is handed to the codec leaves in the order in which it was handed over; so little is, and by
//! urgency (RFC 9218 §10).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::priority::Priority;
use crate::listener::pace::Late;

/// Streams of which something is remembered before they are there.
const MOST_SAID: usize = 128;

/// The answers of a connection that have something to send.
#[derive(Clone, Debug, Default)]
pub struct Turns(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Bytes that may be handed over until all that was has left.
    allowance: usize,
    waiting: BTreeMap<Rank, Waker>,
    /// What was said of streams, and not heeded yet.
    said: BTreeMap<u32, Priority>,
    /// Turns that were taken so far.
    taken: u64,
    /// The connection ends, because its client takes too little.
    late: Option<Late>,
}

/// Smaller goes first: by urgency; then who does not share before who does; then by the number of the stream, and where
/// they share, who has waited longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    priority: Priority,
    turn: u64,
    stream: u32,
}

/// One answer's place.
#[derive(Debug)]
pub struct Place {
    turns: Turns,
    rank: Rank,
    waits: bool,
}

impl Turns {
    /// A place for a stream of which the request said this.
    pub fn place(&self, stream: u32, priority: Priority) -> Place {
        let rank = self.0.lock().rank(stream, priority);
        Place { turns: self.clone(), rank, waits: false }
    }

    /// Everything has left: so many bytes may be handed over.
    pub fn refill(&self, allowance: usize) {
        let mut state = self.0.lock();
        state.allowance = allowance;
        state.wake_first();
    }

    /// Nothing may be handed over for now.
    pub fn stop(&self) {
        self.0.lock().allowance = 0;
    }

    /// The connection ends for this, and with it all answers.
    pub fn end_for(&self, late: Late) {
        self.0.lock().late = Some(late);
    }

    /// Whether somebody waits.
    pub fn has_waiting(&self) -> bool {
        !self.0.lock().waiting.is_empty()
    }

    /// The client says how urgent an answer is, which may be one that it has yet to ask for.
    pub fn say(&self, stream: u32, priority: Priority) {
        let mut state = self.0.lock();
        state.said.insert(stream, priority);
        if state.said.len() > MOST_SAID {
            // Of the oldest stream, which will hardly ask any more.
            state.said.pop_first();
        }
        if let Some((_, waker)) = state.waiting.iter().find(|(rank, _)| rank.stream == stream) {
            waker.wake_by_ref();
        }
    }
}

impl State {
    fn rank(&self, stream: u32, priority: Priority) -> Rank {
        Rank { priority, turn: if priority.shares() { self.taken } else { 0 }, stream }
    }

    fn wake_first(&self) {
        if self.allowance > 0
            && let Some((_, first)) = self.waiting.first_key_value()
        {
            first.wake_by_ref();
        }
    }
}

impl Place {
    /// Ready with how many bytes may be handed over once it is this one's turn, which then has to end in [`Place::took`] or
    /// [`Place::rest`]. Cancel-safe.
    pub fn poll_turn(&mut self, cx: &Context<'_>) -> Poll<usize> {
        let mut state = self.turns.0.lock();
        if let Some(priority) = state.said.remove(&self.rank.stream) {
            state.waiting.remove(&self.rank);
            self.rank = state.rank(self.rank.stream, priority);
        }
        let is_first = state.waiting.first_key_value().is_none_or(|(first, _)| self.rank <= *first);
        if state.allowance > 0 && is_first {
            state.waiting.remove(&self.rank);
            self.waits = false;
            return Poll::Ready(state.allowance);
        }
        state.waiting.insert(self.rank, cx.waker().clone());
        self.waits = true;
        Poll::Pending
    }

    /// So many bytes were handed over in this turn.
    pub fn took(&mut self, bytes: usize) {
        let mut state = self.turns.0.lock();
        state.allowance = state.allowance.saturating_sub(bytes);
        state.taken += 1;
        if self.rank.priority.shares() {
            self.rank.turn = state.taken;
        }
        state.wake_first();
    }

    /// For what the connection ends, if it does.
    pub fn late(&self) -> Option<Late> {
        self.turns.0.lock().late
    }

    /// It has nothing to send for now: the next one may.
    pub fn rest(&mut self) {
        let mut state = self.turns.0.lock();
        if std::mem::take(&mut self.waits) {
            state.waiting.remove(&self.rank);
        }
        state.wake_first();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.rest();
        self.turns.0.lock().said.remove(&self.rank.stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(priorities: &[&str], each: usize) -> Vec<u32> {
        let turns = Turns::default();
        let mut places: Vec<_> = (1_u32..)
            .zip(priorities)
            .map(|(stream, said)| {
                let said = if said.is_empty() { Priority::UNSAID } else { Priority::of(said.as_bytes()) };
                turns.place(stream, said)
            })
            .collect();
        let mut left = vec![each; places.len()];
        let cx = Context::from_waker(Waker::noop());
        for place in &mut places {
            assert!(place.poll_turn(&cx).is_pending(), "nothing is allowed yet");
        }
        assert!(turns.has_waiting());
        turns.refill(usize::MAX);
        let mut order = Vec::new();
        while left.iter().any(|left| *left > 0) {
            for (place, left) in places.iter_mut().zip(&mut left) {
                while *left > 0 && place.poll_turn(&cx).is_ready() {
                    place.took(1);
                    *left -= 1;
                    order.push(place.rank.stream);
                }
            }
        }
        order
    }

    #[test]
    fn the_urgent_go_first_and_others_share_or_wait() {
        assert_eq!(order(&["u=5", "u=3", "u=0"], 2), [3, 3, 2, 2, 1, 1]);
        assert_eq!(order(&["u=3", "u=3"], 2), [1, 1, 2, 2]);
        assert_eq!(order(&["u=3, i", "u=3"], 2), [2, 2, 1, 1]);
        assert_eq!(order(&["", ""], 3), [1, 2, 1, 2, 1, 2]);
    }

    #[test]
    fn who_leaves_makes_room() {
        let turns = Turns::default();
        let cx = Context::from_waker(Waker::noop());
        let (mut first, mut second) =
            (turns.place(1, Priority::of(b"u=0")), turns.place(3, Priority::UNSAID));
        assert!(first.poll_turn(&cx).is_pending() && second.poll_turn(&cx).is_pending());
        turns.refill(10);
        assert!(second.poll_turn(&cx).is_pending());
        drop(first);
        assert_eq!(second.poll_turn(&cx), Poll::Ready(10));
        second.took(10);
        assert!(second.poll_turn(&cx).is_pending());
        second.rest();
        assert!(!turns.has_waiting());
        turns.refill(5);
        turns.stop();
        assert!(second.poll_turn(&cx).is_pending());
    }

    #[test]
    fn what_is_said_later_or_before_counts() {
        let turns = Turns::default();
        let cx = Context::from_waker(Waker::noop());
        turns.say(3, Priority::of(b"u=1"));
        let (mut first, mut second) = (turns.place(1, Priority::UNSAID), turns.place(3, Priority::UNSAID));
        assert!(second.poll_turn(&cx).is_pending() && first.poll_turn(&cx).is_pending());
        turns.refill(1);
        assert!(first.poll_turn(&cx).is_pending(), "the second one goes before it");
        turns.say(3, Priority::of(b"u=7"));
        assert!(second.poll_turn(&cx).is_pending());
        assert_eq!(first.poll_turn(&cx), Poll::Ready(1));
        drop((first, second));
        (0..1_000).for_each(|stream| turns.say(stream, Priority::UNSAID));
        assert_eq!(turns.0.lock().said.len(), MOST_SAID);
    }
}
