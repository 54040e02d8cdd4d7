//! Our reply to hyper's response.

use http::StatusCode;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::copy_bidirectional;

use super::wire::WireBody;
use forebay::body::Body;
use forebay::body::message::Reply;
use forebay::body::tunnel::Tunnel;

/// Where a connection leaves the tunnel that it turns into, for its own task to join.
pub(super) type TunnelSlot = Mutex<Option<(OnUpgrade, Tunnel)>>;

pub(super) fn translate(
    reply: Reply,
    upgrade: Option<OnUpgrade>,
    tunnel_slot: &TunnelSlot,
) -> hyper::Response<WireBody> {
    let Reply { mut head, mut body, record } = reply;
    if let Body::Tunnel(tunnel) = body {
        body = Body::Empty;
        match upgrade {
            Some(upgrade) => *tunnel_slot.lock() = Some((upgrade, tunnel)),
            // The client never offered to leave HTTP: a 101 would lie.
            None => head.status = StatusCode::BAD_GATEWAY,
        }
    }
    let mut response = hyper::Response::new(WireBody::new(body, record));
    *response.status_mut() = head.status;
    *response.headers_mut() = head.into_headers();
    response
}

/// Joins the two sides once both have left HTTP. Ends when both directions have closed or one has failed.
pub(super) async fn join(upgrade: OnUpgrade, tunnel: Tunnel) {
    let (client, origin) = tokio::join!(upgrade, tunnel.open());
    let (Ok(client), Ok(mut origin)) = (client, origin) else {
        tracing::debug!("a tunnel did not open on both sides");
        return;
    };
    if let Err(error) = copy_bidirectional(&mut TokioIo::new(client), &mut origin).await {
        tracing::debug!(%error, "a tunnel broke");
    }
}
