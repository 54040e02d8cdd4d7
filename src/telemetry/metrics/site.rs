//! What one site's requests came to.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;

use super::histogram::{Distribution, Histogram};
use super::outcome::Outcome;
use super::words::Words;
use crate::telemetry::shards::Sharded;

/// 1xx to 5xx, and whatever an origin makes up.
const CLASSES: usize = 6;

/// The names of the classes of status codes.
const CLASS_NAMES: [&str; CLASSES] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];

/// A request that has come to its end.
#[derive(Clone, Copy, Debug)]
pub struct Finished {
    /// How the cache answered.
    pub outcome: Outcome,
    /// More about that, in a word of the node's own.
    pub detail: Option<&'static str>,
    /// The status that was sent.
    pub status: StatusCode,
    /// From the request's head to the head of its answer.
    pub head: Duration,
    /// Body bytes handed to the connection.
    pub sent: u64,
    /// Why the body did not leave whole, if it did not.
    pub broken: Option<&'static str>,
}

/// The counts of one site. They go on over everything but a restart.
#[derive(Debug)]
pub struct SiteMetrics {
    name: String,
    shards: Sharded<Shard>,
}

#[derive(Debug, Default)]
struct Shard {
    requests: [[AtomicU64; CLASSES]; Outcome::COUNT],
    bytes: AtomicU64,
    hits: Histogram,
    forwarded: Histogram,
    origin: Histogram,
    details: Words,
    broken: Words,
}

impl SiteMetrics {
    pub(super) fn new(name: String, threads: usize) -> Self {
        Self { name, shards: Sharded::new(threads) }
    }

    /// The site's name, from the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts a request, once it has come to its end.
    pub fn finished(&self, request: &Finished) {
        let shard = self.shards.local();
        let by_class = shard.requests.get(request.outcome.index());
        if let Some(count) = by_class.and_then(|classes| classes.get(class(request.status))) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        shard.bytes.fetch_add(request.sent, Ordering::Relaxed);
        let histogram = if request.outcome == Outcome::Hit { &shard.hits } else { &shard.forwarded };
        histogram.record(request.head);
        if let Some(detail) = request.detail {
            shard.details.count(detail);
        }
        if let Some(why) = request.broken {
            shard.broken.count(why);
        }
    }

    /// Notes how long an origin took from the request to its head.
    pub fn origin_took(&self, time: Duration) {
        self.shards.local().origin.record(time);
    }

    /// Requests by outcome and class of status, those that there were.
    pub fn requests(&self) -> impl Iterator<Item = (Outcome, &'static str, u64)> {
        let each = Outcome::all().flat_map(|outcome| (0..CLASSES).map(move |class| (outcome, class)));
        each.filter_map(|(outcome, class)| {
            let count = self.shards.sum(|shard| {
                let by_class = shard.requests.get(outcome.index());
                by_class.and_then(|by| by.get(class)).map_or(0, |count| count.load(Ordering::Relaxed))
            });
            (count > 0).then_some((outcome, CLASS_NAMES.get(class).copied()?, count))
        })
    }

    /// Body bytes handed to connections.
    pub fn bytes(&self) -> u64 {
        self.shards.sum(|shard| shard.bytes.load(Ordering::Relaxed))
    }

    /// How long hits took to their head.
    pub fn hits(&self) -> Distribution {
        self.distribution(|shard| &shard.hits)
    }

    /// How long requests that went forward took to their head.
    pub fn forwarded(&self) -> Distribution {
        self.distribution(|shard| &shard.forwarded)
    }

    /// How long origins took from the request to the head.
    pub fn origin(&self) -> Distribution {
        self.distribution(|shard| &shard.origin)
    }

    /// Requests by detail.
    pub fn details(&self) -> BTreeMap<&'static str, u64> {
        self.words(|shard| &shard.details)
    }

    /// Bodies that did not leave whole, by reason.
    pub fn broken(&self) -> BTreeMap<&'static str, u64> {
        self.words(|shard| &shard.broken)
    }

    fn distribution(&self, of: impl Fn(&Shard) -> &Histogram) -> Distribution {
        let mut sum = Distribution::default();
        self.shards.iter().for_each(|shard| of(shard).add_to(&mut sum));
        sum
    }

    fn words(&self, of: impl Fn(&Shard) -> &Words) -> BTreeMap<&'static str, u64> {
        let mut sum = BTreeMap::new();
        self.shards.iter().for_each(|shard| of(shard).add_to(&mut sum));
        sum
    }
}

fn class(status: StatusCode) -> usize {
    match status.as_u16() / 100 {
        hundred @ 1..=5 => usize::from(hundred) - 1,
        _ => CLASSES - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::cache_status::Forward;

    fn finished(outcome: Outcome, status: u16) -> Finished {
        let status = StatusCode::from_u16(status).expect("a status");
        let head = Duration::from_micros(70);
        Finished { outcome, detail: None, status, head, sent: 10, broken: None }
    }

    #[test]
    fn what_threads_count_is_one_sum() {
        let site = SiteMetrics::new("a".into(), 4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| site.finished(&finished(Outcome::Hit, 200)));
            }
        });
        site.finished(&finished(Outcome::Forwarded(Forward::Stale), 999));
        let requests: Vec<_> = site.requests().collect();
        assert_eq!(requests, [(Outcome::Hit, "2xx", 4), (Outcome::Forwarded(Forward::Stale), "other", 1)]);
        assert_eq!((site.bytes(), site.hits().count(), site.forwarded().count()), (50, 4, 1));
    }

    #[test]
    fn details_and_reasons_are_counted_by_their_words() {
        let site = SiteMetrics::new("a".into(), 1);
        let disk = Finished { detail: Some("disk"), broken: Some("damaged"), ..finished(Outcome::Hit, 200) };
        site.finished(&disk);
        site.finished(&disk);
        assert_eq!(site.details(), BTreeMap::from([("disk", 2)]));
        assert_eq!(site.broken(), BTreeMap::from([("damaged", 2)]));
    }
}
