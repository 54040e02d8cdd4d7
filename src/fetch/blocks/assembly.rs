//! Of one divided object, the blocks under way and who wants what next.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::landing::Landing;
use super::room::Room;
use super::state::{State, Want};
use crate::base::ids::Generation;
use crate::body::busy::{BodyError, BusyBody, Means, Reader, Retention};
use crate::cache::key::{Key, KeyHash};
use crate::cache::object::Object;
use crate::fetch::flight::Trouble;
use crate::origin::OriginError;

/// A store of an object, as its blocks are named by it.
type Name = (KeyHash, Generation);

/// The assemblies of all divided objects of which blocks are under way or read.
#[derive(Debug)]
pub(in crate::fetch) struct Assemblies {
    by_name: Mutex<HashMap<Name, Weak<Assembly>>>,
    means: Means,
    room: Room,
}

impl Assemblies {
    /// None yet.
    pub(in crate::fetch) fn new(means: &Means) -> Arc<Self> {
        Arc::new(Self { by_name: Mutex::default(), means: means.clone(), room: Room::new(&means.budget) })
    }

    /// The one of this object; it ends with its last holder.
    pub(in crate::fetch) fn of(self: &Arc<Self>, key: &Key, object: &Object) -> Arc<Assembly> {
        let name = (object.slot(key), object.generation);
        let mut by_name = self.by_name.lock();
        if let Some(assembly) = by_name.get(&name).and_then(Weak::upgrade) {
            return assembly;
        }
        let assembly = Arc::new(Assembly {
            name,
            home: Arc::clone(self),
            state: Mutex::default(),
            moved: Notify::new(),
        });
        by_name.insert(name, Arc::downgrade(&assembly));
        assembly
    }

    /// How many there are.
    pub(in crate::fetch) fn len(&self) -> usize {
        self.by_name.lock().len()
    }
}

/// The blocks of one object that are under way, and who wants what next.
#[derive(Debug)]
pub(in crate::fetch) struct Assembly {
    name: Name,
    home: Arc<Assemblies>,
    state: Mutex<State>,
    /// A reader has come, moved on or left; a block has landed or begun.
    moved: Notify,
}

/// What a reader that lacks a block is to do.
pub(super) enum Course {
    /// Read along.
    Read(Reader),
    /// Wait until something has moved: a whole answer under way will bring it.
    Wait,
    /// Have these brought, and read along.
    Run(Vec<Landing>, Option<Reader>),
    /// Have the whole brought, under this number: others wait for it from now on, until [`Assembly::streams_to`] says that
    /// it is over.
    Stream(u64),
    /// Look into the tiers again: it has landed meanwhile.
    Again,
}

impl Assembly {
    /// What to do about block `index`, which was in no tier, of which those of `ahead` are wanted soon.
    pub(super) fn course(
        self: &Arc<Self>,
        index: u32,
        ahead: Range<u32>,
        present: impl Fn(u32) -> bool,
    ) -> Course {
        let mut state = self.state.lock();
        if let Some(reader) = state.reader(index) {
            return Course::Read(reader);
        }
        if state.will_stream(index) {
            return Course::Wait;
        }
        if present(index) {
            return Course::Again;
        }
        if state.whole_only {
            return Course::Stream(state.stream());
        }
        let landings = self.claim(&mut state, ahead, present);
        // At once: it may have failed before one looks again.
        Course::Run(landings, state.reader(index))
    }

    /// The first of the blocks of `wanted` that nobody has or brings, with those that follow it, to be brought.
    pub(super) fn claim_ahead(
        self: &Arc<Self>,
        wanted: Range<u32>,
        present: impl Fn(u32) -> bool,
    ) -> Vec<Landing> {
        let mut state = self.state.lock();
        if state.whole_only { Vec::new() } else { self.claim(&mut state, wanted, present) }
    }

    fn claim(
        self: &Arc<Self>,
        state: &mut State,
        wanted: Range<u32>,
        present: impl Fn(u32) -> bool,
    ) -> Vec<Landing> {
        let comes =
            |state: &State, index| state.is_under_way(index) || state.will_stream(index) || present(index);
        let to_bring: Vec<u32> = {
            let missing = wanted.skip_while(|index| comes(state, *index));
            missing.take_while(|index| !comes(state, *index)).collect()
        };
        to_bring.into_iter().map(|index| self.land(state, index)).collect()
    }

    /// Block `index`, to be brought by the caller, unless somebody does already.
    pub(in crate::fetch) fn claim_one(self: &Arc<Self>, index: u32) -> Option<Landing> {
        let mut state = self.state.lock();
        (!state.is_under_way(index)).then(|| self.land(&mut state, index))
    }

    fn land(self: &Arc<Self>, state: &mut State, index: u32) -> Landing {
        let (busy, writer) = BusyBody::new(self.home.means.clone(), Retention::Store);
        let number = state.number();
        state.under_way.insert(index, (number, busy));
        Landing::new(Arc::clone(self), (index, number), writer)
    }

    /// Where its blocks wait for memory.
    pub(super) fn room(&self) -> &Room {
        &self.home.room
    }

    /// A place at a block under way.
    pub(super) fn join(&self, index: u32) -> Option<Reader> {
        self.state.lock().reader(index)
    }

    /// A block has landed, or will not.
    pub(super) fn landed(&self, (index, number): (u32, u64)) {
        let mut state = self.state.lock();
        // Another may be bringing it by now.
        if state.under_way.get(&index).is_some_and(|(held, _)| *held == number) {
            state.under_way.remove(&index);
        }
        drop(state);
        self.moved.notify_waiters();
    }

    /// Notes a reader of these blocks.
    pub(super) fn enter(&self, blocks: Range<u32>) -> u64 {
        let mut state = self.state.lock();
        let number = state.number();
        state.readers.insert(number, Want { next: blocks.start, end: blocks.end });
        drop(state);
        self.moved.notify_waiters();
        number
    }

    /// A reader wants these blocks now.
    pub(super) fn moves(&self, reader: u64, blocks: Range<u32>) {
        if let Some(want) = self.state.lock().readers.get_mut(&reader) {
            *want = Want { next: blocks.start, end: blocks.end };
        }
        self.moved.notify_waiters();
    }

    /// A reader has left.
    pub(super) fn leave(&self, reader: u64) {
        self.state.lock().readers.remove(&reader);
        self.moved.notify_waiters();
    }

    /// Whether a whole answer should go on to block `index` ([`State::wants`]).
    pub(super) fn wants(&self, index: u32) -> bool {
        self.state.lock().wants(index)
    }

    /// Whether the origin does no ranges.
    pub(super) fn is_whole_only(&self) -> bool {
        self.state.lock().whole_only
    }

    /// Whether anybody reads.
    pub(super) fn is_read(&self) -> bool {
        !self.state.lock().readers.is_empty()
    }

    /// Resolves with the next move of whoever has to do with it. Made before one looks, it misses none.
    pub(super) fn moved(&self) -> impl Future<Output = ()> {
        self.moved.notified()
    }

    /// The origin does not do ranges.
    pub(in crate::fetch) fn note_whole_only(&self) {
        self.state.lock().whole_only = true;
    }

    /// A whole answer begins: its number. None if there is one under way.
    pub(super) fn begin_stream(&self) -> Option<u64> {
        let mut state = self.state.lock();
        state.streams.is_empty().then(|| state.stream())
    }

    /// The whole answer of this number has come to this block; `None`: it is over.
    pub(super) fn streams_to(&self, number: u64, index: Option<u32>) {
        let mut state = self.state.lock();
        match index {
            Some(index) => state.streams.insert(number, index),
            None => state.streams.remove(&number),
        };
        drop(state);
        self.moved.notify_waiters();
    }

    /// A run has brought nothing, or no more, because of this.
    pub(super) fn note_trouble(&self, trouble: Trouble) {
        let mut state = self.state.lock();
        state.trouble = Some(trouble);
        state.failures += 1;
    }

    /// How many runs and whole answers have failed so far.
    pub(super) fn failures(&self) -> u64 {
        self.state.lock().failures
    }

    /// The body of a run, or a whole answer, has broken off.
    pub(super) fn note_broken(&self, error: BodyError) {
        if let Some(error) = OriginError::of_body(error) {
            self.note_trouble(Trouble::NoHead(error));
        }
    }

    /// A block has come: whatever went wrong before does so no more.
    pub(super) fn forget_trouble(&self) {
        self.state.lock().trouble = None;
    }

    /// What went wrong since a block came last.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.state.lock().trouble
    }
}

impl Drop for Assembly {
    fn drop(&mut self) {
        let mut by_name = self.home.by_name.lock();
        // Another may have begun in its place.
        if by_name.get(&self.name).is_some_and(|held| held.strong_count() == 0) {
            by_name.remove(&self.name);
        }
    }
}
