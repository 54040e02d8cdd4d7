//! What the operator sees: counters, and a line in the access log for each request.

pub mod access_log;
pub mod counters;
pub mod endpoints;
pub mod human;
