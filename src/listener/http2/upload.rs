//! The content of a request on its way from the codec into its busy body.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use tokio::time::timeout;

use crate::body::busy::{BodyError, BusyBody, Means, Reader, Retention, Writer};

/// Content that a client sends.
pub struct Upload {
    carrying: Pin<Box<dyn Future<Output = ()> + Send>>,
    has_ended: bool,
    wanted: Wanted,
}

/// Whether somebody has asked for it.
type Wanted = std::sync::Arc<std::sync::atomic::AtomicBool>;

impl Upload {
    /// Content that comes by `stream`, and who reads it. A client that sends nothing for `limit` when it is waited for has
    /// broken it off.
    pub fn new(stream: RecvStream, means: &Means, limit: Duration) -> (Self, Reader) {
        let (_, writer, reader) = BusyBody::with_reader(means.clone(), Retention::Window);
        let wanted = Wanted::default();
        let carrying = Box::pin(carry(stream, writer, limit, wanted.clone()));
        (Self { carrying, has_ended: false, wanted }, reader)
    }

    /// Whether somebody has asked for it.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Carries on. Ready once all came, or nobody wants the rest, and from then on.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.has_ended {
            self.has_ended = self.carrying.as_mut().poll(cx).is_ready();
        }
        if self.has_ended { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Before anybody asks for it, what comes stays within the window that the stream began with. What is taken opens the window
/// again once it is stored: so nothing else has to be bounded. Dropped, the content is broken off.
async fn carry(mut stream: RecvStream, mut writer: Writer, limit: Duration, wanted: Wanted) {
    writer.demanded().await;
    wanted.store(true, std::sync::atomic::Ordering::Relaxed);
    loop {
        let next = tokio::select! {
            biased;
            next = timeout(limit, next(&mut stream)) => next,
            () = writer.abandoned() => return,
        };
        match next {
            Err(_) => return writer.fail(BodyError::Stalled),
            Ok(Ok(Next::Data(bytes))) => {
                let length = bytes.len();
                if !writer.may_grow_by(length as u64) {
                    return writer.fail(BodyError::TooLarge);
                }
                if writer.append(bytes).await.is_err() {
                    return;
                }
                // A stream that has ended meanwhile has no window to open.
                let _ = stream.flow_control().release_capacity(length);
            }
            Ok(Ok(Next::End(trailers))) => return drop(writer.finish(trailers)),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a request's content broke off");
                return writer.fail(BodyError::Incomplete);
            }
        }
    }
}

enum Next {
    Data(Bytes),
    End(Option<HeaderMap>),
}

/// Cancel-safe: what it returns is all that it takes.
async fn next(stream: &mut RecvStream) -> Result<Next, h2::Error> {
    match stream.data().await {
        Some(data) => data.map(Next::Data),
        None => stream.trailers().await.map(Next::End),
    }
}
