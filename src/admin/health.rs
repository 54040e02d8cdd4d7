//! Whether the node lives, and whether it may be sent requests.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::View;
use crate::cache::disk::DiskTier;
use crate::cache::disk::health::Health;
use crate::telemetry::certificates::CertificateState;

const SECONDS_OF_DAY: u64 = 24 * 60 * 60;

impl View {
    /// The process answers; beside that, how its parts are. Whether they are well is no reason to restart it.
    pub(super) fn health(&self) -> Value {
        let handles = &self.handles;
        json!({
            "status": "ok",
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": handles.clock.now().since(self.started).as_secs(),
            "draining": handles.draining.is_cancelled(),
            "disk": handles.cache.disk().map_or("none".to_owned(), |disk| disk.health().to_string()),
            "certificates": self.certificates(),
            "ticket_keys": self.ticket_keys(),
        })
    }

    /// For how long each certificate is still good, and whether what is in its files is the one that is shown.
    fn certificates(&self) -> Value {
        let now = self.handles.clock.now();
        let certificate = |state: CertificateState| {
            let days_left = state.expires.since(now).as_secs() / SECONDS_OF_DAY;
            let expired = state.expires <= now;
            (state.name, json!({ "days_left": days_left, "expired": expired, "refused": state.refused }))
        };
        (self.handles.certificates)().into_iter().map(certificate).collect::<serde_json::Map<_, _>>().into()
    }

    /// Whether the keys of session tickets are those in their files.
    fn ticket_keys(&self) -> &'static str {
        match (self.handles.ticket_keys)() {
            None => "none",
            Some(false) => "ok",
            Some(true) => "refused",
        }
    }

    /// Whether requests may be sent here, and if not, why.
    pub(super) fn readiness(&self) -> (StatusCode, Value) {
        match self.hindrance() {
            None => (StatusCode::OK, json!({ "ready": true })),
            Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, json!({ "ready": false, "reason": reason })),
        }
    }

    pub(super) fn hindrance(&self) -> Option<&'static str> {
        let handles = &self.handles;
        self.readiness.hindrance(handles.draining.is_cancelled(), handles.cache.disk().map(DiskTier::health))
    }
}

/// Whether the node has been ready once.
#[derive(Debug, Default)]
pub(super) struct Readiness {
    /// The disk tier's index was loaded, or known not to be usable.
    loaded: AtomicBool,
}

impl Readiness {
    /// Why no requests may be sent here. A disk that comes back after a failure, and is loaded anew, is no reason:
    /// meanwhile the node did without.
    fn hindrance(&self, draining: bool, disk: Option<Health>) -> Option<&'static str> {
        if disk != Some(Health::Loading) {
            self.loaded.store(true, Ordering::Relaxed);
        }
        match (draining, self.loaded.load(Ordering::Relaxed)) {
            (true, _) => Some("draining"),
            (false, false) => Some("loading"),
            (false, true) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::disk::health::Trouble;

    #[test]
    fn loading_hinders_once_and_draining_for_good() {
        let readiness = Readiness::default();
        assert_eq!(readiness.hindrance(false, Some(Health::Loading)), Some("loading"));
        assert_eq!(readiness.hindrance(true, Some(Health::Loading)), Some("draining"));
        assert_eq!(readiness.hindrance(false, Some(Health::Serving)), None);
        assert_eq!(readiness.hindrance(false, Some(Health::Loading)), None, "it comes back");
        assert_eq!(readiness.hindrance(true, Some(Health::Serving)), Some("draining"));
    }

    #[test]
    fn a_node_without_a_usable_disk_is_ready() {
        for disk in [None, Some(Health::Offline(Trouble::Failing)), Some(Health::ReadOnly(Trouble::Full))] {
            assert_eq!(Readiness::default().hindrance(false, disk), None, "{disk:?}");
        }
    }
}
