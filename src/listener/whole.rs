//! Content that came whole along with the head of its request.

use bytes::Bytes;

use crate::body::Body;
use crate::body::budget::Charge;

/// Content below this size is copied: a slice would keep all of the buffer alive that it was read into.
const COPIED: usize = 16 << 10;

/// The body of such a request, charged until the last clone of its content is gone.
pub(super) fn whole(content: Bytes, charge: Charge) -> Body {
    let content = if content.len() < COPIED { Bytes::copy_from_slice(&content) } else { content };
    Body::Bytes(charge.attach(content))
}
