//! Bodies as frames, for hyper.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use forebay::body::Body;
use forebay::body::busy::BodyError;
use forebay::telemetry::record::Record;

/// A body on its way out, with what is to be counted at its end.
pub struct WireBody {
    body: Body,
    record: Option<Box<Record>>,
    trailers_sent: bool,
    /// How the content broke off: hyper would lose what it has not written yet, the head included, so it is told at its next
    /// look.
    broken: Option<BodyError>,
}

impl WireBody {
    /// Sends `body`; `record` is finished when this is dropped, with the bytes sent by then.
    pub fn new(body: Body, record: Option<Box<Record>>) -> Self {
        Self { body, record, trailers_sent: false, broken: None }
    }

    fn sent(&mut self, bytes: &Bytes) {
        if let Some(record) = &mut self.record {
            record.sent(bytes.len());
        }
    }

    fn broke_off(&mut self, error: BodyError) {
        if let Some(record) = &mut self.record {
            record.broke_off(error.name());
        }
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

impl http_body::Body for WireBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = &mut *self;
        if let Some(error) = this.broken.take() {
            this.broke_off(error);
            return Poll::Ready(Some(Err(error)));
        }
        let polled = match ready!(this.body.poll_next(cx)) {
            Some(Err(error)) => {
                this.broken = Some(error);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(next) => Some(next.map(Frame::data)),
            None if std::mem::replace(&mut this.trailers_sent, true) => None,
            None => this.body.trailers().map(|trailers| Ok(Frame::trailers(trailers.as_ref().clone()))),
        };
        if let Some(bytes) = polled.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref) {
            this.sent(bytes);
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.trailers_sent || self.body.is_at_end()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.known_length().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for WireBody {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            // hyper lets go of a body as soon as its promised length has left.
            record.finish(http_body::Body::is_end_stream(self));
        }
    }
}
