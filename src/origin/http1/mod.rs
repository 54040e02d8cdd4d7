//! One HTTP/1.1 connection to an endpoint, driven by the task of whoever asked ([decision 15](../../../docs/decisions/0015-http1-to-origins.md)).
//!
//! ```text
//!      ┌────────────────── idle ◀─────────────────┐
//!      ▼                                          │
//!  request out ∥ head in ── content in ─── whole ─┴─ close, tunnel
//! ```
//!
//! - `Outgoing`: a request as it is written. `Sending`: one on its way out.
//! - [`head`], [`framing`]: bytes to the head of a response, and where its content ends. Without I/O.
//! - `Wire`: the connection. `Content`: what is read off it behind the head.
//!
//! Nothing here runs by itself: what is not polled does not move, and what is dropped on its way closes the connection.

mod content;
pub mod framing;
pub mod head;
mod outgoing;
mod sending;
mod wire;

pub(super) use content::Content;
pub(super) use outgoing::{Outgoing, Spare};
pub(super) use sending::Sending;
pub(super) use wire::Wire;

/// Why there is no response, or no more of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The endpoint closed the connection, or it broke.
    Gone,
    /// What came is no response.
    Malformed(&'static str),
    /// The head is longer than it may be, or has too many fields.
    LargeHead,
    /// The content of the request broke off, or is not as long as was said.
    Request,
}
