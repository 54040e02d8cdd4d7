//! Chunks to content (RFC 9112 §7.1), read strictly. No I/O.

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue};
use httparse::Status;

use super::lines::all_end_in_crlf;

/// The most bytes of all chunk extensions of a message together. They mean nothing here and are dropped.
const MAX_EXTENSIONS: usize = 4 << 10;

/// The longest line that tells the size of a chunk: sixteen digits, extensions, and its end.
const MAX_SIZE_LINE: usize = MAX_EXTENSIONS + 18;

/// Less content than this is put together with what follows, so that many small chunks cost little more than a large one.
const SMALL: usize = 4 << 10;

/// The most trailer fields.
const MAX_TRAILERS: usize = 64;

/// What is no chunk, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("chunked content is malformed: {0}")]
pub struct Malformed(pub &'static str);

/// What came out of the chunks.
#[derive(Debug, PartialEq)]
pub enum Decoded {
    /// Some content; never empty.
    Data(Bytes),
    /// All content has come, and these trailers.
    End(Option<HeaderMap>),
    /// Nothing, until there is more input.
    More,
}

/// Where a message of chunks is.
#[derive(Clone, Debug)]
pub struct Chunked {
    place: Place,
    /// Bytes of extensions that may still come.
    extensions: usize,
    /// Blanks behind a size are passed over.
    takes_blanks: bool,
    /// The most bytes of trailers.
    max_trailers: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the line that tells a size.
    Size,
    /// In a chunk, of which so many bytes are to come.
    Data(u64),
    /// Behind the data of a chunk, before its line end.
    DataEnd,
    /// Behind the last chunk.
    Trailers,
    Ended,
    Broken(Malformed),
}

impl Chunked {
    /// The beginning of a message whose trailers may have so many bytes.
    pub const fn new(max_trailers: usize) -> Self {
        Self { place: Place::Size, extensions: MAX_EXTENSIONS, takes_blanks: false, max_trailers }
    }

    /// The same, where sizes may be padded with blanks: some old servers do, and no reader takes that for anything else.
    pub const fn lenient(max_trailers: usize) -> Self {
        Self { takes_blanks: true, ..Self::new(max_trailers) }
    }

    /// Takes the next content off the beginning of `input`, and nothing that is behind the end of the message. Small chunks
    /// come together.
    pub fn decode(&mut self, input: &mut Bytes) -> Result<Decoded, Malformed> {
        let mut small = Vec::new();
        loop {
            let decoded = self.step(input);
            match decoded {
                Ok(Some(Decoded::Data(bytes))) if small.is_empty() && bytes.len() >= SMALL => {
                    return Ok(Decoded::Data(bytes));
                }
                Ok(Some(Decoded::Data(bytes))) => {
                    small.extend_from_slice(&bytes);
                    if small.len() >= SMALL {
                        return Ok(Decoded::Data(small.into()));
                    }
                }
                Ok(None) if matches!(self.place, Place::Trailers) && !small.is_empty() => {
                    return Ok(Decoded::Data(small.into()));
                }
                Ok(None) => {}
                Ok(Some(other)) if small.is_empty() => return Ok(other),
                Ok(Some(_)) => return Ok(Decoded::Data(small.into())),
                Err(why) => {
                    self.place = Place::Broken(why);
                    return if small.is_empty() { Err(why) } else { Ok(Decoded::Data(small.into())) };
                }
            }
        }
    }

    /// One step; `None` if there was nothing in it.
    fn step(&mut self, input: &mut Bytes) -> Result<Option<Decoded>, Malformed> {
        match self.place {
            Place::Size => match self.size(input)? {
                None => return Ok(Some(Decoded::More)),
                Some(0) => self.place = Place::Trailers,
                Some(size) => self.place = Place::Data(size),
            },
            Place::Data(_) if input.is_empty() => return Ok(Some(Decoded::More)),
            Place::Data(size) => {
                let taken = usize::try_from(size).unwrap_or(usize::MAX).min(input.len());
                let left = size - taken as u64;
                self.place = if left == 0 { Place::DataEnd } else { Place::Data(left) };
                return Ok(Some(Decoded::Data(input.split_to(taken))));
            }
            Place::DataEnd => match (input.first(), input.get(1)) {
                (None | Some(b'\r'), None) => return Ok(Some(Decoded::More)),
                (Some(b'\r'), Some(b'\n')) => {
                    input.advance(2);
                    self.place = Place::Size;
                }
                _ => return Err(Malformed("there is more in a chunk than its size says")),
            },
            Place::Trailers => return self.trailers(input).map(Some),
            Place::Ended => return Ok(Some(Decoded::End(None))),
            Place::Broken(why) => return Err(why),
        }
        Ok(None)
    }

    /// The size of the next chunk, if its line is whole.
    fn size(&mut self, input: &mut Bytes) -> Result<Option<u64>, Malformed> {
        let Some(end) = memchr::memchr(b'\n', input) else {
            // As much of it as there is must be the beginning of one: else it is refused only when it grows too long.
            return match input.first() {
                Some(first) if !first.is_ascii_hexdigit() => Err(Malformed("a chunk has no size")),
                _ if input.len() > MAX_SIZE_LINE => Err(Malformed("a chunk's extensions are too long")),
                _ => Ok(None),
            };
        };
        let line = input.split_to(end + 1);
        let line = line
            .strip_suffix(b"\r\n")
            .ok_or(Malformed("the line of a chunk's size does not end in CR LF"))?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (number, extensions) = line.split_at(digits);
        self.extension(extensions)?;
        let number = std::str::from_utf8(number).unwrap_or_default();
        match u64::from_str_radix(number, 16) {
            Ok(size) if digits <= 16 => Ok(Some(size)),
            _ => Err(Malformed("a chunk's size is no number, or out of range")),
        }
    }

    /// RFC 9112 §7.1.1: optional space, a semicolon, and what nobody here heeds.
    fn extension(&mut self, text: &[u8]) -> Result<(), Malformed> {
        self.extensions =
            self.extensions.checked_sub(text.len()).ok_or(Malformed("its extensions are too long"))?;
        let begins = text.trim_ascii_start().first();
        let is_blank = begins.is_none() && self.takes_blanks;
        if !text.is_empty() && !is_blank && begins != Some(&b';') {
            return Err(Malformed("there is something behind a chunk's size"));
        }
        if text.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(Malformed("a chunk's extension has control characters"));
        }
        Ok(())
    }

    fn trailers(&mut self, input: &mut Bytes) -> Result<Decoded, Malformed> {
        if input.starts_with(b"\r\n") {
            input.advance(2);
            self.place = Place::Ended;
            return Ok(Decoded::End(None));
        }
        let mut room = [httparse::EMPTY_HEADER; MAX_TRAILERS];
        let within = input.get(..self.max_trailers).unwrap_or(input);
        match httparse::parse_headers(within, &mut room) {
            Ok(Status::Partial) if within.len() < input.len() => Err(Malformed("its trailers are too long")),
            Ok(Status::Partial) => Ok(Decoded::More),
            Ok(Status::Complete((length, fields))) => {
                if !all_end_in_crlf(input.get(..length).unwrap_or_default()) {
                    return Err(Malformed("a line of its trailers does not end in CR LF"));
                }
                let mut trailers = HeaderMap::with_capacity(fields.len());
                for field in fields {
                    let name = HeaderName::from_bytes(field.name.as_bytes());
                    let value = HeaderValue::from_bytes(field.value);
                    let (Ok(name), Ok(value)) = (name, value) else {
                        return Err(Malformed("a trailer is no field"));
                    };
                    trailers.append(name, value);
                }
                input.advance(length);
                self.place = Place::Ended;
                Ok(Decoded::End(Some(trailers)))
            }
            Err(_) => Err(Malformed("a trailer is no field")),
        }
    }
}
