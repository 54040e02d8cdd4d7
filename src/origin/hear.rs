//! What an endpoint says before its answer (RFC 9110 §15.2).

use std::fmt::Debug;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use tokio::sync::Notify;

use super::outgoing::Outgoing;

/// Who hears what is said before the answer to a request. An exchange that goes from one endpoint to the next has one and
/// the same hearer: he hears all of them, and may hear the same words again.
pub trait Hear: Debug + Send + Sync {
    /// An interim answer with all its fields, hop-by-hop ones included; never 100 or 101, which belong to the connection.
    ///
    /// Called by the task that drives the connection, on whichever worker that is, before the head is given and as often as
    /// the endpoint likes: it has to be quick, to be bounded in what it keeps, and to copy what it keeps, because the
    /// fields are parts of a read buffer.
    fn hear(&self, status: StatusCode, headers: &HeaderMap);
}

/// Has `go_ahead` told of a 100 (Continue), and `hears` of everything else that comes before the answer to `outgoing`.
pub(super) fn listen(outgoing: &mut Outgoing, go_ahead: Option<Arc<Notify>>, hears: Option<Arc<dyn Hear>>) {
    if go_ahead.is_none() && hears.is_none() {
        return;
    }
    hyper::ext::on_informational(outgoing, move |response| match response.status() {
        StatusCode::CONTINUE => go_ahead.iter().for_each(|go_ahead| go_ahead.notify_one()),
        StatusCode::SWITCHING_PROTOCOLS => {}
        status => hears.iter().for_each(|hears| hears.hear(status, response.headers())),
    });
}
