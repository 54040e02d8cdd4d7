//! Contents that lie behind their records, in the frames of the index (decision 17): which ones do, what is left of them
//! after restarts, kills, damage and cleaning, and what reading them takes.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use forebay::base::units::ByteSize;
use forebay::body::budget::Charge;
use forebay::body::content::Parts;
use forebay::cache::Admission;
use forebay::cache::disk::find::NoHit;
use forebay::cache::disk::intake::Intake;
use forebay::cache::lookup::{Held, Hit};

use crate::disk_faults;
use crate::disk_model::{Model, Slot, Stamp, key, object};
use crate::disk_rig::{DiskNode, FrameOnDisk, binary, content_files, frames_on_disk, until};
use crate::disk_tier::Tier;
use crate::support::bytes::pattern;
use crate::support::client::Client;
use crate::support::origin::{Act, Origin, SeenRequest, respond};

/// What lies in a frame at most, where segments are not small.
const MOST: usize = 64 << 10;
/// Memory for more than this is asked for.
const SMALL: usize = 16 << 10;
const FRESH: (&str, &str) = ("Cache-Control", "max-age=600");

/// An origin whose paths are lengths.
fn by_length(request: &SeenRequest, _: usize) -> Vec<Act> {
    vec![respond("200 OK", &[FRESH], body(length_of(request.path())))]
}

fn length_of(path: &str) -> usize {
    path.trim_start_matches('/').parse().expect("a length")
}

/// The body of a length is of no other.
fn body(length: usize) -> Vec<u8> {
    pattern(length as u64, length).to_vec()
}

async fn node_with(limit: ByteSize, lengths: &[usize]) -> DiskNode {
    let change = |settings: &mut forebay::config::Settings| {
        if let Some(disk) = &mut settings.cache.disk {
            disk.limit = limit.0;
        }
    };
    let mut node = DiskNode::new(change, by_length).await;
    for length in lengths {
        assert_eq!(node.client().await.get(&format!("/{length}")).await.body, body(*length));
        node.settled().await;
    }
    node.stop();
    node
}

/// Asks for all these, and tells how many of them came from the origin.
async fn asked_again(node: &DiskNode, lengths: &[usize]) -> usize {
    let before = node.origin.hits();
    for length in lengths {
        let answer = node.client().await.get(&format!("/{length}")).await;
        assert!(answer.complete && answer.body == body(*length), "{length}");
    }
    node.origin.hits() - before
}

/// The frame with the content of this length.
fn frame_of(cache_dir: &Path, length: usize) -> FrameOnDisk {
    let mut frames = frames_on_disk(cache_dir);
    frames.retain(|frame| frame.content.len() == length);
    frames.pop().expect("a frame with this content")
}

fn flip(file: &PathBuf, at: usize) {
    let file = fs::File::options().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at as u64).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at as u64).unwrap();
}

// ---- what lies where ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contents_up_to_a_limit_lie_in_frames_and_no_others() {
    let lengths = [0, 1, SMALL, SMALL + 1, MOST, MOST + 1];
    let mut node = node_with(ByteSize::mib(512), &lengths).await;
    let mut within: Vec<usize> =
        frames_on_disk(&node.cache_dir()).iter().map(|frame| frame.content.len()).collect();
    within.sort_unstable();
    assert_eq!(within, [0, 0, 1, SMALL, SMALL + 1, MOST], "the empty one, and the head of the longest");
    let files = content_files(&node.cache_dir());
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(fs::read(&files[0]).unwrap(), body(MOST + 1));
    for _ in 0..2 {
        node.start().await;
        assert_eq!(asked_again(&node, &lengths).await, 0);
        node.stop();
    }
}

/// Several of them have to fit into a segment, so that a small limit of the disk still holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_segments_are_small_less_lies_in_frames() {
    let most = 32 << 10;
    let mut node = node_with(ByteSize::mib(16), &[most, most + 1]).await;
    assert_eq!(frame_of(&node.cache_dir(), most).content.len(), most);
    assert_eq!(content_files(&node.cache_dir()).len(), 1);
    node.start().await;
    assert_eq!(asked_again(&node, &[most, most + 1]).await, 0);
}

#[tokio::test]
async fn after_a_kill_all_that_was_written_is_found() {
    let (origin, place) = (Origin::tcp(by_length).await, tempfile::tempdir().unwrap());
    let cache_dir = place.path().join("cache");
    let lengths = [100, SMALL, SMALL + 1, 40_000, MOST, MOST + 1];
    let mut node = binary(&origin.url(), &cache_dir, &[]);
    let mut client = Client::connect(node.listening().await).await;
    for length in lengths {
        assert_eq!(client.get(&format!("/{length}")).await.body, body(length));
    }
    until("all is written", || frames_on_disk(&cache_dir).len() == lengths.len()).await;
    node.kill().await;
    let node = binary(&origin.url(), &cache_dir, &[]);
    let mut client = Client::connect(node.listening().await).await;
    for length in lengths {
        assert_eq!(client.get(&format!("/{length}")).await.body, body(length));
    }
    assert_eq!(origin.hits(), lengths.len());
}

// ---- damage ----

const FOUR: [usize; 4] = [SMALL, SMALL + 1, 40_000, MOST];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_content_costs_its_object_and_no_other() {
    for place in [0, 20_000, 39_999] {
        let mut node = node_with(ByteSize::mib(512), &FOUR).await;
        let frame = frame_of(&node.cache_dir(), 40_000);
        flip(&frame.file, frame.content.start + place);
        node.start().await;
        assert_eq!(asked_again(&node, &FOUR).await, 1, "byte {place}");
        assert_eq!(node.running().node.counters.disk_damaged.get(), 1);
        node.settled().await;
        node.restart().await;
        assert_eq!(asked_again(&node, &FOUR).await, 0, "it was stored anew");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_head_costs_its_object_and_no_other() {
    let mut node = node_with(ByteSize::mib(512), &FOUR).await;
    let frame = frame_of(&node.cache_dir(), 40_000);
    for at in [frame.head.start, frame.head.end - 1] {
        flip(&frame.file, at);
    }
    node.start().await;
    assert_eq!(asked_again(&node, &FOUR).await, 1);
}

/// Without its summary a segment is read frame by frame, as after a kill: the one at its end lacks a byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_that_lacks_its_last_byte_has_lost_its_last_object() {
    let mut node = node_with(ByteSize::mib(512), &FOUR).await;
    let last = frame_of(&node.cache_dir(), MOST);
    let file = fs::File::options().write(true).open(&last.file).unwrap();
    file.set_len(last.content.end as u64).unwrap();
    node.start().await;
    assert_eq!(asked_again(&node, &FOUR).await, 1);
    node.settled().await;
    node.restart().await;
    assert_eq!(asked_again(&node, &FOUR).await, 0);
}

/// Contents are not read while the index is loaded: one that is damaged is found out when it is asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_without_a_summary_is_loaded_with_damaged_contents_in_it() {
    let mut node = node_with(ByteSize::mib(512), &FOUR).await;
    let (damaged, last) = (frame_of(&node.cache_dir(), SMALL + 1), frame_of(&node.cache_dir(), MOST));
    flip(&damaged.file, damaged.content.start);
    // The last frame ends with a byte behind its content.
    fs::File::options().write(true).open(&last.file).unwrap().set_len(last.content.end as u64 + 1).unwrap();
    node.start().await;
    assert_eq!(node.running().node.cache.disk().expect("a disk").entries(), FOUR.len());
    assert_eq!(asked_again(&node, &FOUR).await, 1);
}

// ---- the tier by itself ----

/// The one piece in which a content is.
fn only(held: &Held) -> &[u8] {
    match held {
        Held::Memory(Parts::Inline(bytes)) => bytes,
        Held::Memory(Parts::Blocks(blocks)) if blocks.len() == 1 => &blocks[0],
        other => panic!("{other:?}"),
    }
}

/// What waits to be written counts once, whichever form it has.
#[tokio::test]
async fn what_waits_is_counted_once() {
    let (tier, mut model) = (Tier::new(512 << 20, Admission::Always).await, Model::default());
    let mut waits = |length: usize| {
        let intake = Intake::new(8 << 20, Duration::ZERO);
        let taken = (0..1_000).take_while(|number| {
            let (slot, seed) = (Slot { key: *number, language: None }, *number as u64);
            model.add(slot, tier.cache.next_generation(), Stamp { seed, length });
            let object = object(model.versions.last().unwrap(), tier.cache.sequence());
            let content = Held::Memory(Stamp { seed, length }.content().parts);
            intake.store(seed, &key(*number), Hit { object: Arc::new(object), content })
        });
        taken.count() * length
    };
    let (inline, block) = (waits(MOST - 4_000), waits(MOST + 4_000));
    assert!(inline.abs_diff(block) < 300_000, "{inline} and {block} bytes wait");
}

/// What is left over of a divided object is short, and no file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_last_block_lies_in_a_frame() {
    let long = (17 << 20) + 1_000;
    let fields = [FRESH, ("ETag", "\"a\"")];
    let mut node =
        DiskNode::new(|_| {}, move |_, _| vec![respond("200 OK", &fields, pattern(3, long))]).await;
    assert!(node.client().await.get("/film").await.body == pattern(3, long));
    node.settled().await;
    assert_eq!(content_files(&node.cache_dir()).len(), 17);
    node.restart().await;
    assert!(node.client().await.get("/film").await.body == pattern(3, long));
    assert_eq!(node.origin.hits(), 1);
}

/// In memory a content has the form that it had when it was stored.
#[tokio::test]
async fn a_content_comes_back_in_its_form_and_is_charged() {
    let mut tier = Tier::new(512 << 20, Admission::Always).await;
    for (number, length) in [(1, SMALL), (2, SMALL + 1), (3, MOST), (4, MOST + 1)] {
        tier.store(number, length).await;
        let held = tier.find(number).await.unwrap();
        assert_eq!(matches!(held, Held::Memory(Parts::Inline(_))), length <= MOST);
        assert_eq!(only(&held), Stamp { seed: number as u64, length }.bytes(0, length));
        // Beside it what the keeper has just noted may be charged meanwhile, and the head for a moment.
        let with_it = tier.budget.used();
        drop(held);
        let is_given_back = || tier.budget.used() + length as u64 <= with_it;
        disk_faults::until("it is given back", is_given_back).await.unwrap();
    }
}

#[tokio::test]
async fn where_no_memory_is_left_a_content_waits_for_some_and_stays() {
    let mut tier = Tier::new(512 << 20, Admission::Always).await;
    tier.store(1, SMALL + 1).await;
    let all: Charge = tier.budget.try_charge_body(tier.budget.free_for_bodies()).expect("it is free");
    assert_eq!(tier.find(1).await.err(), Some(NoHit::NoMemory));
    drop(all);
    assert_eq!(only(&tier.find(1).await.unwrap()).len(), SMALL + 1);
    assert_eq!((tier.counters.disk_damaged.get(), tier.counters.disk_read_errors.get()), (0, 0));
}

/// Many times the limit goes through; what is asked for all the time is moved from segment to segment, and stays as it is.
#[tokio::test]
async fn cleaning_keeps_what_is_asked_for_and_keeps_it_whole() {
    let mut tier = Tier::new(8 << 20, Admission::Always).await;
    let lengths = [300, 9_000, SMALL, SMALL + 1, 25_000, 32 << 10];
    for (number, length) in lengths.into_iter().enumerate() {
        tier.store(number, length).await;
    }
    for number in lengths.len()..1_500 {
        for (kept, length) in lengths.into_iter().enumerate() {
            let held = tier.find(kept).await.unwrap_or_else(|why| panic!("{kept} after {number}: {why}"));
            assert_eq!(only(&held), Stamp { seed: kept as u64, length }.bytes(0, length));
        }
        tier.cache.disk().expect("a tier").count(key(number).hash().short());
        tier.store(number, 10_000 + number * 13 % 22_000).await;
    }
    let disk = tier.cache.disk().expect("a tier");
    assert!(disk.used() <= 8 << 20, "{}", disk.used());
    assert!(tier.counters.disk_stored.get() > 1_000, "{}", tier.counters.disk_stored.get());
    assert!(disk.entries() > 100, "{} are left", disk.entries());
}

/// As long as there is room for all, nothing is thrown out, however much is rewritten.
#[tokio::test]
async fn what_fits_stays_while_a_part_of_it_is_written_again_and_again() {
    const LENGTH: usize = 12_000;
    let mut tier = Tier::new(16 << 20, Admission::Frequency).await;
    let many = (16 << 20) * 11 / 20 / LENGTH;
    for round in 0..8 {
        for number in 0..many {
            if round == 0 || number % 2 == 0 {
                tier.store(number, LENGTH).await;
            }
        }
        let disk = tier.cache.disk().expect("a tier");
        assert_eq!(disk.entries(), many, "round {round}");
    }
    assert!(tier.disk.written() > 40 << 20, "it was cleaned often");
    for number in 0..many {
        assert_eq!(only(&tier.find(number).await.unwrap()).len(), LENGTH);
    }
}

/// Objects that are worth all kinds of things, many times the limit of them: with contents in segments, cleaning must not
/// cost more than storing does.
#[tokio::test]
async fn at_the_limit_at_most_one_byte_is_moved_for_each_that_is_stored() {
    for admission in [Admission::Always, Admission::Frequency] {
        let mut tier = Tier::new(8 << 20, admission).await;
        let mut random = fastrand::Rng::with_seed(3);
        let (mut stored, mut written) = (0, 0);
        for number in 0..4_000 {
            if number == 1_000 {
                // It is full by now.
                (stored, written) = (0, tier.disk.written());
            }
            let length = random.usize(200..32 << 10);
            for _ in 0..random.u8(..15) {
                tier.cache.disk().expect("a tier").count(key(number).hash().short());
            }
            let before = tier.counters.disk_stored.get();
            tier.store(number, length).await;
            stored += (tier.counters.disk_stored.get() - before) * (length as u64 + 400);
        }
        let written = tier.disk.written() - written;
        assert!(stored > 24 << 20, "{admission:?}: {stored} bytes were stored");
        println!("{admission:?}: {stored} bytes stored, {written} written");
        // Beside them: summaries, what says that something is gone, and room made for what was not let in after all. By how
        // much depends on when the keeper ages its counts.
        let beside = stored / 8;
        assert!(written <= stored * 2 + beside, "{admission:?}: {written} bytes written for {stored}");
    }
}
