//! Both tiers without a node around them.

use std::sync::Arc;

use forebay::body::budget::Budget;
use forebay::cache::disk::find::NoHit;
use forebay::cache::lookup::{Held, Hit};
use forebay::cache::{Admission, Cache, Settings};
use forebay::telemetry::counters::Counters;

use crate::disk_faults::{self, Request, disk_settings};
use crate::disk_model::{Model, Slot, Stamp, key, object, request};
use crate::support::disk::{Disk, Make};

/// Tiers on a double of a disk.
pub struct Tier {
    pub cache: Cache,
    pub budget: Arc<Budget>,
    pub counters: Arc<Counters>,
    pub model: Model,
    pub disk: Disk,
}

impl Tier {
    /// Without memory to speak of.
    pub async fn new(limit: u64, admission: Admission) -> Self {
        Self::with_memory(1, limit, admission).await
    }

    pub async fn with_memory(memory: u64, limit: u64, admission: Admission) -> Self {
        let disk = Disk::new(1, Make { capacity: 1 << 40, ordered: true, cached: true });
        let (budget, counters) = (Budget::new(64 << 20), Arc::<Counters>::default());
        let settings = Settings {
            memory,
            max_markers: 10,
            marker_life: std::time::Duration::from_secs(1),
            ledger: 1 << 20,
            disk: Some(disk_settings(limit, 64 << 20, admission)),
        };
        let cache = Cache::open_on(&settings, Some(disk.process()), &budget, &counters).expect("a disk");
        let tier = Self { cache, budget, counters, model: Model::default(), disk };
        let serves = || {
            let disk = tier.cache.disk().expect("a tier");
            disk.health() == forebay::cache::disk::health::Health::Serving && disk.is_swept()
        };
        disk_faults::until("serving", serves).await.unwrap();
        tier
    }

    /// Stores a content of this length, whose bytes are of no other number, and waits until it is written.
    pub async fn store(&mut self, number: usize, length: usize) {
        let slot = Slot { key: number, language: None };
        let content = Stamp { seed: number as u64, length };
        self.model.add(slot, self.cache.next_generation(), content);
        let object = object(self.model.versions.last().unwrap(), self.cache.sequence());
        let hit = Hit { object: Arc::new(object), content: Held::Memory(content.content().parts) };
        assert!(self.cache.store(&key(number), &hit));
        let settled = || self.cache.disk().expect("a tier").is_settled();
        disk_faults::until("settled", settled).await.unwrap();
    }

    /// What the disk has, past memory.
    pub async fn find(&self, number: usize) -> Result<Held, NoHit> {
        let disk = self.cache.disk().expect("a tier");
        disk.count(key(number).hash().short());
        let request = Arc::new(Request(request(None)));
        disk.find(&key(number), &request, Arc::default()).await.map(|found| found.hit.content)
    }
}
