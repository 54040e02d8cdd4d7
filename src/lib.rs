//! Forebay: a caching web accelerator and CDN edge node.
//!
//! The modules, in the order in which a request meets them. Layers import downward only; `docs/ARCHITECTURE.md`
//! has the picture and the walk of a request.

pub mod admission;
pub mod cache;
pub mod deliver;
pub mod fetch;
pub mod listener;
pub mod origin;
pub mod request;
pub mod route;
pub mod transform;

// What flows through all of them, and how it is written and read.
pub mod body;
pub mod http1;

// The law that they follow.
pub mod semantics;

// What they stand on.
pub mod base;
pub mod telemetry;

// What the operator asks a running node.
pub mod admin;

// What puts them together.
pub mod app;
pub mod cli;
pub mod config;
