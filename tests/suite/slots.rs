//! Slots of the memory tier that are changed by many at the same time, also while it is given another limit.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use forebay::body::budget::Budget;
use forebay::cache::lookup::{Held, Hit};
use forebay::cache::{Cache, Settings};
use forebay::semantics::vary::VarySet;

use crate::disk_model::{Model, Slot, Stamp, key, object, request};
use crate::reload_memory::Ends;

const SLOTS: usize = 3_000;
const SETS: usize = 8;
/// After so many slots all meet, so that they change the same ones.
const TOGETHER: usize = 50;

fn settings() -> Settings {
    let marker_life = Duration::from_secs(1);
    Settings { memory: 512 << 20, max_markers: 10, marker_life, ledger: 1 << 20, disk: None }
}

#[test]
fn changes_of_one_slot_lose_nothing() {
    change_many(|_, _| false);
}

/// Each resize has every slot moved, most of them while they are changed.
#[test]
fn changes_lose_nothing_while_the_tier_is_built_anew() {
    let limits = [400 << 20, 512 << 20].into_iter().cycle();
    let limits = Mutex::new(limits);
    let resized = AtomicUsize::new(0);
    change_many(|cache, budget| {
        let memory = limits.lock().unwrap().next().expect("a cycle");
        cache.resize(&Settings { memory, ..settings() }, budget);
        assert_eq!(cache.memory_limit(), memory);
        resized.fetch_add(1, Ordering::Relaxed);
        true
    });
    assert!(resized.into_inner() > 1, "it was built anew while there were changes");
}

/// Changes many slots from many threads, while another one does `beside` as long as that returns true.
fn change_many(beside: impl Fn(&Cache, &Arc<Budget>) -> bool + Sync) {
    let budget = Budget::new(1 << 30);
    let cache = Cache::open(&settings(), &budget, &Arc::default()).expect("no disk");
    let sets: Vec<_> =
        (0..SETS).map(|n| VarySet::of_names(vec![format!("x-{n}").parse().unwrap()])).collect();
    let mut model = Model::default();
    let mut hit = |number: usize| {
        let content = Stamp { seed: number as u64, length: 100 };
        model.add(Slot { key: number, language: None }, cache.next_generation(), content);
        let object = object(model.versions.last().unwrap(), cache.sequence());
        Hit { object: Arc::new(object), content: Held::Memory(content.content().parts) }
    };
    let hits: Vec<Hit> = (0..SLOTS).map(&mut hit).collect();
    let meet = Barrier::new(SETS + 1);
    let slots = || {
        (0..SLOTS).inspect(|number| {
            if number % TOGETHER == 0 {
                _ = meet.wait();
            }
        })
    };
    let are_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _ends = Ends(&are_done);
        scope.spawn(|| {
            let mut goes_on = true;
            while goes_on {
                goes_on = beside(&cache, &budget) && !are_done.load(Ordering::Relaxed);
            }
        });
        for set in &sets {
            scope.spawn(|| slots().for_each(|number| cache.note_vary(&key(number), set)));
        }
        for number in slots() {
            assert!(cache.store(&key(number), &hits[number]));
            if number % 2 == 0 {
                cache.remove(&key(number), &hits[number].object);
            }
        }
    });
    for number in 0..SLOTS {
        assert_eq!(cache.known_vary(&key(number)).len(), SETS, "{number}");
        let found = cache.lookup(&key(number), &request(None));
        assert_eq!(found.hit().is_some(), number % 2 == 1, "{number}");
    }
}
