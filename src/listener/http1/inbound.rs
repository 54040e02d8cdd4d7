//! hyper's request to ours.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, header};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use crate::body::Body;
use crate::body::busy::{BodyError, BusyBody, Retention, Writer};
use crate::body::message::Request;
use crate::listener::Serving;

/// Our request, and the key to the connection if the client offers to leave HTTP.
pub(super) fn translate(
    mut request: hyper::Request<Incoming>,
    peer: SocketAddr,
    serving: &Serving,
) -> (Request, Option<OnUpgrade>) {
    let upgrade = request.headers().contains_key(header::UPGRADE).then(|| hyper::upgrade::on(&mut request));
    let (head, incoming) = request.into_parts();
    let target = head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let request = Request {
        method: head.method,
        scheme: Scheme::HTTP,
        target_authority: head.uri.authority().map(|authority| authority.as_str().to_owned()),
        target,
        version: head.version,
        headers: head.headers,
        body: receive(incoming, serving),
        peer,
    };
    (request, upgrade)
}

/// The request's content as a busy body with a bounded window, filled by a task of its own.
fn receive(incoming: Incoming, serving: &Serving) -> Body {
    if incoming.is_end_stream() {
        return Body::Empty;
    }
    let (_, writer, reader) = BusyBody::with_reader(serving.uploads.clone(), Retention::Window);
    tokio::spawn(pump(incoming, writer, serving.settings.body_timeout));
    Body::Busy(reader)
}

/// Ends by itself: with the body, with the connection, or when nobody wants the rest.
async fn pump(mut incoming: Incoming, mut writer: Writer, limit: Duration) {
    // Reading begins when somebody wants the content: hyper says 100 (Continue) at that moment and not before.
    writer.demanded().await;
    let mut trailers: Option<HeaderMap> = None;
    loop {
        let next = std::future::poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx));
        let frame = tokio::select! {
            () = writer.abandoned() => return,
            frame = tokio::time::timeout(limit, next) => frame,
        };
        let Ok(frame) = frame else { return writer.fail(BodyError::Stalled) };
        match frame {
            None => {
                writer.finish(trailers);
                return;
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "a request body broke off");
                writer.fail(BodyError::Incomplete);
                return;
            }
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => {
                    if writer.append(bytes).await.is_err() {
                        return;
                    }
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
        }
    }
}
