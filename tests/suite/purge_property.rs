//! Random interleavings of clients, purges of all kinds, confirmations, sweeps and time through the whole machine, with an
//! origin that answers when the test lets it: who asks after a purge that was answered gets nothing that left the origin
//! before it, whatever was in flight, waited or was stored.
//!
//! `FOREBAY_PURGE_RUNS` sets how many runs are made, `FOREBAY_PURGE_SEED` makes one again and tells its steps.

use std::sync::{Arc, Mutex};

use forebay::cache::ledger::Source;
use forebay::cache::wish::Wish;
use tokio::task::JoinHandle;

use crate::disk_rig::from_environment;
use crate::rig::Pipes;
use crate::support::client::Answer;
use crate::support::origin::{Act, Gate, SeenRequest, respond};

const PATHS: usize = 4;

/// What the test and the origin share: one count of everything that happens.
#[derive(Default)]
struct World {
    moment: u64,
    /// Gates of the requests that the origin has not answered.
    held: Vec<Arc<Gate>>,
    /// By version: its path, when the request was seen that brought it, and when one was that confirmed it.
    versions: Vec<(usize, u64, u64)>,
    told: Vec<String>,
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
    moment: u64,
    paths: Vec<usize>,
    soft: bool,
}

/// A client that waits for its answer.
struct Asked {
    path: usize,
    moment: u64,
    answer: JoinHandle<Answer>,
}

fn origin(world: &Arc<Mutex<World>>) -> impl Fn(&SeenRequest, usize) -> Vec<Act> + use<> {
    let world = Arc::clone(world);
    move |request, _| {
        let mut world = world.lock().unwrap();
        let path: usize = request.target.trim_start_matches('/').parse().unwrap();
        let gate = Gate::new();
        world.held.push(Arc::clone(&gate));
        let held =
            request.header("if-none-match").and_then(|tag| tag.trim_matches('"').parse::<usize>().ok());
        // Half of what is asked about has not changed.
        if let Some(version) = held.filter(|version| version.is_multiple_of(2)) {
            let now = world.tick(|_| format!("the origin confirms {version} of {path}"));
            world.versions[version].2 = now;
            let tag = format!("\"{version}\"");
            let fields = [("Cache-Control", "max-age=5"), ("ETag", tag.as_str())];
            return vec![Act::WaitFor(gate), respond("304 Not Modified", &fields, "")];
        }
        let version = world.versions.len();
        let now = world.tick(|_| format!("the origin makes {version} of {path}"));
        world.versions.push((path, now, now));
        let (tag, key) = (format!("\"{version}\""), format!("all path-{path} odd-{}", path % 2));
        let fields =
            [("Cache-Control", "max-age=5"), ("ETag", tag.as_str()), ("Surrogate-Key", key.as_str())];
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

struct Run {
    random: fastrand::Rng,
    world: Arc<Mutex<World>>,
    pipes: Pipes,
    purges: Vec<Purged>,
    asked: Vec<Asked>,
    /// Answers that waited for a fetch of somebody else's, and hits.
    shared: usize,
}

impl Run {
    async fn step(&mut self) -> Result<(), String> {
        match self.random.u8(..20) {
            0..8 => self.ask(),
            8..12 => self.let_one_go(),
            12..15 => self.purge().await,
            15 => self.pipes.pass_time(self.random.u64(..4)),
            16 => {
                self.world.lock().unwrap().tick(|_| "a sweep".into());
                self.pipes.node.cache.sweep();
            }
            _ => {
                for _ in 0..self.random.usize(..200) {
                    tokio::task::yield_now().await;
                }
            }
        }
        self.collect(false).await
    }

    fn ask(&mut self) {
        let path = self.random.usize(..PATHS);
        let moment = self.world.lock().unwrap().tick(|_| format!("a client asks for {path}"));
        let mut client = self.pipes.client();
        let answer = tokio::spawn(async move { client.get(&format!("/{path}")).await });
        self.asked.push(Asked { path, moment, answer });
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
        self.pipes.node.machine.purge(&wish, Source::default()).await.expect("purged");
        let moment = self.world.lock().unwrap().tick(|_| format!("purged: {wish:?}"));
        self.purges.push(Purged { moment, paths, soft: wish.soft == Some(true) });
    }

    /// Looks at the answers that are there, or waits for all of them.
    async fn collect(&mut self, all: bool) -> Result<(), String> {
        let mut waiting = Vec::new();
        for asked in std::mem::take(&mut self.asked) {
            if !all && !asked.answer.is_finished() {
                waiting.push(asked);
                continue;
            }
            let answer = asked.answer.await.expect("an answer");
            self.check(asked.path, asked.moment, &answer)?;
        }
        self.asked = waiting;
        Ok(())
    }

    fn check(&mut self, path: usize, asked: u64, answer: &Answer) -> Result<(), String> {
        let cache = answer.cache_status();
        let world = self.world.lock().unwrap();
        let told = format!("asked at {asked} for {path}: {} {} ({cache})", answer.status, answer.text());
        let Some((of, made, confirmed)) =
            answer.text().parse().ok().and_then(|at: usize| world.versions.get(at))
        else {
            return Err(told);
        };
        let matching = |purge: &&Purged| purge.moment < asked && purge.paths.contains(&path);
        let dead = self.purges.iter().filter(matching).find(|purge| !purge.soft && purge.moment > *made);
        let stale = self.purges.iter().filter(matching).find(|purge| purge.soft && purge.moment > *confirmed);
        if of != &path || dead.is_some() {
            return Err(format!("{told}, made at {made}, purged at {:?}", dead.map(|purge| purge.moment)));
        }
        if let Some(purge) = stale {
            return Err(format!("{told}, confirmed at {confirmed}, softly purged at {}", purge.moment));
        }
        self.shared += usize::from(cache.contains("hit") || cache.contains("collapsed"));
        Ok(())
    }
}

async fn run(seed: u64) -> (Vec<String>, Result<usize, String>) {
    let world = Arc::<Mutex<World>>::default();
    let pipes = Pipes::new(origin(&world));
    let random = fastrand::Rng::with_seed(seed);
    let mut run = Run { random, world, pipes, purges: Vec::new(), asked: Vec::new(), shared: 0 };
    let mut result = Ok(());
    for _ in 0..run.random.usize(20..200) {
        if result.is_ok() {
            result = run.step().await;
        }
    }
    // Everybody is to be answered in the end: what is asked meanwhile is let go too.
    let world = Arc::clone(&run.world);
    let opener = tokio::spawn(async move {
        loop {
            world.lock().unwrap().held.drain(..).for_each(|gate| gate.open());
            tokio::time::sleep(crate::support::ms(1)).await;
        }
    });
    if result.is_ok() {
        result = run.collect(true).await;
    }
    opener.abort();
    let told = std::mem::take(&mut run.world.lock().unwrap().told);
    (told, result.map(|()| run.shared))
}

#[test]
fn who_asks_after_a_purge_gets_nothing_from_before_it() {
    let one: Option<u64> = std::env::var("FOREBAY_PURGE_SEED").ok().and_then(|seed| seed.parse().ok());
    let runs: u64 = from_environment("FOREBAY_PURGE_RUNS", 100);
    let mut shared = 0;
    for seed in one.map_or(0..runs, |seed| seed..seed + 1) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        match runtime.block_on(run(seed)) {
            (told, Ok(more)) => {
                shared += more;
                if one.is_some() {
                    println!("{}", told.join("\n"));
                }
            }
            (told, Err(what)) => panic!("{}\nFOREBAY_PURGE_SEED={seed}: {what}", told.join("\n")),
        }
    }
    assert!(one.is_some() || shared as u64 > runs, "hardly anybody shared anything: {shared}");
}
