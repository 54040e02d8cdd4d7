//! Bodies whose end is told by close alone: those of unknown length for clients that know no chunks (HTTP/1.0).
//!
//! To such a client an orderly close says that the body was whole. Where it broke off, or was cut by the drain
//! deadline, the connection must end in a reset.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Version, header};
use http_body::{Body as _, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::pace::Pace;
use crate::body::busy::BodyError;
use crate::body::wire::WireBody;

/// What a connection's end must tell of the body before it. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(in crate::listener) struct Ending(Arc<Told>);

#[derive(Debug, Default)]
struct Told {
    /// Whether the close of the connection tells the end of a body.
    by_close: AtomicBool,
    /// Whether that body was handed over to its end.
    whole: AtomicBool,
}

impl Ending {
    /// Watches over a response's body if only the close of the connection will tell its end.
    pub(super) fn watch(
        &self,
        version: Version,
        mut response: hyper::Response<ClientBody>,
    ) -> hyper::Response<ClientBody> {
        let sized = response.headers().contains_key(header::CONTENT_LENGTH)
            || response.body().size_hint().exact().is_some();
        let told_by_close = version == Version::HTTP_10 && !sized && !response.body().is_end_stream();
        if told_by_close {
            self.0.by_close.store(true, Ordering::Release);
            response.body_mut().ending = Some(self.clone());
        }
        response
    }

    fn told_by_close(&self) -> bool {
        self.0.by_close.load(Ordering::Acquire)
    }

    fn is_cut(&self) -> bool {
        self.told_by_close() && !self.0.whole.load(Ordering::Acquire)
    }
}

/// A response's body on its way to a client.
pub(in crate::listener) struct ClientBody {
    body: WireBody,
    /// Who is to know once the body was handed over whole.
    ending: Option<Ending>,
    /// What is to be told when the connection is idle again.
    pace: Pace,
}

impl ClientBody {
    pub(super) fn new(body: WireBody, pace: Pace) -> Self {
        Self { body, ending: None, pace }
    }

    fn finished(&mut self) {
        if let Some(ending) = self.ending.take() {
            ending.0.whole.store(true, Ordering::Release);
        }
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        self.pace.answered();
    }
}

impl http_body::Body for ClientBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        // hyper need not ask again after the frame that it knows to be the last.
        let ended = matches!(polled, Poll::Ready(None))
            || (matches!(polled, Poll::Ready(Some(Ok(_)))) && self.body.is_end_stream());
        if ended {
            self.finished();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A client's connection. Where its close tells the end of a body, it ends in a reset unless that body was whole
/// and everything has been written.
#[derive(Debug)]
pub(in crate::listener) struct ClientStream {
    stream: TcpStream,
    ending: Ending,
    /// Whether the end was said after everything was written.
    orderly: bool,
}

impl ClientStream {
    pub(in crate::listener) fn new(stream: TcpStream, ending: Ending) -> Self {
        Self { stream, ending, orderly: false }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ending.is_cut() {
            return Poll::Ready(Ok(()));
        }
        self.orderly = true;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        if self.ending.told_by_close()
            && !self.orderly
            && let Err(error) = self.stream.set_zero_linger()
        {
            tracing::debug!(%error, "a connection cannot be reset");
        }
    }
}
