//! Writing structured field values (RFC 8941), as `Cache-Status` and `Proxy-Status` are made of.

use std::fmt::{Result, Write};

/// The largest integer that a structured field may hold.
const LARGEST: i64 = 999_999_999_999_999;

/// Writes a token where `text` is one, else a string.
pub fn push_token_or_string(out: &mut impl Write, text: &str) -> Result {
    if is_token(text) { out.write_str(text) } else { push_string(out, text) }
}

/// Writes a quoted string: printable ASCII, escaped where it must be; all other characters are left out.
pub fn push_string(out: &mut impl Write, text: &str) -> Result {
    out.write_char('"')?;
    for printable in text.chars().filter(|c| matches!(c, ' '..='~')) {
        if matches!(printable, '"' | '\\') {
            out.write_char('\\')?;
        }
        out.write_char(printable)?;
    }
    out.write_char('"')
}

/// Writes an integer, cut to what may stand here.
pub fn push_integer(out: &mut impl Write, value: i64) -> Result {
    out.write_str(itoa::Buffer::new().format(value.clamp(-LARGEST, LARGEST)))
}

fn is_token(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'*')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl Fn(&mut String) -> Result) -> String {
        let mut out = String::new();
        write(&mut out).expect("room");
        out
    }

    #[test]
    fn names_are_tokens_where_they_can_be() {
        assert_eq!(written(|out| push_token_or_string(out, "edge-1.example:80/x")), "edge-1.example:80/x");
        assert_eq!(written(|out| push_token_or_string(out, "1st edge")), r#""1st edge""#);
        assert_eq!(written(|out| push_token_or_string(out, "")), r#""""#);
    }

    #[test]
    fn strings_are_escaped_and_printable() {
        assert_eq!(written(|out| push_string(out, "a\"b\\c\r\ndé")), r#""a\"b\\cd""#);
    }

    proptest! {
        #[test]
        fn integers_are_cut_to_fifteen_digits(value: i64) {
            let expected = value.clamp(-LARGEST, LARGEST).to_string();
            prop_assert_eq!(written(|out| push_integer(out, value)), expected);
        }

        #[test]
        fn small_integers_are_whole(value in -100_000_i64..100_000) {
            prop_assert_eq!(written(|out| push_integer(out, value)), value.to_string());
        }

        #[test]
        fn any_text_makes_a_field_value(text: String) {
            prop_assert!(HeaderValue::try_from(written(|out| push_token_or_string(out, &text))).is_ok());
        }
    }
}
