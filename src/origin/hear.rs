//! What an endpoint says before its answer (RFC 9110 §15.2).

use std::fmt::Debug;

use http::{HeaderMap, StatusCode};

/// Who hears what is said before the answer to a request. An exchange that goes from one endpoint to the next has one and
/// the same hearer: he hears all of them, and may hear the same words again.
pub trait Hear: Debug + Send + Sync {
    /// An interim answer with all its fields, hop-by-hop ones included; never 100 or 101, which belong to the connection.
    ///
    /// Called by the task that asked, before the head is given and as often as the endpoint likes: it has to be quick, to be
    /// bounded in what it keeps, and to copy what it keeps, because the fields are parts of a read buffer.
    fn hear(&self, status: StatusCode, headers: &HeaderMap);
}
