//! A stream that has left HTTP (RFC 8441): its content goes to the origin and the origin's back, as they come.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};

use super::turns::Place;
use crate::body::tunnel::Tunnel;

/// Bytes that are read of the origin at a time.
const AT_ONCE: usize = 16 << 10;

/// Joins the two sides; what goes to the client takes its turns at `place`. Ends when both directions have closed or one has
/// failed, or the client has reset the stream. Dropped, both are closed.
pub async fn join(client: RecvStream, to_client: SendStream<Bytes>, place: Place, tunnel: Tunnel) {
    let mut near = Near { stream: to_client, place };
    let opened = tokio::select! {
        () = near.reset() => return,
        opened = tunnel.open() => opened,
    };
    let Ok(origin) = opened else {
        near.stream.send_reset(Reason::CONNECT_ERROR);
        return tracing::debug!("a tunnel did not open on the side of the origin");
    };
    let (from_origin, to_origin) = split(origin);
    let joined = tokio::try_join!(up(client, to_origin), near.down(from_origin));
    if let Err(error) = joined {
        // As a reset of TCP would say it (RFC 8441 §5).
        near.stream.send_reset(Reason::CANCEL);
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

/// The client's side, to write to.
struct Near {
    stream: SendStream<Bytes>,
    place: Place,
}

impl Near {
    /// The client wants no more. Cancel-safe.
    async fn reset(&mut self) {
        let _ = poll_fn(|cx| self.stream.poll_reset(cx)).await;
    }

    async fn down(&mut self, mut origin: impl AsyncRead + Unpin) -> io::Result<()> {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(AT_ONCE);
            let read = tokio::select! {
                () = self.reset() => return Err(io::ErrorKind::BrokenPipe.into()),
                read = origin.read_buf(&mut buffer) => read?,
            };
            if read == 0 {
                return self.stream.send_data(Bytes::new(), true).map_err(io::Error::other);
            }
            let mut bytes = buffer.split().freeze();
            while !bytes.is_empty() {
                let room = poll_fn(|cx| self.poll_room(bytes.len(), cx)).await?;
                self.place.took(room);
                self.stream.send_data(bytes.split_to(room), false).map_err(io::Error::other)?;
            }
        }
    }

    /// Its turn, and room in the window for so much of `most`.
    fn poll_room(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            if self.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let most = most.min(ready!(self.place.poll_turn(cx)));
            self.stream.reserve_capacity(most);
            if self.stream.capacity() > 0 {
                return Poll::Ready(Ok(self.stream.capacity().min(most)));
            }
            self.place.rest();
            match ready!(self.stream.poll_capacity(cx)) {
                Some(room) => drop(room.map_err(io::Error::other)?),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
    }
}
