//! No answer that could be used: what is stored bridges that, where it may.

use http::StatusCode;

use super::Lead;
use crate::cache::lookup::Hit;
use crate::fetch::flight::{Announcement, Failure, Trouble};
use crate::origin::OriginError;

impl Lead {
    /// Whether the origin answered with a server error that what is stored bridges (RFC 9111 §4.3.3, RFC 5861 §4). If
    /// so, everybody was told.
    pub(super) fn is_bridged(&mut self, status: StatusCode) -> bool {
        let failed = matches!(status.as_u16(), 500 | 502 | 503 | 504) && !self.passes();
        let now = self.shared.clock.now();
        let ask = &self.flight.ask;
        let may_bridge = |hit: &&Hit| self.lives(hit) && ask.may_use_on_error(&hit.object.terms, now);
        let bridges = self.stale.as_ref().filter(may_bridge);
        if !failed || bridges.is_none() {
            if self.stale.is_some() && !failed {
                self.shared.backoff.succeeded(&ask.key);
            }
            return false;
        }
        self.fail(Trouble::Answered(status));
        true
    }

    /// No head comes.
    pub(super) fn give_up(&mut self, error: OriginError) {
        self.fail(Trouble::NoHead(error));
    }

    /// No head comes that could be used: what is stored bridges that, where it may, and rests before it is tried again.
    fn fail(&mut self, trouble: Trouble) {
        if self.stale.is_some() && trouble.is_of_origin() {
            self.shared.backoff.failed(&self.flight.ask.key, self.shared.clock.now());
        }
        self.leave_table();
        self.tell(Announcement::Failed(Failure { trouble, stale: self.stale.clone() }));
    }
}
