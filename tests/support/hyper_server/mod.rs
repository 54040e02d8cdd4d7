//! One HTTP/1.1 connection, by hyper: what our own driver is held against. Whatever both can do they have to do alike
//! (decision 11).

mod body;
mod inbound;
mod outbound;
mod pace;
mod wire;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;

use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use body::ClientBody;
use forebay::listener::{Handler, Serving};
use outbound::TunnelSlot;
use pace::{Pace, Paced, Phase};

/// Serves one connection to its end, as [`forebay::listener::http1::serve`] does.
pub async fn serve<H: Handler>(
    io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    peer: SocketAddr,
    handler: &H,
    serving: &Serving,
) {
    let settings = &serving.settings;
    let tunnel_slot = TunnelSlot::default();
    let pace = Pace::new();
    let exchange = service_fn(|request| answer(handler, serving, peer, &tunnel_slot, &pace, request));
    let io = Paced::new(io, pace.clone(), settings.write_timeout);
    let connection = Builder::new()
        .max_header_size(settings.max_head)
        .max_buf_size(settings.max_head.max(64 << 10))
        .max_headers(settings.max_fields)
        // Date is the origin's or ours, decided in `deliver`.
        .auto_date_header(false)
        .serve_connection(TokioIo::new(io), exchange)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut told_to_end = false;
    let ended = loop {
        tokio::select! {
            // First: one that was told to end does so at once if nothing is under way.
            biased;
            ended = connection.as_mut() => break ended,
            () = serving.draining.cancelled(), if !told_to_end => {}
            phase = pace.expired(settings) => {
                if told_to_end || phase == Phase::Head {
                    tracing::debug!(%peer, ?phase, "a client was too late");
                    return;
                }
            }
        }
        connection.as_mut().graceful_shutdown();
        told_to_end = true;
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a client connection ended early");
    }
    let tunnel = tunnel_slot.lock().take();
    if let Some((upgrade, tunnel)) = tunnel {
        outbound::join(upgrade, tunnel).await;
    }
}

async fn answer<H: Handler>(
    handler: &H,
    serving: &Serving,
    peer: SocketAddr,
    tunnel_slot: &TunnelSlot,
    pace: &Pace,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<ClientBody>, Infallible> {
    pace.busy();
    if let Some(refusal) = inbound::refusal(&request) {
        return Ok(refusal.map(|body| ClientBody::new(body, pace.clone())));
    }
    let (request, upgrade) = inbound::translate(request, peer, serving);
    let reply = handler.handle(request).reply().await;
    let response = outbound::translate(reply, upgrade, tunnel_slot);
    Ok(response.map(|body| ClientBody::new(body, pace.clone())))
}
