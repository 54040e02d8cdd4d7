//! A stream that has left HTTP (RFC 8441): its content goes to the origin and the origin's back, as they come.

use std::future::poll_fn;
use std::io;

use bytes::BytesMut;
use h2::{Reason, RecvStream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};

use super::outlet::{Outlet, Unwanted};
use crate::body::tunnel::Tunnel;

/// Bytes that are read of the origin at a time.
const AT_ONCE: usize = 16 << 10;

/// Joins the two sides. Ends when both directions have closed or one has failed, or the client has reset the stream. Dropped,
/// both are closed.
pub async fn join(client: RecvStream, mut to_client: Outlet, tunnel: Tunnel) {
    let opened = tokio::select! {
        _ = poll_fn(|cx| to_client.poll_rest(cx)) => return,
        opened = tunnel.open() => opened,
    };
    let Ok(origin) = opened else {
        to_client.reset(Reason::CONNECT_ERROR);
        return tracing::debug!("a tunnel did not open on the side of the origin");
    };
    let (from_origin, to_origin) = split(origin);
    let joined = tokio::try_join!(up(client, to_origin), down(from_origin, &mut to_client));
    if let Err(error) = joined {
        // As a reset of TCP would say it (RFC 8441 §5).
        to_client.reset(Reason::CANCEL);
        tracing::debug!(%error, "a tunnel broke");
    }
}

async fn up(mut client: RecvStream, mut origin: impl AsyncWrite + Unpin) -> io::Result<()> {
    while let Some(bytes) = client.data().await {
        let mut bytes = bytes.map_err(io::Error::other)?;
        let length = bytes.len();
        origin.write_all_buf(&mut bytes).await?;
        // A stream that has ended meanwhile has no window to open.
        let _ = client.flow_control().release_capacity(length);
    }
    origin.shutdown().await
}

async fn down(mut origin: impl AsyncRead + Unpin, client: &mut Outlet) -> io::Result<()> {
    let unwanted = |Unwanted| io::Error::from(io::ErrorKind::BrokenPipe);
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(AT_ONCE);
        let read = tokio::select! {
            gone = poll_fn(|cx| client.poll_rest(cx)) => return Err(unwanted(gone)),
            read = origin.read_buf(&mut buffer) => read?,
        };
        if read == 0 {
            return client.end(None).map_err(unwanted);
        }
        let mut bytes = buffer.split().freeze();
        while !bytes.is_empty() {
            let room = poll_fn(|cx| client.poll_room(bytes.len(), cx)).await.map_err(unwanted)?;
            client.send(bytes.split_to(room), false).map_err(unwanted)?;
        }
    }
}
