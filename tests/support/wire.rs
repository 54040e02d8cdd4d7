//! The HTTP/1.1 grammar that the scripted origin and the client share: heads and bodies out of a byte buffer.
//!
//! It is strict on purpose. Forebay writes all that is read here, and must write it by the book: what a lenient
//! peer would forgive (a bare LF, two framings, a fold) is an error.

use bytes::{Buf, Bytes, BytesMut};

/// Header fields in the order of arrival.
pub type Fields = Vec<(String, String)>;

const MOST_HEAD: usize = 1 << 20;

/// A request or status line with its header lines.
#[derive(Debug, Clone, Default)]
pub struct RawHead {
    /// The first line, without its CRLF.
    pub first: String,
    /// The header lines as they were sent, in order, without CRLF.
    pub lines: Vec<String>,
    /// The same lines split at the colon, values trimmed.
    pub fields: Fields,
    /// Every byte, up to and with the empty line.
    pub raw: Bytes,
}

impl RawHead {
    /// The first value of a field, found without regard to case.
    pub fn field(&self, name: &str) -> Option<&str> {
        find(&self.fields, name)
    }
}

/// The first value of `name` in `fields`, without regard to case.
pub fn find<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
}

/// All values of `name` in `fields`, without regard to case.
pub fn find_all<'a>(fields: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
}

/// Takes a complete head off the front of `buf`; `None` while it is still arriving.
pub fn take_head(buf: &mut BytesMut) -> Result<Option<RawHead>, String> {
    let Some(end) = buf.windows(4).position(|w| w == b"\r\n\r\n") else {
        if buf.len() > MOST_HEAD {
            return Err("a head without an end".to_owned());
        }
        return Ok(None);
    };
    let raw = buf.split_to(end + 4).freeze();
    let mut lines: Vec<String> = latin1(&raw[..end]).split("\r\n").map(str::to_owned).collect();
    if let Some(bad) = lines.iter().find(|l| l.contains(['\r', '\n', '\0'])) {
        return Err(format!("a bare CR, LF or NUL in the head: {bad:?}"));
    }
    let first = lines.remove(0);
    let fields = lines.iter().map(|l| split_field(l)).collect::<Result<_, _>>()?;
    Ok(Some(RawHead { first, lines, fields, raw }))
}

fn split_field(line: &str) -> Result<(String, String), String> {
    let (name, value) = line.split_once(':').ok_or_else(|| format!("no colon in header line {line:?}"))?;
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(token) {
        return Err(format!("not a field name in header line {line:?}"));
    }
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&b| char::from(b)).collect()
}

/// What the framing fields say about a body.
///
/// `Ok(None)`: they say nothing. Both framings at once, repeated or malformed ones are errors.
pub fn framing(fields: &[(String, String)]) -> Result<Option<Decoder>, String> {
    let lengths = find_all(fields, "content-length");
    let codings = find_all(fields, "transfer-encoding");
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Ok(None),
        ([length], []) if length.bytes().all(|b| b.is_ascii_digit()) => length
            .parse()
            .map(|n| Some(Decoder::length(n)))
            .map_err(|e| format!("Content-Length {length:?}: {e}")),
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(Some(Decoder::chunked())),
        _ => Err(format!("bad framing: Content-Length {lengths:?}, Transfer-Encoding {codings:?}")),
    }
}

/// Takes one body off a buffer, piece by piece.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// The trailer fields of a chunked body, once it has ended.
    pub trailers: Fields,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Length(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    UntilClose,
    Done,
}

/// One step of a [`Decoder`].
#[derive(Debug)]
pub enum Piece {
    /// Some bytes of the body, at least one.
    Data(Bytes),
    /// The buffer holds nothing more of the body: read on.
    More,
    /// The body has ended, as its framing said.
    End,
}

impl Decoder {
    /// No body at all.
    pub fn none() -> Self {
        Self::length(0)
    }

    /// A body of `len` bytes.
    pub fn length(len: u64) -> Self {
        Self { state: if len == 0 { State::Done } else { State::Length(len) }, trailers: Vec::new() }
    }

    /// A chunked body.
    pub fn chunked() -> Self {
        Self { state: State::ChunkSize, trailers: Vec::new() }
    }

    /// A body that ends with the connection.
    pub fn until_close() -> Self {
        Self { state: State::UntilClose, trailers: Vec::new() }
    }

    /// True once the framing has said that the body is over.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// True if an orderly end of the connection here leaves the body whole.
    pub fn may_end_here(&self) -> bool {
        matches!(self.state, State::Done | State::UntilClose)
    }

    /// Takes at most `most` body bytes off the front of `buf`.
    pub fn next(&mut self, buf: &mut BytesMut, most: usize) -> Result<Piece, String> {
        loop {
            match self.state {
                State::Done => return Ok(Piece::End),
                State::UntilClose => return Ok(data(buf, most)),
                State::Length(left) => {
                    let piece = data(buf, most.min(usize::try_from(left).unwrap_or(usize::MAX)));
                    if let Piece::Data(bytes) = &piece {
                        let left = left - bytes.len() as u64;
                        self.state = if left == 0 { State::Done } else { State::Length(left) };
                    }
                    return Ok(piece);
                }
                State::ChunkSize => match take_line(buf)? {
                    None => return Ok(Piece::More),
                    Some(line) => {
                        let size = chunk_size(&line)?;
                        self.state = if size == 0 { State::Trailers } else { State::ChunkData(size) };
                    }
                },
                State::ChunkData(left) => {
                    let piece = data(buf, most.min(usize::try_from(left).unwrap_or(usize::MAX)));
                    if let Piece::Data(bytes) = &piece {
                        let left = left - bytes.len() as u64;
                        self.state = if left == 0 { State::ChunkEnd } else { State::ChunkData(left) };
                    }
                    return Ok(piece);
                }
                State::ChunkEnd => match take_line(buf)? {
                    None => return Ok(Piece::More),
                    Some(line) if line.is_empty() => self.state = State::ChunkSize,
                    Some(line) => return Err(format!("a chunk longer than its size: {line:?} after it")),
                },
                State::Trailers => match take_line(buf)? {
                    None => return Ok(Piece::More),
                    Some(line) if line.is_empty() => self.state = State::Done,
                    Some(line) => self.trailers.push(split_field(&line)?),
                },
            }
        }
    }
}

fn data(buf: &mut BytesMut, most: usize) -> Piece {
    match buf.len().min(most) {
        0 => Piece::More,
        n => Piece::Data(buf.split_to(n).freeze()),
    }
}

fn take_line(buf: &mut BytesMut) -> Result<Option<String>, String> {
    let Some(end) = buf.iter().position(|&b| b == b'\n') else {
        return if buf.len() > MOST_HEAD { Err("a chunk line without an end".to_owned()) } else { Ok(None) };
    };
    let line = buf.split_to(end);
    buf.advance(1);
    match line.strip_suffix(b"\r") {
        Some(line) => Ok(Some(latin1(line))),
        None => Err(format!("a chunk line that ends in a bare LF: {:?}", latin1(&line))),
    }
}

fn chunk_size(line: &str) -> Result<u64, String> {
    let digits = line.split(';').next().unwrap_or_default();
    if digits.is_empty() || digits.len() > 16 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(format!("not a chunk size: {line:?}"));
    }
    u64::from_str_radix(digits, 16).map_err(|e| format!("chunk size {line:?}: {e}"))
}
