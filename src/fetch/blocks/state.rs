//! What an assembly knows at one moment, and the rules by which whole answers go on.

use std::collections::{BTreeMap, HashMap};

use super::AHEAD;
use crate::body::busy::{BusyBody, Reader};
use crate::fetch::flight::Trouble;

/// Of one object, what is under way and wanted at one moment.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Each with the number of its landing.
    pub(super) under_way: BTreeMap<u32, (u64, BusyBody)>,
    pub(super) readers: HashMap<u64, Want>,
    numbers: u64,
    /// The origin does not do ranges: whatever is wanted comes with the whole.
    pub(super) whole_only: bool,
    /// The block that each whole answer under way brings next, by its number. There are more than one only where
    /// somebody wants what has passed already.
    pub(super) streams: BTreeMap<u64, u32>,
    /// Why the last run brought nothing, or broke off.
    pub(super) trouble: Option<Trouble>,
    /// How many runs and whole answers have failed.
    pub(super) failures: u64,
}

/// What a reader wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want {
    pub(super) next: u32,
    pub(super) end: u32,
}

impl State {
    /// Whether a block is under way, for whoever joins.
    pub(super) fn is_under_way(&self, index: u32) -> bool {
        // What cannot be joined any more comes for nobody else.
        self.under_way.get(&index).is_some_and(|(_, busy)| busy.may_be_joined())
    }

    /// A place at a block under way.
    pub(super) fn reader(&self, index: u32) -> Option<Reader> {
        self.under_way.get(&index).and_then(|(_, busy)| busy.reader())
    }

    /// A number that nothing else has.
    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// One more whole answer, from its beginning on: its number.
    pub(super) fn stream(&mut self) -> u64 {
        let number = self.number();
        self.streams.insert(number, 0);
        number
    }

    /// Whether a whole answer should go on to block `index`: somebody wants it soon or has been told to wait for one of
    /// those that come with it, or wants something behind it that will come in no other way.
    pub(super) fn wants(&self, index: u32) -> bool {
        self.readers.values().any(|want| {
            let soon = index < want.end && want.next.saturating_add(AHEAD) >= index;
            soon && (self.whole_only || want.next < index.saturating_add(AHEAD))
        })
    }

    /// Whether a whole answer under way, that goes on, will bring a block soon, or nothing else can.
    pub(super) fn will_stream(&self, index: u32) -> bool {
        let soon = |next: u32| index <= next.saturating_add(2 * AHEAD) && self.wants(next);
        self.streams.values().any(|next| index >= *next && (self.whole_only || soon(*next)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With readers that want what is from a block on to 100, and whole answers that have come to a block.
    fn state(readers: &[u32], streams: &[u32], whole_only: bool) -> State {
        let mut state = State { whole_only, ..State::default() };
        for next in readers {
            let number = state.number();
            state.readers.insert(number, Want { next: *next, end: 100 });
        }
        for next in streams {
            let number = state.stream();
            state.streams.insert(number, *next);
        }
        state
    }

    fn those(of: impl Fn(u32) -> bool) -> Vec<u32> {
        (0..110).filter(|index| of(*index)).collect()
    }

    #[test]
    fn a_whole_answer_goes_on_near_its_readers_only_where_the_rest_can_be_asked_for() {
        let wanted = |readers: &[u32]| {
            let state = state(readers, &[], false);
            those(|index| state.wants(index))
        };
        assert!(wanted(&[]).is_empty());
        assert_eq!(wanted(&[0]), [0, 1, 2, 3, 4]);
        assert_eq!(wanted(&[10]), (7..=14).collect::<Vec<_>>());
        assert_eq!(wanted(&[99]), (96..100).collect::<Vec<_>>());
        assert_eq!(wanted(&[0, 10]), (0..=4).chain(7..=14).collect::<Vec<_>>());
    }

    #[test]
    fn a_whole_answer_that_alone_can_bring_it_goes_on_to_the_farthest_reader() {
        let state = state(&[3, 10], &[], true);
        assert_eq!(those(|index| state.wants(index)), (0..=14).collect::<Vec<_>>());
    }

    #[test]
    fn what_a_whole_answer_has_passed_is_not_waited_for() {
        let awaited = |readers: &[u32], streams: &[u32], whole_only| {
            let state = state(readers, streams, whole_only);
            those(|index| state.will_stream(index))
        };
        assert!(awaited(&[5], &[], true).is_empty(), "there is none");
        assert_eq!(awaited(&[5], &[6], false), (6..=14).collect::<Vec<_>>());
        assert!(awaited(&[5], &[30], false).is_empty(), "nobody wants what it brings: it will end");
        assert_eq!(awaited(&[5], &[30], true), (30..110).collect::<Vec<_>>());
        assert_eq!(awaited(&[5], &[30, 0], true), (0..110).collect::<Vec<_>>(), "one of two");
    }
}
