//! One HTTP/1.1 connection to an endpoint, driven by the task of whoever asked ([decision 15](../../../docs/decisions/0015-http1-to-origins.md)).
//!
//! ```text
//!      ┌────────────────── idle ◀─────────────────┐
//!      ▼                                          │
//!  request out ∥ head in ── content in ─── whole ─┴─ close, tunnel
//! ```
//!
//! - `exchange`: the way of a request and its response, from the first byte of the one to the last of the other.
//! - `written`: the head of a request as it is written. `Sending`: a request on its way out.
//! - [`head`], [`framing`]: bytes to the head of a response, and where its content ends. Without I/O.
//! - `Wire`: the connection. `Content`: what is read off it behind the head.
//!
//! Nothing here runs by itself: what is not polled does not move, and what is dropped on its way closes the connection.

mod content;
mod exchange;
pub mod framing;
pub mod head;
mod sending;
mod wire;
pub(super) mod written;

pub use super::broken::Broken;
pub(super) use exchange::{Came, Coming};
pub(super) use wire::Wire;
