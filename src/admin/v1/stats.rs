//! `/v1/stats`: what the node does and holds, in numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::json;
use crate::admin::openapi::Guarded;
use crate::admin::{View, process};
use crate::cache::disk::DiskTier;
use crate::telemetry::metrics::{Outcome, SiteMetrics};

/// What the node has done since it started, and what it holds now.
#[derive(Debug, Serialize, ToSchema)]
struct Stats {
    /// Since it started.
    uptime_seconds: u64,
    /// Whether requests may be sent here.
    ready: bool,
    /// Requests of all sites.
    requests: RequestStats,
    /// The tiers.
    tiers: TierStats,
    /// Connections of clients.
    connections: ConnectionStats,
    /// Fetches from origins.
    fetches: FetchStats,
    /// The order of purges.
    ledger: LedgerStats,
    /// Memory of the process.
    memory: MemoryStats,
}

/// Requests, and what became of them.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct RequestStats {
    /// How many.
    total: u64,
    /// By how the cache answered, in the words of `Cache-Status`: `hit`, or why they went forward.
    by_outcome: BTreeMap<&'static str, u64>,
    /// By the class of the status, such as `2xx`.
    by_status: BTreeMap<&'static str, u64>,
    /// The part of them that was answered from what is stored, from 0 to 1; nothing before the first.
    hit_ratio: Option<f64>,
    /// Bytes of content that were sent.
    bytes_sent: u64,
}

impl RequestStats {
    /// Counts what a site has counted.
    pub(super) fn add(&mut self, site: &SiteMetrics) {
        for (outcome, class, count) in site.requests() {
            self.total += count;
            *self.by_outcome.entry(outcome.name()).or_default() += count;
            *self.by_status.entry(class).or_default() += count;
        }
        self.bytes_sent += site.bytes();
        let hits = self.by_outcome.get(Outcome::Hit.name()).copied().unwrap_or(0);
        self.hit_ratio = (self.total > 0).then(|| ratio(hits, self.total));
    }
}

/// Exact enough for people.
#[allow(clippy::cast_precision_loss)]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// The tiers.
#[derive(Debug, Serialize, ToSchema)]
struct TierStats {
    /// The memory tier.
    memory: TierOf,
    /// The disk tier, if there is one.
    disk: Option<DiskStats>,
    /// Keys whose last answer was not for sharing (hit-for-miss).
    markers: u64,
}

/// One tier.
#[derive(Debug, Serialize, ToSchema)]
struct TierOf {
    /// Bytes that it holds.
    bytes: u64,
    /// Bytes that it may hold.
    limit_bytes: u64,
    /// Objects, lists of variants and blocks.
    entries: u64,
}

/// The disk tier.
#[derive(Debug, Serialize, ToSchema)]
struct DiskStats {
    /// Bytes that it takes, its index included.
    bytes: u64,
    /// Bytes that it may take.
    limit_bytes: u64,
    /// Slots that hold something.
    entries: u64,
    /// Its state, in a word.
    health: String,
}

/// Connections of clients.
#[derive(Debug, Serialize, ToSchema)]
struct ConnectionStats {
    /// How many there are.
    now: u64,
    /// How many there may be.
    limit: u64,
    /// Those that were refused because there were too many.
    refused: u64,
}

/// Fetches from origins.
#[derive(Debug, Serialize, ToSchema)]
struct FetchStats {
    /// Those that are running.
    running: u64,
    /// Those that another request could join.
    joinable: u64,
    /// Exchanges that were begun.
    begun: u64,
    /// Requests that joined a fetch of another one.
    collapsed: u64,
    /// Answers that the node made itself because an origin failed.
    failed: u64,
}

/// The order of purges.
#[derive(Debug, Serialize, ToSchema)]
struct LedgerStats {
    /// The last sequence: the epoch, a dot, and the number in it.
    sequence: String,
    /// Purges that are held one by one.
    records: u64,
}

/// Memory of the process.
#[derive(Debug, Serialize, ToSchema)]
#[allow(clippy::struct_field_names, reason = "the unit belongs into the name")]
struct MemoryStats {
    /// Bytes that are charged to the budget.
    budget_bytes: u64,
    /// Bytes that the budget allows.
    budget_limit_bytes: u64,
    /// Bytes of bodies in spill files.
    spill_bytes: u64,
    /// Bytes that spill files may take.
    spill_limit_bytes: u64,
    /// Memory of the process that is no file's; nothing where the kernel does not say.
    process_bytes: Option<u64>,
}

pub(super) fn routes() -> OpenApiRouter<Arc<View>> {
    OpenApiRouter::new().routes(routes!(stats))
}

/// What the node has done, and what it holds
///
/// Numbers that count go up from the start of the node. `/metrics` has more of them, by site.
#[utoipa::path(
    get, path = "/v1/stats", tag = "node",
    responses((status = 200, description = "in numbers", body = Stats), Guarded)
)]
async fn stats(State(view): State<Arc<View>>) -> Response {
    json(&view.stats())
}

impl View {
    fn stats(&self) -> Stats {
        let handles = &self.handles;
        let mut requests = RequestStats::default();
        handles.metrics.sites().iter().for_each(|site| requests.add(site));
        let ledger = handles.cache.ledger();
        let (counters, budget, spill) =
            (handles.metrics.counters(), &handles.means.budget, &handles.means.spill);
        Stats {
            uptime_seconds: self.uptime().as_secs(),
            ready: self.hindrance().is_none(),
            requests,
            tiers: self.tiers(),
            connections: ConnectionStats {
                now: handles.connections.now() as u64,
                limit: handles.connections.limit() as u64,
                refused: counters.refused_connections.get(),
            },
            fetches: FetchStats {
                running: handles.fetcher.running() as u64,
                joinable: handles.fetcher.joinable() as u64,
                begun: counters.fetches.get(),
                collapsed: counters.collapsed.get(),
                failed: counters.origin_errors.get(),
            },
            ledger: LedgerStats { sequence: ledger.latest.to_string(), records: ledger.records as u64 },
            memory: MemoryStats {
                budget_bytes: budget.used(),
                budget_limit_bytes: budget.limit(),
                spill_bytes: spill.used(),
                spill_limit_bytes: spill.limit(),
                process_bytes: process::anonymous_memory(),
            },
        }
    }

    fn tiers(&self) -> TierStats {
        let cache = &self.handles.cache;
        let disk = |disk: &DiskTier| DiskStats {
            bytes: disk.used(),
            limit_bytes: disk.limit(),
            entries: disk.entries() as u64,
            health: disk.health().to_string(),
        };
        TierStats {
            memory: TierOf {
                bytes: cache.memory_used(),
                limit_bytes: cache.memory_limit(),
                entries: cache.memory_entries(),
            },
            disk: cache.disk().map(disk),
            markers: cache.markers(),
        }
    }
}
