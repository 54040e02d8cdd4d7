//! What is on a disk after its process was killed, after a power cut, and after damage.

use std::sync::Arc;

use bytes::Bytes;
use forebay::cache::disk::volume::Note;
use parking_lot::Mutex;

use super::{Change, Disk, File, Move, State};

/// What a device writes at once.
const SECTOR: usize = 512;

impl Disk {
    /// The disk that the next process finds after a kill: everything that was written is there.
    pub fn kill(&self) -> Self {
        Self::anew(self.forked())
    }

    /// The disk that the next process finds after a power cut: what was not synced is there, or not, or in part.
    pub fn crash(&self) -> Self {
        let mut state = self.forked();
        state.segments = surviving_segments(&mut state);
        let State { segments, files, random, .. } = &mut state;
        for file in segments.values() {
            files[*file].now = surviving_bytes(&files[*file], random);
        }
        surviving_contents(&mut state);
        // What is found now has reached the medium.
        for file in &mut state.files {
            file.durable.clone_from(&file.now);
            file.pending.clear();
        }
        state.durable = state.segments.clone();
        state.moves.clear();
        Self::anew(state)
    }

    /// What there is now, with chances of its own: each image is another one.
    fn forked(&self) -> State {
        let mut state = self.0.lock();
        let random = state.random.fork();
        State { random, ..state.clone() }
    }

    fn anew(mut state: State) -> Self {
        state.locked = 0;
        state.off = false;
        state.off_in = None;
        state.illness = None;
        state.error_in = None;
        state.bad_read_in = None;
        state.peak = state.bytes();
        for (at, file) in state.files.iter_mut().enumerate() {
            let named = state.segments.values().chain(state.durable.values()).any(|named| *named == at);
            let comes = |step: &Move| matches!(step, Move::Came(_, file) if *file == at);
            if !named && !state.moves.iter().any(comes) {
                *file = File::default();
            }
        }
        let cached = state.make.cached;
        Self(Arc::new(Mutex::new(state)), cached)
    }

    /// Damages a few files: flips bits, cuts, lengthens, swaps or removes them.
    pub fn damage(&self) {
        let mut state = self.0.lock();
        for _ in 0..state.random.u32(1..6) {
            match state.random.u8(..8) {
                0..4 => state.damage_segment(),
                4 => state.damage_note(),
                _ => state.damage_content(),
            }
        }
        state.peak = state.bytes();
    }
}

/// The segments whose coming and going has reached the medium.
fn surviving_segments(state: &mut State) -> std::collections::BTreeMap<u32, usize> {
    let mut segments = state.durable.clone();
    let first = state.random.usize(..=state.moves.len());
    for (at, step) in state.moves.iter().enumerate() {
        let reached = if state.make.ordered { at < first } else { state.random.bool() };
        if reached {
            step.apply(&mut segments);
        }
    }
    segments
}

fn surviving_bytes(file: &File, random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = file.durable.clone();
    let (way, first) = (random.u8(..5), random.usize(..=file.pending.len()));
    for (at, change) in file.pending.iter().enumerate() {
        // A first part, and of the next change a piece; or any of them; or a piece of each.
        let whole = way == 1 || (way == 2 && at < first) || (way == 3 && random.bool());
        let pieces = match way {
            _ if whole => vec![change.clone()],
            2 | 4 if way == 4 || at == first => torn(change, random),
            _ => Vec::new(),
        };
        for piece in pieces {
            piece.apply(&mut bytes);
        }
    }
    bytes
}

/// The pieces of a change that have reached the medium.
fn torn(change: &Change, random: &mut fastrand::Rng) -> Vec<Change> {
    match change {
        Change::Cut(_) => Vec::new(),
        Change::Write(at, bytes) if random.bool() => {
            let length = random.usize(..=bytes.len());
            vec![Change::Write(*at, bytes[..length].to_vec())]
        }
        Change::Write(at, bytes) => {
            let mut pieces = Vec::new();
            let (mut from, end) = (*at, at + bytes.len());
            while from < end {
                let to = ((from / SECTOR + 1) * SECTOR).min(end);
                if random.bool() {
                    pieces.push(Change::Write(from, bytes[from - at..to - at].to_vec()));
                }
                from = to;
            }
            pieces
        }
    }
}

fn surviving_contents(state: &mut State) {
    // How much is lost: nothing, little, or much.
    let one_in = [u32::MAX, 12, 3][state.random.usize(..3)];
    for (address, bytes) in std::mem::take(&mut state.removed) {
        if state.random.u8(..4) == 0 {
            state.contents.entry(address).or_insert(bytes);
        }
    }
    let State { contents, random, .. } = state;
    contents.retain(|_, bytes| {
        if random.u32(..one_in) > 0 {
            return true;
        }
        match random.u8(..4) {
            0 => return false,
            1 => *bytes = Bytes::new(),
            2 => *bytes = bytes.slice(..random.usize(..=bytes.len())),
            _ => {
                let mut longer = bytes.to_vec();
                longer.extend((0..random.usize(1..5000)).map(|_| random.u8(..)));
                *bytes = longer.into();
            }
        }
        true
    });
}

impl State {
    fn any_segment(&mut self) -> Option<u32> {
        let at = self.random.usize(..self.segments.len().max(1));
        self.segments.keys().nth(at).copied()
    }

    fn damage_segment(&mut self) {
        let (Some(one), Some(other)) = (self.any_segment(), self.any_segment()) else { return };
        let (file, second) = (self.segments[&one], self.segments[&other]);
        match self.random.u8(..8) {
            0 => {
                self.segments.remove(&one);
            }
            1 => {
                self.segments.insert(one, second);
                self.segments.insert(other, file);
            }
            2 => {
                let length = self.random.usize(..=self.files[file].now.len());
                self.files[file].now.truncate(length);
            }
            3 => {
                let more = self.random.usize(1..3000);
                let State { random, files, .. } = self;
                files[file].now.extend((0..more).map(|_| random.u8(..)));
            }
            _ => {
                for _ in 0..self.random.u32(1..4) {
                    let State { random, files, .. } = self;
                    let bytes = &mut files[file].now;
                    if !bytes.is_empty() {
                        let at = random.usize(..bytes.len());
                        bytes[at] ^= 1 << random.u8(..8);
                    }
                }
            }
        }
        self.durable = self.segments.clone();
        self.files[file].durable = self.files[file].now.clone();
    }

    fn damage_note(&mut self) {
        let note = [Note::Format, Note::Epoch][self.random.usize(..2)].name();
        let Some(text) = self.notes.get_mut(note) else { return };
        match self.random.u8(..3) {
            0 => {
                self.notes.remove(note);
            }
            1 => text.truncate(self.random.usize(..text.len().max(1))),
            _ if text.is_empty() => {}
            _ => {
                let at = self.random.usize(..text.len());
                text[at] ^= 1 << self.random.u8(..8);
            }
        }
    }

    fn damage_content(&mut self) {
        let addresses: Vec<[u8; 32]> = self.contents.keys().copied().collect();
        if addresses.is_empty() {
            return;
        }
        let one = addresses[self.random.usize(..addresses.len())];
        let other = addresses[self.random.usize(..addresses.len())];
        let (first, second) = (self.contents[&one].clone(), self.contents[&other].clone());
        match self.random.u8(..4) {
            0 => {
                self.contents.remove(&one);
            }
            1 => {
                self.contents.insert(one, second);
                self.contents.insert(other, first);
            }
            2 => {
                self.contents.insert(one, first.slice(..self.random.usize(..=first.len())));
            }
            _ if first.is_empty() => {}
            _ => {
                let mut bytes = first.to_vec();
                let at = self.random.usize(..bytes.len());
                bytes[at] ^= 1 << self.random.u8(..8);
                self.contents.insert(one, bytes.into());
            }
        }
    }
}
