//! What is noted of one request until its answer has left: what is counted in any case, and the line of the access
//! log if there is one.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::access_log::{Draft, Ending};
use super::metrics::{Finished, Outcome, SiteMetrics};

/// The word for a body whose client did not wait for its end.
const CLIENT_GONE: &str = "client-gone";

/// A request whose answer is on its way. Whoever sends the body tells what becomes of it, and at last
/// [`Record::finish`].
#[derive(Debug)]
pub struct Record {
    /// The site and what the cache did; none for a request that was refused before its site was known.
    pub account: Option<(Arc<SiteMetrics>, Outcome)>,
    /// More about the decision, if there is more to say.
    pub detail: Option<&'static str>,
    /// The status that is sent.
    pub status: StatusCode,
    /// From the request's head to the head of the answer.
    pub head: Duration,
    /// The body's length, if the head promised one.
    pub promised: Option<u64>,
    /// The line of the access log, if one is wanted.
    pub line: Option<Draft>,
    /// What has become of the body so far.
    pub progress: Progress,
}

/// What has become of a body so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    sent: u64,
    broken: Option<&'static str>,
}

impl Record {
    /// So many bytes of the body were handed to the connection.
    pub fn sent(&mut self, bytes: usize) {
        self.progress.sent = self.progress.sent.saturating_add(bytes as u64);
    }

    /// The body broke off.
    pub fn broke_off(&mut self, why: &'static str) {
        self.progress.broken = Some(why);
    }

    /// Counts the request and writes its line. `ended`: the body was handed over to its end, which is known otherwise
    /// if all of a promised length was.
    pub fn finish(self, ended: bool) {
        let Progress { sent, broken } = self.progress;
        let complete = ended || self.promised == Some(sent);
        if let Some((site, outcome)) = &self.account {
            let broken = broken.or((!complete).then_some(CLIENT_GONE));
            let (detail, status, head) = (self.detail, self.status, self.head);
            site.finished(&Finished { outcome: *outcome, detail, status, head, sent, broken });
        }
        if let Some(line) = self.line {
            line.write(&Ending { sent, complete, broken });
        }
    }
}
