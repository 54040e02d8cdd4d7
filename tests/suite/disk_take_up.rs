//! What is read from disk goes into memory as long as there is room, and then if it is asked for again soon.

use std::sync::Arc;

use forebay::cache::Admission;
use forebay::cache::lookup::{Held, Hit};

use crate::disk_faults::Request;
use crate::disk_model::{key, request};
use crate::disk_tier::Tier;

/// Some sixty objects' room.
const MEMORY: u64 = 1 << 20;
const LENGTH: usize = 16_000;

/// A tier that has so many objects on disk, and as many of them in memory as there is room for.
async fn with_full_memory(objects: usize) -> Tier {
    let mut tier = Tier::with_memory(MEMORY, 512 << 20, Admission::Always).await;
    for number in 0..objects {
        tier.store(number, LENGTH).await;
    }
    assert!(tier.cache.memory_used() > MEMORY * 9 / 10, "memory is full");
    tier
}

fn has_in_memory(tier: &Tier, number: usize) -> bool {
    let found = tier.cache.lookup(&key(number), &request(None));
    matches!(found.hit(), Some(Hit { content: Held::Memory(_), .. }))
}

/// Asks for it as a request does that memory could not answer.
async fn read_from_disk(tier: &Tier, number: usize) {
    let request = Arc::new(Request(request(None)));
    assert!(tier.cache.find(&key(number), &request).await.is_some(), "{number} is on disk");
}

#[tokio::test]
async fn what_is_asked_for_once_does_not_turn_memory_over() {
    let tier = with_full_memory(400).await;
    let (here, elsewhere): (Vec<_>, Vec<_>) = (0..400).partition(|number| has_in_memory(&tier, *number));
    assert!(here.len() > 40 && elsewhere.len() > 300, "{} objects are in memory", here.len());
    for number in &elsewhere {
        read_from_disk(&tier, *number).await;
    }
    tier.cache.memory_used();
    assert!(!elsewhere.iter().any(|number| has_in_memory(&tier, *number)), "one was taken up");
    assert!(here.iter().all(|number| has_in_memory(&tier, *number)), "one had to go");
}

#[tokio::test]
async fn what_is_asked_for_again_soon_goes_into_memory() {
    let tier = with_full_memory(400).await;
    let elsewhere: Vec<_> = (0..400).filter(|number| !has_in_memory(&tier, *number)).take(20).collect();
    for number in &elsewhere {
        for _ in 0..8 {
            if !has_in_memory(&tier, *number) {
                read_from_disk(&tier, *number).await;
            }
        }
    }
    let taken_up = elsewhere.iter().filter(|number| has_in_memory(&tier, **number)).count();
    assert!(taken_up >= 15, "{taken_up} of 20 are in memory");
}
