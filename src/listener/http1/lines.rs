//! Line ends.

/// Whether every line ends in CR LF: a line feed alone ends a line for some readers and not for others (RFC 9112 §2.2).
pub(super) fn all_end_in_crlf(text: &[u8]) -> bool {
    let whole = |at: usize| at.checked_sub(1).and_then(|before| text.get(before)) == Some(&b'\r');
    memchr::memchr_iter(b'\n', text).all(whole)
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
}
