//! What the random lives of `disk_faults` have found, and what was found by reading, each made to happen for certain.

use std::sync::Arc;
use std::time::Duration;

use forebay::base::ids::Generation;
use forebay::cache::disk::health::Health;
use forebay::cache::disk::volume::Note;
use forebay::cache::lookup::{Held, Hit, Lookup};
use forebay::cache::object::Object;
use forebay::cache::{Admission, Cache};
use http::HeaderMap;

use crate::disk_faults::{Request, disk_settings, open, until};
use crate::disk_model::{Model, Slot, Stamp, key, object, request};
use crate::support::disk::{Disk, Make};

/// A disk, the process that has it, and what was stored.
struct Rig {
    disk: Disk,
    cache: Option<Cache>,
    model: Model,
    memory: u64,
    limit: u64,
    /// Time between the keeper's looks at the disk.
    every: Duration,
}

const SHORT: Duration = Duration::from_millis(1);

/// Longer than any test: the keeper does nothing by itself.
const NEVER: Duration = Duration::from_hours(1);

impl Rig {
    async fn new(memory: u64, every: Duration) -> Self {
        Self::under(64 << 20, memory, every).await
    }

    async fn under(limit: u64, memory: u64, every: Duration) -> Self {
        let disk = Disk::new(1, Make { capacity: 1 << 40, ordered: true, cached: false });
        let mut rig = Self { disk, cache: None, model: Model::default(), memory, limit, every };
        rig.start();
        rig.loaded().await;
        rig
    }

    fn start(&mut self) {
        let mut settings = disk_settings(self.limit, 256 << 20, Admission::Always);
        (settings.sync, settings.retry) = (self.every, self.every);
        settings.load_patience = Duration::from_secs(5);
        self.cache = Some(open(&self.disk, self.memory, settings).unwrap().0);
    }

    async fn loaded(&self) {
        let tier = self.cache().disk().unwrap();
        until("serving", || tier.health() == Health::Serving).await.unwrap();
        until("swept", || tier.is_swept()).await.unwrap();
    }

    /// The process is killed; the next one finds everything that it had written.
    fn kill(&mut self) {
        self.cache = None;
        self.disk = self.disk.kill();
    }

    fn cache(&self) -> &Cache {
        self.cache.as_ref().unwrap()
    }

    fn store(&mut self, slot: Slot, length: usize) -> Arc<Object> {
        let generation = self.cache().next_generation();
        self.store_as(slot, generation, length).0
    }

    fn store_as(&mut self, slot: Slot, generation: Generation, length: usize) -> (Arc<Object>, bool) {
        let content = Stamp { seed: 1 + self.model.versions.len() as u64, length };
        let number = self.model.add(slot, generation, content);
        let object = Arc::new(object(self.model.versions.last().unwrap(), self.cache().sequence()));
        let hit = Hit { object: Arc::clone(&object), content: Held::Memory(content.content().parts) };
        let stored = self.cache().store(&key(slot.key), &hit);
        self.model.stored(slot, number);
        (object, stored)
    }

    async fn settle(&self) {
        until("settled", || self.cache().disk().unwrap().is_settled()).await.unwrap();
    }

    /// The version that a request is answered with.
    async fn ask(&self, slot: Slot) -> Option<u64> {
        let (key, request) = (key(slot.key), Arc::new(Request(request(slot.language))));
        let hit = match self.cache().lookup(&key, &request.0) {
            Lookup::Found(hit) => hit,
            Lookup::Miss(_) => self.cache().find(&key, &request).await?,
        };
        version(&hit)
    }
}

impl Rig {
    /// The version that the disk has for a request, whatever is in memory.
    async fn ask_disk(&self, slot: Slot) -> Option<u64> {
        let request = Arc::new(Request(request(slot.language)));
        version(&self.cache().find(&key(slot.key), &request).await?)
    }
}

fn version(hit: &Hit) -> Option<u64> {
    hit.object.head.headers().get("x-version")?.to_str().ok()?.parse().ok()
}

const fn plain(key: usize) -> Slot {
    Slot { key, language: None }
}

/// Debts that cannot be paid right after a disk was loaded anew, because it is full, leave it unseen for good.
#[tokio::test]
async fn a_disk_that_was_full_when_it_came_back_is_seen_again() {
    let mut rig = Rig::new(1, SHORT).await;
    for slot in 1..6 {
        rig.store(plain(slot), 100);
    }
    rig.settle().await;
    rig.disk.err(Some(1));
    for slot in 1..6 {
        rig.store(plain(slot), 100);
    }
    let tier = rig.cache().disk().unwrap();
    until("offline", || matches!(tier.health(), Health::Offline(_)) && tier.is_settled()).await.unwrap();
    // Room for the ledger, which is begun anew, but not for five frames that say that a slot is empty.
    rig.disk.leave_room(140);
    rig.disk.err(None);
    until("read-only", || matches!(tier.health(), Health::ReadOnly(_))).await.unwrap();
    rig.disk.leave_room(1 << 30);
    until("serving", || tier.health() == Health::Serving).await.unwrap();
    rig.store(plain(6), 100);
    rig.settle().await;
    assert_eq!(rig.ask_disk(plain(6)).await, Some(10));
}

/// The newest segment is cut to nothing if it cannot be read while the index is loaded, once.
#[tokio::test]
async fn one_error_while_loading_loses_nothing() {
    let mut rig = Rig::new(1, SHORT).await;
    rig.store(plain(1), 100);
    rig.settle().await;
    rig.kill();
    // Two notes, then the end of the segment.
    rig.disk.err_at_read(2);
    rig.start();
    rig.loaded().await;
    assert_eq!(rig.ask(plain(1)).await, Some(0));
}

/// What a newer segment says is not known, and what an older one says is served.
#[tokio::test]
async fn one_error_while_loading_brings_nothing_older_back() {
    let mut rig = Rig::new(1, SHORT).await;
    rig.store(plain(1), 100);
    for other in 100..120 {
        rig.store(plain(other), 16 << 10);
        rig.settle().await;
    }
    rig.store(plain(1), 100);
    rig.settle().await;
    assert!(rig.disk.segment_bytes().len() > 1);
    rig.kill();
    rig.disk.err_at_read(2);
    rig.start();
    rig.loaded().await;
    let latest = rig.model.versions.len() as u64 - 1;
    assert_eq!(rig.ask(plain(1)).await.filter(|version| *version < latest), None, "the latest is {latest}");
}

/// A client that reads slowly holds a pin, the pin holds the disk, and the disk's lock keeps the node from itself.
#[tokio::test]
async fn a_disk_comes_back_while_a_reader_holds_a_pin() {
    let mut rig = Rig::new(1, SHORT).await;
    rig.store(plain(1), (1 << 20) + 1000);
    rig.settle().await;
    let request = Arc::new(Request(HeaderMap::new()));
    let held = rig.cache().find(&key(1), &request).await.expect("a hit");
    assert!(matches!(held.content, Held::Disk(..)));
    rig.disk.err(Some(1));
    rig.store(plain(2), 100);
    let tier = rig.cache().disk().unwrap();
    until("offline", || matches!(tier.health(), Health::Offline(_))).await.unwrap();
    rig.disk.err(None);
    until("serving", || tier.health() == Health::Serving).await.unwrap();
}

/// Begins to find what is on disk, and has it read, but does not take it up before `meanwhile`.
async fn found_late(rig: &Rig, slot: Slot, meanwhile: impl FnOnce()) -> Option<u64> {
    let request = Arc::new(Request(HeaderMap::new()));
    let key = key(slot.key);
    let before = rig.disk.counts().0;
    let find = loop {
        let mut find = Box::pin(rig.cache().find(&key, &request));
        tokio::select! {
            biased;
            // The thread was done before it was waited for: nothing has come late yet.
            _ = &mut find => {}
            () = std::future::ready(()) => break find,
        }
    };
    while rig.disk.counts().0 == before {
        std::thread::yield_now();
    }
    // The thread has read and is about to hand it over; nothing else can be waited for.
    std::thread::sleep(Duration::from_millis(20));
    meanwhile();
    find.await.as_ref().and_then(version)
}

#[tokio::test]
async fn what_is_removed_while_it_is_read_does_not_come_back() {
    let mut rig = Rig::new(1 << 20, NEVER).await;
    let object = rig.store(plain(1), 100);
    rig.settle().await;
    rig.kill();
    rig.start();
    rig.loaded().await;
    found_late(&rig, plain(1), || rig.cache().remove(&key(1), &object)).await;
    rig.settle().await;
    assert_eq!(rig.ask(plain(1)).await, None);
}

#[tokio::test]
async fn what_is_confirmed_while_it_is_read_keeps_its_new_head() {
    let mut rig = Rig::new(1 << 20, NEVER).await;
    let old = rig.store(plain(1), 100);
    rig.settle().await;
    rig.kill();
    rig.start();
    rig.loaded().await;
    // Another request has found it before, and has it confirmed now.
    let content = rig.model.versions[0].content;
    let number = rig.model.add(plain(1), old.generation, content);
    let object = object(rig.model.versions.last().unwrap(), rig.cache().sequence());
    let hit = Hit { object: Arc::new(object), content: Held::Memory(content.content().parts) };
    found_late(&rig, plain(1), || assert!(rig.cache().store(&key(1), &hit))).await;
    rig.settle().await;
    assert_eq!(rig.ask(plain(1)).await, Some(number));
}

/// "False if one with a later head is there": memory has let go of it (here it takes nothing), the disk has not.
#[tokio::test]
async fn a_late_store_does_not_hide_a_later_one_on_disk() {
    let mut rig = Rig::new(1, SHORT).await;
    let early = rig.cache().next_generation();
    rig.store(plain(1), 100);
    rig.settle().await;
    // Memory evicts when it is asked what it holds.
    assert_eq!(rig.cache().memory_used(), 0);
    let (_, stored) = rig.store_as(plain(1), early, 100);
    assert_eq!((stored, rig.ask(plain(1)).await), (false, Some(0)));
}

/// Until the disk could be opened once, generations are those of epoch zero, older than all that is on it.
#[tokio::test]
async fn what_was_fetched_before_the_disk_came_up_is_newer_than_what_is_on_it() {
    let mut rig = Rig::new(1, SHORT).await;
    rig.store(plain(1), 100);
    rig.settle().await;
    rig.kill();
    rig.disk.err(Some(1));
    rig.start();
    // The head of the answer comes while the disk is out of use.
    let generation = rig.cache().next_generation();
    rig.disk.err(None);
    rig.loaded().await;
    rig.store_as(plain(1), generation, 100);
    rig.settle().await;
    assert_eq!(rig.ask_disk(plain(1)).await.filter(|version| *version < 1), None);
}

/// A note that was lost while the disk was out of use starts the epochs anew, below that of the process.
#[tokio::test]
async fn the_epoch_grows_although_the_disk_was_set_aside() {
    let mut rig = Rig::new(1, SHORT).await;
    for _ in 0..2 {
        rig.kill();
        rig.start();
        rig.loaded().await;
    }
    let tier = rig.cache().disk().unwrap();
    rig.disk.err(Some(1));
    rig.cache().remove(
        &key(1),
        &object(
            &crate::disk_model::Version {
                slot: plain(1),
                headers: HeaderMap::new(),
                generation: Generation(1),
                content: Stamp { seed: 1, length: 1 },
            },
            rig.cache().sequence(),
        ),
    );
    until("offline", || matches!(tier.health(), Health::Offline(_))).await.unwrap();
    rig.disk.alter_note(Note::Format, None);
    rig.disk.alter_note(Note::Epoch, None);
    rig.disk.err(None);
    rig.loaded().await;
    rig.store(plain(1), 100);
    rig.settle().await;
    let before = rig.cache().sequence().epoch;
    let last = rig.cache().next_generation();
    rig.kill();
    rig.start();
    rig.loaded().await;
    let (epoch, first) = (rig.cache().sequence().epoch, rig.cache().next_generation());
    assert!(epoch > before && first > last, "epoch {epoch} after {before}, {first:?} after {last:?}");
}

/// That a plain object is to go takes the `Vary` sets with it that were to be noted beside it.
#[tokio::test]
async fn a_variant_is_found_although_the_plain_object_was_removed_meanwhile() {
    let mut rig = Rig::new(1, SHORT).await;
    let old = rig.store(plain(1), 100);
    rig.settle().await;
    let variant = Slot { key: 1, language: Some(0) };
    let disk = rig.disk.clone();
    let frozen = disk.freeze();
    // The keeper is at this when the rest comes.
    rig.store(plain(2), 100);
    std::thread::sleep(Duration::from_millis(20));
    rig.store(variant, 100);
    rig.cache().remove(&key(1), &old);
    drop(frozen);
    rig.settle().await;
    rig.kill();
    rig.start();
    rig.loaded().await;
    assert_eq!(rig.ask(variant).await, Some(2));
}

/// What is alive in a segment is moved, the segment is removed, and of the two only the removal outlives the power: an
/// older segment has the last word.
#[tokio::test]
async fn a_power_cut_after_cleaning_brings_nothing_older_back() {
    let mut rig = Rig::under(5 << 20, 1, NEVER).await;
    let store = async |rig: &mut Rig, number: usize| {
        rig.store(plain(number), 16 << 10);
        rig.settle().await;
    };
    let holds = |rig: &Rig, number: u32| rig.disk.segment_bytes().iter().any(|(held, _)| *held == number);
    store(&mut rig, 1).await;
    // The first segment stays, because all else in it is alive; the second becomes garbage but for one record.
    let mut other = 100;
    while !holds(&rig, 2) {
        other += 1;
        store(&mut rig, other).await;
    }
    store(&mut rig, 1).await;
    let latest = rig.model.versions.len() as u64 - 1;
    while !holds(&rig, 3) {
        store(&mut rig, 2).await;
    }
    while holds(&rig, 2) {
        other += 1;
        store(&mut rig, other).await;
    }
    assert!(holds(&rig, 1));
    let cut = rig.disk.clone();
    for _ in 0..60 {
        rig.cache = None;
        rig.disk = cut.crash();
        rig.start();
        let tier = rig.cache().disk().unwrap();
        until("serving", || tier.health() == Health::Serving).await.unwrap();
        let found = rig.ask_disk(plain(1)).await;
        assert!(
            found.is_none_or(|found| found == latest),
            "{found:?} is older than {latest}, which was durable"
        );
    }
}

/// Contents that a kill has left take room until they are swept, and the sweep waits until nothing else is to be done.
#[tokio::test]
async fn what_a_kill_has_left_counts_until_it_is_swept() {
    let mut rig = Rig::new(1, SHORT).await;
    // The process ends before the head is written that would name these blocks.
    rig.disk.go_off_in(15);
    rig.store(plain(1), 15 << 20);
    until("off", || rig.disk.is_off()).await.unwrap();
    rig.kill();
    assert!(rig.disk.bytes() > 12 << 20, "{}", rig.disk.bytes());
    rig.start();
    let disk = rig.disk.clone();
    {
        let _frozen = disk.freeze();
        for number in 2..60 {
            rig.store(plain(number), 1 << 20);
        }
    }
    rig.settle().await;
    assert!(rig.disk.peak() <= rig.limit, "{} bytes of {}", rig.disk.peak(), rig.limit);
}

#[tokio::test]
async fn an_older_store_does_not_undo_a_removal() {
    for _ in 0..20 {
        let mut rig = Rig::new(1, NEVER).await;
        let older = rig.cache().next_generation();
        let newer = rig.store(plain(1), 100);
        rig.settle().await;
        rig.cache().remove(&key(1), &newer);
        rig.store_as(plain(1), older, 200);
        rig.settle().await;
        rig.kill();
        rig.start();
        rig.loaded().await;
        assert_ne!(rig.ask_disk(plain(1)).await, version_of(&newer));
    }
}

#[tokio::test]
async fn a_removal_of_something_older_does_not_undo_a_later_one() {
    for _ in 0..20 {
        let mut rig = Rig::new(1, NEVER).await;
        let older = rig.store(plain(1), 100);
        let newer = rig.store(plain(1), 100);
        rig.settle().await;
        rig.cache().remove(&key(1), &newer);
        rig.cache().remove(&key(1), &older);
        rig.settle().await;
        assert_eq!(rig.ask_disk(plain(1)).await, None);
    }
}

fn version_of(object: &Object) -> Option<u64> {
    object.head.headers().get("x-version")?.to_str().ok()?.parse().ok()
}

/// Words that slots are empty can only be dropped from the oldest segment, which may be full of what is asked for all the
/// time: a long scan must not fill the log with them.
#[tokio::test]
async fn emptied_slots_do_not_pile_up() {
    const HOT: usize = 2000;
    let disk = Disk::new(1, Make { capacity: 1 << 40, ordered: true, cached: false });
    let mut settings = disk_settings(16 << 20, 256 << 20, Admission::Frequency);
    settings.sync = NEVER;
    let (cache, _) = open(&disk, 1, settings).unwrap();
    let tier = cache.disk().unwrap();
    until("serving", || tier.health() == Health::Serving && tier.is_swept()).await.unwrap();
    let ask_for_hot = || (0..HOT * 10).for_each(|ask| tier.count(key(ask % HOT).hash().short()));
    let put = |number: usize| {
        let mut model = Model::default();
        let content = Stamp { seed: number as u64 + 1, length: 500 };
        model.add(plain(number), cache.next_generation(), content);
        let object = Arc::new(object(model.versions.last().unwrap(), cache.sequence()));
        tier.count(key(number).hash().short());
        cache.store(&key(number), &Hit { object, content: Held::Memory(content.content().parts) });
    };
    let mut entries = Vec::new();
    for number in 0..120_000 {
        put(number);
        if number % 2000 == 0 {
            ask_for_hot();
            until("settled", || tier.is_settled()).await.unwrap();
        }
        if number % 40_000 == 39_999 {
            entries.push(tier.entries());
        }
    }
    assert!(entries[2] * 10 > entries[0] * 9, "there is room for ever less: {entries:?}");
}
