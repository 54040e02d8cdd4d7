//! Where the content of a response ends (RFC 9112 §6.3), and whether its connection goes on after it (§9.3).
//!
//! Whatever two readers could take for two lengths is refused: whoever wrote it, or stands between, may mean the other
//! one. But for lengths that are told more than once and are the same, which RFC 9110 §8.6 lets pass.

use http::{HeaderName, StatusCode, Version, header};

use super::Broken;

/// How the content of a response is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// So many bytes, more than none.
    Length(u64),
    /// Chunks (RFC 9112 §7.1).
    Chunked,
    /// The end of the connection is the end of the content.
    UntilClose,
}

/// What the fields of a head say about framing and the connection, gathered line by line.
#[derive(Clone, Copy, Debug)]
pub struct Claims {
    version: Version,
    length: Claim,
    coding: Coding,
    closes: bool,
    keeps_alive: bool,
}

/// What the lines of `Content-Length` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    None,
    One(u64),
    Wrong,
}

/// What `Transfer-Encoding` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    None,
    /// `chunked` alone.
    Chunked,
    /// One that has never been registered (RFC 9112 §7), so that nobody could say what was done to the content.
    Unknown,
    /// One that this node does not undo: the content would be passed on, and kept, still coded.
    Wrong,
}

impl Claims {
    /// Nothing yet, of a response of this version.
    pub fn of(version: Version) -> Self {
        Self { version, length: Claim::None, coding: Coding::None, closes: false, keeps_alive: false }
    }

    /// Takes note of a field line.
    pub fn note(&mut self, name: &HeaderName, value: &[u8]) {
        if *name == header::CONTENT_LENGTH {
            self.length = value.split(|byte| *byte == b',').fold(self.length, Claim::add);
        } else if *name == header::TRANSFER_ENCODING {
            self.coding = if self.coding == Coding::None { Coding::named(value) } else { Coding::Wrong };
        } else if *name == header::CONNECTION {
            for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                self.closes |= option.eq_ignore_ascii_case(b"close");
                self.keeps_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        }
    }

    /// How the content is framed, of a response of this status to a HEAD or to something else.
    pub fn framing(&self, status: StatusCode, to_head: bool) -> Result<Framing, Broken> {
        let has_none = to_head
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        match (self.length, self.coding) {
            (Claim::One(_) | Claim::Wrong, Coding::Chunked | Coding::Unknown | Coding::Wrong) => {
                Err(Broken::Malformed("it has both Content-Length and Transfer-Encoding"))
            }
            (_, Coding::Wrong) => Err(Broken::Malformed("its Transfer-Encoding is none that is undone here")),
            (_, Coding::Chunked) if self.version != Version::HTTP_11 => {
                Err(Broken::Malformed("its version knows no Transfer-Encoding"))
            }
            _ if has_none => Ok(Framing::Empty),
            (Claim::Wrong, _) => Err(Broken::Malformed("its Content-Length is no number, or more than one")),
            (Claim::One(0), _) => Ok(Framing::Empty),
            (Claim::One(length), _) => Ok(Framing::Length(length)),
            (_, Coding::Chunked) => Ok(Framing::Chunked),
            (Claim::None, Coding::None | Coding::Unknown) => Ok(Framing::UntilClose),
        }
    }

    /// Whether the content went through a transfer coding that nobody knows: its bytes are as they came.
    pub fn has_unknown_coding(&self) -> bool {
        self.coding == Coding::Unknown
    }

    /// Whether the endpoint would go on with the connection.
    pub fn persists(&self) -> bool {
        !self.closes && (self.version == Version::HTTP_11 || self.keeps_alive)
    }
}

impl Claim {
    /// `1*DIGIT` and nothing else, as often as anybody likes.
    fn add(self, member: &[u8]) -> Self {
        let digits = member.trim_ascii();
        let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        let number =
            std::str::from_utf8(digits).ok().filter(|_| is_number).and_then(|text| text.parse().ok());
        match (self, number) {
            (Self::None, Some(length)) => Self::One(length),
            (Self::One(length), Some(again)) if length == again => self,
            _ => Self::Wrong,
        }
    }
}

impl Coding {
    /// What one line says.
    fn named(line: &[u8]) -> Self {
        const KNOWN: [&[u8]; 8] = [
            b"chunked",
            b"compress",
            b"x-compress",
            b"deflate",
            b"gzip",
            b"x-gzip",
            b"identity",
            b"trailers",
        ];
        let is_token =
            !line.is_empty() && line.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
        if line.eq_ignore_ascii_case(b"chunked") {
            Self::Chunked
        } else if !is_token || KNOWN.iter().any(|known| line.eq_ignore_ascii_case(known)) {
            Self::Wrong
        } else if line.to_ascii_lowercase().windows(5).any(|part| part == b"chunk") {
            // One that only resembles `chunked` was meant to be it by somebody.
            Self::Wrong
        } else {
            Self::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: HeaderName = header::CONTENT_LENGTH;
    const CODING: HeaderName = header::TRANSFER_ENCODING;

    fn claims(version: Version, lines: &[(HeaderName, &str)]) -> Claims {
        let mut claims = Claims::of(version);
        for (name, value) in lines {
            claims.note(name, value.as_bytes());
        }
        claims
    }

    fn framing(lines: &[(HeaderName, &str)]) -> Option<Framing> {
        claims(Version::HTTP_11, lines).framing(StatusCode::OK, false).ok()
    }

    #[test]
    fn content_ends_where_its_fields_say_or_with_the_connection() {
        assert_eq!(framing(&[]), Some(Framing::UntilClose));
        assert_eq!(framing(&[(LENGTH, "0")]), Some(Framing::Empty));
        assert_eq!(framing(&[(LENGTH, "5")]), Some(Framing::Length(5)));
        assert_eq!(framing(&[(LENGTH, "5"), (LENGTH, "5")]), Some(Framing::Length(5)));
        assert_eq!(framing(&[(LENGTH, "5, 5 ,5")]), Some(Framing::Length(5)));
        assert_eq!(framing(&[(CODING, "Chunked")]), Some(Framing::Chunked));
        assert_eq!(framing(&[(CODING, "rot13")]), Some(Framing::UntilClose));
        assert!(claims(Version::HTTP_11, &[(CODING, "rot13")]).has_unknown_coding());
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for value in ["", "+5", "-5", "0x5", "5,6", "5,", "5 5", "18446744073709551616", "५"] {
            assert_eq!(framing(&[(LENGTH, value)]), None, "{value}");
        }
        for value in
            ["", "gzip", "chunked, chunked", "gzip, chunked", "identity", "xchunked", "chunked;q=1", "\u{b}x"]
        {
            assert_eq!(framing(&[(CODING, value)]), None, "{value}");
        }
        assert_eq!(framing(&[(LENGTH, "5"), (LENGTH, "6")]), None);
        assert_eq!(framing(&[(LENGTH, "5"), (CODING, "chunked")]), None);
        assert_eq!(framing(&[(CODING, "chunked"), (CODING, "chunked")]), None);
        let of_10 = claims(Version::HTTP_10, &[(CODING, "chunked")]);
        assert!(of_10.framing(StatusCode::OK, false).is_err());
    }

    #[test]
    fn some_responses_have_no_content_whatever_they_say() {
        let said = claims(Version::HTTP_11, &[(LENGTH, "5")]);
        assert_eq!(said.framing(StatusCode::OK, true), Ok(Framing::Empty));
        for status in [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED, StatusCode::SWITCHING_PROTOCOLS] {
            assert_eq!(said.framing(status, false), Ok(Framing::Empty), "{status}");
        }
        assert_eq!(said.framing(StatusCode::RESET_CONTENT, false), Ok(Framing::Length(5)));
    }

    #[test]
    fn a_connection_goes_on_unless_it_is_said_or_by_its_version() {
        let persists = |version, value: &str| claims(version, &[(header::CONNECTION, value)]).persists();
        assert!(persists(Version::HTTP_11, "x") && !persists(Version::HTTP_11, "x , Close"));
        assert!(persists(Version::HTTP_10, "Keep-Alive") && !persists(Version::HTTP_10, "x"));
        assert!(!persists(Version::HTTP_10, "keep-alive, close"));
    }
}
