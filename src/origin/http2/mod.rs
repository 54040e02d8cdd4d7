//! HTTP/2 with endpoints ([decision 19](../../../docs/decisions/0019-http2-to-origins.md)).
//!
//! - `Lines`: the open connections to one endpoint, and who opens the next one.
//! - `connection`: one of them, moved along by a task of its own, and `Share`: the right to one stream on it.
//! - `exchange`: the way of a request and its response on a stream.
//! - `window`: what may come before it is taken. `request`: a head as HTTP/2 has it. `Sending`: a request's content on its way out.
//!
//! The codec is a library's ([`h2`]): frames, fields, windows, states of streams.

mod broken;
mod connection;
mod exchange;
mod lines;
mod request;
mod sending;
mod window;

pub(super) use connection::{Connection, Share};
pub(super) use exchange::{Came, Coming};
pub(super) use lines::{Lines, Opening, Way};
pub(super) use window::Window;
