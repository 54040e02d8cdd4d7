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

/// Whether nothing in it needs an escape in JSON. Looks at all of it, which several bytes at a time is quicker than to
/// stop at the first that does.
fn is_plain(text: &[u8]) -> bool {
    let special = |byte: u8| !(b' '..=b'~').contains(&byte) || byte == b'"' || byte == b'\\';
    text.iter().fold(0, |any, &byte| any | u8::from(special(byte))) == 0
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
