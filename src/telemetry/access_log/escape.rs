//! Texts of the client's, so written that they cannot break a line or a terminal, and not longer than is bearable.

/// The most of a text of the client's (a target, say) that a line repeats, in bytes before escapes.
pub(super) const LONGEST_TEXT: usize = 2 << 10;

/// Says that a text goes on.
const CUT: char = '…';

const HEX: &[u8; 16] = b"0123456789abcdef";

/// What a text is, cut if it is very long, and whether it was.
fn cut(text: &[u8]) -> (&[u8], bool) {
    if text.len() <= LONGEST_TEXT {
        return (text, false);
    }
    let begin = match std::str::from_utf8(text) {
        Ok(text) => text.get(..text.floor_char_boundary(LONGEST_TEXT)).unwrap_or(text).as_bytes(),
        Err(_) => text.get(..LONGEST_TEXT).unwrap_or(text),
    };
    (begin, begin.len() < text.len())
}

/// What is between the quotes of a JSON string. Control characters, also those beyond ASCII, are written as `\u00xx`;
/// what is not UTF-8 is replaced.
pub(super) fn push_json(line: &mut Vec<u8>, text: &[u8]) {
    let (text, is_cut) = cut(text);
    if is_plain(text) {
        line.extend_from_slice(text);
    } else {
        String::from_utf8_lossy(text).chars().for_each(|c| push_json_char(line, c));
    }
    if is_cut {
        push_char(line, CUT);
    }
}

/// Whether nothing in it needs an escape in JSON, eight bytes at a time.
fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks();
    // Filled up with what needs none.
    let mut last = [b' '; WORD];
    last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
    words.iter().chain([&last]).all(|word| is_plain_word(u64::from_le_bytes(*word)))
}

const WORD: usize = 8;
const ONES: u64 = u64::from_le_bytes([1; WORD]);
const HIGH: u64 = ONES << 7;

/// Whether each of these eight bytes is printable ASCII and neither a quote nor a backslash. A byte that borrows may
/// make the one above it look wrong: then one that is plain is looked at twice, never the other way round.
const fn is_plain_word(word: u64) -> bool {
    // The high bit of a byte is set where it is zero.
    const fn zero(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word & HIGH
    }
    let below_space = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
    let special = zero(word ^ (ONES * b'"' as u64)) | zero(word ^ (ONES * b'\\' as u64));
    let delete = zero(word ^ (ONES * 0x7f));
    (below_space | special | delete | (word & HIGH)) == 0
}

fn push_json_char(line: &mut Vec<u8>, c: char) {
    match c {
        '"' => line.extend_from_slice(b"\\\""),
        '\\' => line.extend_from_slice(b"\\\\"),
        '\n' => line.extend_from_slice(b"\\n"),
        '\r' => line.extend_from_slice(b"\\r"),
        '\t' => line.extend_from_slice(b"\\t"),
        // All of them are below U+0100.
        c if c.is_control() => {
            line.extend_from_slice(b"\\u00");
            push_hex(line, u32::from(c).to_le_bytes()[0]);
        }
        c => push_char(line, c),
    }
}

/// A text between quotes or spaces: bytes that are not printable ASCII, quotes and backslashes as `\xhh`; spaces too,
/// if `spaces`. What could be taken for nothing at all is told from it.
pub(super) fn push_plain(line: &mut Vec<u8>, text: &[u8], spaces: bool) {
    let (text, is_cut) = cut(text);
    match text {
        b"-" => line.extend_from_slice(b"\\x2d"),
        b"" if spaces => line.extend_from_slice(b"\"\""),
        text => {
            for byte in text {
                match byte {
                    b'"' | b'\\' => push_escaped(line, *byte),
                    b' ' if spaces => push_escaped(line, *byte),
                    b' '..=b'~' => line.push(*byte),
                    byte => push_escaped(line, *byte),
                }
            }
        }
    }
    if is_cut {
        push_char(line, CUT);
    }
}

fn push_escaped(line: &mut Vec<u8>, byte: u8) {
    line.extend_from_slice(b"\\x");
    push_hex(line, byte);
}

fn push_hex(line: &mut Vec<u8>, byte: u8) {
    for digit in [byte >> 4, byte & 15] {
        line.extend(HEX.get(usize::from(digit)));
    }
}

fn push_char(line: &mut Vec<u8>, c: char) {
    line.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_byte_at_every_place_is_known_for_what_it_is() {
        for byte in 0..=u8::MAX {
            let plain = matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
            for place in 0..20 {
                let mut text = [b'x'; 20];
                text[place] = byte;
                assert_eq!(is_plain(&text), plain, "{byte} at {place}");
            }
        }
        assert!(is_plain(b""));
    }

    proptest! {
        #[test]
        fn what_needs_an_escape_is_never_plain(text: Vec<u8>) {
            let special = |byte: &u8| !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\');
            prop_assert!(!(is_plain(&text) && text.iter().any(special)));
        }
    }
}
