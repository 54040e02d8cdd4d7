//! Answers whose coding is taken off as they leave, for clients that do not take it.

use std::sync::Arc;

use super::stored::{Wanted, hide, tell, unchanged};
use super::{For, failed};
use crate::base::clock::Timestamp;
use crate::body::Body;
use crate::body::budget::Budget;
use crate::body::coded::decoded::{Caps, Decoded, NotDecoded, WhenWrong};
use crate::body::coded::decoder::Scheme;
use crate::body::message::Reply;
use crate::body::multipart::Source;
use crate::cache::lookup::{Held, Hit};
use crate::fetch::flight::Announced;
use crate::origin::OriginError;
use crate::semantics::coding::Coding;
use crate::semantics::decoding::as_decoded;

/// A hit without its coding; a 304 if the client has that already. Parts are of nothing whose bytes nobody knows beforehand.
pub fn decoded(
    hit: &Hit,
    to: &For<'_>,
    now: Timestamp,
    decoder: Decoding<'_>,
    open: impl FnOnce(&Hit, Wanted) -> Source,
) -> Reply {
    let mut headers = hit.object.head.headers();
    as_decoded(&mut headers);
    if to.may_want_less()
        && let Some(known) = to.known(hit.object.head.status, &headers, true)
    {
        return unchanged(hit, to, now, &known);
    }
    hide(hit, to, &mut headers);
    tell(hit, to, now, &mut headers);
    let body = match &hit.content {
        _ if to.is_head() => Body::Empty,
        Held::Memory(content) => content.into(),
        Held::Disk(..) | Held::Divided => open(hit, None).into(),
    };
    let mut reply = Reply::new(hit.object.head.status, headers, body);
    match decode(&mut reply, to, decoder) {
        Ok(()) => reply,
        Err(error) => failed(error, to, now),
    }
}

/// What a coding is taken off with.
pub struct Decoding<'a> {
    /// The coding.
    pub coding: Coding,
    /// Of the decoder.
    pub budget: &'a Arc<Budget>,
    /// Called if the content turns out to be wrong.
    pub when_wrong: Option<WhenWrong>,
}

/// Takes the coding off the body of an answer whose fields are of plain content. It fails if there is no memory for that, or
/// the content is wrong from its beginning.
pub fn decode(reply: &mut Reply, to: &For<'_>, decoder: Decoding<'_>) -> Result<(), OriginError> {
    let coded = match std::mem::take(&mut reply.body) {
        // To a HEAD: what a GET would get.
        Body::Empty => return Ok(()),
        coded => coded,
    };
    let Decoding { coding, budget, when_wrong } = decoder;
    let rules = &to.ask.policy.compression;
    let caps = Caps { size: rules.max_decoded, ratio: rules.max_ratio };
    let scheme = match coding {
        Coding::Brotli => Scheme::Brotli,
        Coding::Zstd => Scheme::Zstd,
        Coding::Gzip => Scheme::Gzip,
    };
    let plain = Decoded::over(coded, scheme, caps, budget, when_wrong).map_err(|why| match why {
        NotDecoded::NoMemory => OriginError::internal(),
        NotDecoded::Wrong => OriginError::undecodable(),
    })?;
    reply.body = Body::Decoded(Box::new(plain));
    Ok(())
}

/// The coding that is taken off the answer of a fetch for this client: one that the client does not take. An answer to the
/// client's own request stays as it came.
pub fn to_be_decoded(announced: &Announced, to: &For<'_>, normalised: bool) -> Option<Coding> {
    let tells_of_resource = to.is_head() && to.ask.shareable;
    (normalised || tells_of_resource).then(|| announced.to_decode_for(to.ask)).flatten()
}
