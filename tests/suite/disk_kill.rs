//! Power cuts, as far as a process can have them: the built binary is killed under load again and again, with its
//! files damaged in between, and never gives a wrong whole.
//!
//! `FOREBAY_KILL_ROUNDS` sets how many rounds there are (the full proof is 100), `FOREBAY_KILL_SEED` repeats the
//! choices of a run, as far as they do not hang on time.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::{JoinError, JoinSet};

use crate::disk_rig::{binary, everything_below, from_environment};
use crate::support::bytes::{Verify, pattern};
use crate::support::client::Client;
use crate::support::origin::{Act, Origin, SeenRequest, respond};
use crate::support::process::Process;

/// Around each border of how content is kept.
const SIZES: [usize; 12] = [
    0,
    1 << 10,
    (16 << 10) - 1,
    16 << 10,
    (16 << 10) + 1,
    64 << 10,
    (64 << 10) + 1,
    100_000,
    (1 << 20) - 1,
    1 << 20,
    (1 << 20) + 1,
    3 << 20,
];
/// What a body has beside its bytes: a strong `ETag`, a weak one, none; variants by language.
const KINDS: [&str; 4] = ["strong", "weak", "none", "vary"];
const LANGUAGES: [&str; 3] = ["en", "de", "fr"];
const NAMES: u64 = 4;
const CLIENTS: usize = 5;
const BLOCK: usize = 1 << 20;

/// Random numbers that a printed seed brings back (`splitmix64`).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

/// `/KIND/SIZE/NAME`: the body follows from the path, the language and the version of the whole site.
fn answer(request: &SeenRequest, version: u64) -> Vec<Act> {
    let parts: Vec<&str> = request.path().split('/').skip(1).collect();
    let [kind, size, name] = parts[..] else { return vec![respond("404 Not Found", &[], "")] };
    let (size, number): (usize, u64) = (size.parse().expect("a size"), name.parse().expect("a number"));
    let language = if kind == "vary" { request.header("accept-language").unwrap_or("en") } else { "-" };
    // Half of the site stays as it is; of the other half each version is another.
    let version = if number.is_multiple_of(2) { 0 } else { version };
    let mut seed = version;
    for byte in request.path().bytes().chain(language.bytes()) {
        seed = seed.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte);
    }
    let etag = match kind {
        "strong" | "vary" => Some(format!("\"{seed:x}\"")),
        "weak" => Some(format!("W/\"{seed:x}\"")),
        _ => None,
    };
    let (seed, length) = (seed.to_string(), size.to_string());
    // Some are stale when they are asked for again.
    let age = if number < NAMES / 2 { "max-age=600" } else { "max-age=1" };
    let mut fields = vec![("Cache-Control", age), ("X-Seed", &seed), ("X-Length", &length)];
    if kind == "vary" {
        fields.extend([("Vary", "Accept-Language"), ("Content-Language", language)]);
    }
    if let Some(etag) = &etag {
        fields.push(("ETag", etag));
        if request.header("if-none-match").is_some_and(|asked| asked.contains(etag.as_str())) {
            return vec![respond("304 Not Modified", &fields, "")];
        }
    }
    vec![respond("200 OK", &fields, pattern(seed.parse().unwrap(), size))]
}

/// What the clients of a round have met.
#[derive(Debug, Default)]
struct Met {
    whole: AtomicU64,
    hits: AtomicU64,
    from_disk: AtomicU64,
    /// Broke off while the node ran: only what spans blocks may, and only once files were damaged.
    broken: AtomicU64,
}

/// One request. `Err`: the connection has ended.
async fn ask(
    client: &mut Client<TcpStream>,
    random: &mut Random,
    met: &Met,
    killed: &AtomicBool,
    damaged: bool,
) -> Result<(), ()> {
    let (kind, size) = (*random.of(&KINDS), *random.of(&SIZES));
    let (name, language) = (random.next() % NAMES, *random.of(&LANGUAGES));
    let path = format!("/{kind}/{size}/{name}");
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nAccept-Language: {language}\r\n\r\n");
    let dead = |what: &str| assert!(killed.load(Ordering::SeqCst), "{path}: {what} while the node ran");
    if client.try_send(request.as_bytes()).await.is_err() {
        dead("the connection was closed");
        return Err(());
    }
    let Some(head) = client.try_head().await else {
        dead("no answer");
        return Err(());
    };
    let status = head.header("cache-status").unwrap_or_default().to_owned();
    assert_eq!(head.status, 200, "{path}: {status}");
    let number = |name: &str| head.header(name).and_then(|text| text.parse::<u64>().ok());
    let (seed, length) = (number("x-seed").expect("a seed"), number("x-length").expect("a length"));
    assert_eq!(length, size as u64, "{path}: the head of another");
    if kind == "vary" {
        assert_eq!(head.header("content-language"), Some(language), "{path}");
    }
    let mut verify = Verify::new(seed);
    while let Some(bytes) = client.read_chunk().await {
        if let Err(wrong) = verify.check(&bytes) {
            panic!("{path} {language}: {wrong}; {status}");
        }
    }
    if client.is_complete() {
        assert_eq!(verify.position(), length, "{path}: a wrong whole; {status}");
        met.whole.fetch_add(1, Ordering::Relaxed);
        met.hits.fetch_add(u64::from(status.contains("; hit")), Ordering::Relaxed);
        met.from_disk.fetch_add(u64::from(status.contains("detail=disk")), Ordering::Relaxed);
        return Ok(());
    }
    if !killed.load(Ordering::SeqCst) {
        assert!(
            damaged && size > BLOCK,
            "{path}: broke off at {} while the node ran; {status}",
            verify.position()
        );
        met.broken.fetch_add(1, Ordering::Relaxed);
    }
    Err(())
}

/// A client that goes on until the node is killed.
async fn load(addr: std::net::SocketAddr, seed: u64, met: Arc<Met>, killed: Arc<AtomicBool>, damaged: bool) {
    let mut random = Random(seed);
    while !killed.load(Ordering::SeqCst) {
        let Ok(io) = TcpStream::connect(addr).await else {
            assert!(killed.load(Ordering::SeqCst), "refused while the node ran");
            return;
        };
        let mut client = Client::over(io);
        while ask(&mut client, &mut random, &met, &killed, damaged).await.is_ok() {
            // Now and then a client leaves in the middle, or begins anew.
            if random.below(40) == 0 {
                break;
            }
        }
    }
}

/// Damages a few files. The lock stays: without it and the version's note together the directory is not ours.
fn damage(cache_dir: &Path, random: &mut Random) -> String {
    let mut files = everything_below(cache_dir);
    files.retain(|path| {
        path.is_file() && !path.ends_with("lock") && !path.starts_with(cache_dir.join("spill"))
    });
    files.sort();
    let mut done = String::new();
    if files.is_empty() {
        return done;
    }
    let index: Vec<PathBuf> =
        files.iter().filter(|path| path.parent().unwrap().ends_with("index")).cloned().collect();
    for _ in 0..=random.below(12) {
        // Half of it hits contents, the other half what little else there is.
        let from = if random.below(4) == 0 && !index.is_empty() { &index } else { &files };
        let (file, other) = (random.of(from).clone(), random.of(&files).clone());
        let note = file.parent() == Some(cache_dir);
        if note && random.below(8) != 0 {
            continue;
        }
        let what = damage_one(&file, &other, random);
        let name = file.strip_prefix(cache_dir).unwrap().display().to_string();
        let _ = write!(done, " {what}:{}", &name[name.len().saturating_sub(12)..]);
    }
    done
}

fn damage_one(file: &Path, other: &Path, random: &mut Random) -> &'static str {
    // Damaged before in this round.
    let Some(mut bytes) =
        fs::symlink_metadata(file).ok().filter(fs::Metadata::is_file).and_then(|_| fs::read(file).ok())
    else {
        return "none";
    };
    match random.below(8) {
        0 | 1 if !bytes.is_empty() => {
            for _ in 0..=random.below(4) {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
            fs::write(file, bytes).unwrap();
            "flip"
        }
        2 => {
            bytes.truncate(random.below(bytes.len() + 1));
            fs::write(file, bytes).unwrap();
            "cut"
        }
        3 => {
            let more = 1 + random.below(5000);
            bytes.extend((0..more).map(|n| u8::try_from(n % 251).unwrap()));
            fs::write(file, bytes).unwrap();
            "grow"
        }
        4 if other != file && fs::symlink_metadata(other).is_ok_and(|found| found.is_file()) => {
            let aside = file.with_extension("aside");
            fs::rename(file, &aside).unwrap();
            fs::rename(other, file).unwrap();
            fs::rename(&aside, other).unwrap();
            "swap"
        }
        5 => {
            fs::remove_file(file).unwrap();
            symlink("/etc/passwd", file).unwrap();
            "link"
        }
        6 => {
            fs::remove_file(file).unwrap();
            fs::create_dir(file).unwrap();
            "directory"
        }
        _ => {
            fs::remove_file(file).unwrap();
            "delete"
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_and_damaged_never_gives_a_wrong_whole() {
    let rounds: u64 = from_environment("FOREBAY_KILL_ROUNDS", 6);
    let chance = std::process::id().into();
    let seed: u64 = from_environment("FOREBAY_KILL_SEED", chance);
    println!("FOREBAY_KILL_SEED={seed} FOREBAY_KILL_ROUNDS={rounds}");
    let (mut random, version) = (Random(seed), Arc::new(AtomicU64::new(0)));
    let now = Arc::clone(&version);
    let origin = Origin::tcp(move |request, _| answer(request, now.load(Ordering::SeqCst))).await;
    let directory = tempfile::tempdir().unwrap();
    let cache_dir = directory.path().join("cache");
    let passwd = fs::read("/etc/passwd").unwrap();
    let mut damaged = false;
    for round in 0..rounds {
        version.store(round / 3, Ordering::SeqCst);
        let mut node = start(&origin, &cache_dir).await;
        let (addr, met, killed) =
            (node.listening().await, Arc::<Met>::default(), Arc::new(AtomicBool::new(false)));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(load(addr, random.next(), Arc::clone(&met), Arc::clone(&killed), damaged));
        }
        // Some are killed while they load their index, some when much is stored.
        let longest = *random.of(&[60, 600, 3000]);
        let pause = Duration::from_millis(random.next() % longest);
        let failed = tokio::time::timeout(pause, clients.join_next()).await;
        killed.store(true, Ordering::SeqCst);
        node.kill().await;
        if let Ok(Some(Err(error))) = failed {
            panic!("round {round}: {error}; it said:\n{}", node.lines().join("\n"));
        }
        while let Some(client) = clients.join_next().await {
            let failed = client.err().filter(|error| !cut_in_a_head(error));
            if let Some(error) = failed {
                panic!("round {round}: {error}; it said:\n{}", node.lines().join("\n"));
            }
        }
        let lines = node.lines();
        assert!(!lines.iter().any(|line| line.contains("panicked")), "{}", lines.join("\n"));
        let offline = if lines.iter().any(|line| line.contains("out of use")) { " OFFLINE" } else { "" };
        println!("round {round}: killed after {pause:?}; {met:?}{offline}");
        if round % 2 == 1 {
            println!("  damage:{}", damage(&cache_dir, &mut random));
            damaged = true;
        }
    }
    // At the end everything is asked for once more, and the node ends in good order.
    let mut node = start(&origin, &cache_dir).await;
    let (addr, met, alive) = (node.listening().await, Met::default(), AtomicBool::new(false));
    let mut client = Client::connect(addr).await;
    for _ in 0..200 {
        if ask(&mut client, &mut random, &met, &alive, damaged).await.is_err() {
            client = Client::connect(addr).await;
        }
    }
    println!("at the end: {met:?}");
    node.terminate();
    assert_eq!(node.exit_code().await, Some(0));
    origin.assert_clean();
    assert_eq!(fs::read("/etc/passwd").unwrap(), passwd, "a link was followed");
}

/// The client takes half a head for malformed, which it is unless the node was killed.
fn cut_in_a_head(error: &JoinError) -> bool {
    // What a task panicked with is told by its display.
    error.to_string().contains("inside a head")
}

async fn start(origin: &Origin, cache_dir: &Path) -> Process {
    let node = binary(&origin.url(), cache_dir, &["--memory", "64MiB", "--disk", "64MiB"]);
    node.listening().await;
    node
}
