//! What can be told of an origin's endpoints at one moment, for metrics and people.

/// One endpoint of a pool, as it is now. Numbers that count only go up while the node runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointState {
    /// The pool's name.
    pub pool: String,
    /// `host:port`.
    pub endpoint: String,
    /// Whether requests go to it as its weight says. While it is down, only single ones try it.
    pub up: bool,
    /// Whether the operator has drained it: no new exchange goes there.
    pub drained: bool,
    /// Connections in use, tunnels included.
    pub active: u64,
    /// Connections that wait for their next request.
    pub idle: u64,
    /// Requests sent, retries included.
    pub requests: u64,
    /// Failures before a head.
    pub failures: u64,
    /// Requests that came here after they had failed elsewhere.
    pub retries: u64,
    /// Requests whose content came here from its beginning after it had been sent before.
    pub replays: u64,
    /// Connections opened.
    pub opened: u64,
    /// Requests that wait for a connection now; of the whole pool.
    pub queued: u64,
    /// Requests turned away because the queue was full or too slow; of the whole pool.
    pub refused: u64,
}
