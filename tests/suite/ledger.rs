//! Random lives of a ledger on a disk that fails, is cut off and loses what was not synced, against a simple model: nothing
//! that was born before a purge that was answered is ever used.
//!
//! `FOREBAY_LEDGER_RUNS` sets how many runs are made, `FOREBAY_LEDGER_SEED` makes a single one again and tells its steps.
//! What is checked:
//!
//! - What is found, in memory, waiting, or on disk, was born after the last hard purge that matches it and was answered: by
//!   URL, tag, prefix, glob, host or of everything.
//! - What was softly purged since it was born is stale since then, and what was not is fresh.
//! - So it is after a restart, a kill and a power cut, for purges of which was said that they are durable.
//! - Without faults every purge becomes durable, and what no purge was about stays alive: no record is made up.
//! - Fetches that left before a purge store nothing that is found, and 304s bring nothing back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use forebay::base::clock::Timestamp;
use forebay::base::ids::Sequence;
use forebay::body::Body;
use forebay::cache::Admission;
use forebay::cache::Cache;
use forebay::cache::disk::health::Health;
use forebay::cache::era::Era;
use forebay::cache::ledger::Source;
use forebay::cache::ledger::name::Name;
use forebay::cache::ledger::receipt::Kept;
use forebay::cache::ledger::record::{Purge, Strength, Subject};
use forebay::cache::lookup::{Hit, Lookup};
use forebay::cache::object::Object;
use forebay::config;
use forebay::fetch::flight::Advice;
use forebay::semantics::glob::Glob;
use forebay::semantics::tags::{Tag, Tags};
use forebay::telemetry::counters::Counters;
use http::{HeaderMap, Method};

use crate::cancel::{ask, ask_with};
use crate::disk_faults::{Request, disk_settings, open, until};
use crate::disk_model::{NOW, Slot, Stamp, Version, key, object};
use crate::disk_rig::{binary, from_environment, slots_on_disk};
use crate::rig::{Pipes, settings};
use crate::support::client::Client;
use crate::support::disk::{Disk, Illness, Make};
use crate::support::origin::{Act, Origin, SeenRequest, respond};

const PATIENCE: Duration = Duration::from_secs(10);

/// A fetch that has left.
struct Fetch {
    key: usize,
    born: Sequence,
    /// What was purged, by the model's count, when it left.
    moment: u64,
    /// What it was sent to confirm.
    stale: Option<Hit>,
    /// As a fetch holds it.
    _era: Era,
}

/// A purge, as the model knows it.
struct Purged {
    moment: u64,
    what: What,
    strength: Strength,
    /// It was answered that it is durable.
    durable: bool,
    /// It holds: in the life in which it came it does, and later if it is durable.
    holds: bool,
}

/// What a purge matches, in words of the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Url(usize),
    Tag(usize),
    Prefix(usize),
    Glob(usize),
    AllByGlob,
    Host,
    All,
}

impl What {
    fn matches(self, number: usize) -> bool {
        match self {
            Self::Url(of) | Self::Prefix(of) | Self::Glob(of) => of == number,
            Self::Tag(of) => of == number % TAGS,
            Self::AllByGlob | Self::Host | Self::All => true,
        }
    }

    fn subject(self) -> Subject {
        match self {
            Self::Url(of) => Subject::Named(Name::of_url(key(of).url())),
            Self::Tag(of) => Subject::Named(Name::of_tag(tag(of))),
            Self::Prefix(of) => Subject::Named(Name::of_prefix("", "disk.test", &format!("/{of}"))),
            Self::Glob(of) => Subject::Like(Glob::new(&format!("disk.*/{of}")).unwrap()),
            Self::AllByGlob => Subject::Like(Glob::new("http://disk.test/*").unwrap()),
            Self::Host => Subject::Named(Name::of_host("disk.test")),
            Self::All => Subject::All,
        }
    }
}

/// Each key has one of so many tags.
const TAGS: usize = 3;

fn tag(of: usize) -> Tag {
    Tag::of(format!("tag-{of}").as_bytes())
}

/// When a purge of this moment is said to have been made.
fn time_of(moment: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(moment))
}

struct Run {
    random: fastrand::Rng,
    disk: Disk,
    cache: Cache,
    counters: Arc<Counters>,
    faults: bool,
    keys: usize,
    fetches: Vec<Fetch>,
    /// The moment at which the fetch left that brought a version, or the last that confirmed it.
    left: HashMap<u64, u64>,
    /// That at which the one left that brought it: after a power cut it may be as it was then.
    first_left: HashMap<u64, u64>,
    versions: u64,
    /// Purges and fetches so far.
    moment: u64,
    /// All purges, in order.
    purges: Vec<Purged>,
    /// Found alive after it was stored, so that the test is about something.
    found: u64,
    found_stale: u64,
    /// Records that were let go of.
    retired: u64,
    told: Vec<String>,
}

fn cache_on(disk: &Disk, memory: u64) -> (Cache, Arc<Counters>) {
    open(disk, memory, disk_settings(64 << 20, 64 << 20, Admission::Always)).expect("a cache")
}

impl Run {
    fn say(&mut self, what: String) {
        self.told.push(what);
    }

    async fn step(&mut self) -> Result<(), String> {
        let key = self.random.usize(..self.keys);
        match self.random.u8(..100) {
            0..25 => self.leave(key, false).await?,
            25..45 => self.store(),
            45..55 => self.purge(&[What::Url(key)]).await,
            55..61 => {
                let what = [What::Tag(key % TAGS), What::Prefix(key), What::Glob(key), What::AllByGlob];
                let what = *self.random.choice(&what).unwrap();
                self.purge(&[what]).await;
            }
            61 => {
                let what = *self.random.choice(&[What::Host, What::All]).unwrap();
                self.purge(&[what]).await;
            }
            62 => {
                let more = self.random.usize(..self.keys);
                self.purge(&[What::Url(key), What::Tag(more % TAGS), What::Glob(more)]).await;
            }
            63..85 => drop(self.look(key).await?),
            85..92 => self.leave(key, true).await?,
            92 => {
                let fails = self.random.u8(..4) == 0;
                if fails {
                    self.disk.err_at_read(self.random.u64(..20));
                }
                self.say(format!("sweep, a read fails: {fails}"));
                self.cache.sweep();
            }
            93 => until("settled", || self.cache.disk().unwrap().is_settled()).await?,
            94..97 if self.faults => {
                let illness = [Illness::Errors, Illness::Full, Illness::ReadOnly][self.random.usize(..3)];
                let illness = self.random.bool().then_some(illness);
                self.say(format!("{illness:?}"));
                self.disk.ail(illness);
            }
            _ if self.faults && self.random.u8(..8) == 0 => {
                let changes = self.random.u64(..40);
                self.disk.go_off_in(changes);
            }
            _ => drop(self.look(key).await?),
        }
        Ok(())
    }

    /// A request leaves for the origin, with validators if something is stored and it is a revalidation.
    async fn leave(&mut self, key: usize, revalidates: bool) -> Result<(), String> {
        let stale = if revalidates { self.look(key).await? } else { None };
        self.moment += 1;
        // In this order, as a fetch does.
        let era = self.cache.era();
        let fetch = Fetch { key, born: self.cache.sequence(), moment: self.moment, stale, _era: era };
        self.say(format!("{}: a fetch for {key} leaves, born {}", fetch.moment, fetch.born));
        self.fetches.push(fetch);
        Ok(())
    }

    /// The answer to a request comes.
    fn store(&mut self) {
        if self.fetches.is_empty() {
            return;
        }
        let at = self.random.usize(..self.fetches.len());
        let Fetch { key: number, born, moment, stale, _era } = self.fetches.swap_remove(at);
        let key = key(number);
        // As the fetch machine does: a 304 to what was purged confirms nothing.
        if let Some(stale) = stale {
            if !self.cache.is_alive(&key, &stale.object) {
                return;
            }
            let version = version_of(&stale.object);
            self.left.insert(version, moment.max(self.left[&version]));
            let object = again(&stale.object, number, version, born);
            let stored = self.cache.store(&key, &Hit { object: Arc::new(object), content: stale.content });
            return self.say(format!("confirmed {number} version {version}, born {born}: {stored}"));
        }
        self.versions += 1;
        self.left.insert(self.versions, moment);
        self.first_left.insert(self.versions, moment);
        let generation = self.cache.next_generation();
        let version = made(number, self.versions, generation);
        let content = version.content.content();
        let object = Object { tags: tags_of(number), ..object(&version, born) };
        let hit =
            Hit { object: Arc::new(object), content: forebay::cache::lookup::Held::Memory(content.parts) };
        let stored = self.cache.store(&key, &hit);
        self.say(format!("store {number} version {}, born {born}: {stored}", self.versions));
    }

    async fn purge(&mut self, what: &[What]) {
        self.moment += 1;
        let strength = if self.random.u8(..5) < 2 { Strength::Soft } else { Strength::Hard };
        let purges = what.iter().map(|what| Purge { strength, subject: what.subject() }).collect();
        let receipt = self.cache.purge(purges, time_of(self.moment), Source::default()).unwrap();
        // Some clients leave without waiting; then nothing was answered.
        let kept = if self.random.u8(..6) == 0 { None } else { Some(receipt.kept(PATIENCE).await) };
        self.say(format!("{}: {strength:?} purge of {what:?}: {kept:?}", self.moment));
        assert!(self.faults || kept != Some(Kept::NotDurable), "a well disk keeps what it is given");
        let durable = kept == Some(Kept::Disk);
        for what in what {
            let (moment, what) = (self.moment, *what);
            self.purges.push(Purged { moment, what, strength, durable, holds: true });
        }
    }

    /// The purges since `left` that match, of this strength.
    fn since(&self, left: u64, number: usize, strength: Strength) -> impl Iterator<Item = &Purged> {
        let is_it = move |purge: &&Purged| {
            purge.moment > left && purge.strength == strength && purge.what.matches(number)
        };
        self.purges.iter().filter(is_it)
    }

    /// Whether what was found is as fresh or stale as the purges since it left say.
    fn check_staleness(&self, number: usize, left: u64, hit: &Hit) -> Result<(), String> {
        let stale_since = stale_since(&hit.object);
        // Of the same name the latest counts for who looks then, also one of which it is not known whether it holds.
        let latest =
            |what: What| self.since(left, number, Strength::Soft).filter(move |p| p.what == what).last();
        let certain = self.since(left, number, Strength::Soft).filter(|purge| purge.holds);
        let must = certain.filter_map(|purge| latest(purge.what)).map(|purge| time_of(purge.moment)).min();
        let first = self.first_left[&version_of(&hit.object)];
        let may = self.since(first, number, Strength::Soft).map(|purge| time_of(purge.moment)).min();
        let right = match (stale_since, must, may) {
            (None, None, _) => true,
            (Some(since), must, Some(may)) => since >= may && must.is_none_or(|must| since <= must),
            _ => false,
        };
        if right {
            return Ok(());
        }
        Err(format!("{number}, left at {left}: stale since {stale_since:?}, by {must:?}, at most {may:?}"))
    }

    async fn look(&mut self, number: usize) -> Result<Option<Hit>, String> {
        let (key, request) = (key(number), Arc::new(Request(HeaderMap::new())));
        self.cache.memory_used();
        let hit = match self.cache.lookup(&key, &request.0) {
            Lookup::Found(hit) => Some(hit),
            Lookup::Miss(_) => self.cache.find(&key, &request).await,
        };
        let Some(hit) = hit else { return Ok(None) };
        let version = version_of(&hit.object);
        let left = self.left[&version];
        self.say(format!("found {number} version {version}, which left at {left}"));
        if let Some(purge) = self.since(left, number, Strength::Hard).find(|purge| purge.holds) {
            let Purged { moment, what, .. } = purge;
            return Err(format!(
                "{number}: version {version} left at {left}, {what:?} was purged at {moment}"
            ));
        }
        self.check_staleness(number, left, &hit)?;
        self.found += 1;
        self.found_stale += u64::from(stale_since(&hit.object).is_some());
        Ok(Some(hit))
    }

    async fn life(&mut self) -> Result<(), String> {
        for _ in 0..self.random.usize(10..120) {
            self.step().await?;
        }
        let quiet = !self.faults;
        if quiet {
            until("settled", || self.cache.disk().unwrap().is_settled()).await?;
        }
        let end = self.random.u8(..3);
        self.say(format!("-- ends: {}", ["in order", "killed", "without power"][usize::from(end)]));
        if end == 0 {
            self.cache.close(PATIENCE);
        }
        // The process may go on a little while the image is taken, which is of one moment.
        let image = if end == 2 { self.disk.crash() } else { self.disk.kill() };
        let memory = if self.random.bool() { 1 } else { 1 << 20 };
        self.retired += self.counters.ledger_retired.get();
        let (cache, counters) = cache_on(&image, memory);
        (self.disk, self.cache, self.counters) = (image, cache, counters);
        self.fetches.clear();
        for purge in &mut self.purges {
            purge.holds &= purge.durable;
        }
        until("serving", || self.cache.disk().unwrap().health() == Health::Serving).await?;
        for number in 0..self.keys {
            self.look(number).await?;
        }
        Ok(())
    }
}

/// Since when it is stale before its time: each is given an hour from now on.
fn stale_since(object: &Object) -> Option<Timestamp> {
    let lifetime = object.terms().freshness.lifetime;
    (lifetime < Duration::from_hours(1)).then(|| NOW.plus(lifetime))
}

fn version_of(object: &Object) -> u64 {
    object.head.headers()["x-version"].to_str().unwrap().parse().unwrap()
}

fn made(number: usize, version: u64, generation: forebay::base::ids::Generation) -> Version {
    let mut headers = HeaderMap::new();
    headers.insert("x-version", version.into());
    let length = if version.is_multiple_of(3) { 20_000 } else { 100 };
    let content = Stamp { seed: version, length };
    Version { slot: Slot { key: number, language: None }, headers, generation, content }
}

/// The same object, confirmed.
fn again(stale: &Object, number: usize, version: u64, born: Sequence) -> Object {
    Object { tags: tags_of(number), ..object(&made(number, version, stale.generation), born) }
}

fn tags_of(number: usize) -> Tags {
    Tags::new(vec![tag(number % TAGS), Tag::of(b"of all")])
}

async fn run(seed: u64) -> (Vec<String>, Result<[u64; 3], String>) {
    let mut random = fastrand::Rng::with_seed(seed);
    let disk = Disk::new(seed, Make { capacity: 1 << 30, ordered: random.bool(), cached: random.bool() });
    let (cache, counters) = cache_on(&disk, 1 << 20);
    let (faults, keys, lives) = (random.u8(..3) == 0, random.usize(1..8), random.usize(1..5));
    let mut run = Run {
        random,
        disk,
        cache,
        counters,
        faults,
        keys,
        fetches: Vec::new(),
        left: HashMap::new(),
        first_left: HashMap::new(),
        versions: 0,
        moment: 0,
        purges: Vec::new(),
        found: 0,
        found_stale: 0,
        retired: 0,
        told: Vec::new(),
    };
    for _ in 0..lives {
        if let Err(what) = run.life().await {
            return (run.told, Err(what));
        }
    }
    (run.told, Ok([run.found, run.found_stale, run.retired]))
}

#[test]
fn nothing_that_was_born_before_an_answered_purge_is_ever_used() {
    let one: Option<u64> = std::env::var("FOREBAY_LEDGER_SEED").ok().and_then(|seed| seed.parse().ok());
    let runs: u64 = from_environment("FOREBAY_LEDGER_RUNS", 60);
    let seeds = one.map_or(0..runs, |seed| seed..seed + 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut all = [0; 3];
    for seed in seeds {
        match runtime.block_on(run(seed)) {
            (told, Ok(more)) => {
                all = std::array::from_fn(|nth| all[nth] + more[nth]);
                if one.is_some() {
                    println!("{}", told.join("\n"));
                }
            }
            (told, Err(what)) => panic!("{}\nFOREBAY_LEDGER_SEED={seed}: {what}", told.join("\n")),
        }
    }
    let [found, stale, retired] = all;
    let enough = found > runs.min(20) && stale > runs.min(20) / 4 && retired > runs.min(20) / 4;
    assert!(enough, "too little came up: {found} found, {stale} of them stale, {retired} records retired");
}

// ---- single cases ----

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

fn well() -> Disk {
    Disk::new(1, Make { capacity: 1 << 30, ordered: true, cached: false })
}

fn store(cache: &Cache, number: usize, version: u64) {
    let version = made(number, version, cache.next_generation());
    let content = forebay::cache::lookup::Held::Memory(version.content.content().parts);
    assert!(
        cache.store(&key(number), &Hit { object: Arc::new(object(&version, cache.sequence())), content })
    );
}

async fn finds(cache: &Cache, number: usize) -> bool {
    until("serving", || cache.disk().unwrap().health() == Health::Serving).await.unwrap();
    let (key, request) = (key(number), Arc::new(Request(HeaderMap::new())));
    match cache.lookup(&key, &request.0) {
        Lookup::Found(_) => true,
        Lookup::Miss(_) => cache.find(&key, &request).await.is_some(),
    }
}

fn purge(cache: &Cache, number: usize) -> forebay::cache::ledger::receipt::Receipt {
    let purge = Purge::of_name(Name::of_url(key(number).url()));
    cache.purge(vec![purge], NOW, Source::default()).unwrap()
}

async fn stored_and_written(disk: &Disk, numbers: std::ops::Range<usize>) -> Cache {
    let (cache, _) = cache_on(disk, 1 << 20);
    for number in numbers {
        store(&cache, number, number as u64);
    }
    until("settled", || cache.disk().unwrap().is_settled()).await.unwrap();
    until("durable", || disk.is_durable()).await.unwrap();
    cache
}

#[test]
fn many_purges_take_few_syncs_and_all_of_them_hold() {
    runtime().block_on(async {
        let disk = well();
        let cache = stored_and_written(&disk, 0..4).await;
        let receipts: Vec<_> = {
            let frozen = disk.freeze();
            let receipts = (0..1000).map(|number| purge(&cache, number % 3)).collect();
            drop(frozen);
            receipts
        };
        let (before, _) = disk.counts();
        for receipt in receipts {
            assert_eq!(receipt.kept(PATIENCE).await, Kept::Disk);
        }
        let operations = disk.counts().0 - before;
        assert!(operations < 100, "{operations} operations for what could be two groups");
        let (again, _) = cache_on(&disk.crash(), 1 << 20);
        for number in 0..4 {
            assert_eq!(finds(&again, number).await, number == 3, "{number}");
        }
    });
}

#[test]
fn a_dropped_receipt_loses_nothing() {
    runtime().block_on(async {
        let disk = well();
        let cache = stored_and_written(&disk, 0..2).await;
        let mut waiting = Box::pin(purge(&cache, 0).kept(PATIENCE));
        let _ = std::future::poll_fn(|cx| std::task::Poll::Ready(waiting.as_mut().poll(cx))).await;
        drop(waiting);
        assert!(!finds(&cache, 0).await);
        cache.close(PATIENCE);
        let (again, _) = cache_on(&disk.crash(), 1 << 20);
        assert!(!finds(&again, 0).await && finds(&again, 1).await);
    });
}

#[test]
fn a_ledger_that_is_damaged_or_gone_empties_the_cache() {
    runtime().block_on(async {
        type Change = fn(&mut Vec<u8>);
        let changes: [(&str, Change); 4] = [
            ("flipped in the middle", |bytes| bytes[150] ^= 1),
            ("begins in the middle", |bytes| drop(bytes.drain(..80))),
            ("empty", Vec::clear),
            ("zeroed at its beginning", |bytes| bytes[..100].fill(0)),
        ];
        for (what, change) in changes {
            let disk = well();
            let cache = stored_and_written(&disk, 0..2).await;
            for number in [0, 0] {
                assert_eq!(purge(&cache, number).kept(PATIENCE).await, Kept::Disk);
            }
            let image = disk.kill();
            let [file] = image.ledger_files()[..] else { panic!("one file") };
            image.alter(file, change);
            let (again, _) = cache_on(&image, 1 << 20);
            assert!(!finds(&again, 0).await && !finds(&again, 1).await, "{what}");
        }
    });
}

#[test]
fn a_torn_end_costs_nothing_that_was_answered() {
    runtime().block_on(async {
        let disk = well();
        let cache = stored_and_written(&disk, 0..3).await;
        assert_eq!(purge(&cache, 0).kept(PATIENCE).await, Kept::Disk);
        let image = disk.kill();
        let [file] = image.ledger_files()[..] else { panic!("one file") };
        image.alter(file, |bytes| bytes.extend([7; 100]));
        let (again, _) = cache_on(&image, 1 << 20);
        assert!(!finds(&again, 0).await && finds(&again, 1).await);
    });
}

#[test]
fn what_a_failing_disk_cannot_take_holds_in_memory_and_comes_back_nowhere() {
    runtime().block_on(async {
        for illness in [Illness::Errors, Illness::Full] {
            let disk = well();
            let cache = stored_and_written(&disk, 0..2).await;
            disk.ail(Some(illness));
            let kept = purge(&cache, 0).kept(PATIENCE).await;
            assert!(!finds_in_memory(&cache, 0), "{illness:?}");
            if illness == Illness::Full {
                // Removing works where writing does not: the next process trusts nothing.
                assert_eq!(kept, Kept::NotDurable);
                until("disowned", || disk.ledger_files().is_empty()).await.unwrap();
                let (again, _) = cache_on(&disk.kill(), 1 << 20);
                assert!(!finds(&again, 0).await, "{illness:?}");
            }
            disk.ail(None);
            while purge(&cache, 7).kept(PATIENCE).await != Kept::Disk {
                std::thread::sleep(Duration::from_millis(1));
            }
            let (again, _) = cache_on(&disk.crash(), 1 << 20);
            assert!(!finds(&again, 0).await, "{illness:?}");
        }
    });
}

fn finds_in_memory(cache: &Cache, number: usize) -> bool {
    !matches!(cache.lookup(&key(number), &HeaderMap::new()), Lookup::Miss(_))
}

#[test]
fn a_purge_from_before_the_disk_was_opened_kills_what_is_on_it() {
    runtime().block_on(async {
        let disk = well();
        let cache = stored_and_written(&disk, 0..2).await;
        cache.close(PATIENCE);
        let image = disk.kill();
        image.ail(Some(Illness::Errors));
        let (cache, _) = cache_on(&image, 1 << 20);
        let late = cache.sequence().epoch == 0;
        let kept = purge(&cache, 0).kept(PATIENCE).await;
        image.ail(None);
        assert!(!finds(&cache, 0).await && finds(&cache, 1).await);
        assert!(!late || kept == Kept::NotDurable);
    });
}

#[test]
fn over_its_limit_the_ledger_kills_what_is_oldest_and_stays_small() {
    runtime().block_on(async {
        let disk = well();
        let (cache, counters) =
            open(&disk, 1 << 20, disk_settings(5 << 20, 1 << 20, Admission::Always)).unwrap();
        until("serving", || cache.disk().unwrap().health() == Health::Serving).await.unwrap();
        store(&cache, 1_000_000, 1);
        store(&cache, 5, 1);
        for number in 0..4000 {
            drop(purge(&cache, number));
        }
        store(&cache, 1_000_001, 2);
        assert!(counters.ledger_folded.get() > 1000 && cache.ledger().records < 2000);
        assert!(!finds(&cache, 1_000_000).await, "it is older than what was folded");
        assert!(finds(&cache, 1_000_001).await);
        assert_eq!(purge(&cache, 1).kept(PATIENCE).await, Kept::Disk);
        let of_ledger: usize = disk.ledger_files().len();
        assert_eq!(of_ledger, 1);
        assert!(disk.bytes() < 500_000, "{} bytes", disk.bytes());
        // What was folded may still be in the file, record by record: what they killed is dead in any case.
        let (again, _) = cache_on(&disk.crash(), 1 << 20);
        assert!(!finds(&again, 5).await);
    });
}

#[test]
fn a_held_hit_is_told_dead_once_its_url_is_purged() {
    runtime().block_on(async {
        let disk = well();
        let cache = stored_and_written(&disk, 0..1).await;
        let Lookup::Found(hit) = cache.lookup(&key(0), &HeaderMap::new()) else { panic!("stored") };
        drop(purge(&cache, 1));
        assert!(cache.is_alive(&key(0), &hit.object), "another URL");
        drop(purge(&cache, 0));
        assert!(!cache.is_alive(&key(0), &hit.object));
        assert!(!cache.store(&key(0), &hit), "what is dead takes nobody's place");
    });
}

// ---- with a node around it ----

fn answer(request: &SeenRequest, nth: usize) -> Vec<Act> {
    match request.method.as_str() {
        "GET" => vec![respond("200 OK", &[("Cache-Control", "max-age=1000")], nth.to_string())],
        _ => vec![Act::ReadBody, respond("200 OK", &[], "")],
    }
}

fn node_on(directory: &std::path::Path) -> Pipes {
    let mut settings = settings("http://origin.test");
    let (directory, limit) = (directory.to_owned(), "64MiB".parse().unwrap());
    let disk = config::Disk { directory, limit, admission: Admission::default() };
    settings.use_disk(disk, None).unwrap();
    Pipes::with(settings, answer)
}

/// A node of which the runtime, and with it the fetch, is dropped after so many turns of an unsafe request. Whether its
/// answer was announced, and what was stored is dead.
fn drop_after(turns: usize) -> (bool, bool) {
    let all = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (directory, node, reading) = (tempfile::tempdir().unwrap(), all(), all());
    let guard = node.enter();
    let rig = node_on(directory.path());
    drop(guard);
    let (get, post) = (Arc::new(ask(&rig.node)), Arc::new(ask_with(&rig.node, Method::POST)));
    let mut seat = node.block_on(async {
        rig.node.cache.disk().unwrap().wait_for(|health| *health == Health::Serving).await;
        let mut seat = rig.node.fetcher.alone(&get, None);
        assert!(matches!(seat.advice(&get).await, Advice::Read(_)));
        let mut reader = seat.into_reader();
        while reader.next().await.is_some() {}
        while rig.node.fetcher.running() > 0 || !rig.node.cache.disk().unwrap().is_settled() {
            tokio::task::yield_now().await;
        }
        assert!(finds_in_memory_for(&rig.node.cache, &get.key));
        let mut seat = rig.node.fetcher.pass(&post, Body::Empty);
        seat.hand_over();
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        seat
    });
    drop(node);
    reading.block_on(async {
        let answered = matches!(seat.advice(&post).await, Advice::Read(_));
        let dead = !finds_in_memory_for(&rig.node.cache, &get.key);
        rig.node.cache.close(PATIENCE);
        drop(rig);
        let rig = node_on(directory.path());
        rig.node.cache.disk().unwrap().wait_for(|health| *health == Health::Serving).await;
        let found = rig.node.cache.find(&get.key, &get).await;
        assert_eq!(found.is_none(), dead, "after {turns} turns: the disk says otherwise than memory");
        (answered, dead)
    })
}

fn finds_in_memory_for(cache: &Cache, key: &forebay::cache::key::Key) -> bool {
    !matches!(cache.lookup(key, &HeaderMap::new()), Lookup::Miss(_))
}

#[test]
fn an_invalidation_may_be_dropped_anywhere() {
    let mut seen = std::collections::BTreeSet::new();
    for turns in (0..24).chain([100_000]) {
        let (answered, dead) = drop_after(turns);
        assert!(dead || !answered, "announced after {turns} turns, and not taken back");
        seen.insert((answered, dead));
    }
    assert!(seen.contains(&(false, false)) && seen.contains(&(true, true)), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_back_stays_so_after_kill_9() {
    let origin = Origin::tcp(answer).await;
    let directory = tempfile::tempdir().unwrap();
    let cache_dir = directory.path().join("cache");
    for round in 0..3 {
        let mut node = binary(&origin.url(), &cache_dir, &[]);
        let mut client = Client::connect(node.listening().await).await;
        if round == 0 {
            client.get("/kept").await;
        }
        client.get("/changed").await;
        crate::disk_rig::until("both are on disk", || slots_on_disk(&cache_dir).len() == 2).await;
        client.request("PUT", "/changed", &[], b"new").await;
        assert_eq!(client.read_answer().await.status, 200);
        node.kill().await;
        let mut node = binary(&origin.url(), &cache_dir, &[]);
        let mut client = Client::connect(node.listening().await).await;
        let kept = client.get("/kept").await;
        assert!(kept.cache_status().contains("detail=disk"), "round {round}: {}", kept.cache_status());
        // Whether the sweep has been there already (`uri-miss`) or not.
        let changed = client.get("/changed").await;
        assert!(changed.cache_status().contains("miss; stored"), "round {round}: {}", changed.cache_status());
        node.kill().await;
    }
}
