//! Tokens: what lets in whoever shows them.

use std::fmt;
use std::str::FromStr;

/// The fewest characters: with 64 bits of chance in them nobody guesses it.
const SHORTEST: usize = 16;

/// The digest of a token. The token itself is not kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(blake3::Hash);

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It could be guessed.
    #[error("a token has {SHORTEST} characters at least, such as openssl rand -hex 32 writes")]
    Short,
    /// It could not be sent as it is.
    #[error("a token has letters, digits and -._~+/= in it, and nothing else")]
    Characters,
}

impl Token {
    /// Whether `shown` is it. What is compared are digests, and in constant time: how long that takes says nothing about the
    /// token.
    pub fn is(&self, shown: &[u8]) -> bool {
        self.0 == digest(shown)
    }

    /// The same for an `Authorization` field (RFC 6750 §2.1).
    pub fn is_borne_by(&self, authorization: &[u8]) -> bool {
        const SCHEME: &[u8] = b"bearer ";
        let (scheme, shown) = authorization.split_at_checked(SCHEME.len()).unwrap_or_default();
        scheme.eq_ignore_ascii_case(SCHEME) && self.is(shown.trim_ascii())
    }
}

fn digest(token: &[u8]) -> blake3::Hash {
    blake3::Hash::from_bytes(blake3::derive_key("forebay token", token))
}

impl FromStr for Token {
    type Err = TokenError;

    /// The syntax of RFC 6750 §2.1.
    fn from_str(text: &str) -> Result<Self, TokenError> {
        let body = text.trim_end_matches('=');
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
        if !body.bytes().all(fits) {
            return Err(TokenError::Characters);
        }
        if body.len() < SHORTEST { Err(TokenError::Short) } else { Ok(Self(digest(text.as_bytes()))) }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_is_it_and_it_does_not_show() {
        let token: Token = "0123456789abcdef==".parse().expect("a token");
        assert!(token.is(b"0123456789abcdef==") && token.is_borne_by(b"BEARER  0123456789abcdef== "));
        for other in [&b""[..], b"0123456789abcdef=", b"0123456789abcdef", b"0123456789abcdeF=="] {
            assert!(!token.is(other) && !token.is_borne_by(&[b"Bearer ", other].concat()));
        }
        for other in [&b"Basic 0123456789abcdef=="[..], b"0123456789abcdef==", b"Bearer", b""] {
            assert!(!token.is_borne_by(other));
        }
        assert_eq!(format!("{token:?}"), "Token");
    }

    #[test]
    fn what_could_be_guessed_or_not_be_sent_is_none() {
        assert_eq!("0123456789abcde".parse::<Token>(), Err(TokenError::Short));
        assert_eq!("================".parse::<Token>(), Err(TokenError::Short));
        for text in ["0123456789 abcdef", "0123456789\tabcdef", "0123=456789abcdef", "é123456789abcdef"] {
            assert_eq!(text.parse::<Token>(), Err(TokenError::Characters), "{text}");
        }
    }
}
