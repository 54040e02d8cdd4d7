//! Kill -9 in a storm of purges: none that was answered is lost, and what they took back never comes again.
//!
//! `FOREBAY_PURGE_KILL_ROUNDS` sets how many rounds there are (the full proof is 100).

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::admin::admin_address;
use crate::disk_rig::{binary, from_environment, until};
use crate::support::client::{Answer, Client};
use crate::support::ms;
use crate::support::origin::{Act, Origin, SeenRequest, respond};

const PATHS: usize = 60;
const TAGS: usize = 6;
const PURGERS: usize = 6;
const CLIENTS: usize = 3;

/// What everybody counts by.
#[derive(Default)]
struct World {
    moment: AtomicU64,
    /// When the origin was asked for each version.
    made: Mutex<Vec<u64>>,
    /// Purges that were answered: when they were sent, when that was known, and what they match.
    purged: Mutex<Vec<(u64, u64, Vec<usize>)>>,
    /// Answers that were found on disk after a restart.
    kept: AtomicU64,
}

impl World {
    fn now(&self) -> u64 {
        self.moment.fetch_add(1, Ordering::SeqCst)
    }
}

fn answer(world: &World, request: &SeenRequest) -> Vec<Act> {
    let path: usize = request.target.trim_start_matches('/').parse().expect("a number");
    let made = world.now();
    let version = {
        let mut versions = world.made.lock().unwrap();
        versions.push(made);
        versions.len() - 1
    };
    let tag = format!("all tag-{}", path % TAGS);
    // Of each size that is stored in another way.
    let filling = "x".repeat([0, 3000, 100_000][path % 3]);
    let fields = [("Cache-Control", "max-age=1000"), ("Surrogate-Key", tag.as_str())];
    vec![respond("200 OK", &fields, format!("{version} {filling}"))]
}

fn wish(random: &mut fastrand::Rng) -> (Value, Vec<usize>) {
    let path = random.usize(..PATHS);
    let url = |path: usize| format!("http://kill.test/{path}");
    match random.u8(..12) {
        0..5 => (json!({ "urls": [url(path)] }), vec![path]),
        5..8 => {
            let paths: Vec<usize> = (0..5).map(|nth| (path + nth) % PATHS).collect();
            (json!({ "urls": paths.iter().map(|path| url(*path)).collect::<Vec<_>>() }), paths)
        }
        8 | 9 => {
            let of = path % TAGS;
            let paths = (0..PATHS).filter(|path| path % TAGS == of).collect();
            (json!({ "tags": [format!("tag-{of}")], "soft": false }), paths)
        }
        10 => (json!({ "prefixes": [format!("kill.test/{path}")] }), vec![path]),
        _ => (json!({ "globs": [format!("*/{path}")] }), vec![path]),
    }
}

/// Purges until the node is gone.
async fn storm(world: Arc<World>, admin: SocketAddr, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let Ok(stream) = TcpStream::connect(admin).await else { return };
    let mut client = Client::over(stream);
    loop {
        let (wanted, paths) = wish(&mut random);
        let (sent, text) = (world.now(), wanted.to_string());
        let request = format!(
            "POST /v1/purge HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        );
        if client.try_send(request.as_bytes()).await.is_err() {
            return;
        }
        match client.try_answer().await {
            Some(answer) if answer.status == 200 && answer.complete => {
                let known = world.now();
                world.purged.lock().unwrap().push((sent, known, paths));
            }
            // Too many globs for now.
            Some(answer) if answer.status == 409 => {}
            _ => return,
        }
    }
}

/// Asks for everything again and again until the node is gone.
async fn ask(world: Arc<World>, address: SocketAddr, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let Ok(stream) = TcpStream::connect(address).await else { return };
    let mut client = Client::over(stream);
    loop {
        let (asked, path) = (world.now(), random.usize(..PATHS));
        let Some(answer) = one(&mut client, path).await else { return };
        check(&world, path, asked, &answer);
    }
}

async fn one(client: &mut Client<TcpStream>, path: usize) -> Option<Answer> {
    let request = format!("GET /{path} HTTP/1.1\r\nHost: kill.test\r\n\r\n");
    client.try_send(request.as_bytes()).await.ok()?;
    client.try_answer().await.filter(|answer| answer.complete)
}

/// Nothing is sent that was made before a purge that was answered before it was asked for.
fn check(world: &World, path: usize, asked: u64, answer: &Answer) {
    let text = answer.text();
    let version: usize = text.split(' ').next().and_then(|word| word.parse().ok()).expect("a version");
    let made = world.made.lock().unwrap()[version];
    let purged = world.purged.lock().unwrap();
    let dead =
        purged.iter().find(|(sent, known, paths)| *sent > made && *known < asked && paths.contains(&path));
    assert!(
        dead.is_none(),
        "version {version} of {path} was made at {made}, and purged at {dead:?}: {}",
        answer.cache_status()
    );
    world.kept.fetch_add(u64::from(answer.cache_status().contains("hit")), Ordering::Relaxed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_purge_that_was_answered_is_lost_by_kill_9() {
    let world = Arc::<World>::default();
    let answering = Arc::clone(&world);
    let origin = Origin::tcp(move |request, _| answer(&answering, request)).await;
    let directory = tempfile::tempdir().unwrap();
    let cache_dir = directory.path().join("cache");
    let rounds: u64 = from_environment("FOREBAY_PURGE_KILL_ROUNDS", 6);
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..rounds {
        let mut node = binary(&origin.url(), &cache_dir, &["--admin", "0"]);
        let (address, admin) = (node.listening().await, admin_address(&node).await);
        let mut client = Client::connect(address).await;
        // What the last life has left is as it should be.
        for path in 0..PATHS {
            let asked = world.now();
            let answer = one(&mut client, path).await.expect("an answer");
            check(&world, path, asked, &answer);
        }
        until("some of it is on disk", || !crate::disk_rig::slots_on_disk(&cache_dir).is_empty()).await;
        let before = world.purged.lock().unwrap().len();
        let mut all = JoinSet::new();
        for nth in 0..PURGERS {
            all.spawn(storm(Arc::clone(&world), admin, random.u64(..) + nth as u64));
        }
        for _ in 0..CLIENTS {
            all.spawn(ask(Arc::clone(&world), address, random.u64(..)));
        }
        let enough = before + random.usize(1..120);
        until("purges were answered", || world.purged.lock().unwrap().len() >= enough).await;
        tokio::time::sleep(ms(random.u64(..30))).await;
        node.kill().await;
        while all.join_next().await.is_some() {}
    }
    let (purged, kept) = (world.purged.lock().unwrap().len(), world.kept.load(Ordering::Relaxed));
    assert!(purged as u64 > rounds * 10 && kept > rounds, "too little came up: {purged} purged, {kept} kept");
}
