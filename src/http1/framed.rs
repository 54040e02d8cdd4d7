//! Content as it is written: as it is, or in chunks (RFC 9112 §6, §7.1).

use bytes::Bytes;
use http::HeaderMap;

use super::lines;
use super::outbox::Outbox;

/// How the content of a message is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delimiting {
    /// There is none, whatever the fields say of it.
    None,
    /// So many bytes, as the head says.
    Length(u64),
    /// Chunks.
    Chunked,
    /// The end of the connection is the end of the content: for those who know no chunks.
    UntilClose,
}

/// Content on its way into an outbox.
#[derive(Debug)]
pub struct Framed {
    delimiting: Delimiting,
    /// Bytes of content that were put into the outbox.
    handed: u64,
    /// Where the last piece was put, a chunk's end is still to be added.
    open_chunk: bool,
}

/// More content came than the head says: the rest was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlong;

/// The content is at its end before it is as long as the head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooShort;

impl Framed {
    /// Content of which nothing was put anywhere yet.
    pub fn new(delimiting: Delimiting) -> Self {
        Self { delimiting, handed: 0, open_chunk: false }
    }

    /// How it is framed.
    pub fn delimiting(&self) -> Delimiting {
        self.delimiting
    }

    /// Bytes of content that were put into an outbox.
    pub fn handed(&self) -> u64 {
        self.handed
    }

    /// Whether its source need not be asked whether that was all.
    pub fn is_full(&self) -> bool {
        match self.delimiting {
            Delimiting::None => true,
            Delimiting::Length(length) => self.handed == length,
            Delimiting::Chunked | Delimiting::UntilClose => false,
        }
    }

    /// Puts `bytes` into `outbox`, as many as there may be.
    pub fn put(&mut self, mut bytes: Bytes, outbox: &mut Outbox) -> Result<(), Overlong> {
        let left = match self.delimiting {
            Delimiting::None => 0,
            Delimiting::Length(length) => usize::try_from(length - self.handed).unwrap_or(usize::MAX),
            Delimiting::Chunked | Delimiting::UntilClose => usize::MAX,
        };
        let overlong = bytes.len() > left;
        bytes.truncate(left);
        if !bytes.is_empty() {
            self.handed += bytes.len() as u64;
            if self.delimiting == Delimiting::Chunked {
                outbox.push(lines::chunk_begin(bytes.len(), self.end_of_chunk()).into());
                self.open_chunk = true;
            }
            outbox.push(bytes);
        }
        if overlong { Err(Overlong) } else { Ok(()) }
    }

    /// Its source has no more. Chunks end with these trailers.
    pub fn end(&mut self, trailers: Option<&HeaderMap>, outbox: &mut Outbox) -> Result<(), TooShort> {
        match self.delimiting {
            Delimiting::Length(length) if self.handed < length => return Err(TooShort),
            Delimiting::Chunked => {
                outbox.push(lines::last_chunk(trailers, self.end_of_chunk()).into());
            }
            Delimiting::Length(_) | Delimiting::UntilClose | Delimiting::None => {}
        }
        Ok(())
    }

    fn end_of_chunk(&self) -> &'static [u8] {
        if self.open_chunk { b"\r\n" } else { b"" }
    }
}
