//! Random lives of a cache on a disk that fails, is cut off and decays: what is answered is what was stored, or
//! nothing.
//!
//! `FOREBAY_DISK_RUNS` sets how many runs are made. `FOREBAY_DISK_SEED` makes a single one again (or, with a number of
//! runs, these from it on) and tells all steps of one that fails. What is checked:
//!
//! - An answer is a version that was stored for this key and these values, head and bytes.
//! - Within the life of a process it is never older than the latest that was stored, nor seen after it was removed.
//! - After a kill it is not older than what had settled; after a power cut not older than what was durable, if the file
//!   system keeps the order of files that come and go. After damage any stored version may come back.
//! - The ledger's epoch grows with each opening, unless its note was damaged.
//! - Neither the tier's own account nor the bytes on disk exceed the limit (nor what a power cut left).
//! - A disk that is well again serves and stores.
//! - Without faults and pressure, what had settled before a kill is a hit.
//! - No thread panics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use forebay::base::ids::Generation;
use forebay::body::budget::Budget;
use forebay::body::content::Parts;
use forebay::cache::disk::health::Health;
use forebay::cache::lookup::{Held, Hit, Lookup};
use forebay::cache::{Admission, Cache, DiskSettings, Settings};
use forebay::telemetry::counters::Counters;
use http::HeaderMap;
use tokio::time::Instant;

use crate::disk_model::{LANGUAGES, Model, Slot, Stamp, key, object, request};
use crate::support::disk::{Disk, Illness, Make};

/// What is waited for must come within this.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the tier counts beside files: directories, and those of contents.
const FIXED: u64 = 2 << 20;

/// Three segments, which are kept free for this.
const SLACK: u64 = 768 << 10;

/// A run that takes longer is worth a look.
const SLOW: Duration = Duration::from_secs(1);

/// A request's fields, shared with the thread that reads.
pub struct Request(pub HeaderMap);

impl AsRef<HeaderMap> for Request {
    fn as_ref(&self) -> &HeaderMap {
        &self.0
    }
}

/// What may happen in a run.
#[derive(Clone, Copy, Debug)]
struct Plan {
    faults: bool,
    pressure: bool,
    cuts: bool,
    damage: bool,
    ordered: bool,
    cached: bool,
    inline: bool,
    keys: usize,
    limit: u64,
    memory: u64,
    index: u64,
    admission: Admission,
}

/// How the life of a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Close,
    Kill,
    Crash,
}

fn plan(random: &mut fastrand::Rng) -> Plan {
    let kind = random.u8(..10);
    let pressure = kind > 1;
    Plan {
        faults: kind > 4,
        pressure,
        cuts: kind > 2,
        damage: kind == 9,
        ordered: random.u8(..4) > 0,
        cached: random.bool(),
        inline: random.bool(),
        keys: random.usize(2..if pressure { 60 } else { 12 }),
        limit: if pressure { [3 << 20, 5 << 20, 7 << 20, 12 << 20][random.usize(..4)] } else { 64 << 20 },
        memory: [1, 40_000, 3 << 20][random.usize(..3)],
        index: if pressure && random.u8(..6) == 0 { 6_000 } else { 64 << 20 },
        admission: [Admission::Always, Admission::Frequency][random.usize(..2)],
    }
}

/// One run: a disk, the process that has it, and what is known of both.
struct Run {
    random: fastrand::Rng,
    plan: Plan,
    disk: Disk,
    cache: Cache,
    counters: Arc<Counters>,
    model: Model,
    epoch: u64,
    /// Something has failed in this life, so that debts may wait to be paid.
    failed: bool,
    damaged: bool,
    /// This life began after a power cut.
    crashed: bool,
    /// Bytes that were on disk when it was opened.
    found: u64,
    next_content: u64,
    trace: bool,
    told: Arc<parking_lot::Mutex<Vec<String>>>,
}

pub fn disk_settings(limit: u64, index: u64, admission: Admission) -> DiskSettings {
    let mut settings = DiskSettings::new("/nowhere".into(), limit, index);
    settings.retry = Duration::from_millis(1);
    settings.sync = Duration::from_millis(1);
    settings.check = Duration::from_millis(1);
    settings.sweep_pause = Duration::ZERO;
    settings.linger = Duration::ZERO;
    settings.load_patience = Duration::from_millis(20);
    settings.read_patience = PATIENCE;
    settings.admission = admission;
    settings
}

pub fn open(disk: &Disk, memory: u64, settings: DiskSettings) -> Result<(Cache, Arc<Counters>), String> {
    let counters = Arc::<Counters>::default();
    let settings = Settings {
        memory,
        max_markers: 10,
        marker_life: Duration::from_secs(1),
        ledger: 1 << 20,
        disk: Some(settings),
    };
    let budget = Budget::new(256 << 20);
    let opened = Cache::open_on(&settings, Some(disk.process()), &budget, &counters);
    opened.map(|cache| (cache, counters)).map_err(|error| format!("not opened: {error}"))
}

/// Yields until something is so.
pub async fn until(what: &str, mut so: impl FnMut() -> bool) -> Result<(), String> {
    let end = Instant::now() + PATIENCE;
    while !so() {
        if Instant::now() > end {
            return Err(format!("never: {what}"));
        }
        std::thread::sleep(Duration::from_micros(50));
        tokio::task::yield_now().await;
    }
    Ok(())
}

impl Run {
    /// Notes what happens, to be told if the run fails: because threads take turns as they like, it may not fail again.
    fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            self.told.lock().push(what());
        }
    }

    fn tier(&self) -> &forebay::cache::disk::DiskTier {
        self.cache.disk().unwrap()
    }

    async fn life(&mut self) -> Result<(), String> {
        let end = [End::Close, End::Kill, End::Crash, End::Crash][self.random.usize(..4)];
        if self.plan.cuts && self.random.bool() {
            let most = if self.random.bool() { 60 } else { 600 };
            let changes = self.random.u64(..most);
            self.disk.go_off_in(changes);
        }
        self.say(|| format!("-- a life that ends with {end:?}"));
        let most = if self.plan.inline { 300 } else { 90 };
        for _ in 0..self.random.usize(10..most) {
            if self.disk.is_off() && self.random.u8(..4) == 0 {
                break;
            }
            self.step().await?;
            self.check_account()?;
        }
        self.recover().await?;
        if self.random.bool() {
            self.checkpoint().await?;
        }
        self.end(end).await
    }

    async fn step(&mut self) -> Result<(), String> {
        let slot = self.any_slot();
        match self.random.u8(..100) {
            0..40 => {
                self.store(slot);
                Ok(())
            }
            40..75 => self.ask(slot).await.map(|_| ()),
            75..82 => self.refresh(slot).await,
            82..89 => self.remove(slot).await,
            89..93 => self.settle().await,
            93..96 if self.plan.faults => {
                self.failed = true;
                let illness = [Illness::Errors, Illness::Full, Illness::ReadOnly][self.random.usize(..3)];
                let ill = self.random.u8(..3) > 0;
                self.say(|| if ill { format!("{illness:?}") } else { "well".to_owned() });
                self.disk.ail(ill.then_some(illness));
                Ok(())
            }
            96..98 if self.plan.faults => {
                self.failed = true;
                let rate = [None, Some(6), Some(20), Some(100)][self.random.usize(..4)];
                self.say(|| format!("errors: {rate:?}"));
                self.disk.err(rate);
                Ok(())
            }
            _ => self.checkpoint().await,
        }
    }

    fn any_slot(&mut self) -> Slot {
        let key = self.random.usize(..self.plan.keys);
        // One key in three has variants, and some of these a plain object besides.
        let plain = !key.is_multiple_of(3) || (key.is_multiple_of(2) && self.random.u8(..4) == 0);
        Slot { key, language: (!plain).then(|| self.random.usize(..LANGUAGES.len())) }
    }

    fn any_content(&mut self) -> Stamp {
        // Some contents are stored under several keys.
        if self.random.u8(..5) == 0
            && let Some(version) = self.model.versions.last()
        {
            return version.content;
        }
        self.next_content += 1;
        let length = match self.random.u8(..20) {
            // Many of them fill segments. Those of these disks take contents of up to 32 KiB in.
            0..14 if self.plan.inline => self.random.usize(6_000..=36 << 10),
            0..8 => self.random.usize(..2_000),
            8..10 => self.random.usize(..=16 << 10),
            10..12 => [16, 32, 64][self.random.usize(..3)] * 1024 + self.random.usize(..2),
            12..19 => self.random.usize((16 << 10) + 1..120_000),
            _ if self.plan.limit < 6 << 20 => self.random.usize(120_000..400_000),
            _ => (1 << 20) + self.random.usize(..3) * 20_000,
        };
        Stamp { seed: self.next_content, length }
    }

    fn store(&mut self, slot: Slot) {
        let content = self.any_content();
        let generation = self.cache.next_generation();
        self.store_as(slot, generation, content, None);
    }

    fn store_as(&mut self, slot: Slot, generation: Generation, content: Stamp, held: Option<Held>) {
        let number = self.model.add(slot, generation, content);
        let object = object(&self.model.versions[usize::try_from(number).unwrap()], self.cache.sequence());
        let held = held.unwrap_or_else(|| Held::Memory(content.content().parts));
        let hit = Hit { object: Arc::new(object), content: held };
        let stored = self.cache.store(&key(slot.key), &hit);
        self.say(|| format!("store {slot:?} version {number} {content:?} {generation:?}: {stored}"));
        if stored {
            self.model.stored(slot, number);
        }
    }

    /// What the tiers answer, head checked.
    async fn hit(&mut self, slot: Slot) -> Result<Option<Hit>, String> {
        let (key, request) = (key(slot.key), Arc::new(Request(request(slot.language))));
        // Memory evicts now what it has no room for, so that the disk is asked.
        self.cache.memory_used();
        let (hit, from) = match self.cache.lookup(&key, &request.0) {
            Lookup::Found(hit) => (Some(hit), "memory"),
            Lookup::Miss(_) => {
                let at_once = self.random.bool().then(|| self.cache.find_at_once(&key, &request.0, |_| true));
                match at_once.flatten() {
                    Some(hit) => (Some(hit), "disk, at once"),
                    None => (self.cache.find(&key, &request).await, "disk"),
                }
            }
        };
        let Some(hit) = hit else {
            self.say(|| format!("ask {slot:?}: miss"));
            return Ok(None);
        };
        let version = self.model.check(slot, &hit.object)?;
        self.say(|| format!("ask {slot:?}: {:?} from {from}", version.headers.get("x-version")));
        Ok(Some(hit))
    }

    /// The same with all of its bytes; false if there is nothing, or a block was bad.
    async fn ask(&mut self, slot: Slot) -> Result<bool, String> {
        let Some(hit) = self.hit(slot).await? else { return Ok(false) };
        let version = self.model.check(slot, &hit.object)?;
        let expected = version.content;
        let wrong = |at: usize| Err(format!("{slot:?}: wrong bytes from {at} on: {:?}", hit.object));
        let mut at = 0;
        let blocks = match &hit.content {
            Held::Memory(Parts::Inline(bytes)) => vec![bytes.clone()],
            Held::Memory(Parts::Blocks(blocks)) => blocks.to_vec(),
            Held::Divided => return wrong(0),
            Held::Disk(pinned, _) => {
                let mut blocks = Vec::new();
                for index in 0..expected.length.div_ceil(1 << 20) {
                    let index = u32::try_from(index).unwrap();
                    let block = self.cache.block(&key(slot.key), &hit.object, pinned, index).await;
                    let Ok(block) = block else {
                        self.cache.report_damage(&key(slot.key), &hit.object, pinned);
                        return Ok(false);
                    };
                    blocks.push(block);
                }
                blocks
            }
        };
        for block in blocks {
            if block[..] != expected.bytes(at, block.len()) {
                return wrong(at);
            }
            at += block.len();
        }
        if at == expected.length { Ok(true) } else { wrong(at) }
    }

    /// A 304 came: the same content under a new head.
    async fn refresh(&mut self, slot: Slot) -> Result<(), String> {
        let Some(hit) = self.hit(slot).await? else { return Ok(()) };
        let version = self.model.check(slot, &hit.object)?;
        self.store_as(version.slot, version.generation, version.content, Some(hit.content));
        Ok(())
    }

    async fn remove(&mut self, slot: Slot) -> Result<(), String> {
        let Some(hit) = self.hit(slot).await? else { return Ok(()) };
        let version = self.model.check(slot, &hit.object)?;
        self.say(|| format!("remove {:?}", version.slot));
        self.cache.remove(&key(slot.key), &hit.object);
        self.model.removed(version.slot);
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), String> {
        until("settled", || self.tier().is_settled()).await
    }

    /// Waits until everything is on disk, if the disk is well, and durable.
    async fn checkpoint(&mut self) -> Result<(), String> {
        if self.tier().health() != Health::Serving || self.disk.is_off() {
            return Ok(());
        }
        let errors = self.counters.disk_write_errors.get();
        self.settle().await?;
        // Debts are paid before the next store.
        self.store(Slot { key: 1_000, language: None });
        self.settle().await?;
        let well = || {
            self.counters.disk_write_errors.get() == errors
                && self.tier().health() == Health::Serving
                && !self.disk.is_off()
        };
        let mut durable = false;
        if well() {
            let mut polls = 0;
            while !durable && well() && polls < 400 {
                polls += 1;
                durable = self.disk.is_durable();
                std::thread::sleep(Duration::from_micros(50));
            }
            durable &= self.disk.is_durable();
        }
        if well() {
            self.say(|| format!("a checkpoint, durable: {durable}"));
            self.model.settled(durable && self.plan.ordered);
        }
        Ok(())
    }

    /// A power cut may leave more than the limit. Then it takes a while until room is made, for which a little has to be
    /// written.
    fn check_account(&mut self) -> Result<(), String> {
        let limit = self.plan.limit;
        let borne = |found: u64| limit.max(if self.crashed { found + SLACK } else { 0 });
        let used = self.tier().used();
        if used > borne(self.found + FIXED) {
            return Err(format!("limit: the tier uses {used} of {limit}; {} were found", self.found));
        }
        let peak = self.disk.peak();
        if peak > borne(self.found) {
            return Err(format!("bytes: {peak} bytes were on disk, of {limit}; {} were found", self.found));
        }
        Ok(())
    }

    /// Once the disk is well, the tier serves and stores again.
    async fn recover(&mut self) -> Result<(), String> {
        if !self.failed || self.disk.is_off() {
            return Ok(());
        }
        self.disk.ail(None);
        self.disk.err(None);
        self.say(|| "well for good".to_owned());
        let disk = &self.disk;
        let tier = self.cache.disk().unwrap();
        until("serving again", || tier.health() == Health::Serving || disk.is_off()).await?;
        if disk.is_off() || self.plan.admission != Admission::Always {
            return Ok(());
        }
        self.settle().await?;
        let busy = self.counters.disk_busy.get();
        let slot = Slot { key: 1_001, language: None };
        let generation = self.cache.next_generation();
        self.store_as(slot, generation, Stamp { seed: 1, length: 100 }, None);
        self.settle().await?;
        let found =
            self.tier().find(&key(slot.key), &Arc::new(Request(HeaderMap::new())), Arc::default()).await;
        let off = self.disk.is_off();
        if found.is_err() && !off && self.tier().health() == Health::Serving {
            let busy = self.counters.disk_busy.get() - busy;
            return Err(format!(
                "useless: it serves again, but stores nothing: {} entries, {} bytes, busy {busy}, refused {}",
                self.tier().entries(),
                self.tier().used(),
                self.counters.disk_refused.get(),
            ));
        }
        Ok(())
    }

    async fn end(&mut self, end: End) -> Result<(), String> {
        // Without pressure everything is a hit after a kill.
        let calm = !self.plan.pressure;
        if calm {
            self.settle().await?;
            self.model.settled(false);
        }
        if end == End::Close {
            self.cache.close(PATIENCE);
        }
        self.check_account()?;
        let epoch = self.cache.sequence().epoch;
        let hits: Vec<(Slot, u64)> =
            self.model.slots.iter().filter_map(|(slot, standing)| Some((*slot, standing.latest?))).collect();
        let image = if end == End::Crash && self.random.bool() { Some(self.disk.crash()) } else { None };
        // The cache in `self` is replaced by one without a disk, so that it is dropped here.
        let none =
            Settings { memory: 1, max_markers: 1, marker_life: Duration::ZERO, ledger: 1 << 20, disk: None };
        let gone = std::mem::replace(
            &mut self.cache,
            Cache::open(&none, &Budget::new(1 << 20), &self.counters).map_err(|error| error.to_string())?,
        );
        drop(gone);
        if self.disk.is_open() {
            return Err("open: the disk was not let go".into());
        }
        let image =
            image.unwrap_or_else(|| if end == End::Crash { self.disk.crash() } else { self.disk.kill() });
        if self.plan.damage && self.random.bool() {
            image.damage();
            self.damaged = true;
        }
        let damaged = self.damaged;
        self.model.ended(|standing| match end {
            _ if damaged => 0,
            End::Crash => standing.after_crash,
            End::Close | End::Kill => standing.after_kill,
        });
        self.disk = image;
        self.crashed = end == End::Crash;
        self.reopen(epoch).await?;
        if calm && end != End::Crash && !self.plan.cuts {
            for (slot, latest) in hits {
                let hit = self.hit(slot).await?;
                let version = hit.and_then(|hit| hit.object.head.headers().get("x-version").cloned());
                // A plain object may be found in the place of an older variant.
                if version.is_none() {
                    return Err(format!("lost: {slot:?} has settled as version {latest}, and is a miss"));
                }
            }
        }
        Ok(())
    }

    async fn reopen(&mut self, last: u64) -> Result<(), String> {
        self.epoch = self.epoch.max(last);
        self.found = self.disk.bytes();
        self.failed = false;
        let settings = disk_settings(self.plan.limit, self.plan.index, self.plan.admission);
        let (cache, counters) = open(&self.disk, self.plan.memory, settings)?;
        self.cache = cache;
        self.counters = counters;
        let epoch = self.cache.sequence().epoch;
        self.say(|| format!("-- opened: epoch {epoch}, {} bytes", self.found));
        if epoch <= self.epoch && !self.damaged {
            return Err(format!("epoch: {epoch} after {}", self.epoch));
        }
        self.epoch = epoch;
        let tier = self.cache.disk().unwrap();
        // The first sweep lets go of what a crash has left; some runs go on before it has come to its end.
        if !self.plan.pressure || self.random.u8(..4) > 0 {
            let disk = &self.disk;
            until("swept", || tier.is_swept() || disk.is_off()).await?;
            until("loaded", || tier.health() == Health::Serving || disk.is_off()).await?;
        }
        Ok(())
    }
}

async fn run(seed: u64, trace: bool, told: &Arc<parking_lot::Mutex<Vec<String>>>) -> Result<(), String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let plan = plan(&mut random);
    let disk = Disk::new(seed, Make { capacity: 1 << 30, ordered: plan.ordered, cached: plan.cached });
    let (cache, counters) = open(&disk, plan.memory, disk_settings(plan.limit, plan.index, plan.admission))?;
    let lives = random.usize(2..5);
    let mut run = Run {
        random,
        plan,
        disk,
        cache,
        counters,
        model: Model::default(),
        epoch: 0,
        failed: false,
        damaged: false,
        crashed: false,
        found: 0,
        next_content: 0,
        trace,
        told: Arc::clone(told),
    };
    run.say(|| format!("seed {seed}: {plan:?}"));
    for _ in 0..lives {
        run.life().await?;
    }
    Ok(())
}

/// The keeper's thread has panicked, whoever's.
static PANICKED: AtomicBool = AtomicBool::new(false);

fn watch_for_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() == Some("disk") {
            PANICKED.store(true, Ordering::SeqCst);
        }
        before(info);
    }));
}

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn an_answer_is_what_was_stored_whatever_the_disk_does() {
    watch_for_panics();
    let runs = from_env("FOREBAY_DISK_RUNS");
    let (first, runs, trace) = match from_env("FOREBAY_DISK_SEED") {
        Some(seed) => (seed, runs.unwrap_or(1), true),
        None => (0, runs.unwrap_or(200), false),
    };
    let next = AtomicU64::new(first);
    let failures = parking_lot::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .max_blocking_threads(1)
                    .build()
                    .unwrap();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + runs {
                        return;
                    }
                    let (began, told) = (Instant::now(), Arc::default());
                    let done = runtime.block_on(run(seed, trace, &told));
                    if began.elapsed() > SLOW {
                        eprintln!("FOREBAY_DISK_SEED={seed} took {:?}", began.elapsed());
                    }
                    let panicked = PANICKED.swap(false, Ordering::SeqCst);
                    let done = if panicked { Err("panic: in the keeper's thread".to_owned()) } else { done };
                    if let Err(what) = done {
                        let told: Vec<String> = std::mem::take(&mut *told.lock());
                        for line in told {
                            eprintln!("  {line}");
                        }
                        eprintln!("FOREBAY_DISK_SEED={seed}: {what}");
                        failures.lock().push(seed);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner();
    assert!(failures.is_empty(), "{} of {runs} runs have failed: seeds {failures:?}", failures.len());
}
