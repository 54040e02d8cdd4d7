//! One HTTP/2 connection (RFC 9113), all of it in one task (decision 14).
//!
//! ```text
//!            ┌────────── turn ──────────┐
//!  wire ──▶ codec ──▶ head ──▶ answer at once ─┐
//!   ▲ meter            └─▶ stream: wait, send ─┤ by turns
//!   └──────── gathered ◀──── codec ◀───────────┘
//! ```
//!
//! The codec is a library's ([`h2`]): frames, fields, windows, states of streams. [`serve`] is the way of a connection,
//! `receive` that of a request to its stream, and `exchange` that of a stream. What decides is without I/O: `frames`, `rules`, `meter`, `priority`, `turns`, `fields`.

mod connection;
mod exchange;
mod fields;
mod frames;
mod meter;
mod nudge;
mod outlet;
mod priority;
mod receive;
mod rules;
mod sending;
mod tunnel;
mod turns;
mod upload;
mod wire;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::server;
use tokio::io::{AsyncReadExt as _, copy, sink};
use tokio::time::timeout;

use super::link::Link;
use super::stream::Stream;
use super::{Handler, Serving, Settings};
use connection::{Connection, End};
use rules::LARGEST_WINDOW;
use wire::Wire;

pub use frames::PREFACE;

/// What a client may send on one stream before anybody takes it. The connection has room for it on all of them, so that
/// content which nobody takes does not hold up other content; each is charged as it begins.
const STREAM_WINDOW: u32 = 128 << 10;

/// What is handed to the codec before all of it has left.
const AT_ONCE: usize = 64 << 10;

/// What is read of a client after it was told that its connection ends: more than was on its way by then, at usual distances.
const MOST_UNREAD: u64 = 1 << 20;

/// How long a client may take to notice that its connection ends.
const LINGER: Duration = Duration::from_secs(2);

/// Serves one connection to its end: until the client closes, breaks the protocol, floods or idles too long, or until the
/// listener drains and what is under way has left.
///
/// Dropped, the connection is closed, and what it had not answered is given up.
pub async fn serve<H: Handler>(io: impl Stream, link: Link, handler: &H, serving: &Serving) {
    let limits = serving.settings.latest();
    let wire = Wire::new(io, limits.min_rate);
    let shaken = tokio::select! {
        () = serving.draining.cancelled() => return,
        shaken = timeout(limits.header_timeout, shake_hands(&wire, &limits)) => shaken,
    };
    let Ok(Ok(codec)) = shaken else {
        return tracing::debug!(peer = %link.peer, "a connection did not begin as HTTP/2 does");
    };
    serving.counters.http2_connections.inc();
    let mut connection = Connection::new(codec, wire.clone(), link, handler, serving);
    let end = poll_fn(|cx| connection.poll(cx)).await;
    drop(connection);
    if end == End::Told
        && let Some(mut io) = wire.into_io()
    {
        // Closing over unread bytes would reset the connection, and might lose what the client was told. Who sends on and on
        // does not listen.
        let _ = timeout(LINGER, copy(&mut (&mut io).take(MOST_UNREAD), &mut sink())).await;
    }
}

type Codec<S> = server::Connection<Wire<S>, Bytes>;

async fn shake_hands<S: Stream>(wire: &Wire<S>, settings: &Settings) -> io::Result<Codec<S>> {
    let mut builder = server::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(
            STREAM_WINDOW.saturating_mul(settings.max_streams).min(LARGEST_WINDOW),
        )
        .max_concurrent_streams(settings.max_streams)
        // The codec refuses without a word to the log: so it has room for what is refused here.
        .max_header_list_size(u32::try_from(settings.max_head.saturating_mul(2)).unwrap_or(u32::MAX))
        // Small frames hold more than their bytes: of those that nobody takes there are as many as on one stream.
        .data_frame_budget(STREAM_WINDOW as usize)
        .max_send_buffer_size(AT_ONCE)
        .enable_connect_protocol();
    let mut shaking = builder.handshake(wire.clone());
    poll_fn(|cx| {
        let shaken = Pin::new(&mut shaking).poll(cx);
        if let Poll::Ready(Err(error)) = wire.poll_leave(cx) {
            return Poll::Ready(Err(error));
        }
        shaken.map_err(io::Error::other)
    })
    .await
}
