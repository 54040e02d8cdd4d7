//! Whether the node lives, and whether it may be sent requests.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::View;
use super::v1::{CertificateTold, HealthTold};
use crate::cache::disk::DiskTier;
use crate::cache::disk::health::Health;
use crate::telemetry::certificates::CertificateState;

const SECONDS_OF_DAY: u64 = 24 * 60 * 60;

impl View {
    /// The process answers; beside that, how its parts are. Whether they are well is no reason to restart it.
    pub(super) fn health(&self) -> HealthTold {
        let (handles, reason) = (&self.handles, self.hindrance());
        HealthTold {
            status: "ok",
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: self.uptime().as_secs(),
            ready: reason.is_none(),
            reason,
            draining: handles.draining.is_cancelled(),
            drained: self.readiness.is_drained(),
            disk: handles.cache.disk().map_or("none".to_owned(), |disk| disk.health().to_string()),
            certificates: (handles.certificates)().into_iter().map(|state| self.certificate(state)).collect(),
            ticket_keys: self.ticket_keys(),
        }
    }

    pub(super) fn uptime(&self) -> Duration {
        self.handles.clock.now().since(self.started)
    }

    /// For how long a certificate is still good, and whether what is in its files is the one that is shown.
    fn certificate(&self, state: CertificateState) -> (String, CertificateTold) {
        let now = self.handles.clock.now();
        let days_left = state.expires.since(now).as_secs() / SECONDS_OF_DAY;
        let (expired, refused) = (state.expires <= now, state.refused);
        (state.name, CertificateTold { days_left, expired, refused })
    }

    /// Whether the keys of session tickets are those in their files.
    fn ticket_keys(&self) -> &'static str {
        match (self.handles.ticket_keys)() {
            None => "none",
            Some(false) => "ok",
            Some(true) => "refused",
        }
    }

    /// Why no requests may be sent here, if none may.
    pub(super) fn hindrance(&self) -> Option<&'static str> {
        let handles = &self.handles;
        self.readiness.hindrance(handles.draining.is_cancelled(), handles.cache.disk().map(DiskTier::health))
    }
}

/// Whether the node has been ready once, and whether an operator has taken it out.
#[derive(Debug, Default)]
pub(super) struct Readiness {
    /// The disk tier's index was loaded, or known not to be usable.
    loaded: AtomicBool,
    /// An operator has taken it out, until it is taken back.
    drained: AtomicBool,
}

impl Readiness {
    /// Takes the node out, or back.
    pub(super) fn drain(&self, drained: bool) {
        self.drained.store(drained, Ordering::Relaxed);
    }

    pub(super) fn is_drained(&self) -> bool {
        self.drained.load(Ordering::Relaxed)
    }

    /// Why no requests may be sent here. A disk that comes back after a failure, and is loaded anew, is no reason:
    /// meanwhile the node did without.
    fn hindrance(&self, draining: bool, disk: Option<Health>) -> Option<&'static str> {
        if disk != Some(Health::Loading) {
            self.loaded.store(true, Ordering::Relaxed);
        }
        match (draining, self.is_drained(), self.loaded.load(Ordering::Relaxed)) {
            (true, ..) => Some("draining"),
            (false, true, _) => Some("drained"),
            (false, false, false) => Some("loading"),
            (false, false, true) => None,
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
        readiness.drain(true);
        assert_eq!(readiness.hindrance(false, Some(Health::Serving)), Some("drained"));
        assert_eq!(readiness.hindrance(true, Some(Health::Serving)), Some("draining"));
        readiness.drain(false);
        assert_eq!(readiness.hindrance(false, Some(Health::Serving)), None, "it is taken back");
    }

    #[test]
    fn a_node_without_a_usable_disk_is_ready() {
        for disk in [None, Some(Health::Offline(Trouble::Failing)), Some(Health::ReadOnly(Trouble::Full))] {
            assert_eq!(Readiness::default().hindrance(false, disk), None, "{disk:?}");
        }
    }
}
