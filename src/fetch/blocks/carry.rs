//! From the body of an answer into blocks.

use bytes::Bytes;

use super::landing::Landing;
use crate::body::busy::BodyError;
use crate::cache::object::{Object, Representation};
use crate::fetch::Shared;
use crate::fetch::ask::Ask;
use crate::origin::IncomingBody;

/// Carries blocks that follow each other over to the tiers, from the first byte of `body` on. Dropped, the blocks that
/// are not whole fail, those before them stay, and the connection is closed.
pub(in crate::fetch) async fn carry(
    shared: &Shared,
    ask: &Ask,
    object: &Object,
    landings: impl IntoIterator<Item = Landing>,
    mut body: IncomingBody,
) {
    let mut rest = Bytes::new();
    let mut landings = landings.into_iter();
    while let Some(mut landing) = landings.next() {
        landing.make_room().await;
        let length = length_of(&object.representation, landing.index());
        match bring(landing, length, &mut rest, &mut body).await {
            Ok(landing) => landing.finish(&shared.cache, &ask.key, object).await,
            Err(error) => {
                shared.counters.broken_bodies.inc();
                return landings.for_each(|landing| landing.fail(error));
            }
        }
    }
    if rest.is_empty() && matches!(body.next().await, Ok(None)) {
        body.release();
    }
}

/// Bytes of a block.
pub(super) fn length_of(representation: &Representation, index: u32) -> usize {
    let bytes = representation.bytes_of(index);
    usize::try_from(bytes.end - bytes.start).unwrap_or(0)
}

/// Fills a block from `rest` and then from `body`; what is over stays in `rest`. Where the body breaks off, the assembly
/// knows. Dropped, the block fails.
pub(super) async fn bring(
    mut landing: Landing,
    length: usize,
    rest: &mut Bytes,
    body: &mut IncomingBody,
) -> Result<Landing, BodyError> {
    let mut missing = length;
    while missing > 0 {
        let piece = match next_piece(missing, rest, body).await {
            Ok(piece) => piece,
            Err(error) => {
                landing.break_off(error);
                return Err(error);
            }
        };
        missing -= piece.len();
        landing.append(piece).await.map_err(|_| BodyError::Aborted)?;
    }
    Ok(landing)
}

/// The next bytes, `most` at most, of `rest` and then of `body`; never none. Cancel-safe: they are taken only when
/// returned.
pub(super) async fn next_piece(
    most: usize,
    rest: &mut Bytes,
    body: &mut IncomingBody,
) -> Result<Bytes, BodyError> {
    if rest.is_empty() {
        *rest = body.next().await?.ok_or(BodyError::Incomplete)?;
    }
    Ok(rest.split_to(most.min(rest.len())))
}
