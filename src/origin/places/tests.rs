use tokio::task::JoinHandle;

use super::*;
use crate::origin::health::Rules;

const PATIENCE: Duration = Duration::from_secs(5);
const RULES: Rules = Rules {
    down_after: 1,
    backoff: Duration::from_secs(1),
    max_backoff: Duration::from_secs(30),
    trial: Duration::from_mins(1),
};

fn places(endpoints: usize, connections: usize, queue: usize) -> Arc<Places> {
    let roster = Roster::new((0..endpoints).map(|_| 1), connections, RULES);
    Places::new(roster, endpoints, queue, PATIENCE)
}

/// A request that waits for a place, already in the queue.
async fn waiter(places: &Arc<Places>, tried: &'static [usize]) -> JoinHandle<Result<Place, NoPlace>> {
    let (before, places) = (places.crowd().0, Arc::clone(places));
    let asking = Arc::clone(&places);
    let waiter = tokio::spawn(async move { asking.get(tried).await });
    tokio::task::yield_now().await;
    assert_eq!(places.crowd().0, before + 1);
    waiter
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_served_in_their_order() {
    let places = places(1, 1, 10);
    let held = places.get(&[]).await.unwrap();
    let first = waiter(&places, &[]).await;
    let second = waiter(&places, &[]).await;
    drop(held);
    let place = first.await.unwrap().unwrap();
    assert!(!second.is_finished());
    drop(place);
    assert!(second.await.unwrap().is_ok());
    assert_eq!((places.crowd(), places.state(0)), ((0, 0), (true, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_turns_away_and_a_slow_one_does_in_time() {
    let places = places(1, 1, 1);
    let held = places.get(&[]).await.unwrap();
    let waiter = waiter(&places, &[]).await;
    assert_eq!(places.get(&[]).await.unwrap_err(), NoPlace::Crowded);
    let begun = tokio::time::Instant::now();
    assert_eq!(waiter.await.unwrap().unwrap_err(), NoPlace::Crowded);
    assert_eq!((begun.elapsed(), places.crowd()), (PATIENCE, (0, 2)));
    drop(held);
    assert!(places.get(&[]).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_leaves_leaves_the_place_to_the_next() {
    let places = places(1, 1, 10);
    let held = places.get(&[]).await.unwrap();
    let gone = waiter(&places, &[]).await;
    let stays = waiter(&places, &[]).await;
    gone.abort();
    assert!(gone.await.is_err());
    assert_eq!(places.crowd().0, 1);
    // This one leaves with the place already in its hands.
    let given = waiter(&places, &[]).await;
    drop(held);
    drop(stays.await.unwrap().unwrap());
    given.abort();
    let _ = given.await;
    assert_eq!((places.crowd(), places.state(0)), ((0, 0), (true, 0)));
}

#[tokio::test(start_paused = true)]
async fn one_that_will_not_go_where_it_was_lets_the_next_pass() {
    let places = places(2, 1, 10);
    let (zero, one) = (places.get(&[]).await.unwrap(), places.get(&[]).await.unwrap());
    let picky = waiter(&places, &[0]).await;
    let other = waiter(&places, &[]).await;
    drop(zero);
    assert_eq!(other.await.unwrap().unwrap().index(), 0);
    assert!(!picky.is_finished());
    drop(one);
    assert_eq!(picky.await.unwrap().unwrap().index(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_comes_back_takes_those_who_wait() {
    let places = places(2, 2, 10);
    let mut dead = places.get(&[1]).await.unwrap();
    assert!(dead.failed().is_some());
    drop(dead);
    let held = [places.get(&[]).await.unwrap(), places.get(&[]).await.unwrap()];
    assert!(held.iter().all(|place| place.index() == 1));
    let first = waiter(&places, &[]).await;
    tokio::time::advance(Duration::from_secs(1)).await;
    // Time alone made a place: the next who comes finds the one who waits in front.
    let second = tokio::spawn({
        let places = Arc::clone(&places);
        async move { places.get(&[]).await }
    });
    let mut trial = first.await.unwrap().unwrap();
    assert_eq!(trial.index(), 0);
    assert!(!second.is_finished(), "one request tries it");
    assert!(trial.answered());
    assert_eq!(second.await.unwrap().unwrap().index(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_is_dropped_does_not_leave_the_endpoint_skipped() {
    let places = places(2, 10, 0);
    let mut dead = places.get(&[1]).await.unwrap();
    dead.failed();
    drop(dead);
    tokio::time::advance(Duration::from_secs(1)).await;
    for _ in 0..3 {
        let trial = places.get(&[1]).await.unwrap();
        assert_eq!(trial.index(), 0);
        assert_eq!(places.get(&[1]).await.unwrap_err(), NoPlace::Nobody);
        drop(trial);
    }
}

#[tokio::test]
async fn many_threads_get_their_share_and_lose_no_place() {
    let places = places(3, 7, 1000);
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let places = Arc::clone(&places);
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let mut counts = [0_u32; 3];
                    for _ in 0..5000 {
                        let place = places.get(&[]).await.unwrap();
                        counts[place.index()] += 1;
                        tokio::task::yield_now().await;
                    }
                    counts
                })
            })
        })
        .collect();
    let counts: Vec<[u32; 3]> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
    let sums = [0, 1, 2].map(|index| counts.iter().map(|count| count[index]).sum::<u32>());
    assert!(sums.iter().all(|sum| sum.abs_diff(6667) <= 3), "{sums:?}");
    assert_eq!([0, 1, 2].map(|index| places.state(index)), [(true, 0); 3]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_drained_endpoint_is_told_or_sent_elsewhere() {
    let places = places(2, 1, 10);
    let held = [places.get(&[]).await.unwrap(), places.get(&[]).await.unwrap()];
    let (choosy, easy) = (waiter(&places, &[0]).await, waiter(&places, &[]).await);
    places.drain(1, true);
    assert!(matches!(choosy.await.unwrap(), Err(NoPlace::Nobody)));
    drop(held);
    let place = easy.await.unwrap().unwrap();
    assert_eq!(place.index(), 0);
    places.drain(0, true);
    assert!(matches!(places.get(&[]).await, Err(NoPlace::Nobody)));
    drop(place);
    places.drain(0, false);
    assert_eq!(places.get(&[]).await.unwrap().index(), 0);
}
