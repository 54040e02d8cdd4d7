//! The content of requests whose content is part of the key: the one exception to the rule that bodies are handed on
//! and never collected, and bounded.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;

use crate::body::Body;
use crate::body::budget::Budget;
use crate::body::busy::Reader;
use crate::body::message::Request;
use crate::semantics::fields::announced_length;
use crate::semantics::policy::Policy;

/// The most bytes of content that a key is made of.
pub(super) const LARGEST: usize = 64 << 10;

/// Content that came whole, charged to the budget until the last clone of it is gone.
#[derive(Clone, Debug)]
pub(super) struct Content(pub(super) Bytes);

/// Whether the site stores answers to this method by the request's content.
pub(super) fn is_wanted(method: &Method, policy: &Policy) -> bool {
    let methods = policy.methods;
    (methods.query && method.as_str() == "QUERY") || (methods.reuse_post && *method == Method::POST)
}

/// Collects the content of a request, if the site wants it for the key. `None` if it does not, and also if the content
/// is longer than [`LARGEST`], has trailers, breaks off, or finds no room in the budget: the request's body then is as it
/// was, with nothing lost that was read. A client that waits for 100 (Continue) gets it when its content is read here.
///
/// Cancel-safe: dropped, the request is gone with all that was read, and with what was charged for it.
pub(super) async fn collect(request: &mut Request, policy: &Policy, budget: &Arc<Budget>) -> Option<Content> {
    if !is_wanted(&request.method, policy) {
        return None;
    }
    if announced_length(&request.headers).is_some_and(|length| length > LARGEST as u64) {
        return None;
    }
    match &mut request.body {
        Body::Empty => Some(Content(Bytes::new())),
        Body::Busy(reader) => whole(reader, budget).await,
        Body::Bytes(bytes) => Some(Content(bytes.clone())).filter(|content| content.0.len() <= LARGEST),
        Body::Blocks(_) | Body::Multipart(_) | Body::Coded(_) | Body::Decoded(_) | Body::Tunnel(_) => None,
    }
    .inspect(|_| request.body = Body::Empty)
}

async fn whole(reader: &mut Reader, budget: &Arc<Budget>) -> Option<Content> {
    // As much as it may become, so that many slow clients together cannot take more than is there.
    let mut charge = budget.try_charge_body(LARGEST as u64)?;
    let (mut pieces, mut length) = (Vec::new(), 0);
    let ended = loop {
        match reader.next().await {
            Some(Ok(piece)) => {
                length += piece.len();
                pieces.push(piece);
                if length > LARGEST {
                    break false;
                }
            }
            Some(Err(_)) => break false,
            None => break reader.trailers().is_none(),
        }
    };
    if !ended {
        reader.put_back(pieces, charge);
        return None;
    }
    charge.set(length as u64);
    Some(Content(charge.attach(pieces.concat())))
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use http::{HeaderMap, Version, uri::Scheme};

    use super::*;
    use crate::base::ids::ClientPolicy;
    use crate::body::busy::{BodyError, BusyBody, Means, Retention, SpillArea, Writer};
    use crate::semantics::policy::CacheableMethods;

    struct Rig {
        budget: Arc<Budget>,
        writer: Writer,
        request: Request,
        policy: Policy,
    }

    fn rig() -> Rig {
        let budget = Budget::new(4 << 20);
        let spill = SpillArea::new("/nowhere".into(), 0);
        let means = Means { budget: Arc::clone(&budget), spill, window: 1 << 20 };
        let (_, writer, reader) = BusyBody::with_reader(means, Retention::Window);
        let request = Request {
            method: Method::from_bytes(b"QUERY").expect("a method"),
            scheme: Scheme::HTTP,
            target_authority: None,
            target: "/".parse().expect("a target"),
            version: Version::HTTP_11,
            headers: HeaderMap::new(),
            body: Body::Busy(reader),
            peer: std::net::SocketAddr::from(([127, 0, 0, 1], 1)).into(),
            policy: ClientPolicy::NONE,
            certificate: None,
            early: None,
            can_break_off: true,
        };
        let methods = CacheableMethods { query: true, ..CacheableMethods::default() };
        Rig { budget, writer, request, policy: Policy { methods, ..Policy::default() } }
    }

    /// What is left of the request's body.
    async fn rest(request: &mut Request) -> (Vec<u8>, Option<BodyError>) {
        let Body::Busy(reader) = &mut request.body else { return (Vec::new(), None) };
        let mut read = Vec::new();
        while let Some(piece) = reader.next().await {
            match piece {
                Ok(bytes) => read.extend_from_slice(&bytes),
                Err(error) => return (read, Some(error)),
            }
        }
        (read, None)
    }

    #[tokio::test]
    async fn content_that_fits_is_collected_and_charged_until_it_goes() {
        let mut rig = rig();
        for piece in ["select ", "*"] {
            rig.writer.append(piece.into()).await.expect("room");
        }
        rig.writer.finish(None);
        let content = collect(&mut rig.request, &rig.policy, &rig.budget).await.expect("content");
        assert_eq!(&content.0[..], b"select *");
        assert!(matches!(rig.request.body, Body::Empty));
        assert_eq!(rig.budget.used(), 8);
        drop(content);
        assert_eq!(rig.budget.used(), 0);
    }

    #[tokio::test]
    async fn content_that_is_too_long_loses_nothing() {
        let mut rig = rig();
        let long: Vec<u8> = (0..LARGEST + 5).map(|at| u8::try_from(at % 251).expect("a byte")).collect();
        for piece in long.chunks(10_000) {
            rig.writer.append(piece.to_vec().into()).await.expect("room");
        }
        rig.writer.append("end".into()).await.expect("room");
        rig.writer.finish(None);
        assert!(collect(&mut rig.request, &rig.policy, &rig.budget).await.is_none());
        let (rest, error) = rest(&mut rig.request).await;
        assert_eq!((rest.len(), error), (long.len() + 3, None));
        assert_eq!(rest, [&long[..], b"end"].concat());
        assert_eq!(rig.budget.used(), 0);
    }

    #[tokio::test]
    async fn exactly_as_much_as_may_be_is_collected() {
        let mut rig = rig();
        rig.writer.append(vec![7; LARGEST].into()).await.expect("room");
        rig.writer.finish(None);
        let content = collect(&mut rig.request, &rig.policy, &rig.budget).await;
        assert_eq!(content.expect("content").0.len(), LARGEST);
    }

    #[tokio::test]
    async fn content_that_breaks_off_breaks_off_later_too() {
        let mut rig = rig();
        rig.writer.append("half".into()).await.expect("room");
        rig.writer.fail(BodyError::Incomplete);
        assert!(collect(&mut rig.request, &rig.policy, &rig.budget).await.is_none());
        assert_eq!(rest(&mut rig.request).await, (b"half".to_vec(), Some(BodyError::Incomplete)));
    }

    #[tokio::test]
    async fn trailers_are_no_part_of_a_key_and_are_kept() {
        let mut rig = rig();
        rig.writer.append("whole".into()).await.expect("room");
        rig.writer.finish(Some(HeaderMap::from_iter([(http::header::ETAG, "x".parse().expect("a value"))])));
        assert!(collect(&mut rig.request, &rig.policy, &rig.budget).await.is_none());
        assert_eq!(rest(&mut rig.request).await.0, b"whole");
        let Body::Busy(reader) = &rig.request.body else { panic!("no reader") };
        assert!(reader.trailers().is_some() && !reader.is_finished());
    }

    #[tokio::test]
    async fn without_room_in_the_budget_nothing_is_collected() {
        let mut rig = rig();
        let _all = rig.budget.charge(rig.budget.limit());
        rig.writer.append("some".into()).await.expect("room");
        rig.writer.finish(None);
        assert!(collect(&mut rig.request, &rig.policy, &rig.budget).await.is_none());
        assert_eq!(rest(&mut rig.request).await.0, b"some");
    }

    #[tokio::test]
    async fn a_method_that_is_not_chosen_is_not_waited_for() {
        let mut rig = rig();
        rig.request.method = Method::POST;
        rig.writer.append("some".into()).await.expect("room");
        assert!(collect(&mut rig.request, &rig.policy, &rig.budget).await.is_none());
        rig.writer.finish(None);
        assert_eq!(rest(&mut rig.request).await.0, b"some");
    }

    /// Dropped wherever it waits, it gives back what it took, and the writer learns that nobody reads.
    #[tokio::test]
    async fn dropped_while_it_waits_it_holds_nothing() {
        for pieces in 0..4 {
            let mut rig = rig();
            {
                let mut collecting = pin!(collect(&mut rig.request, &rig.policy, &rig.budget));
                let mut poll =
                    || collecting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending();
                assert!(poll());
                for _ in 0..pieces {
                    rig.writer.append("piece".into()).await.expect("room");
                    assert!(poll());
                }
            }
            drop(rig.request);
            assert_eq!(rig.budget.used(), 0, "after {pieces}");
            rig.writer.abandoned().await;
        }
    }
}
