//! HTTP semantics and caching (RFC 9110, RFC 9111 and friends) as pure functions.
//!
//! Everything here answers from its arguments alone: fields, a status, a time. Nothing here reads a clock,
//! does I/O or awaits, so every rule can be tested, fuzzed and compared with a slow model.
//!
//! Where the RFCs leave a choice, or a message is malformed, the reading is taken that can only cost a
//! fetch, never the one that could hand out a wrong or private answer.

pub mod applied;
pub mod cache_control;
pub mod cache_status;
pub mod cdn_loop;
pub mod client_cert;
pub mod coded_tag;
pub mod coding;
pub mod compressed;
pub mod compression;
pub mod cookies;
pub mod date;
pub mod decoding;
pub mod delta;
pub mod etag;
pub mod explanation;
pub mod fields;
pub mod freshness;
pub mod glob;
pub mod invalidation;
pub mod language;
pub mod no_vary_search;
pub mod notable;
pub mod patterns;
pub mod policy;
pub mod proxy_status;
pub mod query;
pub mod ranges;
pub mod request_directives;
pub mod reuse;
pub mod storage;
pub mod tags;
pub mod target;
pub mod targeted;
pub mod validation;
pub mod vary;

mod directive;
mod structured;
#[cfg(test)]
mod testing;
