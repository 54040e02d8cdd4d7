//! Where a request's content ends (RFC 9112 §6.3), and whether its connection goes on after it (§9.3).
//!
//! Read as strictly as the RFC allows: whatever two readers could take for two lengths is refused, because the other
//! reader may be one that this request was made for.

use http::{HeaderName, Version, header};

use crate::listener::refusal::Refusal;

/// How the content of a request is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// So many bytes, more than none.
    Length(u64),
    /// Chunks (RFC 9112 §7.1).
    Chunked,
}

/// What the fields of a head say about framing and the connection, gathered line by line.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is what one field says, and none depends on another")]
pub struct Claims {
    length: Claim,
    codings: Codings,
    closes: bool,
    keeps_alive: bool,
    /// The client waits to be told that its content is wanted (RFC 9110 §10.1.1).
    pub waits_for_100: bool,
    /// The client offers to leave HTTP (RFC 9110 §7.8).
    pub offers_upgrade: bool,
}

/// What the lines of `Content-Length` say.
#[derive(Clone, Copy, Debug, Default)]
enum Claim {
    #[default]
    None,
    One(u64),
    Wrong(&'static str),
}

/// The list of transfer codings over all lines, in the order in which they were applied (RFC 9112 §6.1).
#[derive(Clone, Copy, Debug, Default)]
enum Codings {
    #[default]
    None,
    /// `chunked` alone.
    Chunked,
    /// Others, none of them `chunked`: without it at the end nobody can tell where the content ends.
    Endless,
    /// Others, and then `chunked`.
    Unknown,
    Wrong(&'static str),
}

impl Claim {
    fn add(self, line: &[u8]) -> Self {
        match (self, length(line)) {
            (Self::None, Ok(length)) => Self::One(length),
            (Self::None, Err(why)) => Self::Wrong(why),
            (Self::One(_) | Self::Wrong(_), _) => Self::Wrong("it has more than one Content-Length"),
        }
    }
}

impl Codings {
    fn add(self, coding: &[u8]) -> Self {
        let is_token_character =
            |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
        match self {
            Self::Wrong(_) => self,
            _ if coding.is_empty() || !coding.iter().all(is_token_character) => {
                Self::Wrong("its Transfer-Encoding is no list of codings")
            }
            Self::Chunked | Self::Unknown => Self::Wrong("chunked is not the last of its transfer codings"),
            Self::None if is_chunked => Self::Chunked,
            Self::Endless if is_chunked => Self::Unknown,
            Self::None | Self::Endless => Self::Endless,
        }
    }
}

impl Claims {
    /// Takes note of a field line.
    pub fn note(&mut self, name: &HeaderName, value: &[u8]) {
        if *name == header::CONTENT_LENGTH {
            self.length = self.length.add(value);
        } else if *name == header::TRANSFER_ENCODING {
            let members = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            self.codings = members.fold(self.codings, Codings::add);
        } else if *name == header::EXPECT {
            self.waits_for_100 |= value.eq_ignore_ascii_case(b"100-continue");
        } else if *name == header::UPGRADE {
            self.offers_upgrade = true;
        } else if *name == header::CONNECTION {
            for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                self.closes |= option.eq_ignore_ascii_case(b"close");
                self.keeps_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        }
    }

    /// How the content is framed.
    pub fn framing(&self, version: Version) -> Result<Framing, Refusal> {
        match (self.length, self.codings) {
            (Claim::Wrong(why), _) | (_, Codings::Wrong(why)) => Err(Refusal::Malformed(why)),
            (Claim::None | Claim::One(0), Codings::None) => Ok(Framing::Empty),
            (Claim::One(length), Codings::None) => Ok(Framing::Length(length)),
            (Claim::One(_), _) => Err(Refusal::Malformed("it has both Content-Length and Transfer-Encoding")),
            _ if version != Version::HTTP_11 => {
                Err(Refusal::Malformed("its version knows no Transfer-Encoding"))
            }
            (Claim::None, Codings::Chunked) => Ok(Framing::Chunked),
            (Claim::None, Codings::Unknown) => Err(Refusal::UnknownCoding),
            (Claim::None, Codings::Endless) => {
                Err(Refusal::Malformed("the last of its transfer codings is not chunked"))
            }
        }
    }

    /// Whether the client would go on with the connection (RFC 9112 §9.3).
    pub fn persists(&self, version: Version) -> bool {
        !self.closes && (version == Version::HTTP_11 || self.keeps_alive)
    }
}

/// `1*DIGIT` and nothing else: no sign, no list, no space within (RFC 9110 §8.6).
fn length(value: &[u8]) -> Result<u64, &'static str> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err("its Content-Length is no number");
    }
    let digits = std::str::from_utf8(value).map_err(|_| "its Content-Length is no number")?;
    digits.parse().map_err(|_| "its Content-Length is out of range")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(version: Version, lines: &[(HeaderName, &str)]) -> Result<Framing, StatusCode> {
        let mut claims = Claims::default();
        for (name, value) in lines {
            claims.note(name, value.as_bytes());
        }
        claims.framing(version).map_err(Refusal::status)
    }

    use http::StatusCode;

    const LENGTH: HeaderName = header::CONTENT_LENGTH;
    const CODING: HeaderName = header::TRANSFER_ENCODING;

    #[test]
    fn one_length_or_chunks_or_nothing() {
        let of = |lines: &[(HeaderName, &str)]| framing(Version::HTTP_11, lines);
        assert_eq!(of(&[]), Ok(Framing::Empty));
        assert_eq!(of(&[(LENGTH, "0")]), Ok(Framing::Empty));
        assert_eq!(of(&[(LENGTH, "007")]), Ok(Framing::Length(7)));
        assert_eq!(of(&[(LENGTH, "18446744073709551615")]), Ok(Framing::Length(u64::MAX)));
        assert_eq!(of(&[(CODING, "Chunked")]), Ok(Framing::Chunked));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for version in [Version::HTTP_11, Version::HTTP_10] {
            for value in ["", "+5", "-5", "0x5", "5,5", "5, 5", "5 5", "18446744073709551616", "५"] {
                assert_eq!(framing(version, &[(LENGTH, value)]), Err(StatusCode::BAD_REQUEST), "{value}");
            }
            for lines in [
                [(LENGTH, "5"), (LENGTH, "5")],
                [(LENGTH, "0"), (CODING, "chunked")],
                [(CODING, "chunked"), (LENGTH, "5")],
                [(CODING, "chunked"), (CODING, "chunked")],
                [(CODING, "chunked"), (CODING, "identity")],
                [(CODING, "identity"), (CODING, "gzip")],
                [(CODING, "gzip"), (LENGTH, "5")],
            ] {
                assert_eq!(framing(version, &lines), Err(StatusCode::BAD_REQUEST), "{lines:?}");
            }
            for value in [
                "",
                "chunked, chunked",
                "chunked, gzip",
                "identity",
                "xchunked",
                "chunked;q=1",
                "chunked,",
                "\u{b}chunked",
                "x y",
            ] {
                assert_eq!(framing(version, &[(CODING, value)]), Err(StatusCode::BAD_REQUEST), "{value}");
            }
        }
    }

    #[test]
    fn codings_before_chunks_are_not_understood() {
        let unknown = Err(StatusCode::NOT_IMPLEMENTED);
        assert_eq!(framing(Version::HTTP_11, &[(CODING, "gzip , chunked")]), unknown);
        assert_eq!(framing(Version::HTTP_11, &[(CODING, "gzip"), (CODING, "chunked")]), unknown);
        assert_eq!(framing(Version::HTTP_10, &[(CODING, "chunked")]), Err(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn a_connection_goes_on_unless_it_is_said_or_by_its_version() {
        let persists = |version, value: &str| {
            let mut claims = Claims::default();
            claims.note(&header::CONNECTION, value.as_bytes());
            claims.persists(version)
        };
        assert!(persists(Version::HTTP_11, "te") && !persists(Version::HTTP_11, "te , Close"));
        assert!(persists(Version::HTTP_10, "Keep-Alive") && !persists(Version::HTTP_10, "te"));
        assert!(!persists(Version::HTTP_10, "keep-alive, close"));
    }
}
