//! The accept loop of one worker, and how it drains.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::link::Link;
use super::proxied::{self, Trusted};
use super::stream::{self, Socket, Stream};
use super::tls::{Front, Offer, Shaken};
use super::wire::{Listening, Wire};
use super::{Handler, Serving, http1, http2};
use crate::base::peer::Peer;

/// Said to a connection over the limit, before its request is read.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\nRetry-After: 1\r\n\r\n";

/// For a request that is on its way while its listener goes.
const MOMENT: Duration = Duration::from_secs(1);

/// Pause after the kernel refused a connection for want of descriptors or memory.
const BREATH: Duration = Duration::from_millis(50);

/// What is spoken on a listener, beside HTTP/1.1 in the clear.
#[derive(Clone, Debug, Default)]
pub struct Speaks {
    /// Who speaks TLS with its clients, if they do.
    pub front: Option<Arc<Front>>,
    /// Whether they may speak HTTP/2: with TLS by choice, else by beginning with it (RFC 9113 §3.3).
    pub http2: bool,
    /// Whether early data is taken of those who speak TLS.
    pub early_data: bool,
    /// Who says for whom it connects, if anybody does.
    pub proxies: Option<Trusted>,
}

/// How the connections of a listener are served, until a reload says otherwise.
#[derive(Clone, Debug)]
pub struct Spoken {
    /// What is spoken.
    pub speaks: Speaks,
    /// Connections that were made under another number end, because something else is spoken now.
    pub manner: u32,
    /// With what they are served.
    pub serving: Serving,
}

/// Accepts connections, serves them as it is `spoken` when they come, and runs them in `tasks`. Where the listener drains, the
/// socket is closed at once. Where the sender of `spoken` goes, the listener was removed: who has connected already is served
/// first, and all end with the response that they are at.
///
/// Dropped, the socket is closed; the connections go on.
pub async fn accept<H: Handler>(
    socket: impl Into<Listening>,
    mut spoken: watch::Receiver<Spoken>,
    handler: Arc<H>,
    tasks: TaskTracker,
) {
    let socket = socket.into();
    let Spoken { mut speaks, mut manner, serving } = spoken.borrow_and_update().clone();
    let mut serving = of_worker(&serving);
    loop {
        let accepted = tokio::select! {
            biased;
            changed = spoken.changed() => {
                if changed.is_err() {
                    break;
                }
                let new = spoken.borrow_and_update().clone();
                speaks = new.speaks;
                if std::mem::replace(&mut manner, new.manner) != new.manner {
                    let old = std::mem::replace(&mut serving, of_worker(&new.serving));
                    tasks.spawn(see_off(old));
                }
                continue;
            }
            () = serving.draining.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => begin(stream, peer, &speaks, (&handler, &serving), &tasks),
            Err(error) if is_the_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; trying again");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    for (stream, peer) in socket.close() {
        begin(stream, peer, &speaks, (&handler, &serving), &tasks);
    }
    tasks.spawn(see_off(serving));
}

/// Each request looks whether it is to be the last of its connection: a token of its own keeps workers out of each other's way.
fn of_worker(serving: &Serving) -> Arc<Serving> {
    Arc::new(Serving { draining: serving.draining.child_token(), ..serving.clone() })
}

/// Has connections end with the response that they are at, once those have had a moment whose request is on its way.
async fn see_off(serving: Arc<Serving>) {
    tokio::select! {
        () = tokio::time::sleep(MOMENT) => serving.draining.cancel(),
        () = serving.draining.cancelled() => {}
    }
}

/// Has a connection served by a task of its own.
fn begin<H: Handler>(
    stream: Wire,
    peer: Peer,
    speaks: &Speaks,
    (handler, serving): (&Arc<H>, &Arc<Serving>),
    tasks: &TaskTracker,
) {
    let (handler, serving) = (Arc::clone(handler), Arc::clone(serving));
    match speaks.clone() {
        Speaks { proxies: Some(trusted), front, http2, early_data } if trusted.has(peer) => {
            let offer = Offer { http2, early_data };
            tasks.spawn(welcome_by_proxy(stream, (peer, front, offer), handler, serving))
        }
        Speaks { front: None, http2: true, .. } => {
            tasks.spawn(welcome_by_either(Socket::new(stream), peer, handler, serving))
        }
        Speaks { front: None, http2: false, .. } => match stream {
            Wire::Tcp(stream) => tasks.spawn(welcome(stream, peer, handler, serving)),
            stream @ Wire::Unix(_) => tasks.spawn(welcome(Socket::new(stream), peer, handler, serving)),
        },
        Speaks { front: Some(front), http2, early_data, .. } => {
            let (stream, offer) = (Socket::new(stream), Offer { http2, early_data });
            tasks.spawn(welcome_by_tls(stream, peer, (front, offer), handler, serving))
        }
    };
}

/// A connection that was gone before we took it is nobody's problem.
fn is_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

/// What comes from a proxy that says for whom it connects. One that does not say so in time, or says it wrong, is dropped.
async fn welcome_by_proxy<H: Handler>(
    mut stream: Wire,
    (proxy, front, offer): (Peer, Option<Arc<Front>>, Offer),
    handler: Arc<H>,
    serving: Arc<Serving>,
) {
    let told = tokio::select! {
        () = serving.draining.cancelled() => return,
        told = timeout(serving.settings.latest().header_timeout, proxied::client_of(&mut stream)) => told,
    };
    let (client, begin) = match told {
        Ok(Ok(told)) => told,
        Ok(Err(error)) => return tracing::debug!(%proxy, %error, "a proxy did not say for whom it connects"),
        Err(_) => return tracing::debug!(%proxy, "a proxy did not say in time for whom it connects"),
    };
    // It speaks for itself, to see whether this node is well.
    let peer = client.map_or(proxy, Peer::At);
    let stream = Socket::that_began(begin, stream);
    match front {
        Some(front) => Box::pin(welcome_by_tls(stream, peer, (front, offer), handler, serving)).await,
        None if offer.http2 => Box::pin(welcome_by_either(stream, peer, handler, serving)).await,
        None => Box::pin(welcome(stream, peer, handler, serving)).await,
    }
}

async fn welcome<H: Handler>(stream: impl Stream, peer: Peer, handler: Arc<H>, serving: Arc<Serving>) {
    let link = Link::plain(peer);
    match handler.admit(&link) {
        Some(_guest) => http1::serve(stream, link, &*handler, &serving).await,
        None => Box::pin(turn_away(stream)).await,
    }
}

/// The same for clients that may begin with HTTP/2.
async fn welcome_by_either<H: Handler>(
    mut stream: Socket,
    peer: Peer,
    handler: Arc<H>,
    serving: Arc<Serving>,
) {
    let link = Link::plain(peer);
    let Some(_guest) = handler.admit(&link) else { return turn_away(stream).await };
    let begins = tokio::select! {
        () = serving.draining.cancelled() => return,
        begins = timeout(serving.settings.latest().header_timeout, read_beginning(&mut stream)) => begins,
    };
    let Ok(Ok((begin, is_http2))) = begins else { return };
    stream.unread(begin);
    if is_http2 {
        Box::pin(http2::serve(stream, link, &*handler, &serving)).await;
    } else {
        http1::serve(stream, link, &*handler, &serving).await;
    }
}

/// Reads until it is clear whether a client begins as only HTTP/2 does. Returns what was read.
async fn read_beginning(stream: &mut Socket) -> io::Result<(BytesMut, bool)> {
    let mut begin = BytesMut::with_capacity(http2::PREFACE.len());
    while begin.iter().zip(http2::PREFACE).all(|(came, expected)| came == expected) {
        if begin.len() >= http2::PREFACE.len() {
            return Ok((begin, true));
        }
        if stream.read_buf(&mut begin).await? == 0 {
            break;
        }
    }
    Ok((begin, false))
}

/// Over the limit there is nothing that could be said before a handshake, which costs more than the answer.
async fn welcome_by_tls<H: Handler>(
    stream: Socket,
    peer: Peer,
    (front, offer): (Arc<Front>, Offer),
    handler: Arc<H>,
    serving: Arc<Serving>,
) {
    let link = Link { may_be_early: offer.early_data, ..Link::tls(peer) };
    let Some(_guest) = handler.admit(&link) else { return };
    // On the heap, so that a connection that waits is small.
    let shaken = Box::pin(async {
        tokio::select! {
            () = serving.draining.cancelled() => None,
            shaken = front.accept(stream, peer, offer) => shaken,
        }
    });
    let Some(Shaken { stream, speaks_http2, policy, certificate, early }) = shaken.await else { return };
    let link = Link { policy, certificate, early, ..link };
    if speaks_http2 {
        // On the heap as well, so that one of HTTP/1.1 is small.
        Box::pin(http2::serve(stream, link, &*handler, &serving)).await;
    } else {
        http1::serve(stream, link, &*handler, &serving).await;
    }
}

/// Says why. An answer as short as that waits for nobody: the system takes it at once, or the client is gone.
async fn turn_away(mut stream: impl Stream) {
    if stream.write_all(TOO_MANY).await.is_ok() {
        stream::end(stream).await;
    }
}
