//! One HTTP/1.1 connection, by a driver of our own (decision 11).
//!
//! ```text
//!        ┌───────────────── next request ◀──────────────┐
//!        ▼                                              │
//!  wait, read head ── content in ∥ answer ── answer out ┴─ close, tunnel
//! ```
//!
//! [`serve`] is the way of a connection. What decides is without I/O and in files of its own: [`head`], [`framing`],
//! [`render`], and what both sides share in [`crate::http1`].

mod connection;
mod exchange;
pub mod framing;
pub mod head;
pub mod render;
mod sending;
mod upload;

use super::link::Link;
use super::stream::Stream;
use super::{Answer, Handler, Serving};
use connection::{After, Connection, How};
use head::Head;

/// Serves one connection to its end: until the client closes, breaks the protocol or idles too long, or until
/// the listener drains and the response in progress has left. A connection that becomes a tunnel ends with it.
///
/// Dropped, the connection is closed, and what it had not answered is given up.
pub async fn serve<H: Handler>(io: impl Stream, link: Link, handler: &H, serving: &Serving) {
    let mut connection = Connection::new(io, link, serving);
    while let Some(came) = connection.next_head().await {
        // On the heap for as long as it takes, so that a connection that waits is small.
        let after = match came {
            Ok(head) => Box::pin(answer(&mut connection, handler, head)).await,
            Err(refusal) => {
                let reply = handler.refuse(&refusal, &connection.link);
                Box::pin(connection.refuse(reply)).await
            }
        };
        match after {
            After::Next => {}
            After::Close(how) => return Box::pin(connection.close(how)).await,
            After::Switch(tunnel) => return Box::pin(connection.join(tunnel)).await,
            After::Gone => return,
        }
    }
    Box::pin(connection.close(How::AtOnce)).await;
}

/// Answers one request.
async fn answer<H: Handler, S: Stream>(connection: &mut Connection<'_, S>, handler: &H, head: Head) -> After {
    let (request, mut exchange) = connection.open(head);
    let reply = match handler.handle(request) {
        Answer::Now(reply) => Some(reply),
        Answer::Later(later) => connection.wait(later, &mut exchange).await,
    };
    match reply {
        Some(reply) => connection.send(reply, exchange).await,
        None => After::Gone,
    }
}
