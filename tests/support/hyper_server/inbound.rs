//! hyper's request to ours.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::wire::WireBody;
use forebay::base::ids::ClientPolicy;
use forebay::body::Body;
use forebay::body::busy::{BodyError, BusyBody, Retention, Writer};
use forebay::body::message::Request;
use forebay::listener::Serving;

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
        peer: peer.into(),
        policy: ClientPolicy::NONE,
        certificate: None,
        early: None,
        can_break_off: true,
    };
    (request, upgrade)
}

/// What is answered at once to a request of which hyper cannot tell the end, or to which resource it goes.
pub(super) fn refusal(request: &hyper::Request<Incoming>) -> Option<hyper::Response<WireBody>> {
    let status = unclear(request.method(), request.uri(), request.headers())?;
    tracing::debug!(%status, "a request was refused by the form of its head");
    let mut response = hyper::Response::new(WireBody::new(Body::Empty, None));
    *response.status_mut() = status;
    // Its content is left unread.
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    Some(response)
}

fn unclear(method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<StatusCode> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let coded = codings.next().is_some_and(|line| !line.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if coded || codings.next().is_some() {
        // hyper undoes chunks alone: another coding would be passed on as if it were content (RFC 9112 §6.1).
        return Some(StatusCode::NOT_IMPLEMENTED);
    }
    // `GET foo`: only CONNECT names a host and nothing else (RFC 9112 §3.2.3).
    let authority_form = uri.scheme().is_none() && uri.authority().is_some();
    (authority_form && method != Method::CONNECT).then_some(StatusCode::BAD_REQUEST)
}

/// The request's content as a busy body with a bounded window, filled by a task of its own.
fn receive(incoming: Incoming, serving: &Serving) -> Body {
    if incoming.is_end_stream() {
        return Body::Empty;
    }
    let (_, writer, reader) = BusyBody::with_reader(serving.uploads.clone(), Retention::Spool);
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
                    if !writer.may_grow_by(bytes.len() as u64) {
                        return writer.fail(BodyError::TooLarge);
                    }
                    if writer.append(bytes).await.is_err() {
                        return;
                    }
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
        }
    }
}
