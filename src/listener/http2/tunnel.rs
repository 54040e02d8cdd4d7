//! A stream that has left HTTP (RFC 8441): its content goes to the origin and the origin's back, as they come.

use std::future::poll_fn;
use std::io;

use bytes::{Bytes, BytesMut};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};

use crate::body::tunnel::Tunnel;

/// Bytes that are read of the origin at a time.
const AT_ONCE: usize = 16 << 10;

/// Joins the two sides. Ends when both directions have closed or one has failed. Dropped, both are closed.
pub async fn join(client: RecvStream, mut to_client: SendStream<Bytes>, tunnel: Tunnel) {
    let Ok(origin) = tunnel.open().await else {
        to_client.send_reset(Reason::CONNECT_ERROR);
        return tracing::debug!("a tunnel did not open on the side of the origin");
    };
    let (from_origin, to_origin) = split(origin);
    let joined = tokio::try_join!(up(client, to_origin), down(from_origin, &mut to_client));
    if let Err(error) = joined {
        // As a reset of TCP would say it (RFC 8441 §5).
        to_client.send_reset(Reason::CANCEL);
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

async fn down(mut origin: impl AsyncRead + Unpin, client: &mut SendStream<Bytes>) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(AT_ONCE);
        if origin.read_buf(&mut buffer).await? == 0 {
            return client.send_data(Bytes::new(), true).map_err(io::Error::other);
        }
        let mut bytes = buffer.split().freeze();
        while !bytes.is_empty() {
            client.reserve_capacity(bytes.len());
            let room = match client.capacity() {
                0 => match poll_fn(|cx| client.poll_capacity(cx)).await {
                    Some(room) => room.map_err(io::Error::other)?,
                    None => return Err(io::ErrorKind::BrokenPipe.into()),
                },
                room => room,
            };
            let piece = bytes.split_to(room.min(bytes.len()));
            client.send_data(piece, false).map_err(io::Error::other)?;
        }
    }
}
