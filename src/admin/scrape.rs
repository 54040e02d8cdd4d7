//! All metrics of the node at one moment.

use super::{View, certificates, endpoints, process, reload};
use crate::cache::disk::health::Health;
use crate::telemetry::metrics::exposition::{Exposition, Family, Format, Kind};

type Labels = &'static [&'static str];

const fn gauge(name: &'static str, labels: Labels, help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, labels, help }
}

const fn counter(name: &'static str, labels: Labels, help: &'static str) -> Family {
    Family { name, kind: Kind::Counter, labels, help }
}

/// A gauge or counter that is declared where it is written.
macro_rules! one {
    ($to:expr, $make:ident, $name:literal, $help:literal, $value:expr) => {
        $to.single(const { &$make($name, &[], $help) }, $value)
    };
}

impl View {
    /// Everything that there is to tell.
    pub(super) fn exposition(&self, format: Format) -> Exposition {
        let mut exposition = Exposition::new(format);
        self.render(&mut exposition);
        exposition
    }

    fn render(&self, to: &mut Exposition) {
        self.handles.metrics.render(to);
        self.render_tiers(to);
        self.render_means(to);
        endpoints::render(to, &(self.handles.endpoints)());
        certificates::render(to, &(self.handles.certificates)(), (self.handles.ticket_keys)());
        reload::render(to, self.handles.reload.as_ref().map(|reload| reload.said()), self.started);
        self.render_process(to);
    }

    fn render_tiers(&self, to: &mut Exposition) {
        let cache = &self.handles.cache;
        one!(
            to,
            gauge,
            "forebay_memory_tier_bytes",
            "Bytes that the memory tier holds, overhead included.",
            cache.memory_used()
        );
        one!(
            to,
            gauge,
            "forebay_memory_tier_limit_bytes",
            "Bytes that the memory tier may hold.",
            cache.memory_limit()
        );
        one!(
            to,
            gauge,
            "forebay_memory_tier_entries",
            "Objects, lists of variants and blocks in the memory tier.",
            cache.memory_entries()
        );
        one!(
            to,
            gauge,
            "forebay_markers",
            "Keys whose last answer was not for sharing (hit-for-miss).",
            cache.markers()
        );
        one!(
            to,
            gauge,
            "forebay_ledger_purges",
            "Purges that the ledger holds one by one, because something stored may be older.",
            cache.ledger().records as u64
        );
        let disk = cache.disk();
        let number = |of: &dyn Fn(&crate::cache::disk::DiskTier) -> u64| disk.map_or(0, of);
        one!(
            to,
            gauge,
            "forebay_disk_tier_bytes",
            "Bytes of disk that the disk tier takes, its index included.",
            number(&|disk| disk.used())
        );
        one!(
            to,
            gauge,
            "forebay_disk_tier_limit_bytes",
            "Bytes of disk that the disk tier may take; 0 without one.",
            number(&|disk| disk.limit())
        );
        one!(
            to,
            gauge,
            "forebay_disk_tier_entries",
            "Slots of the disk tier that hold something.",
            number(&|disk| disk.entries() as u64)
        );
        let mut health = to.family(
            const {
                &gauge(
                    "forebay_disk_tier_health",
                    &["state"],
                    "1 for the state that the disk tier is in, 0 for the others; all 0 without one.",
                )
            },
        );
        let now = disk.map(|disk| disk.health().name());
        for name in Health::NAMES {
            health.sample(&[name], u64::from(now == Some(name)));
        }
    }

    fn render_means(&self, to: &mut Exposition) {
        let handles = &self.handles;
        let (budget, spill) = (&handles.means.budget, &handles.means.spill);
        one!(
            to,
            gauge,
            "forebay_budget_bytes",
            "Bytes of memory charged to the budget: bodies, heads, connections, indexes.",
            budget.used()
        );
        one!(
            to,
            gauge,
            "forebay_budget_limit_bytes",
            "Bytes of memory that the budget allows.",
            budget.limit()
        );
        one!(to, gauge, "forebay_spill_bytes", "Bytes of bodies in spill files.", spill.used());
        one!(to, gauge, "forebay_spill_limit_bytes", "Bytes that spill files may take.", spill.limit());
        one!(
            to,
            gauge,
            "forebay_spill_waiting_bodies",
            "Bodies whose sender waits, because there is no room for more of them in spill files.",
            spill.waiting() as u64
        );
        one!(to, gauge, "forebay_fetches", "Fetches that are running.", handles.fetcher.running() as u64);
        one!(
            to,
            gauge,
            "forebay_joinable_fetches",
            "Fetches that another request could join.",
            handles.fetcher.joinable() as u64
        );
        one!(
            to,
            gauge,
            "forebay_busy_bodies",
            "Bodies that may still be arriving: of responses, of requests, and from disk.",
            budget.busy_bodies()
        );
        one!(
            to,
            gauge,
            "forebay_client_connections",
            "Connections of clients.",
            handles.connections.now() as u64
        );
        one!(
            to,
            gauge,
            "forebay_client_connections_limit",
            "Connections of clients that there may be.",
            handles.connections.limit() as u64
        );
        let dropped = handles.log.as_ref().map_or(0, crate::telemetry::access_log::Control::dropped);
        one!(
            to,
            counter,
            "forebay_access_log_dropped_lines_total",
            "Lines of the access log lost because too much waited or it could not be written.",
            dropped
        );
    }

    fn render_process(&self, to: &mut Exposition) {
        one!(
            to,
            gauge,
            "forebay_ready",
            "1 if /readyz says that the node may be sent requests.",
            u64::from(self.hindrance().is_none())
        );
        let build = const { &gauge("forebay_build_info", &["version"], "1; the version is in the label.") };
        to.family(build).sample(&[env!("CARGO_PKG_VERSION")], 1);
        let start = const {
            &gauge("process_start_time_seconds", &[], "When the node started, in seconds since 1970.")
        };
        to.family(start).decimal(&[], seconds(self.started.as_millis()));
        let cpu = const {
            &counter("process_cpu_seconds_total", &[], "User and system time that the process has used.")
        };
        to.family(cpu).decimal(&[], process::cpu().as_secs_f64());
        let memory = const {
            &gauge(
                "forebay_process_anonymous_memory_bytes",
                &[],
                "Memory of the process that is no file's (RssAnon).",
            )
        };
        let mut memory = to.family(memory);
        if let Some(bytes) = process::anonymous_memory() {
            memory.sample(&[], bytes);
        }
    }
}

/// Exact for the next hundred thousand years.
#[allow(clippy::cast_precision_loss)]
pub(super) fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}
