//! Codes what is stored, once and densely, so that a hit is sent as it is stored.
//!
//! Threads of its own, which stand back behind all that serve; they are begun when there is something to do.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::making::Making;
use super::pace::Pace;
use super::queue::Queue;
use crate::base::polite;
use crate::body::budget::Budget;
use crate::body::coded::encoder::{Effort, Encoder};
use crate::body::content::{Content, Parts};
use crate::cache::Cache;
use crate::cache::codings::Made;
use crate::cache::key::Key;
use crate::cache::lookup::{Held, Hit};
use crate::cache::object::{Object, Representation};
use crate::semantics::coding::Coding;
use crate::telemetry::counters::Counters;

/// Of so many cores one is for this, and one at least.
const CORES: usize = 4;

/// Hits for each core that are coded as they leave.
const PLACES: usize = 8;

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
    /// The best first: the others are for want of memory.
    efforts: [Effort; 2],
}

/// Takes work in, and does it by and by. What is left when this is dropped is not done.
#[derive(Debug)]
pub struct Press {
    desk: Arc<Desk>,
    means: Means,
    threads: Mutex<usize>,
    /// Places for hits that are coded as they leave.
    places: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Desk {
    state: Mutex<State>,
    bell: Condvar,
    /// Rung when all is done.
    rest: Condvar,
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

/// What was done.
#[derive(PartialEq, Eq)]
enum Done {
    /// A coding was made, or put under a new head.
    Made,
    /// One lay on disk.
    TakenUp,
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
        let means = Means { cache, budget, counters };
        let places = Arc::new(Semaphore::new(cores() * PLACES));
        Self { desk: Arc::default(), means, threads: Mutex::new(0), places }
    }

    /// A place for a hit that is coded as it leaves, while what is stored of it is in the making; none if there are many. What
    /// was asked for a thousand times meanwhile is not coded a thousand times.
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Has a coding made of what is stored, with the first of these efforts for which there is memory, unless that was asked
    /// for, or there is too much to do. Never waits.
    pub fn ask(&self, key: &Key, object: &Arc<Object>, coding: Coding, efforts: [Effort; 2]) {
        if !object.codings.want(coding) {
            return;
        }
        if object.representation.length > LONGEST {
            return object.codings.found_useless(coding);
        }
        let (site, cost) = (key.site(), object.representation.length);
        let job = Job { key: key.clone(), object: Arc::clone(object), coding, efforts };
        let mut state = self.desk.state.lock();
        if let Err(job) = state.queue.put(site, cost, job) {
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

    /// Waits until all is done that was asked for. Blocking.
    pub fn finish(&self) {
        let mut state = self.desk.state.lock();
        while state.open > 0 && !state.ends {
            self.desk.rest.wait(&mut state);
        }
    }

    /// Begins the threads, if that was not done yet.
    fn man(&self) {
        let mut threads = self.threads.lock();
        if *threads > 0 {
            return;
        }
        for _ in 0..(cores() / CORES).max(1) {
            let (desk, means) = (Arc::clone(&self.desk), self.means.clone());
            match std::thread::Builder::new().name("press".into()).spawn(move || run(&desk, &means)) {
                Ok(_) => *threads += 1,
                Err(error) => tracing::warn!(%error, "nothing is coded behind answers"),
            }
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
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
        // As old as what is coded may be, so old may be what is made of it.
        let era = means.cache.era();
        let is_alive = means.cache.is_alive(&job.key, &job.object);
        let make = || if is_alive { means.make(&job, desk) } else { Err(Unmade::NotNow) };
        // What one content does to an encoder is no reason to code no other.
        let came = catch_unwind(AssertUnwindSafe(make)).unwrap_or(Err(Unmade::Useless));
        drop(era);
        match came {
            Ok(done) => {
                job.object.codings.made_ready(job.coding);
                if done == Done::Made {
                    means.counters.pressed.inc();
                }
            }
            Err(Unmade::Useless) => job.object.codings.found_useless(job.coding),
            Err(Unmade::NotNow) => job.object.codings.lost(job.coding),
        }
        drop(job);
        let mut state = desk.state.lock();
        state.open -= 1;
        if state.open == 0 {
            desk.rest.notify_all();
        }
    }
}

impl Desk {
    /// Pauses for so long, and fails at the end of all work.
    fn pause(&self, time: Duration) -> Result<(), Unmade> {
        let mut state = self.state.lock();
        let until = Instant::now() + time;
        while !time.is_zero() && !state.ends && Instant::now() < until {
            self.bell.wait_until(&mut state, until.into_std());
        }
        if state.ends { Err(Unmade::NotNow) } else { Ok(()) }
    }

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
    /// Makes a coding and stores it, unless it lies on disk.
    fn make(&self, job: &Job, desk: &Desk) -> Result<Done, Unmade> {
        let Job { key, object, coding, .. } = job;
        // Under whichever head: it is put under that of the object as it is asked for.
        if let Some((made, parts)) = self.cache.made_of(key, object, *coding) {
            self.cache.take_up_coded(key, &Hit { object: made, content: Held::Memory(parts) });
            return Ok(Done::TakenUp);
        }
        let content = self.code(job, desk)?;
        let made = Made { coding: *coding, digest: digest(&content.parts) };
        let object = object.coded(made, Representation::of(&content), &self.budget);
        let coded = Hit { object: Arc::new(object), content: Held::Memory(content.parts) };
        if self.cache.store_coded(key, &coded) { Ok(Done::Made) } else { Err(Unmade::NotNow) }
    }

    /// The content of a job, coded. All memory that it may take is had before any work is done.
    fn code(&self, job: &Job, desk: &Desk) -> Result<Content, Unmade> {
        let Job { key, object, efforts, .. } = job;
        let length = object.representation.length;
        let most = length - length / SAVES;
        let charge = |effort: &Effort| Some((*effort, self.budget.try_charge_body(effort.memory() + most)?));
        let (effort, mut charge) = efforts.iter().find_map(charge).ok_or(Unmade::NotNow)?;
        let plain = self.cache.content(key, object).ok_or(Unmade::NotNow)?;
        let mut encoder = Encoder::new(effort);
        let mut made = Making::new(&self.budget);
        let pieces = match &plain {
            Parts::Inline(bytes) => std::slice::from_ref(bytes),
            Parts::Blocks(blocks) => blocks,
        };
        let mut pace = Pace::begin();
        for step in pieces.iter().flat_map(|piece| piece.chunks(STEP)) {
            encoder.put(step)?;
            made.take(encoder.take());
            if made.length >= most {
                return Err(Unmade::Useless);
            }
            charge.set(effort.memory() + most - made.charged());
            desk.pause(pace.step())?;
            if !self.cache.is_alive(key, object) {
                return Err(Unmade::NotNow);
            }
        }
        encoder.finish()?;
        made.take(encoder.take());
        if made.length >= most { Err(Unmade::Useless) } else { Ok(made.end()) }
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
