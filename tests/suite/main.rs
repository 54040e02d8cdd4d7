//! The one integration binary: every behaviour at the boundary, with a scripted origin on one side and raw-byte
//! clients on the other.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::missing_panics_doc, clippy::struct_excessive_bools, clippy::too_many_lines, missing_docs)]

#[path = "../support/mod.rs"]
mod support;

mod access_log;
mod admin;
mod cache_status;
mod caching;
mod cancel;
mod cancel_blocks;
mod cancel_blocks_disk;
mod cancel_disk;
mod cli;
mod client_certificates;
mod collapse;
mod conditional;
mod config_bad;
mod config_check;
mod config_docs;
mod config_property;
mod digests;
mod disk_at_once;
mod disk_blocks;
mod disk_faults;
mod disk_fill;
mod disk_findings;
mod disk_kill;
mod disk_model;
mod disk_mounts;
mod disk_records;
mod disk_rig;
mod disk_rules;
mod disk_within;
mod divided;
mod divided_findings;
mod divided_origins;
mod divided_property;
mod drain;
mod explain;
mod faults;
mod fuzz_corpus;
mod http1;
mod http1_strict;
mod http2;
mod http2_frames;
mod interim;
mod invalidation;
mod keyed;
mod keys;
mod layering;
mod ledger;
mod limits;
mod loops;
mod memory;
mod metrics;
mod no_vary_search;
mod origin_http1;
mod pool;
mod pool_cancel;
mod pool_limited;
mod pool_names;
mod pool_nginx;
mod pool_rig;
mod pool_tls;
mod property;
mod proxied;
mod query_method;
mod races;
mod ranges;
mod ranges_chromium;
mod ranges_clients;
mod rebuilt;
mod rig;
mod semantics_model;
mod short_way;
mod site;
mod sites;
mod spoon;
mod staleness;
mod tls;
mod unkeyed;
mod variants;
