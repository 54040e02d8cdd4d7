//! A connection, in the clear or by TLS. The handshake goes on as it is read: nobody else waits for it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

use super::patience::Timed;
use super::peer::Caller;
use super::tls;

/// A connection of the admin listener.
pub(super) struct Wire {
    state: State,
    caller: Caller,
}

enum State {
    Clear(Timed),
    Handshake(Box<Accept<Timed>>),
    Tls(Box<TlsStream<Timed>>),
    /// The handshake came to nothing.
    Failed,
}

impl Wire {
    pub(super) fn new(io: Timed, acceptor: Option<&TlsAcceptor>, caller: Caller) -> Self {
        let state = match acceptor {
            None => State::Clear(io),
            Some(acceptor) => State::Handshake(Box::new(acceptor.accept(io))),
        };
        Self { state, caller }
    }

    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The stream that requests go on, once it is there.
    fn poll_stream(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&mut dyn Stream>> {
        if let State::Handshake(accept) = &mut self.state {
            let ended = ready!(Pin::new(accept.as_mut()).poll(cx));
            let stream = ended.inspect_err(|_| self.state = State::Failed)?;
            // It was verified: another one ends the handshake.
            if let Some(shown) = stream.get_ref().1.peer_certificates().and_then(<[_]>::first) {
                let _ = self.caller.shown.set(tls::subject(shown).into());
            }
            self.state = State::Tls(Box::new(stream));
        }
        Poll::Ready(Ok(match &mut self.state {
            State::Clear(stream) => stream,
            State::Tls(stream) => stream.as_mut(),
            State::Handshake(_) => return Poll::Pending,
            State::Failed => return Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }))
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = ready!(self.poll_stream(cx))?;
        Pin::new(stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let stream = ready!(self.poll_stream(cx))?;
        Pin::new(stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            // Nothing was written yet.
            State::Handshake(_) | State::Failed => Poll::Ready(Ok(())),
            State::Clear(stream) => Pin::new(stream).poll_flush(cx),
            State::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            // There is nobody to say farewell to.
            State::Handshake(_) | State::Failed => Poll::Ready(Ok(())),
            State::Clear(stream) => Pin::new(stream).poll_shutdown(cx),
            State::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
