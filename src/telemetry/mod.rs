//! What the operator sees: metrics, and a line in the access log for each request.

pub mod access_log;
pub mod certificates;
pub mod counters;
pub mod endpoints;
pub mod human;
pub mod metrics;
pub mod record;
mod shards;
pub mod sites;
