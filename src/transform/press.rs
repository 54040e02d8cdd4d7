//! Codes what is stored, once and densely, so that a hit is sent as it is stored.
//!
//! Threads of its own, which stand back behind all that serve; they are begun when there is something to do.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use super::queue::Queue;
use crate::base::polite;
use crate::body::block::BlockMemory;
use crate::body::budget::Budget;
use crate::body::coded::encoder::{Effort, Encoder};
use crate::body::content::{BLOCK, Content, INLINE_MAX, Parts};
use crate::cache::Cache;
use crate::cache::codings::Codings;
use crate::cache::era::Era;
use crate::cache::key::Key;
use crate::cache::lookup::{Held, Hit};
use crate::cache::object::{Object, Representation, StoredHead, head_weight};
use crate::semantics::coding::Coding;
use crate::semantics::compression::as_stored;
use crate::telemetry::counters::Counters;

/// Of so many cores one is for this, and one at least.
const CORES: usize = 4;

/// The longest content that is coded, before it is.
const LONGEST: u64 = 64 << 20;

/// Plain bytes that are coded in one go.
const STEP: usize = 64 << 10;

/// A coding is stored only if it is shorter by more than one part of so many.
const SAVES: u64 = 20;

/// What is to be coded.
#[derive(Debug)]
struct Job {
    key: Key,
    object: Arc<Object>,
    coding: Coding,
    effort: Effort,
    /// As old as what is coded may be, so old may be what is made of it.
    _era: Era,
}

/// Takes work in, and does it by and by. What is left when this is dropped is not done.
#[derive(Debug)]
pub struct Press {
    desk: Arc<Desk>,
    means: Means,
    threads: Mutex<usize>,
}

#[derive(Debug, Default)]
struct Desk {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queue: Queue<Job>,
    /// Pieces of work that wait or are done just now.
    open: usize,
    ends: bool,
}

#[derive(Clone, Debug)]
struct Means {
    cache: Arc<Cache>,
    budget: Arc<Budget>,
    counters: Arc<Counters>,
}

/// Why nothing was stored.
enum Unmade {
    /// It would hardly be shorter.
    Useless,
    /// There is no memory for it, or what it is made of is gone.
    NotNow,
}

impl From<io::Error> for Unmade {
    fn from(_: io::Error) -> Self {
        Self::NotNow
    }
}

impl Press {
    /// A press that has nothing to do, and no thread.
    pub fn new(cache: Arc<Cache>, budget: Arc<Budget>, counters: Arc<Counters>) -> Self {
        Self { desk: Arc::default(), means: Means { cache, budget, counters }, threads: Mutex::new(0) }
    }

    /// Has a coding made of what is stored, unless that was asked for, or there is too much to do. Never waits.
    pub fn ask(&self, key: &Key, object: &Arc<Object>, coding: Coding, effort: Effort) {
        if object.codings.is_useless(coding) || !object.codings.want(coding) {
            return;
        }
        if object.representation.length > LONGEST {
            return object.codings.found_useless(coding);
        }
        let (key, object, era) = (key.clone(), Arc::clone(object), self.means.cache.era());
        let job = Job { key, object, coding, effort, _era: era };
        let mut state = self.desk.state.lock();
        if let Err(job) = state.queue.put(job.key.site(), job) {
            return job.object.codings.lost(coding);
        }
        state.open += 1;
        drop(state);
        self.desk.bell.notify_one();
        self.man();
    }

    /// Whether all that was asked for is done.
    pub fn is_done(&self) -> bool {
        self.desk.state.lock().open == 0
    }

    /// Begins the threads, if that was not done yet.
    fn man(&self) {
        let mut threads = self.threads.lock();
        if *threads > 0 {
            return;
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..(cores / CORES).max(1) {
            let (desk, means) = (Arc::clone(&self.desk), self.means.clone());
            match std::thread::Builder::new().name("press".into()).spawn(move || run(&desk, &means)) {
                Ok(_) => *threads += 1,
                Err(error) => tracing::warn!(%error, "nothing is coded behind answers"),
            }
        }
    }
}

impl Drop for Press {
    fn drop(&mut self) {
        self.desk.state.lock().ends = true;
        self.desk.bell.notify_all();
    }
}

fn run(desk: &Desk, means: &Means) {
    polite::yield_to_others();
    while let Some(job) = desk.next() {
        match means.make(&job) {
            Ok(()) => {
                job.object.codings.made_ready(job.coding);
                means.counters.pressed.inc();
            }
            Err(Unmade::Useless) => job.object.codings.found_useless(job.coding),
            Err(Unmade::NotNow) => job.object.codings.lost(job.coding),
        }
        drop(job);
        desk.state.lock().open -= 1;
    }
}

impl Desk {
    /// Waits for the next piece of work; `None` at the end.
    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if state.ends {
                return None;
            }
            if let Some(job) = state.queue.next() {
                return Some(job);
            }
            self.bell.wait(&mut state);
        }
    }
}

impl Means {
    /// Makes a coding and stores it.
    fn make(&self, job: &Job) -> Result<(), Unmade> {
        let Job { key, object, coding, .. } = job;
        let content = match self.cache.made_of(key, object, *coding) {
            // Only its head is of another time: the same bytes go under a new one.
            Some(made) => {
                let parts = self.cache.content(key, &made).ok_or(Unmade::NotNow)?;
                Content { parts, length: made.representation.length }
            }
            None => self.code(job)?,
        };
        let coded =
            Hit { object: Arc::new(self.object(job, &content)), content: Held::Memory(content.parts) };
        if self.cache.store_coded(key, &coded) { Ok(()) } else { Err(Unmade::NotNow) }
    }

    /// The content of a job, coded.
    fn code(&self, Job { key, object, effort, .. }: &Job) -> Result<Content, Unmade> {
        let plain = self.cache.content(key, object).ok_or(Unmade::NotNow)?;
        let most = object.representation.length - object.representation.length / SAVES;
        let _memory = self.budget.try_charge_body(effort.memory()).ok_or(Unmade::NotNow)?;
        let mut encoder = Encoder::new(*effort);
        let mut made =
            Making { budget: &self.budget, pieces: Vec::new(), waiting: 0, blocks: Vec::new(), length: 0 };
        let pieces = match &plain {
            Parts::Inline(bytes) => std::slice::from_ref(bytes),
            Parts::Blocks(blocks) => blocks,
        };
        for step in pieces.iter().flat_map(|piece| piece.chunks(STEP)) {
            encoder.put(step)?;
            made.take(encoder.take())?;
            if made.length >= most {
                return Err(Unmade::Useless);
            }
        }
        encoder.finish()?;
        made.take(encoder.take())?;
        if made.length >= most {
            return Err(Unmade::Useless);
        }
        made.end()
    }

    /// The object of a coding: that which it was made of, with what is another in its head.
    fn object(&self, Job { object, coding, .. }: &Job, content: &Content) -> Object {
        let mut headers = object.head.headers();
        as_stored(&mut headers, *coding, content.length, digest(&content.parts));
        let hidden: Vec<&str> = object.head.hidden().collect();
        let head = StoredHead::hiding(object.head.status, &headers, |name| hidden.contains(&name.as_str()));
        let charge = self.budget.charge(head_weight(&headers) as u64);
        let (tags, born) = (object.tags.clone(), object.born);
        Object {
            representation: Representation::of(content),
            codings: Codings::made(*coding),
            ..object.refreshed(head, object.given, tags, born, charge)
        }
    }
}

/// Tells the bytes of a coding from those of all others that were ever made of the same.
fn digest(parts: &Parts) -> u32 {
    let mut hasher = blake3::Hasher::new();
    match parts {
        Parts::Inline(bytes) => {
            hasher.update(bytes);
        }
        Parts::Blocks(blocks) => {
            for block in blocks.iter() {
                hasher.update(block);
            }
        }
    }
    hasher.finalize().as_bytes().first_chunk().map_or(0, |four| u32::from_be_bytes(*four))
}

/// Coded content as it comes, which is put into blocks.
struct Making<'a> {
    budget: &'a Arc<Budget>,
    /// What waits for its block to be full, and its bytes.
    pieces: Vec<Bytes>,
    waiting: usize,
    blocks: Vec<Bytes>,
    length: u64,
}

impl Making<'_> {
    fn take(&mut self, mut bytes: Bytes) -> Result<(), Unmade> {
        self.length += bytes.len() as u64;
        while !bytes.is_empty() {
            let fits = bytes.split_to(bytes.len().min(BLOCK - self.waiting));
            self.waiting += fits.len();
            self.pieces.push(fits);
            if self.waiting == BLOCK {
                self.close_block()?;
            }
        }
        Ok(())
    }

    fn close_block(&mut self) -> Result<(), Unmade> {
        let charge = self.budget.try_charge_body(self.waiting as u64).ok_or(Unmade::NotNow)?;
        let block = BlockMemory::joined(&self.pieces, self.waiting);
        self.pieces.clear();
        self.waiting = 0;
        self.blocks.push(charge.attach(block));
        Ok(())
    }

    fn end(mut self) -> Result<Content, Unmade> {
        if self.waiting > 0 {
            self.close_block()?;
        }
        let is_short = self.length <= INLINE_MAX as u64;
        let parts = match self.blocks.pop() {
            Some(only) if is_short => Parts::Inline(only),
            last => Parts::Blocks(self.blocks.into_iter().chain(last).collect()),
        };
        Ok(Content { parts, length: self.length })
    }
}
