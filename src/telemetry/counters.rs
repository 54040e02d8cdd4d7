//! Counters of decisions. Each has the name of the decision that it counts.

use std::sync::atomic::{AtomicU64, Ordering};

use super::metrics::exposition::{Exposition, Family, Kind};
use super::shards::Sharded;

/// A number that only goes up.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// One more, until what is returned is dropped.
    pub fn enter(&self) -> Entered<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Entered(&self.0)
    }

    /// How many now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One of those that a [`Gauge`] tells.
#[derive(Debug)]
pub struct Entered<'a>(&'a AtomicU64);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A [`Counter`] for what every hit counts: each thread has a part of its own, so that they do not wait for each other.
#[derive(Debug)]
pub struct HotCounter(Sharded<AtomicU64>);

impl Default for HotCounter {
    fn default() -> Self {
        Self(Sharded::new(usize::MAX))
    }
}

impl HotCounter {
    /// One more.
    pub fn inc(&self) {
        self.0.local().fetch_add(1, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.sum(|part| part.load(Ordering::Relaxed))
    }
}

/// What the node has counted since its start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Requests answered from what is stored without asking the origin.
    pub hits: HotCounter,
    /// Those of them that the disk tier answered.
    pub disk_hits: Counter,
    /// Objects written to disk.
    pub disk_stored: Counter,
    /// Objects that were not let in on disk, because what would have had to go is worth more.
    pub disk_refused: Counter,
    /// Objects that were not taken for writing, because too much was waiting.
    pub disk_busy: Counter,
    /// Reads of the disk that were not waited for any longer.
    pub disk_slow: Counter,
    /// Records, blocks and segments on disk that were damaged or missing.
    pub disk_damaged: Counter,
    /// Reads of the disk that failed with an error of the device.
    pub disk_read_errors: Counter,
    /// Writes to the disk that failed.
    pub disk_write_errors: Counter,
    /// How often the disk tier went out of use, for writes or altogether.
    pub disk_failures: Counter,
    /// Objects that were taken out because a purge had killed them, before anybody looked for them.
    pub swept_objects: Counter,
    /// Codings that were made of what is stored, or put under a new head.
    pub pressed: Counter,
    /// Answers that were coded as they left.
    pub coded: Counter,
    /// Answers whose coding was taken off as they left.
    pub decoded: Counter,
    /// Stored contents that were not in the coding that their origin said, and were thrown away.
    pub undecodable: Counter,
    /// Records of the ledger that were let go because nothing is left that they matter for.
    pub ledger_retired: Counter,
    /// Purges recorded in the ledger.
    pub ledger_records: Counter,
    /// Records that were folded into the floor because there were too many: what is as old died with them.
    pub ledger_folded: Counter,
    /// Purges that could not be made durable when they came.
    pub ledger_not_durable: Counter,
    /// Requests that went forward, for whatever reason.
    pub forwarded: Counter,
    /// Requests whose content is being taken in before their origin is asked.
    pub buffering: Gauge,
    /// Requests whose content was taken in whole before that.
    pub buffered: Counter,
    /// Requests whose content was taken in as far as it could be, and passed on as it came from there on.
    pub buffered_in_part: Counter,
    /// Requests that joined a fetch which another had started.
    pub collapsed: Counter,
    /// Exchanges with origins that fetches began; what a pool repeats is counted by its endpoints.
    pub fetches: Counter,
    /// Refreshes behind answers that were started.
    pub refreshes: Counter,
    /// Those that were not, because too many were running.
    pub refreshes_refused: Counter,
    /// Objects stored.
    pub stored: Counter,
    /// Variants that went because their key had more than its site allows.
    pub surplus_variants: Counter,
    /// Waiters sent on alone because the head was not for them.
    pub released: Counter,
    /// Requests that an origin did not answer before the end of their client's handshake, and that asked again.
    pub too_early: Counter,
    /// Answers that this node made itself because the origin failed.
    pub origin_errors: Counter,
    /// Bodies that broke off on the way from the origin.
    pub broken_bodies: Counter,
    /// Objects of which the origin was found to have another version while blocks of them were asked for.
    pub changed_objects: Counter,
    /// Parts from origins that were not what was asked for.
    pub unusable_parts: Counter,
    /// Connections refused because there were too many.
    pub refused_connections: Counter,
    /// TLS handshakes with clients.
    pub tls_handshakes: Counter,
    /// Those of them that resumed a session.
    pub tls_resumptions: Counter,
    /// Connections whose early data was taken.
    pub tls_early_data: Counter,
    /// Those that came to nothing.
    pub tls_failures: Counter,
    /// Those of them in which a client had no certificate that counts, where it was asked for one.
    pub refused_client_certificates: Counter,
    /// Connections of HTTP/2.
    pub http2_connections: Counter,
    /// Those of them that were ended because of what came beside requests, or because of requests that were given up.
    pub http2_floods: Counter,
}

/// A counter without labels.
const fn family(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Counter, labels: &[], help }
}

/// A gauge without labels.
const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, labels: &[], help }
}

impl Counters {
    /// Writes all of them.
    pub(super) fn render(&self, to: &mut Exposition) {
        for (family, count) in self.all() {
            to.single(family, count);
        }
    }

    /// Each with its family.
    #[rustfmt::skip]
    fn all(&self) -> [(&'static Family, u64); 43] {
        [
            (const { &family("forebay_cache_hits_total", "Requests answered from what is stored without asking the origin.") }, self.hits.get()),
            (const { &family("forebay_disk_hits_total", "Hits that the disk tier answered.") }, self.disk_hits.get()),
            (const { &family("forebay_disk_stored_objects_total", "Objects written to disk.") }, self.disk_stored.get()),
            (const { &family("forebay_disk_refused_objects_total", "Objects not let in on disk, because what would have had to go is worth more.") }, self.disk_refused.get()),
            (const { &family("forebay_disk_busy_objects_total", "Objects not taken for writing to disk, because too much was waiting.") }, self.disk_busy.get()),
            (const { &family("forebay_disk_slow_reads_total", "Reads of the disk that were not waited for any longer.") }, self.disk_slow.get()),
            (const { &family("forebay_disk_damaged_total", "Records, blocks and segments on disk that were damaged or missing.") }, self.disk_damaged.get()),
            (const { &family("forebay_disk_read_errors_total", "Reads of the disk that failed with an error of the device.") }, self.disk_read_errors.get()),
            (const { &family("forebay_disk_write_errors_total", "Writes to the disk that failed.") }, self.disk_write_errors.get()),
            (const { &family("forebay_disk_failures_total", "How often the disk tier went out of use, for writes or altogether.") }, self.disk_failures.get()),
            (const { &family("forebay_ledger_records_total", "Purges recorded in the ledger, each URL, tag and so on by itself.") }, self.ledger_records.get()),
            (const { &family("forebay_ledger_folded_total", "Records of the ledger given up because there were too many; all that is as old counts as purged.") }, self.ledger_folded.get()),
            (const { &family("forebay_ledger_retired_total", "Records of the ledger let go because nothing is left that they matter for.") }, self.ledger_retired.get()),
            (const { &family("forebay_swept_objects_total", "Objects taken out because a purge had killed them, before anybody looked for them.") }, self.swept_objects.get()),
            (const { &family("forebay_codings_stored_total", "Codings (br, zstd, gzip) of stored objects that were made behind answers.") }, self.pressed.get()),
            (const { &family("forebay_coded_answers_total", "Answers that were coded as they left, because no coding of them was stored.") }, self.coded.get()),
            (const { &family("forebay_decoded_answers_total", "Answers whose coding, the origin's, was taken off as they left, for clients that do not take it.") }, self.decoded.get()),
            (const { &family("forebay_undecodable_total", "Stored contents that were not in the coding that their origin said, or became more than they may, and were thrown away.") }, self.undecodable.get()),
            (const { &family("forebay_ledger_not_durable_total", "Purges that could not be made durable when they came, because the disk was in trouble.") }, self.ledger_not_durable.get()),
            (const { &family("forebay_cache_forwarded_total", "Requests that went forward, for whatever reason.") }, self.forwarded.get()),
            (const { &gauge("forebay_buffering_requests", "Requests whose bodies are being taken in before their origin is asked.") }, self.buffering.get()),
            (const { &family("forebay_buffered_requests_total", "Requests whose bodies were taken in whole before their origin was asked.") }, self.buffered.get()),
            (const { &family("forebay_partly_buffered_requests_total", "Requests whose bodies were too long to be taken in, or found no room, and were passed on as they came from there on.") }, self.buffered_in_part.get()),
            (const { &family("forebay_collapsed_requests_total", "Requests that joined a fetch which another had started.") }, self.collapsed.get()),
            (const { &family("forebay_origin_requests_total", "Exchanges with origins that were begun; what a pool repeats is counted by its endpoints.") }, self.fetches.get()),
            (const { &family("forebay_refreshes_total", "Refreshes behind answers that were started.") }, self.refreshes.get()),
            (const { &family("forebay_refused_refreshes_total", "Refreshes behind answers that were put off because too many were running.") }, self.refreshes_refused.get()),
            (const { &family("forebay_stored_objects_total", "Objects stored.") }, self.stored.get()),
            (const { &family("forebay_surplus_variants_total", "Variants that went because their key had more than max_variants.") }, self.surplus_variants.get()),
            (const { &family("forebay_released_requests_total", "Requests that waited for a fetch and were sent on because its answer was not for them.") }, self.released.get()),
            (const { &family("forebay_too_early_requests_total", "Requests that had to look again, for the origin does not answer what came in early data (425).") }, self.too_early.get()),
            (const { &family("forebay_origin_errors_total", "Answers that this node made itself because the origin failed.") }, self.origin_errors.get()),
            (const { &family("forebay_broken_origin_bodies_total", "Bodies that broke off on the way from the origin.") }, self.broken_bodies.get()),
            (const { &family("forebay_changed_objects_total", "Objects dropped because the origin had another version when a block of them was asked for.") }, self.changed_objects.get()),
            (const { &family("forebay_unusable_parts_total", "Parts from origins that were not what was asked for, or contradicted themselves.") }, self.unusable_parts.get()),
            (const { &family("forebay_refused_connections_total", "Client connections refused because there were too many.") }, self.refused_connections.get()),
            (const { &family("forebay_tls_handshakes_total", "TLS handshakes with clients.") }, self.tls_handshakes.get()),
            (const { &family("forebay_tls_resumptions_total", "TLS handshakes that resumed a session of this node, or of one with the same keys of tickets.") }, self.tls_resumptions.get()),
            (const { &family("forebay_tls_early_data_total", "Connections of clients whose early data (0-RTT) was taken.") }, self.tls_early_data.get()),
            (const { &family("forebay_tls_failures_total", "TLS handshakes with clients that came to nothing.") }, self.tls_failures.get()),
            (const { &family("forebay_refused_client_certificates_total", "TLS handshakes that came to nothing because the client had no certificate that counts.") }, self.refused_client_certificates.get()),
            (const { &family("forebay_http2_connections_total", "Connections of HTTP/2 from clients.") }, self.http2_connections.get()),
            (const { &family("forebay_http2_floods_total", "Connections of HTTP/2 that were ended because their client flooded them.") }, self.http2_floods.get()),
        ]
    }
}
