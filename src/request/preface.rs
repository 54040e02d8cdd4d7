//! What one client is told before its answer (RFC 9110 §15.2).

use std::sync::Arc;

use http::Version;

use crate::body::message::{Interim, InterimSender};

/// Tells a client what origins say before its answer, through all fetches that it waits for one after the other.
#[derive(Debug)]
pub(super) struct Preface {
    /// `None`: the client knows no interim answers.
    client: Option<InterimSender>,
    told: Vec<Arc<Interim>>,
}

impl Preface {
    /// Nothing is told yet. HTTP/1.0 does not know interim answers, so its clients never are.
    pub(super) fn to(client: InterimSender, version: Version) -> Self {
        Self { client: Some(client).filter(|_| version >= Version::HTTP_11), told: Vec::new() }
    }

    /// Tells it, unless the same fields were told before: another endpoint, or the next leader's origin, says them again.
    /// What has no fields says that the request is being worked on, and may be told again.
    pub(super) fn tell(&mut self, interim: &Arc<Interim>) {
        let Some(client) = &self.client else { return };
        let same = |told: &Arc<Interim>| told.status == interim.status && told.headers == interim.headers;
        if !interim.headers.is_empty() {
            if self.told.iter().any(same) {
                return;
            }
            self.told.push(Arc::clone(interim));
        }
        client.send(Interim::clone(interim));
    }
}
