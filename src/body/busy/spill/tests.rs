//! The area by itself: shares, waiting, and what is given back.

use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const BATCH: u64 = 64 << 10;

fn area(limit: u64) -> Arc<SpillArea> {
    SpillArea::new(std::env::temp_dir(), limit)
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Woken {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn poll(wait: &mut std::pin::Pin<&mut RoomFor>, woken: &Arc<Woken>) -> Poll<()> {
    wait.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(woken))))
}

/// Everything of the area, whoever has how much.
fn all(area: &Arc<SpillArea>) -> Room {
    let bytes = area.free();
    area.used.fetch_add(bytes, Ordering::Relaxed);
    Room { area: Arc::clone(area), bytes }
}

#[test]
fn a_wait_is_over_when_room_is_given_back_and_its_task_is_woken() {
    let area = area(1 << 20);
    let room = all(&area);
    let woken = Arc::new(Woken::default());
    let mut wait = pin!(RoomFor::new(&area, Some(0), BATCH));
    assert!(poll(&mut wait, &woken).is_pending() && area.waiting() == 1);
    drop(room);
    assert_eq!((woken.count(), area.waiting()), (1, 0));
    assert!(poll(&mut wait, &woken).is_ready());
}

#[test]
fn the_smallest_is_woken_first_and_the_next_when_that_one_goes_on_or_away() {
    let area = area(20 << 20);
    let room = all(&area);
    let woken: [Arc<Woken>; 3] = Default::default();
    let mut waits: Vec<_> =
        [3 << 20, 1 << 20, 2 << 20].map(|own| Box::pin(RoomFor::new(&area, Some(own), BATCH))).into();
    for (wait, woken) in waits.iter_mut().zip(&woken) {
        assert!(poll(&mut wait.as_mut(), woken).is_pending());
    }
    drop(room);
    let counts = || woken.each_ref().map(|woken| woken.count());
    assert_eq!(counts(), [0, 1, 0]);
    drop(waits.remove(1));
    assert_eq!(counts(), [0, 1, 1], "whoever goes away wakes the next one");
    // It looked, and went on.
    assert!(poll(&mut waits[1].as_mut(), &woken[2]).is_ready());
    drop(waits.remove(1));
    assert_eq!(counts(), [1, 1, 1]);
}

#[test]
fn nobody_is_woken_for_less_than_is_needed() {
    let area = area(10 << 20);
    let mut room = all(&area);
    let woken = Arc::new(Woken::default());
    let mut wait = pin!(RoomFor::new(&area, Some(1 << 20), BATCH));
    assert!(poll(&mut wait, &woken).is_pending());
    room.shrink(2 << 20);
    assert_eq!((woken.count(), area.waiting()), (0, 1), "twice of what it will have has to be left");
    room.shrink(1 << 20);
    assert_eq!(woken.count(), 1);
}

#[test]
fn what_is_dead_is_given_back_before_the_end() {
    let area = area(1 << 30);
    let file = SpillFile::create(&area, area.place_for_file().expect("a place")).expect("a file");
    let piece = Bytes::from(vec![7; 3 << 20]);
    let room = area.try_take(0, 3 << 20).expect("room");
    assert_eq!(file.append(std::slice::from_ref(&piece), room).expect("written"), 0);
    file.is_dead_to((1 << 20) - 1);
    assert_eq!(area.used(), 3 << 20, "too little to be worth it");
    file.is_dead_to((2 << 20) + 5);
    assert_eq!((area.used(), file.held()), (1 << 20, 1 << 20));
    let rest = file.read(2 << 20, vec![0; 1 << 20]).expect("read");
    assert!(rest == piece[..1 << 20], "what is not dead is there");
    drop(file);
    assert_eq!(area.used(), 0);
}

#[test]
fn a_directory_that_fails_costs_no_room() {
    let area = SpillArea::new("/nonexistent/forebay".into(), 1 << 30);
    let room = area.try_take(0, BATCH).expect("room");
    assert!(SpillFile::create(&area, area.place_for_file().expect("a place")).is_err());
    drop(room);
    assert_eq!(area.used(), 0);
}

proptest! {
    /// Bodies grow by turns, whoever it is, and some end: the area is never over its limit, and whoever is refused is so before
    /// any that has less.
    #[test]
    fn the_largest_is_refused_first(turns in prop::collection::vec((0..40_usize, 0..20_u8), 1..2000)) {
        let limit = 200 * BATCH;
        let area = area(limit);
        let nothing = || Room { area: Arc::clone(&area), bytes: 0 };
        let mut bodies: Vec<Room> = (0..40).map(|_| nothing()).collect();
        for (index, what) in turns {
            if what == 0 {
                bodies[index] = nothing();
                continue;
            }
            let own = bodies[index].bytes;
            match area.try_take(own, BATCH) {
                Some(room) => bodies[index].add(room),
                None => {
                    for other in bodies.iter().map(|body| body.bytes).filter(|bytes| *bytes > own) {
                        prop_assert!(area.try_take(other, BATCH).is_none(), "a larger one may grow");
                    }
                }
            }
            let used = bodies.iter().map(|body| body.bytes).sum::<u64>();
            prop_assert!(used == area.used() && used <= limit);
        }
    }
}

#[test]
fn those_that_grow_together_get_as_much_and_leave_room_for_one_more() {
    for count in [1_u64, 2, 10, 200] {
        let area = area(10_000 * BATCH);
        let mut bodies: Vec<Room> = (0..count).map(|_| Room { area: Arc::clone(&area), bytes: 0 }).collect();
        let mut has_grown = true;
        while has_grown {
            has_grown = false;
            for body in &mut bodies {
                if let Some(room) = area.try_take(body.bytes, BATCH) {
                    body.add(room);
                    has_grown = true;
                }
            }
        }
        let each = area.limit() / (count + 2);
        for body in &bodies {
            assert!(body.bytes.abs_diff(each) <= 2 * BATCH, "{} of {count} is not {each}", body.bytes);
        }
        assert!(area.try_take(0, BATCH).is_some(), "one more beside {count}");
    }
}
