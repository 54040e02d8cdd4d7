//! A response's body on its way to a client.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::wire::WireBody;
use bytes::Bytes;
use forebay::body::busy::BodyError;
use http_body::{Frame, SizeHint};

use super::pace::Pace;

/// A body that tells when all of it was handed over.
pub(super) struct ClientBody {
    body: WireBody,
    pace: Pace,
}

impl ClientBody {
    pub(super) fn new(body: WireBody, pace: Pace) -> Self {
        Self { body, pace }
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
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
