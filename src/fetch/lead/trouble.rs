//! No answer that could be used: what is stored bridges that, where it may.

use http::StatusCode;

use super::Lead;
use crate::cache::lookup::Hit;
use crate::fetch::flight::{Announcement, Failure, Trouble};
use crate::origin::OriginError;
use crate::semantics::request_directives::RequestDirectives;
use crate::semantics::reuse;

impl Lead {
    /// Whether the origin answered with a server error that what is stored bridges (RFC 9111 §4.3.3, RFC 5861 §4). If
    /// so, everybody was told.
    pub(super) fn is_bridged(&mut self, status: StatusCode) -> bool {
        let failed = is_failure(status) && !self.passes();
        let now = self.shared.clock.now();
        let ask = &self.flight.ask;
        let may_bridge = |hit: &Hit| self.lives(hit) && ask.may_use_on_error(&hit.object.terms(), now);
        if !failed || !self.stale.as_ref().is_some_and(may_bridge) {
            return false;
        }
        self.fail(Trouble::Answered(status));
        true
    }

    /// What bridges an answer of this status for those who do not insist on the origin's word, though the one who asked
    /// does. An error is then no reason to let go of it.
    pub(super) fn bridge(&self, status: StatusCode) -> Option<Hit> {
        let failed = is_failure(status) && !self.passes();
        let stale = self.stale.as_ref().filter(|hit| failed && self.lives(hit))?;
        let (outlasting, now) = (&self.flight.ask.policy.outlasting, self.shared.clock.now());
        let bridges =
            reuse::may_use_on_error(&stale.object.terms(), &RequestDirectives::default(), outlasting, now);
        bridges.then(|| stale.clone())
    }

    /// No head comes.
    pub(super) fn give_up(&mut self, error: OriginError) {
        self.fail(Trouble::NoHead(error));
    }

    /// No head comes that could be used: what is stored bridges that, where it may.
    fn fail(&mut self, trouble: Trouble) {
        if trouble.is_of_origin() {
            self.note_refresh(false);
        }
        self.leave_table();
        self.tell(Announcement::Failed(Failure { trouble, stale: self.stale.clone() }));
    }

    /// Whether a refresh has brought something that can be used: if not, the next one waits for a while.
    pub(super) fn note_refresh(&self, succeeded: bool) {
        let (Some(_), Some(stale)) = (&self.refresh, &self.stale) else { return };
        let slot = stale.object.slot(&self.flight.ask.key);
        if succeeded {
            self.shared.backoff.succeeded(slot);
        } else {
            let settings = self.flight.ask.setup.settings();
            let pauses = (settings.backoff, settings.max_backoff);
            self.shared.backoff.failed(slot, pauses, self.shared.clock.now());
        }
    }
}

/// Whether an origin that answers this has failed (RFC 5861 §4).
fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}
