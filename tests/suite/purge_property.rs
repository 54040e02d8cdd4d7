//! Random interleavings of clients, purges of all kinds, confirmations, evictions, sweeps, restarts and time through the
//! whole machine, with an origin that answers when the test lets it: who asks after a purge that was answered gets nothing
//! that left the origin before it, whatever was in flight, waited or was stored, and wherever.
//!
//! `FOREBAY_PURGE_RUNS` sets how many runs are made, `FOREBAY_PURGE_SEED` makes one again and tells its steps. With a disk
//! there are threads beside those that the test lets run, and no run is quite like another.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay::cache::Admission;
use forebay::cache::disk::health::Health;
use forebay::cache::ledger::Source;
use forebay::cache::wish::Wish;
use tokio::task::JoinHandle;

use crate::disk_faults::disk_settings;
use crate::disk_rig::from_environment;
use crate::rig::{Pipes, settings};
use crate::support::client::Answer;
use crate::support::disk::{Disk, Make};
use crate::support::origin::{Act, Gate, SeenRequest, respond};

const PATHS: usize = 4;

/// The first paths have answers that vary by language, of which there are these.
const VARYING: usize = 2;
const LANGUAGES: [&str; 2] = ["de", "en"];

/// What a client asks for: a path, in a language.
type Wanted = (usize, usize);

/// Where things are stored in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stores {
    /// In memory, all of them.
    Memory,
    /// In memory, some of them.
    LittleMemory,
    /// In both tiers.
    Both,
    /// On disk, and next to nothing in memory.
    Disk,
}

impl Stores {
    const ALL: [Self; 4] = [Self::Memory, Self::LittleMemory, Self::Both, Self::Disk];

    fn has_disk(self) -> bool {
        matches!(self, Self::Both | Self::Disk)
    }
}

/// What the test and the origin share: one count of everything that happens.
#[derive(Default)]
struct World {
    moment: u64,
    /// Gates of the requests that the origin has not answered.
    held: Vec<Arc<Gate>>,
    versions: Vec<Version>,
    told: Vec<String>,
}

/// What the origin has answered.
struct Version {
    of: Wanted,
    /// When the request was seen that brought it.
    made: u64,
    /// When one was that confirmed it.
    confirmed: u64,
}

impl Version {
    /// Whether it may be the answer to who wants this.
    fn suits(&self, (path, language): Wanted) -> bool {
        self.of.0 == path && (path >= VARYING || self.of.1 == language)
    }
}

impl World {
    fn tick(&mut self, what: impl FnOnce(u64) -> String) -> u64 {
        self.moment += 1;
        let what = what(self.moment);
        self.told.push(format!("{}: {what}", self.moment));
        self.moment
    }
}

/// A purge that was answered.
struct Purged {
    /// When it was asked for: what the origin makes from then on may be younger.
    begun: u64,
    /// When it was answered: from then on it holds.
    answered: u64,
    paths: Vec<usize>,
    soft: bool,
}

/// A client that waits for its answer.
struct Asked {
    wanted: Wanted,
    moment: u64,
    answer: JoinHandle<Answer>,
}

fn origin(world: &Arc<Mutex<World>>) -> impl Fn(&SeenRequest, usize) -> Vec<Act> + use<> {
    let world = Arc::clone(world);
    move |request, _| {
        let mut world = world.lock().unwrap();
        let path: usize = request.target.trim_start_matches('/').parse().unwrap();
        let language = LANGUAGES.iter().position(|name| request.header("accept-language") == Some(name));
        let wanted = (path, language.expect("a language"));
        let gate = Gate::new();
        world.held.push(Arc::clone(&gate));
        let held = request.header("if-none-match").unwrap_or_default();
        let mut held = held.split(',').filter_map(|tag| tag.trim().trim_matches('"').parse::<usize>().ok());
        let vary = ("Vary", if path < VARYING { "Accept-Language" } else { "Accept-Encoding" });
        let fresh = ("Cache-Control", "max-age=5");
        // Half of what is asked about has not changed.
        let same = held.find(|held| held.is_multiple_of(2) && world.versions[*held].suits(wanted));
        if let Some(version) = same {
            let now = world.tick(|_| format!("the origin confirms {version} of {wanted:?}"));
            world.versions[version].confirmed = now;
            let tag = format!("\"{version}\"");
            let fields = [fresh, vary, ("ETag", tag.as_str())];
            return vec![Act::WaitFor(gate), respond("304 Not Modified", &fields, "")];
        }
        let version = world.versions.len();
        let now = world.tick(|_| format!("the origin makes {version} of {wanted:?}"));
        world.versions.push(Version { of: wanted, made: now, confirmed: now });
        let (tag, key) = (format!("\"{version}\""), format!("all path-{path} odd-{}", path % 2));
        let fields = [fresh, vary, ("ETag", tag.as_str()), ("Surrogate-Key", key.as_str())];
        vec![Act::WaitFor(gate), respond("200 OK", &fields, version.to_string())]
    }
}

/// A purge, and the paths that it matches.
fn wish(random: &mut fastrand::Rng) -> (Wish, Vec<usize>) {
    let path = random.usize(..PATHS);
    let list = |text: String| vec![text];
    let (wish, paths) = match random.u8(..8) {
        0 | 1 => (Wish::of_url(format!("http://test/{path}")), vec![path]),
        2 => (Wish { tags: list(format!("path-{path}")), ..Wish::default() }, vec![path]),
        3 => {
            let odd = path % 2;
            let paths = (0..PATHS).filter(|path| path % 2 == odd).collect();
            (Wish { tags: list(format!("odd-{odd}")), ..Wish::default() }, paths)
        }
        4 => (Wish { prefixes: list(format!("test/{path}")), ..Wish::default() }, vec![path]),
        5 => (Wish { globs: list(format!("*/{path}")), ..Wish::default() }, vec![path]),
        6 => (Wish { hosts: list("test".into()), ..Wish::default() }, (0..PATHS).collect()),
        _ => (Wish { all: true, ..Wish::default() }, (0..PATHS).collect()),
    };
    (Wish { soft: Some(random.bool()), ..wish }, paths)
}

/// A node that stores things there.
async fn node(stores: Stores, disk: Option<&Disk>, world: &Arc<Mutex<World>>) -> Pipes {
    let mut settings = settings("http://origin.test");
    match stores {
        Stores::LittleMemory => settings.cache.memory = 4_000,
        Stores::Disk => settings.cache.memory = 1,
        Stores::Memory | Stores::Both => {}
    }
    settings.cache.disk = disk.map(|_| {
        let mut on_disk = disk_settings(128 << 20, 4 << 20, Admission::Always);
        on_disk.load_patience = Duration::from_secs(5);
        on_disk
    });
    let opener = disk.map(|disk| disk.process() as _);
    let pipes = Pipes::on(settings, opener, origin(world));
    if let Some(disk) = pipes.node.cache.disk() {
        disk.wait_for(|health| *health == Health::Serving).await;
    }
    pipes
}

struct Run {
    random: fastrand::Rng,
    world: Arc<Mutex<World>>,
    stores: Stores,
    disk: Option<Disk>,
    pipes: Pipes,
    /// Seconds since the beginning.
    time: u64,
    purges: Vec<Purged>,
    asked: Vec<Asked>,
    shared: Shared,
}

/// Answers that did not take a fetch of their own.
#[derive(Clone, Copy, Debug, Default)]
struct Shared {
    /// Those that waited for a fetch of somebody else's, and hits.
    all: usize,
    /// Hits on disk.
    of_disk: usize,
}

impl Run {
    async fn step(&mut self) -> Result<(), String> {
        match self.random.u8(..40) {
            0..16 => self.ask(),
            16..24 => self.let_one_go(),
            24..30 => self.purge().await,
            30..32 => {
                let seconds = self.random.u64(..4);
                self.time += seconds;
                self.pipes.pass_time(seconds);
            }
            32..34 => {
                self.world.lock().unwrap().tick(|_| "a sweep".into());
                self.pipes.node.cache.sweep();
            }
            34 => self.restart().await?,
            _ => {
                for _ in 0..self.random.usize(..200) {
                    tokio::task::yield_now().await;
                }
            }
        }
        self.collect(false).await
    }

    fn ask(&mut self) {
        let wanted = (self.random.usize(..PATHS), self.random.usize(..LANGUAGES.len()));
        let moment = self.world.lock().unwrap().tick(|_| format!("a client asks for {wanted:?}"));
        let mut client = self.pipes.client();
        let answer = tokio::spawn(async move {
            let fields = [("Accept-Language", LANGUAGES[wanted.1])];
            client.get_with(&format!("/{}", wanted.0), &fields).await
        });
        self.asked.push(Asked { wanted, moment, answer });
    }

    /// The process ends, in order, killed or without power, and another begins with what is on disk. Who waits is answered
    /// before.
    async fn restart(&mut self) -> Result<(), String> {
        let Some(disk) = self.disk.take() else { return Ok(()) };
        self.collect(true).await?;
        let end = self.random.usize(..3);
        let how = ["in order", "killed", "without power"][end];
        self.world.lock().unwrap().tick(|_| format!("a restart, {how}"));
        let disk = match end {
            0 => {
                self.pipes.node.cache.close(Duration::from_secs(5));
                disk.kill()
            }
            1 => disk.kill(),
            _ => disk.crash(),
        };
        self.pipes = node(self.stores, Some(&disk), &self.world).await;
        self.pipes.pass_time(self.time);
        self.disk = Some(disk);
        Ok(())
    }

    fn let_one_go(&mut self) {
        let mut world = self.world.lock().unwrap();
        if !world.held.is_empty() {
            let at = self.random.usize(..world.held.len());
            world.held.swap_remove(at).open();
        }
    }

    async fn purge(&mut self) {
        let (wish, paths) = wish(&mut self.random);
        let begun = self.world.lock().unwrap().tick(|_| format!("to be purged: {wish:?}"));
        let purged = self.pipes.node.machine.purge(&wish, Source::default()).await.expect("purged");
        assert!(purged.durable, "as durable as what is stored");
        let answered = self.world.lock().unwrap().tick(|_| "purged".into());
        self.purges.push(Purged { begun, answered, paths, soft: wish.soft == Some(true) });
    }

    /// Looks at the answers that are there, or has all requests answered and waits for all of them.
    async fn collect(&mut self, all: bool) -> Result<(), String> {
        let opener = all.then(|| tokio::spawn(let_all_go(Arc::clone(&self.world))));
        let mut waiting = Vec::new();
        let mut result = Ok(());
        for asked in std::mem::take(&mut self.asked) {
            if !all && !asked.answer.is_finished() {
                waiting.push(asked);
                continue;
            }
            let answer = asked.answer.await.expect("an answer");
            result = result.and_then(|()| self.check(asked.wanted, asked.moment, &answer));
        }
        self.asked = waiting;
        if let Some(opener) = opener {
            opener.abort();
        }
        result
    }

    fn check(&mut self, wanted: Wanted, asked: u64, answer: &Answer) -> Result<(), String> {
        let cache = answer.cache_status();
        let world = self.world.lock().unwrap();
        let told = format!("asked at {asked} for {wanted:?}: {} {} ({cache})", answer.status, answer.text());
        let version = answer.text().parse().ok().and_then(|at: usize| world.versions.get(at));
        let Some(version) = version.filter(|version| version.suits(wanted)) else { return Err(told) };
        let Version { made, confirmed, .. } = *version;
        let matching = |purge: &&Purged| purge.answered < asked && purge.paths.contains(&wanted.0);
        let dead = self.purges.iter().filter(matching).find(|purge| !purge.soft && purge.begun > made);
        let stale = self.purges.iter().filter(matching).find(|purge| purge.soft && purge.begun > confirmed);
        if let Some(purge) = dead {
            return Err(format!("{told}, made at {made}, purged at {}", purge.answered));
        }
        if let Some(purge) = stale {
            return Err(format!("{told}, confirmed at {confirmed}, softly purged at {}", purge.answered));
        }
        self.shared.all += usize::from(cache.contains("hit") || cache.contains("collapsed"));
        self.shared.of_disk += usize::from(cache.contains("detail=disk"));
        Ok(())
    }
}

/// Lets the origin answer, also what is asked meanwhile.
async fn let_all_go(world: Arc<Mutex<World>>) {
    loop {
        world.lock().unwrap().held.drain(..).for_each(|gate| gate.open());
        tokio::time::sleep(crate::support::ms(1)).await;
    }
}

async fn run(stores: Stores, seed: u64) -> (Vec<String>, Result<Shared, String>) {
    let world = Arc::<Mutex<World>>::default();
    let mut random = fastrand::Rng::with_seed(seed);
    let make = Make { capacity: 256 << 20, ordered: random.bool(), cached: random.bool() };
    let disk = stores.has_disk().then(|| Disk::new(seed, make));
    let pipes = node(stores, disk.as_ref(), &world).await;
    let (purges, asked, shared) = (Vec::new(), Vec::new(), Shared::default());
    let mut run = Run { random, world, stores, disk, pipes, time: 0, purges, asked, shared };
    let mut result = Ok(());
    for _ in 0..run.random.usize(20..200) {
        if result.is_ok() {
            result = run.step().await;
        }
    }
    if result.is_ok() {
        result = run.collect(true).await;
    }
    let told = std::mem::take(&mut run.world.lock().unwrap().told);
    (told, result.map(|()| run.shared))
}

#[test]
fn who_asks_after_a_purge_gets_nothing_from_before_it() {
    let one: Option<u64> = std::env::var("FOREBAY_PURGE_SEED").ok().and_then(|seed| seed.parse().ok());
    let runs: u64 = from_environment("FOREBAY_PURGE_RUNS", 100);
    let mut shared = Shared::default();
    for seed in one.map_or(0..runs, |seed| seed..seed + 1) {
        let stores = Stores::ALL[usize::try_from(seed % 4).expect("small")];
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        // A disk has threads of its own, which no paused clock waits for.
        let runtime = runtime.enable_all().start_paused(!stores.has_disk()).build().unwrap();
        match runtime.block_on(run(stores, seed)) {
            (told, Ok(more)) => {
                shared.all += more.all;
                shared.of_disk += more.of_disk;
                if one.is_some() {
                    println!("{}", told.join("\n"));
                }
            }
            (told, Err(what)) => panic!("{}\nFOREBAY_PURGE_SEED={seed}, {stores:?}: {what}", told.join("\n")),
        }
    }
    println!("{shared:?}");
    assert!(one.is_some() || shared.all as u64 > runs, "hardly anybody shared anything: {shared:?}");
    assert!(
        one.is_some() || runs < 20 || shared.of_disk as u64 > runs / 2,
        "hardly anything came from disk: {shared:?}"
    );
}
