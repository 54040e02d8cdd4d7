//! The content of a request on its way from the codec into its busy body.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, Method, header};
use tokio::time::timeout;

use super::STREAM_WINDOW;
use crate::body::budget::Charge;
use crate::body::busy::{BodyError, BusyBody, Means, Reader, Retention, Writer};

/// Whether a request has content.
pub enum Awaited {
    /// None.
    Nothing,
    /// Some, or some may come; this of it is here already.
    Something(Option<Bytes>),
}

impl Awaited {
    /// Of requests that hardly ever have some, an empty frame may be all that is left to come, and is here already.
    pub fn of(stream: &mut RecvStream, method: &Method, headers: &HeaderMap, cx: &mut Context<'_>) -> Self {
        if stream.is_end_stream() {
            return Self::Nothing;
        }
        let hardly_ever = [Method::GET, Method::HEAD].contains(method);
        if !hardly_ever || headers.contains_key(header::CONTENT_LENGTH) {
            return Self::Something(None);
        }
        match stream.poll_data(cx) {
            Poll::Ready(Some(Ok(bytes))) if !bytes.is_empty() => Self::Something(Some(bytes)),
            Poll::Ready(Some(Ok(_))) if stream.is_end_stream() => Self::Nothing,
            Poll::Ready(None) => Self::Nothing,
            // Of an error whoever reads on is told.
            Poll::Ready(Some(_)) | Poll::Pending => Self::Something(None),
        }
    }
}

/// What is charged for what a client may send on one stream before anybody takes it. `None`: there is no room for it.
pub fn charge_window(means: &Means) -> Option<Charge> {
    means.budget.try_charge_body(u64::from(STREAM_WINDOW))
}

/// Content that a client sends.
pub struct Upload {
    carrying: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// For what may wait in the codec, until all came.
    window: Option<Charge>,
    has_ended: bool,
    wanted: Wanted,
}

/// Whether somebody has asked for it.
type Wanted = Arc<AtomicBool>;

impl Upload {
    /// Content that begins with `first` and comes by `stream`, and who reads it. A client that sends nothing for `limit` when it
    /// is waited for has broken it off. `None`: there is no memory for what it may send before anybody takes it.
    pub fn new(
        stream: RecvStream,
        first: Option<Bytes>,
        means: &Means,
        limit: Duration,
    ) -> Option<(Self, Reader)> {
        let window = charge_window(means)?;
        let (_, writer, reader) = BusyBody::with_reader(means.clone(), Retention::Window);
        let wanted = Wanted::default();
        let coming = Coming { stream, first };
        let carrying = Box::pin(carry(coming, writer, limit, wanted.clone()));
        Some((Self { carrying, window: Some(window), has_ended: false, wanted }, reader))
    }

    /// Whether somebody has asked for it.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Carries on. Ready once all came, or nobody wants the rest, and from then on.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.has_ended {
            ready!(self.carrying.as_mut().poll(cx));
            (self.has_ended, self.window) = (true, None);
        }
        Poll::Ready(())
    }
}

/// Before anybody asks for it, what comes stays within the window that the stream began with. What is taken opens the window
/// again once it is stored: so nothing else has to be bounded. Dropped, the content is broken off.
async fn carry(mut coming: Coming, mut writer: Writer, limit: Duration, wanted: Wanted) {
    writer.demanded().await;
    wanted.store(true, Ordering::Relaxed);
    loop {
        let next = tokio::select! {
            biased;
            next = timeout(limit, coming.next()) => next,
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
                let _ = coming.stream.flow_control().release_capacity(length);
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

/// What is still to come, of which some may be here already.
struct Coming {
    stream: RecvStream,
    first: Option<Bytes>,
}

impl Coming {
    /// Cancel-safe: what it returns is all that it takes.
    async fn next(&mut self) -> Result<Next, h2::Error> {
        if let Some(first) = self.first.take() {
            return Ok(Next::Data(first));
        }
        match self.stream.data().await {
            Some(data) => data.map(Next::Data),
            None => self.stream.trailers().await.map(Next::End),
        }
    }
}
