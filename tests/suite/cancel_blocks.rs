//! Objects that come block by block, whose clients, fetches, runs, whole answers and gathers are dropped at any of their
//! awaits: others get their bytes, nothing is stuck or left behind, and little is asked for twice.
//!
//! Of a client the future of its connection is dropped. As in [`super::cancel`], tasks are dropped with the runtime that
//! they run on: all those of one client, while another one, on a runtime of its own, reads along.

use std::time::Duration;

use forebay::base::ids::{KeyRules, SiteId};
use forebay::cache::key::{Key, KeyParts};
use forebay::cache::lookup::Lookup;
use forebay::cache::object::Place;
use http::HeaderMap;
use http::uri::Scheme;
use tokio::io::DuplexStream;
use tokio::runtime::Runtime;
use tokio::task::yield_now;

use crate::rig::Pipes;
use crate::support::bytes::pattern_at;
use crate::support::client::{Answer, Client};
use crate::support::ranged::Ranged;
use crate::support::within;

pub const BLOCK: u64 = 1 << 20;

/// Long enough to be divided if it comes whole.
pub const LENGTH: u64 = 17 * BLOCK + 777;

pub const SEED: u64 = 1;

/// More than any of it may take, a slow reader's patience included.
pub const LIMIT: Duration = Duration::from_secs(30);

/// What the heads of objects and connections that idle take of the budget.
const HEADS: u64 = 32 << 10;

/// More than any client is given.
const PIPE: usize = 4 << 20;

/// Blocks that may come ahead of time.
const AHEAD: u64 = 5;

/// What clients want of it.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Each by its first byte and its length.
    parts: &'static [(u64, u64)],
    /// Whether the origin does ranges.
    ranges: bool,
}

pub const WITHIN_A_BLOCK: Wish = Wish { parts: &[(7 * BLOCK + 5, 100)], ranges: true };
pub const ACROSS_BLOCKS: Wish = Wish { parts: &[(8 * BLOCK - 5, 2 * BLOCK + 10)], ranges: true };
const SEVERAL: Wish = Wish { parts: &[(14 * BLOCK, 10), (0, 10), (LENGTH - 5, 5)], ranges: true };
const OF_THE_WHOLE: Wish = Wish { parts: &[(2 * BLOCK - 5, 10)], ranges: false };

impl Wish {
    pub fn origin(self) -> Ranged {
        let ranged = Ranged::new(SEED, LENGTH);
        if self.ranges { ranged } else { ranged.without_ranges() }
    }

    fn asked(self) -> String {
        let part = |(first, length): &(u64, u64)| format!("{first}-{}", first + length - 1);
        format!("bytes={}", self.parts.iter().map(part).collect::<Vec<_>>().join(","))
    }

    pub async fn asks(self, client: &mut Client<DuplexStream>) {
        let fields = [("Range", &*self.asked()), ("Connection", "close")];
        client.request("GET", "/film", &fields, b"").await;
    }

    /// A client that has asked for it, and need not read so that it comes.
    pub async fn client(self, pipes: &Pipes) -> Client<DuplexStream> {
        let (near, serves) = pipes.connection(PIPE);
        pipes.connections.spawn(serves);
        let mut client = Client::over(near);
        self.asks(&mut client).await;
        client
    }

    /// Another client's answer.
    pub async fn get(self, pipes: &Pipes, what: &str) {
        let mut client = self.client(pipes).await;
        self.assert_given(&within(LIMIT, client.read_answer()).await, what);
    }

    #[track_caller]
    pub fn assert_given(self, answer: &Answer, what: &str) {
        assert_eq!((answer.status, answer.complete), (206, true), "{what}: {:?}", answer.headers);
        for (first, length) in self.parts {
            let part = pattern_at(SEED, *first, usize::try_from(*length).unwrap());
            let given = match self.parts {
                [_] => answer.body == part,
                _ => answer.body.windows(part.len()).any(|window| window == part),
            };
            assert!(given, "{what}: wrong bytes");
        }
    }

    /// How it goes if nothing is dropped.
    pub fn undisturbed(self) -> Usual {
        let node = paused();
        let ranged = self.origin();
        let inside = node.enter();
        let pipes = Pipes::new(ranged.script());
        drop(inside);
        let mut client = node.block_on(self.client(&pipes));
        let mut turns = 0;
        while turns < SETTLED || pipes.node.fetcher.running() > 0 {
            node.block_on(yield_now());
            turns += 1;
        }
        self.assert_given(&node.block_on(client.read_answer()), "undisturbed");
        Usual { sent: ranged.sent(), turns }
    }
}

/// More turns than a client takes to have its fetch begin.
const SETTLED: usize = 40;

/// What it takes to bring what a client wants.
#[derive(Clone, Copy, Debug)]
pub struct Usual {
    /// Bytes of the origin.
    sent: u64,
    pub turns: usize,
}

impl Usual {
    /// The turns after which something is dropped: each at first, where most differs, and some of the later ones.
    pub fn walk(self) -> impl Iterator<Item = usize> {
        let every = (self.turns / 60).max(1);
        (0..60).chain((60..self.turns + 20).step_by(every))
    }
}

/// A runtime that polls one task in a turn, and whose time stands still as long as there is something to do.
pub fn paused() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.event_interval(1).enable_all().start_paused(true).build().expect("a runtime")
}

/// Polls a future until it has been pending so often, with a turn of the scheduler between, and then drops it.
pub async fn drop_after<F: Future>(future: F, pendings: usize) -> Option<F::Output> {
    use std::task::{Context, Poll, Waker};
    let mut future = Box::pin(future);
    for _ in 0..pendings {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(done);
        }
        yield_now().await;
    }
    None
}

pub fn key(pipes: &Pipes) -> Key {
    let (site, target) = (&pipes.settings.sites[0], "/film".parse().expect("a target"));
    Key::new(&KeyParts {
        site: SiteId::of(&site.name),
        rules: KeyRules::of(&site.policy.key_rules()),
        scheme: &Scheme::HTTP,
        host: "test",
        target: &target,
        arm: "",
    })
}

/// Bytes of the blocks that memory has, each of which is what it should be.
fn stored(pipes: &Pipes, what: &str) -> u64 {
    let (cache, key) = (&pipes.node.cache, key(pipes));
    let Lookup::Found(hit) = cache.lookup(&key, &HeaderMap::new()) else { panic!("{what}: not stored") };
    let Place::Blocks { count, divided: true } = hit.object.representation.place else {
        panic!("{what}: not divided")
    };
    let blocks = (0..count).filter_map(|index| {
        let block = cache.block_in_memory(&key, &hit.object, index)?;
        let bytes = hit.object.representation.bytes_of(index);
        let length = usize::try_from(bytes.end - bytes.start).unwrap();
        assert!(block == pattern_at(SEED, bytes.start, length), "{what}: block {index} is wrong");
        Some(block.len() as u64)
    });
    blocks.sum()
}

/// Nothing is under way, and of the budget nothing is taken but `base` and what is stored.
pub async fn assert_nothing_left(pipes: &Pipes, base: u64, what: &str) {
    within(LIMIT, pipes.quiet()).await;
    pipes.connections.close();
    within(LIMIT, pipes.connections.wait()).await;
    let means = &pipes.node.means;
    assert_eq!(pipes.node.fetcher.assembling(), 0, "{what}: an assembly was left behind");
    assert_eq!(means.budget.busy_bodies(), 0, "{what}: a body was left behind");
    // Files are closed behind those who had them.
    within(LIMIT, async {
        while means.spill.used() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let stored = stored(pipes, what);
    let mut turns = 0;
    while means.budget.used() > base + stored + HEADS {
        turns += 1;
        assert!(turns < 1000, "{what}: {} are used for {stored}", means.budget.used() - base);
        // What memory has let go of is freed by and by.
        pipes.node.cache.memory_used();
        yield_now().await;
    }
}

/// Whether the client was served before it was dropped.
async fn drop_client_after(wish: Wish, turns: usize, usual: Usual) -> bool {
    let what = format!("{wish:?}, dropped after {turns}");
    let ranged = wish.origin();
    let pipes = Pipes::new(ranged.script());
    let (near, connection) = pipes.connection(PIPE);
    let mut client = Client::over(near);
    wish.asks(&mut client).await;
    let served = drop_after(connection, turns).await.is_some();
    if served {
        wish.assert_given(&client.read_answer().await, &what);
    }
    drop(client);
    wish.get(&pipes, &what).await;
    assert_nothing_left(&pipes, 0, &what).await;
    let most = usual.sent + AHEAD * BLOCK;
    assert!(ranged.sent() <= most, "{what}: {} were sent, {usual:?}", ranged.sent());
    served
}

fn drop_client_anywhere(wish: Wish) {
    let usual = wish.undisturbed();
    let (mut served, mut dropped) = (0, 0);
    for turns in usual.walk() {
        if paused().block_on(drop_client_after(wish, turns, usual)) {
            served += 1;
        } else {
            dropped += 1;
        }
        if served == 3 {
            break;
        }
    }
    assert!(served > 0 && dropped > 4, "{dropped} were dropped, {served} served");
}

#[test]
fn a_client_of_a_range_may_be_dropped_anywhere() {
    drop_client_anywhere(WITHIN_A_BLOCK);
}

#[test]
fn a_client_of_a_range_across_blocks_may_be_dropped_anywhere() {
    drop_client_anywhere(ACROSS_BLOCKS);
}

#[test]
fn a_client_of_several_ranges_may_be_dropped_anywhere() {
    drop_client_anywhere(SEVERAL);
}

#[test]
fn a_client_of_a_whole_answer_may_be_dropped_anywhere() {
    drop_client_anywhere(OF_THE_WHOLE);
}

/// What became of the client that reads along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Failed,
    Given,
}

/// Drops all that one client has brought up after so many turns; the other one has come after so many.
fn drop_tasks_after(wish: Wish, turns: usize, comes: usize, usual: Usual) -> Seen {
    let what = format!("{wish:?}, dropped after {turns}, joined after {comes}");
    let (node, reading) = (paused(), paused());
    let ranged = wish.origin();
    let inside = node.enter();
    let pipes = Pipes::new(ranged.script());
    drop(inside);
    let first = node.block_on(wish.client(&pipes));
    let mut second = None;
    for turn in 0..=turns {
        node.block_on(yield_now());
        if turn == comes {
            second = Some(reading.block_on(wish.client(&pipes)));
        }
        reading.block_on(yield_now());
    }
    drop((node, first));
    let mut second = second.expect("it came before");
    reading.block_on(async {
        let answer = within(LIMIT, second.read_answer()).await;
        let failed = answer.status == 500;
        if !failed {
            wish.assert_given(&answer, &what);
        }
        drop(second);
        wish.get(&pipes, &what).await;
        assert_nothing_left(&pipes, 0, &what).await;
        let most = 2 * usual.sent + AHEAD * BLOCK;
        assert!(ranged.sent() <= most, "{what}: {} were sent, {usual:?}", ranged.sent());
        if failed { Seen::Failed } else { Seen::Given }
    })
}

fn drop_tasks_anywhere(wish: Wish) {
    let usual = wish.undisturbed();
    // At once, on the way, and shortly before.
    let comes = |turns: usize| [turns / 4, turns / 2, turns.saturating_sub(4)][turns % 3];
    let seen: Vec<Seen> =
        usual.walk().map(|turns| drop_tasks_after(wish, turns, comes(turns), usual)).collect();
    let failed = seen.iter().filter(|seen| **seen == Seen::Failed).count();
    // Before the head there is nobody to go on.
    assert!((1..20).contains(&failed), "{failed} failed");
}

#[test]
fn tasks_that_bring_a_range_may_be_dropped_anywhere() {
    drop_tasks_anywhere(WITHIN_A_BLOCK);
}

#[test]
fn tasks_that_bring_a_range_across_blocks_may_be_dropped_anywhere() {
    drop_tasks_anywhere(ACROSS_BLOCKS);
}

#[test]
fn tasks_that_bring_several_ranges_may_be_dropped_anywhere() {
    drop_tasks_anywhere(SEVERAL);
}

#[test]
fn tasks_that_bring_a_whole_answer_may_be_dropped_anywhere() {
    drop_tasks_anywhere(OF_THE_WHOLE);
}

/// As long as somebody reads, what is under way of the object is remembered: but not what was dropped, or has come.
fn drop_tasks_beside_a_reader(turns: usize) {
    const FAR: Wish = Wish { parts: &[(14 * BLOCK, 10)], ranges: true };
    let (node, reading) = (paused(), paused());
    let ranged = FAR.origin();
    let inside = reading.enter();
    let pipes = Pipes::new(ranged.script());
    drop(inside);
    let reads = reading.block_on(async {
        let mut client = pipes.client();
        client.request("GET", "/film", &[("Range", "bytes=0-")], b"").await;
        client.read_head().await;
        // Until it waits for its client.
        tokio::time::sleep(LIMIT).await;
        client
    });
    let bodies = pipes.node.means.budget.busy_bodies();
    let first = node.block_on(FAR.client(&pipes));
    for _ in 0..turns {
        node.block_on(yield_now());
        reading.block_on(yield_now());
    }
    drop((node, first));
    reading.block_on(async {
        FAR.get(&pipes, "after that").await;
        tokio::time::sleep(LIMIT).await;
        assert_eq!(pipes.node.means.budget.busy_bodies(), bodies, "{turns}: a block is held");
        drop(reads);
        assert_nothing_left(&pipes, 0, "after that").await;
    });
}

#[test]
fn blocks_that_were_dropped_are_forgotten_while_somebody_reads() {
    (0..80).step_by(3).for_each(drop_tasks_beside_a_reader);
}
