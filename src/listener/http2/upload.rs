//! The content of a request on its way from the codec into its busy body.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, Method, header};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use super::STREAM_WINDOW;
use crate::body::budget::PartCharge;
use crate::body::busy::{BodyError, BusyBody, Means, Reader, Retention, Writer};
use crate::listener::pace::{MinRate, Pace, Patience};

/// Whether a request has content.
pub enum Awaited {
    /// None.
    Nothing,
    /// Some, or some may come; this of it is here already.
    Something(Option<Bytes>),
    /// All of it is here.
    Whole(Bytes),
}

impl Awaited {
    /// What came along with the head is here already: of requests that hardly ever have some, that may be an empty frame that is
    /// all, and of others all that there is.
    pub fn of(stream: &mut RecvStream, method: &Method, headers: &HeaderMap, cx: &mut Context<'_>) -> Self {
        if stream.is_end_stream() {
            return Self::Nothing;
        }
        let hardly_ever = [Method::GET, Method::HEAD].contains(method);
        let may_be_none = hardly_ever && !headers.contains_key(header::CONTENT_LENGTH);
        match stream.poll_data(cx) {
            Poll::Ready(Some(Ok(bytes))) if !bytes.is_empty() && stream.is_end_stream() => {
                // A stream that has ended has no window to open, but its connection has.
                let _ = stream.flow_control().release_capacity(bytes.len());
                Self::Whole(bytes)
            }
            Poll::Ready(Some(Ok(bytes))) if !bytes.is_empty() => Self::Something(Some(bytes)),
            Poll::Ready(Some(Ok(_))) if may_be_none && stream.is_end_stream() => Self::Nothing,
            Poll::Ready(None) if may_be_none => Self::Nothing,
            // Of an error whoever reads on is told.
            Poll::Ready(_) | Poll::Pending => Self::Something(None),
        }
    }
}

/// What is charged for what a client may send on one stream before anybody takes it. `None`: there is no room for it.
pub fn charge_window(means: &Means) -> Option<PartCharge> {
    means.budget.try_charge_window(u64::from(STREAM_WINDOW))
}

/// Content that a client sends.
pub struct Upload {
    carrying: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// For what may wait in the codec, until all came.
    window: Option<PartCharge>,
    has_ended: bool,
    told: Arc<Told>,
}

/// What content and its exchange tell each other.
#[derive(Debug, Default)]
struct Told {
    /// Somebody has asked for it.
    is_wanted: AtomicBool,
    /// The answer leaves already: content may come as slowly as it likes, for it may be a conversation.
    is_answered: AtomicBool,
}

impl Upload {
    /// Content that begins with `first` and comes by `stream`, and who reads it. A client that sends too little for
    /// `patience` when it is waited for has broken it off. `None`: there is no memory for what it may send before anybody takes it.
    pub fn new(
        stream: RecvStream,
        first: Option<Bytes>,
        means: &Means,
        patience: Patience,
    ) -> Option<(Self, Reader)> {
        let window = charge_window(means)?;
        let (_, writer, reader) = BusyBody::with_reader(means.clone(), Retention::Spool);
        let told = Arc::<Told>::default();
        let coming = Coming { stream, first };
        let carrying = Box::pin(carry(coming, writer, patience, Arc::clone(&told)));
        Some((Self { carrying, window: Some(window), has_ended: false, told }, reader))
    }

    /// Whether somebody has asked for it.
    pub fn is_wanted(&self) -> bool {
        self.told.is_wanted.load(Ordering::Relaxed)
    }

    /// The answer leaves from now on.
    pub fn is_answered(&self) {
        self.told.is_answered.store(true, Ordering::Relaxed);
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
async fn carry(mut coming: Coming, mut writer: Writer, patience: Patience, told: Arc<Told>) {
    writer.demanded().await;
    told.is_wanted.store(true, Ordering::Relaxed);
    let (mut pace, mut came) = (Pace::default(), 0);
    loop {
        pace.waits(came, &patience.least);
        let next = tokio::select! {
            biased;
            next = in_time(&pace, &patience, &told, coming.next()) => next,
            () = writer.abandoned() => return,
        };
        match next {
            Err(_) => return writer.fail(BodyError::Stalled),
            Ok(Ok(Next::Data(bytes))) => {
                let length = bytes.len();
                came += length as u64;
                pace.rests(came, &patience.least);
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

/// What comes, unless it takes too long.
async fn in_time<T>(
    pace: &Pace,
    patience: &Patience,
    told: &Told,
    next: impl Future<Output = T>,
) -> Result<T, Elapsed> {
    let at_any_rate = Patience { least: MinRate { bytes: 0, ..patience.least }, ..*patience };
    let mut next = pin!(next);
    loop {
        let is_answered = told.is_answered.load(Ordering::Relaxed);
        let patience = if is_answered { &at_any_rate } else { patience };
        let end = pace.ends_at(patience).unwrap_or_else(|| Instant::now() + patience.limit);
        let came = timeout_at(end, next.as_mut()).await;
        // The answer may have begun meanwhile.
        if came.is_ok() || is_answered || !told.is_answered.load(Ordering::Relaxed) {
            return came;
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
