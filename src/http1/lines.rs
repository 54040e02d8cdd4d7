//! Lines of a message.

use http::{HeaderMap, HeaderName, header};

use crate::body::rendered::push_line;

/// Fields that say something of the connection that they are sent on, which no other version has (RFC 9113 §8.2.2).
pub const OF_A_CONNECTION: [HeaderName; 5] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Whether every line ends in CR LF: a line feed alone ends a line for some readers and not for others (RFC 9112 §2.2).
pub fn all_end_in_crlf(text: &[u8]) -> bool {
    let whole = |at: usize| at.checked_sub(1).and_then(|before| text.get(before)) == Some(&b'\r');
    memchr::memchr_iter(b'\n', text).all(whole)
}

/// Appends the lines of all `fields`.
pub fn all_fields(out: &mut Vec<u8>, fields: &HeaderMap) {
    for (name, value) in fields {
        push_line(out, name, value.as_bytes());
    }
}

/// The line that begins a chunk of so many bytes, behind `before` which ends what came before it.
pub fn chunk_begin(length: usize, before: &[u8]) -> Vec<u8> {
    [before, format!("{length:x}\r\n").as_bytes()].concat()
}

/// The last chunk with its trailers, behind `before` which ends what came before it.
pub fn last_chunk(trailers: Option<&HeaderMap>, before: &[u8]) -> Vec<u8> {
    let mut end = before.to_vec();
    end.extend_from_slice(b"0\r\n");
    if let Some(trailers) = trailers {
        all_fields(&mut end, trailers);
    }
    end.extend_from_slice(b"\r\n");
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_feed_alone_ends_no_line() {
        assert!(all_end_in_crlf(b"") && all_end_in_crlf(b"a\r\nb\r\n\r\n") && all_end_in_crlf(b"a\rb"));
        for text in ["\n", "a\n", "a\r\n\n", "a\r\nb\nc\r\n"] {
            assert!(!all_end_in_crlf(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn a_chunk_tells_its_length_in_hexadecimal() {
        for (length, line) in [(1, "1\r\n"), (15, "f\r\n"), (16, "10\r\n"), (0xabc0, "abc0\r\n")] {
            assert_eq!(chunk_begin(length, b""), line.as_bytes());
        }
        assert_eq!(chunk_begin(usize::MAX, b"\r\n"), b"\r\nffffffffffffffff\r\n");
    }
}
