//! Whether the node lives, and whether it may be sent requests.

use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::View;
use crate::cache::disk::health::Health;

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
        })
    }

    /// Whether requests may be sent here, and if not, why.
    pub(super) fn readiness(&self) -> (StatusCode, Value) {
        match self.hindrance() {
            None => (StatusCode::OK, json!({ "ready": true })),
            Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, json!({ "ready": false, "reason": reason })),
        }
    }

    pub(super) fn hindrance(&self) -> Option<&'static str> {
        if self.handles.draining.is_cancelled() {
            return Some("draining");
        }
        (!self.was_loaded()).then_some("loading")
    }

    /// The disk tier's index, if there is one, has been loaded or is known not to be usable. Once it has, a disk that
    /// comes back after a failure makes no difference: meanwhile the node did without.
    fn was_loaded(&self) -> bool {
        let loading = || self.handles.cache.disk().is_some_and(|disk| disk.health() == Health::Loading);
        if !self.loaded.load(Ordering::Relaxed) && loading() {
            return false;
        }
        self.loaded.store(true, Ordering::Relaxed);
        true
    }
}
