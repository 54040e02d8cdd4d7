//! How often a hit in memory asks the allocator for memory, from its request to the head of its answer. A binary of its
//! own, because it counts by an allocator of its own.

#![allow(clippy::panic)]

#[path = "support/warm.rs"]
mod warm;

use allocation_counter::measure;
use forebay::listener::{Answer, Handler};
use warm::{BROWSER, PLAIN, Warm};

/// The most that a hit may ask for: the host, the key, the lines of the answer, and what is noted of it until it has left.
/// What makes it more has to be worth it.
const MOST: u64 = 4;

fn allocations(warm: &Warm, fields: &[(&'static str, &'static str)]) -> u64 {
    let (request, mut answer) = (warm::request(fields), None);
    let made = measure(|| answer = Some(warm.node.machine.handle(request))).count_total;
    let Some(Answer::Now(reply)) = answer else { panic!("no hit") };
    warm::sent_whole(reply);
    made
}

#[tokio::test]
async fn a_hit_in_memory_allocates_little() {
    let warm = Warm::new().await;
    for fields in [PLAIN, BROWSER] {
        // The tier notes reads in batches: most hits have nothing to do with that.
        let usual = (0..32).map(|_| allocations(&warm, fields)).min();
        assert_eq!(usual, Some(MOST), "{fields:?}");
    }
}
