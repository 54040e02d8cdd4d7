//! Heads of answers as bytes, and how their content is framed (RFC 9112 §4, §6).

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};

use crate::body::message::{Interim, ReplyHead};
use crate::body::rendered::push_line;
use crate::http1::framed::Delimiting;
use crate::http1::lines::all_fields;

/// To what kind of request an answer is.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The version that the client speaks.
    pub version: Version,
    /// It asked for the head alone.
    pub is_head: bool,
}

impl Asked {
    /// By a request of this method.
    pub fn new(version: Version, method: &Method) -> Self {
        Self { version, is_head: *method == Method::HEAD }
    }
}

/// What is to be said of the connection in the head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    Persists,
    /// It ends with this answer.
    Closes,
    /// It leaves HTTP; the answer says so itself.
    Switches,
}

/// Room for the status line, for what is said of framing and connection, and for the last line end.
const OWN_LINES: usize = 128;

/// Appends the head of a final answer, or of a 101, whose content has `length` bytes if that is known. Tells how the
/// content is to be framed, and whether the connection goes on.
pub fn head(
    out: &mut Vec<u8>,
    reply: &ReplyHead,
    length: Option<u64>,
    asked: Asked,
    connection: Fate,
) -> (Delimiting, Fate) {
    let announced = reply.content_length();
    let delimiting = delimited(reply, length.or(announced), asked);
    let connection = match connection {
        Fate::Persists if delimiting == Delimiting::UntilClose => Fate::Closes,
        other => other,
    };
    out.reserve(room_for(reply));
    status_line(out, reply.status);
    let told = match delimiting {
        Delimiting::Length(length) => Some(length),
        Delimiting::None if reply.may_tell_length() => announced,
        Delimiting::None | Delimiting::Chunked | Delimiting::UntilClose => None,
    };
    match &reply.stored {
        Some(stored) if stored.content_length() == told => out.extend_from_slice(stored.lines()),
        stored => {
            if let Some(stored) = stored {
                own_fields(out, &stored.to_map(), connection);
            }
            if let Some(length) = told {
                push_line(out, &header::CONTENT_LENGTH, itoa::Buffer::new().format(length).as_bytes());
            }
        }
    }
    own_fields(out, &reply.headers, connection);
    if delimiting == Delimiting::Chunked {
        push_line(out, &header::TRANSFER_ENCODING, b"chunked");
    }
    match connection {
        Fate::Closes => push_line(out, &header::CONNECTION, b"close"),
        Fate::Persists if asked.version != Version::HTTP_11 => {
            push_line(out, &header::CONNECTION, b"keep-alive");
        }
        Fate::Persists | Fate::Switches => {}
    }
    out.extend_from_slice(b"\r\n");
    (delimiting, connection)
}

/// Bytes that a head takes at most: its lines, and ours.
fn room_for(reply: &ReplyHead) -> usize {
    let line =
        |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + b": \r\n".len();
    let stored = reply.stored.as_ref().map_or(0, |stored| stored.lines().len());
    OWN_LINES + stored + reply.headers.iter().map(line).sum::<usize>()
}

/// Fields but those of framing, which are told once and by us, and of the connection, unless it leaves HTTP.
fn own_fields(out: &mut Vec<u8>, headers: &HeaderMap, connection: Fate) {
    for (name, value) in headers {
        let of_framing = *name == header::CONTENT_LENGTH || *name == header::TRANSFER_ENCODING;
        let of_connection = *name == header::CONNECTION && connection != Fate::Switches;
        if !of_framing && !of_connection {
            push_line(out, name, value.as_bytes());
        }
    }
}

/// Appends an interim answer (RFC 9110 §15.2).
pub fn interim(out: &mut Vec<u8>, interim: &Interim) {
    status_line(out, interim.status);
    all_fields(out, &interim.headers);
    out.extend_from_slice(b"\r\n");
}

/// RFC 9112 §6.3.
fn delimited(reply: &ReplyHead, length: Option<u64>, asked: Asked) -> Delimiting {
    match length {
        _ if asked.is_head || !reply.may_have_content() => Delimiting::None,
        Some(length) => Delimiting::Length(length),
        None if asked.version == Version::HTTP_11 => Delimiting::Chunked,
        None => Delimiting::UntilClose,
    }
}

fn status_line(out: &mut Vec<u8>, status: StatusCode) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}
