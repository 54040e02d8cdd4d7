//! What HTTP/1.1 is on either side of the node (RFC 9112): bytes to content and content to bytes, whoever sends them.
//!
//! - [`input`], [`outbox`]: what came and was not taken, what is to leave.
//! - [`chunked`]: chunks to content. [`framed`]: content to what is written.
//! - [`lines`]: the lines of both.
//!
//! What a head means is decided by each side for itself: `listener::http1` reads requests, `origin::http1` responses.

pub mod chunked;
pub mod framed;
pub mod input;
pub mod lines;
pub mod outbox;
