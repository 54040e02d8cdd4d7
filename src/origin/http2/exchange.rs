//! One request and its response on one stream.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::ResponseFuture;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use tokio::time::Instant;

use super::broken::of_content;
use super::connection::Share;
use super::request::request;
use super::sending::Sending;
use crate::body::budget::Charge;
use crate::body::busy::BodyError;
use crate::body::message::ReplyHead;
use crate::origin::broken::Broken;
use crate::origin::error::OriginError;
use crate::origin::exchange::{Answered, Failure, Patience};
use crate::origin::incoming;
use crate::origin::outgoing::Outgoing;
use crate::origin::places::Place;

/// Most fields of a head: more than any response has a use for.
const MAX_FIELDS: usize = 512;

/// A head that came, and what belongs to its stream.
pub(in crate::origin) struct Came {
    response: Response<RecvStream>,
    sending: Sending,
    window: Charge,
    share: Share,
}

impl Came {
    /// Sends a request, and waits for the head of the response. Cancelled, the stream is reset.
    ///
    /// Where nothing at all is heard meanwhile, be it until the time limit or until whoever asked leaves, the connection may
    /// lead nowhere any more: it gets no further streams.
    pub(in crate::origin) async fn for_request(
        share: Share,
        outgoing: Box<Outgoing>,
        max_head: usize,
        patience: Patience<'_>,
    ) -> Result<Self, Failure> {
        let Some(request) = outgoing.fields().and_then(|fields| request(fields, share.scheme())) else {
            return Err(OriginError::unfit().into());
        };
        let window = share.charge_window();
        let mut silence = Silence::on(&share);
        let begun = {
            let begin = std::pin::pin!(begin(&share, request, outgoing.has_no_content()));
            patience.for_head(begin).await
        };
        let (mut response, mut sending) = match begun {
            Ok(Ok((response, stream))) => (response, Sending::new(outgoing, stream)),
            Ok(Err(error)) => {
                share.retire();
                tracing::debug!(%error, "a connection of HTTP/2 takes no further stream");
                return Err(Failure::of(Broken::Gone, Some(outgoing)));
            }
            Err(error) => return Err(Failure { error, unsent: Some(outgoing), of_line: false }),
        };
        let came = {
            let head = std::pin::pin!(head(&mut response, &mut sending));
            patience.for_head(head).await?
        };
        silence.is_over = true;
        drop(silence);
        match came.and_then(|response| within(max_head, response)) {
            Ok(response) => {
                share.hears();
                Ok(Self { response, sending, window, share })
            }
            Err(broken) => {
                let is_untouched = matches!(broken, Broken::Refused | Broken::Farewell);
                let unsent = if is_untouched { sending.untouched() } else { None };
                Err(Failure::of(what_it_means(broken, &share), unsent))
            }
        }
    }

    /// What it is to whoever asked.
    pub(in crate::origin) fn answered(self, place: Place) -> Answered {
        let Self { response, sending, window, share } = self;
        let (mut head, stream) = response.into_parts();
        if stream.is_end_stream() && !sending.is_head() && may_have_content(head.status) {
            // Who answers a call of gRPC with its trailers alone has to be passed on as such.
            head.headers.entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from_static("0"));
        }
        // Content that was not called for is not sent behind an answer.
        let sending = Some(sending).filter(|sending| !sending.is_over() && !sending.is_held());
        let coming = Coming {
            stream,
            sending,
            trailers: None,
            is_whole: false,
            _window: window,
            share,
            _place: place,
        };
        Answered {
            head: ReplyHead::new(head.status, head.headers),
            coming: incoming::Coming::Http2(Box::new(coming)),
            tunnel: None,
            ends_by_close: false,
            unknown_coding: false,
        }
    }
}

/// What is wrong with an exchange, and with the connection under it.
fn what_it_means(broken: Broken, share: &Share) -> Broken {
    match broken {
        Broken::Gone | Broken::Farewell => share.retire(),
        Broken::Refused => share.knows(),
        Broken::Upset => {
            share.retire();
            if !share.has_served() {
                // It may speak no HTTP/2 at all.
                return Broken::Gone;
            }
        }
        // Nothing was heard: it is the client that broke off.
        Broken::Request | Broken::Lost => {}
        Broken::Reset | Broken::Malformed(_) | Broken::LargeHead => share.hears(),
    }
    broken
}

/// Looks whether a connection leads anywhere while a head is waited for: if this is dropped after a while in which nothing
/// was heard there, by nobody, the connection takes no further streams. What is under way on it goes on.
struct Silence<'a> {
    share: &'a Share,
    since: Instant,
    heard: u64,
    is_over: bool,
}

impl<'a> Silence<'a> {
    /// Less says nothing.
    const LEAST: Duration = Duration::from_secs(1);

    fn on(share: &'a Share) -> Self {
        Self { share, since: Instant::now(), heard: share.heard(), is_over: false }
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        if !self.is_over && self.since.elapsed() >= Self::LEAST && self.share.heard() == self.heard {
            self.share.retire();
        }
    }
}

/// RFC 9110 §6.4.1, but for what is asked by HEAD.
fn may_have_content(status: StatusCode) -> bool {
    ![StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status)
}

/// Begins a stream, when the codec has room for it.
async fn begin(
    share: &Share,
    request: http::Request<()>,
    ends: bool,
) -> Result<(ResponseFuture, h2::SendStream<Bytes>), h2::Error> {
    share.sender().ready().await?.send_request(request, ends)
}

/// Sends on, and waits for the head. What is said before it is heard.
async fn head(response: &mut ResponseFuture, sending: &mut Sending) -> Result<Response<RecvStream>, Broken> {
    let mut takes_more = true;
    poll_fn(|cx| {
        loop {
            if takes_more {
                match sending.poll(cx) {
                    // Who takes no more may still answer.
                    Poll::Ready(Err(Broken::Gone)) => takes_more = false,
                    Poll::Ready(Err(broken)) => return Poll::Ready(Err(broken)),
                    Poll::Ready(Ok(())) | Poll::Pending => {}
                }
            }
            match response.poll_informational(cx) {
                Poll::Ready(Some(interim)) => {
                    let interim = interim?;
                    if interim.status() == StatusCode::SWITCHING_PROTOCOLS {
                        // RFC 9113 §8.6.
                        return Poll::Ready(Err(Broken::Malformed("it switches protocols")));
                    }
                    sending.hear(&interim);
                }
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        Pin::new(&mut *response).poll(cx).map_err(Broken::from)
    })
    .await
}

/// A head that is no longer than it may be.
fn within(max_head: usize, response: Response<RecvStream>) -> Result<Response<RecvStream>, Broken> {
    const BETWEEN: usize = b": \r\n".len();
    let headers = response.headers();
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + BETWEEN).sum();
    if bytes > max_head || headers.len() > MAX_FIELDS {
        return Err(Broken::LargeHead);
    }
    Ok(response)
}

/// What is still to come of a response, and to be sent of its request. Dropped before its end, the stream is reset.
#[derive(Debug)]
pub(in crate::origin) struct Coming {
    stream: RecvStream,
    sending: Option<Sending>,
    trailers: Option<HeaderMap>,
    is_whole: bool,
    // Given back in this order, so that the next who gets the place finds room on the connection.
    _window: Charge,
    share: Share,
    _place: Place,
}

impl Coming {
    /// The next of the content, while what is left of the request is sent. Nothing is lost between two calls.
    pub(in crate::origin) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, BodyError>> {
        let sent = self.poll_sending(cx);
        match (self.poll_content(cx), sent) {
            // What the endpoint waits for will not come. What it has said already counts all the same.
            (Poll::Pending, Err(error)) => Poll::Ready(Err(error)),
            (came, _) => came,
        }
    }

    fn poll_content(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        while !self.is_whole {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(bytes)) => {
                    self.share.hears();
                    // A stream that has ended meanwhile has no window to open.
                    let _ = self.stream.flow_control().release_capacity(bytes.len());
                    if !bytes.is_empty() {
                        return Poll::Ready(Ok(Some(bytes)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Err(broke_off(&error))),
                None => {
                    self.trailers =
                        ready!(self.stream.poll_trailers(cx)).map_err(|error| broke_off(&error))?;
                    self.is_whole = true;
                }
            }
        }
        Poll::Ready(Ok(None))
    }

    /// Sends what is left of the request, as far as that can be done now. What went wrong stays so.
    pub(in crate::origin) fn poll_sending(&mut self, cx: &mut Context<'_>) -> Result<(), BodyError> {
        let Some(sending) = &mut self.sending else { return Ok(()) };
        match sending.poll(cx) {
            Poll::Pending => Ok(()),
            // Who takes no more may still answer.
            Poll::Ready(Ok(()) | Err(Broken::Gone)) => {
                self.sending = None;
                Ok(())
            }
            Poll::Ready(Err(_)) => Err(BodyError::Incomplete),
        }
    }

    /// Nothing came for too long: the connection may lead nowhere any more.
    pub(in crate::origin) fn stalled(&self) {
        self.share.retire();
    }

    /// The trailers, once the content is whole.
    pub(in crate::origin) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }
}

fn broke_off(error: &h2::Error) -> BodyError {
    tracing::debug!(%error, "a response's content broke off");
    of_content(error)
}
