//! What the benches of the disk tier share: a cache on a real directory, and objects for it.

#![allow(dead_code, missing_docs, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay::base::clock::Timestamp;
use forebay::base::ids::{KeyRules, SiteId};
use forebay::body::budget::Budget;
use forebay::body::content::{BLOCK, Content, INLINE_MAX, Parts};
use forebay::cache::codings::Codings;
use forebay::cache::disk::health::Health;
use forebay::cache::key::{Key, KeyParts};
use forebay::cache::ledger::Checked;
use forebay::cache::lookup::{Held, Hit, Lookup};
use forebay::cache::object::{Heat, Object, Representation, StoredHead};
use forebay::cache::{Admission, Cache, DiskSettings, Settings};
use forebay::semantics::freshness::Freshness;
use forebay::semantics::reuse::{Reuse, Stale, Terms};
use forebay::semantics::vary::VarySet;
use forebay::telemetry::counters::Counters;
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, StatusCode};

/// When everything happens.
pub const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

pub struct Rig {
    pub cache: Cache,
    pub counters: Arc<Counters>,
    request: Arc<Fields>,
}

/// The fields of a request that asks for nothing special.
struct Fields(HeaderMap);

impl AsRef<HeaderMap> for Fields {
    fn as_ref(&self) -> &HeaderMap {
        &self.0
    }
}

impl Rig {
    /// A cache with so many bytes of disk in `directory`, so many of memory for its index, and for its memory tier.
    pub fn open(directory: &Path, disk: u64, index: u64, memory: u64, admission: Admission) -> Self {
        let mut disk = DiskSettings::new(directory.to_owned(), disk, index);
        disk.admission = admission;
        // It is waited for after each store.
        disk.linger = Duration::ZERO;
        let settings = Settings {
            memory,
            max_markers: 100,
            marker_life: Duration::from_secs(1),
            ledger: 1 << 20,
            disk: Some(disk),
        };
        let counters = Arc::new(Counters::default());
        let cache = Cache::open(&settings, &Budget::new(1 << 40), &counters).expect("a cache directory");
        Self { cache, counters, request: Arc::new(Fields(HeaderMap::new())) }
    }

    /// Waits until the index is loaded.
    pub async fn serving(&self) {
        self.cache.disk().expect("a disk tier").wait_for(|health| *health == Health::Serving).await;
    }

    /// Waits until everything is written.
    pub fn settle(&self) {
        while !self.cache.disk().is_none_or(forebay::cache::disk::DiskTier::is_settled) {
            std::thread::yield_now();
        }
    }

    /// Whether either tier has it.
    pub async fn has(&self, key: &Key) -> bool {
        match self.cache.lookup(key, &self.request.0) {
            Lookup::Found(_) => true,
            Lookup::Miss(_) => self.find(key).await,
        }
    }

    /// Whether the disk has it.
    pub async fn find(&self, key: &Key) -> bool {
        self.cache.find(key, &self.request).await.is_some()
    }

    pub fn store(&self, key: &Key, hit: &Hit) -> bool {
        self.cache.store(key, hit)
    }

    /// Stores, and waits where too much is waiting to be written.
    pub fn store_surely(&self, key: &Key, hit: &Hit) {
        let busy = self.counters.disk_busy.get();
        self.store(key, hit);
        if self.counters.disk_busy.get() > busy {
            self.settle();
            self.store(key, hit);
        }
    }

    /// An object with a head of some 600 bytes and a body of this length.
    pub fn object(&self, length: usize) -> Hit {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "text/html; charset=utf-8"),
            ("cache-control", "public, max-age=31536000, immutable"),
            ("etag", "\"5f3c1c2a-1d7b\""),
            ("last-modified", "Mon, 23 Nov 2026 21:03:50 GMT"),
            ("date", "Mon, 23 Nov 2026 21:03:50 GMT"),
            ("content-security-policy", "default-src 'self'; img-src *; script-src 'self' 'unsafe-inline'"),
            ("strict-transport-security", "max-age=63072000; includeSubDomains; preload"),
            ("permissions-policy", "geolocation=(), microphone=(), camera=()"),
            ("x-request-id", "01JDCZ8W6N7Q5T1V0RX3S9K4M2"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert("content-length", length.into());
        let body = random_bytes(length);
        let parts = if length <= INLINE_MAX {
            Parts::Inline(body)
        } else {
            Parts::Blocks(
                (0..length).step_by(BLOCK).map(|at| body.slice(at..length.min(at + BLOCK))).collect(),
            )
        };
        let content = Content { parts: parts.clone(), length: length as u64 };
        let object = Object {
            generation: self.cache.next_generation(),
            born: self.cache.sequence(),
            head: StoredHead::new(StatusCode::OK, &headers),
            tags: forebay::semantics::tags::Tags::default(),
            given: Terms {
                freshness: Freshness {
                    response_time: NOW,
                    initial_age: Duration::ZERO,
                    lifetime: Duration::from_hours(1000),
                },
                reuse: Reuse::Shared,
                stale: Stale::Forbidden,
                immutable: false,
            },
            heat: Heat::default(),
            codings: Codings::default(),
            vary: VarySet::default(),
            vary_values: Box::default(),
            representation: Representation::of(&content),
            checked: Checked::default(),
            charge: None,
        };
        Hit { object: Arc::new(object), content: Held::Memory(parts) }
    }
}

pub fn random_bytes(length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    fastrand::fill(&mut bytes);
    bytes.into()
}

pub fn key(number: u64) -> Key {
    let target = format!("/assets/pictures/2026/11/{number}.jpg").parse().expect("a target");
    Key::new(&KeyParts {
        site: SiteId(1),
        rules: KeyRules(0),
        scheme: &Scheme::HTTPS,
        host: "www.example.org",
        target: &target,
        arm: "",
    })
}

/// A number from the environment, or what is usual.
pub fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// User and system time of this process so far, in seconds.
pub fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("stat");
    let (_, rest) = stat.rsplit_once(") ").expect("the name in stat");
    rest.split(' ').skip(11).take(2).map(|field| field.parse::<f64>().expect("ticks")).sum::<f64>() / 100.0
}

/// Anonymous memory of this process, in bytes.
pub fn rss_anon() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("KiB") << 10
}
