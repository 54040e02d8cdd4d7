//! What flows: messages, bodies, and the busy body in which an origin and its clients meet.
//!
//! - [`coded`]: content that is coded, or decoded, as it leaves.
//! - [`certificate`]: that of a client, for origins that are told of it.
//! - [`message`]: `Request` and `Reply`, what every module above speaks.
//! - [`Body`]: the one body type (decision 2).
//! - [`busy`]: append-only, one writer, any number of readers, in memory up to a budget and in a file beyond.
//! - [`block`]: memory for blocks, which comes back at once.
//! - [`budget`]: the one account of what the node holds in memory.
//! - [`rendered`]: field lines that are written as they are.
//! - `share`: the law by which bodies share memory, and room in files.

pub mod block;
pub mod budget;
pub mod busy;
pub mod certificate;
pub mod coded;
pub mod content;
pub mod message;
pub mod multipart;
pub mod rendered;
mod share;
pub mod tunnel;

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;

use busy::{BodyError, Reader};
use coded::Coded;
use coded::decoded::Decoded;
use content::{Blocks, Parts};
use multipart::Multipart;
use tunnel::Tunnel;

/// The body of a message, whatever it comes from. Bodies are never collected: they are handed on.
/// The one exception is bounded: content of a request that is part of its key, up to 64 KiB (`request::content`).
#[derive(Debug, Default)]
pub enum Body {
    /// No content.
    #[default]
    Empty,
    /// Content that is here already: an inline object, an error page.
    Bytes(Bytes),
    /// The blocks of a stored object, pinned while they are read.
    Blocks(Blocks),
    /// Content that may still be arriving.
    Busy(Reader),
    /// Several parts of content, each with its framing.
    Multipart(Box<Multipart>),
    /// Content that is coded as it leaves.
    Coded(Box<Coded>),
    /// Content whose coding is taken off as it leaves.
    Decoded(Box<Decoded>),
    /// Not content at all: what follows a 101 belongs to another protocol.
    Tunnel(Tunnel),
}

impl From<&Parts> for Body {
    fn from(content: &Parts) -> Self {
        match content {
            Parts::Inline(bytes) => Self::Bytes(bytes.clone()),
            Parts::Blocks(blocks) => Self::Blocks(Blocks::new(blocks.iter().cloned())),
        }
    }
}

impl From<Coded> for Body {
    fn from(coded: Coded) -> Self {
        Self::Coded(Box::new(coded))
    }
}

impl Body {
    /// The number of bytes to come, where that is known before they come.
    pub fn known_length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Blocks(blocks) => Some(blocks.remaining()),
            Self::Multipart(parts) => Some(parts.remaining()),
            Self::Busy(_) | Self::Coded(_) | Self::Decoded(_) | Self::Tunnel(_) => None,
        }
    }

    /// The number of bytes to come, once all of them are here; `None` if that cannot be waited for. See
    /// [`Reader::poll_whole`].
    pub fn poll_whole(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<u64>, BodyError>> {
        match self {
            Self::Busy(reader) => reader.poll_whole(cx),
            other => Poll::Ready(Ok(other.known_length())),
        }
    }

    /// The next bytes, `None` after the last. Bytes count as taken when they are returned.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        match self {
            Self::Empty | Self::Tunnel(_) => Poll::Ready(None),
            Self::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Bytes(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Self::Blocks(blocks) => Poll::Ready(blocks.next().map(Ok)),
            Self::Busy(reader) => reader.poll_next(cx),
            Self::Multipart(parts) => parts.poll_next(cx),
            Self::Coded(coded) => coded.poll_next(cx),
            Self::Decoded(decoded) => decoded.poll_next(cx),
        }
    }

    /// The trailers, once the last bytes were taken. None of what was coded or decoded: they may speak of the bytes.
    pub fn trailers(&self) -> Option<Arc<HeaderMap>> {
        match self {
            Self::Busy(reader) => reader.trailers(),
            _ => None,
        }
    }

    /// Whether nothing will follow, trailers included. A body that is not at its end for sure is not.
    pub fn is_at_end(&self) -> bool {
        match self {
            Self::Busy(reader) => reader.is_finished(),
            other => other.known_length() == Some(0) || matches!(other, Self::Tunnel(_)),
        }
    }
}
