//! Field lines as HTTP/1.1 writes them (RFC 9112 §5): how the head of a stored response is kept, and how it leaves.
//!
//! Every line here is safe to be written as it is: `name: value` and CRLF, the name a token in small letters, the value
//! without CR, LF or NUL. All of it comes from names and values of the crate `http`, which have nothing else in them;
//! nothing but this module makes such lines.

use std::fmt;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue};

/// What stands between name and value.
const COLON: &[u8] = b": ";

/// What ends a line.
const CRLF: &[u8] = b"\r\n";

/// How far into its line the value of `Content-Length` begins.
const LENGTH_VALUE: u32 = 16;

/// Field lines in one piece of memory. Some at the end may be hidden: they are of no client's interest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldLines {
    all: Box<[u8]>,
    shown: u32,
    /// Where the value of the first `Content-Length` begins, so that a hit need not look for it; 0 if there is none.
    length_at: u32,
}

/// The fields of an answer as lines that are ready to be written behind its status line.
#[derive(Clone, Debug, Default)]
pub struct RenderedFields {
    lines: Vec<u8>,
    content_length: Option<u64>,
}

impl FieldLines {
    /// The lines of these fields, in their order; those of a `hidden` name come last.
    pub fn of(fields: &HeaderMap, hidden: impl Fn(&HeaderName) -> bool) -> Self {
        let length = |(name, value): (&HeaderName, &HeaderValue)| {
            name.as_str().len() + COLON.len() + value.len() + CRLF.len()
        };
        let mut all = Vec::with_capacity(fields.iter().map(length).sum());
        // A head of 4 GiB would have been refused long before.
        let here = |all: &Vec<u8>| u32::try_from(all.len()).unwrap_or(0);
        let mut length_at = 0;
        for (name, value) in fields.iter().filter(|(name, _)| !hidden(name)) {
            let begin = here(&all);
            push_line(&mut all, name, value.as_bytes());
            if length_at == 0 && *name == CONTENT_LENGTH {
                length_at = begin + LENGTH_VALUE;
            }
        }
        let shown = here(&all);
        for (name, value) in fields.iter().filter(|(name, _)| hidden(name)) {
            push_line(&mut all, name, value.as_bytes());
        }
        Self { all: all.into(), shown, length_at }
    }

    /// All fields, hidden ones too: as many lines of each name as there are, in their order. The values share one copy of
    /// the lines, so that whoever keeps one of them keeps all.
    pub fn to_map(&self) -> HeaderMap {
        map_of(&self.all)
    }

    /// Names and values of all fields, hidden ones too, in their order.
    pub fn all(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.from(0)
    }

    /// The names of those that are hidden, line by line.
    pub fn hidden(&self) -> impl Iterator<Item = &str> {
        self.from(self.shown as usize).map(|(name, _)| name)
    }

    fn from(&self, at: usize) -> impl Iterator<Item = (&str, &[u8])> {
        let lines = Lines { all: &self.all, at };
        lines.filter_map(|line| Some((std::str::from_utf8(line.name).ok()?, line.value)))
    }

    /// The values of a field, hidden or not, line by line.
    pub fn values<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let lines = Lines { all: &self.all, at: 0 };
        lines.filter(move |line| line.name == name.as_str().as_bytes()).map(|line| line.value)
    }

    /// Bytes that the lines take.
    pub fn weight(&self) -> usize {
        self.all.len()
    }

    /// What the first `Content-Length` that is not hidden says, if it is a number.
    pub fn content_length(&self) -> Option<u64> {
        let from = self.all.get(self.length_at as usize..).filter(|_| self.length_at > 0)?;
        let digits = from.get(..from.iter().position(|byte| *byte == b'\r')?)?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// The lines that are not hidden, with room for so many bytes behind them.
    pub fn render(&self, room: usize) -> RenderedFields {
        let shown = self.all.get(..self.shown as usize).unwrap_or_default();
        let mut lines = Vec::with_capacity(shown.len() + room);
        lines.extend_from_slice(shown);
        RenderedFields { lines, content_length: self.content_length() }
    }
}

impl RenderedFields {
    /// Adds a line at the end, with the value that `write` makes. One that no field can have is left out with its name.
    pub fn push(&mut self, name: &HeaderName, write: impl FnOnce(&mut ValueText<'_>) -> fmt::Result) {
        let begin = self.lines.len();
        self.lines.extend_from_slice(name.as_str().as_bytes());
        self.lines.extend_from_slice(COLON);
        let value = self.lines.len();
        let written = write(&mut ValueText(&mut self.lines));
        let value = self.lines.get(value..).unwrap_or_default();
        // All of them at once: a look that may stop at each takes longer.
        if written.is_ok() && value.iter().fold(true, |all, byte| all & is_of_value(*byte)) {
            self.lines.extend_from_slice(CRLF);
        } else {
            self.lines.truncate(begin);
        }
    }

    /// Whole lines with CRLF behind each, in the order in which they are to be written. Nothing in them is about a
    /// connection or the framing of this message, but for `Content-Length`.
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// What the `Content-Length` among them says; `None` if there is none, or no number in it.
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// Whether there may be a field of this name among them: its name is there, if perhaps in a value.
    pub fn may_have(&self, name: &HeaderName) -> bool {
        memchr::memmem::find(&self.lines, name.as_str().as_bytes()).is_some()
    }

    /// The same as names and values, in their order.
    pub fn to_map(&self) -> HeaderMap {
        map_of(&self.lines)
    }
}

/// The value of a line in the making.
#[derive(Debug)]
pub struct ValueText<'a>(&'a mut Vec<u8>);

impl fmt::Write for ValueText<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Adds a line of a name and the value that a field has.
pub fn push_line(lines: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    lines.extend_from_slice(name.as_str().as_bytes());
    lines.extend_from_slice(COLON);
    lines.extend_from_slice(value);
    lines.extend_from_slice(CRLF);
}

/// Whether a value may have this byte (RFC 9110 §5.5).
fn is_of_value(byte: u8) -> bool {
    (byte >= b' ' && byte != 0x7f) || byte == b'\t'
}

fn map_of(lines: &[u8]) -> HeaderMap {
    let shared = Bytes::copy_from_slice(lines);
    let mut map = HeaderMap::with_capacity(Lines { all: lines, at: 0 }.count());
    for line in (Lines { all: lines, at: 0 }) {
        let value = shared.slice(line.begin..line.begin + line.value.len());
        let name = HeaderName::from_bytes(line.name);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_maybe_shared(value)) {
            // They come from a map, so they fit into one.
            let _ = map.try_append(name, value);
        }
    }
    map
}

/// One line of several.
struct Line<'a> {
    name: &'a [u8],
    value: &'a [u8],
    /// Where its value begins.
    begin: usize,
}

/// Goes from line to line.
struct Lines<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let rest = self.all.get(self.at..)?;
        // No name has a colon in it, and no value a CR.
        let colon = rest.iter().position(|byte| *byte == b':')?;
        let (name, value) = rest.split_at_checked(colon)?;
        let value = value.get(COLON.len()..)?;
        let value = value.get(..value.iter().position(|byte| *byte == b'\r')?)?;
        let begin = self.at + colon + COLON.len();
        self.at = begin + value.len() + CRLF.len();
        Some(Line { name, value, begin })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::*;

    use super::*;

    fn map(fields: &[(String, Vec<u8>)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            let (name, value) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value));
            if let (Ok(name), Ok(value)) = (name, value) {
                map.append(name, value);
            }
        }
        map
    }

    fn lines(fields: &HeaderMap) -> String {
        let rendered = FieldLines::of(fields, |name| name == "x-hidden").render(0);
        String::from_utf8(rendered.lines().to_vec()).expect("text")
    }

    #[test]
    fn lines_are_written_as_they_will_be_read() {
        let mut fields = HeaderMap::new();
        for (name, value) in
            [("X-Hidden", "1"), ("ETag", "\"a: b\""), ("Vary", ""), ("vary", " a"), ("Date", "x")]
        {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            fields.append(name, HeaderValue::from_static(value));
        }
        assert_eq!(lines(&fields), "etag: \"a: b\"\r\nvary: \r\nvary:  a\r\ndate: x\r\n");
        let stored = FieldLines::of(&fields, |name| name == "x-hidden");
        assert_eq!(stored.to_map(), fields);
        assert!(stored.values(&http::header::VARY).eq([&b""[..], b" a"]));
        assert!(stored.values(&HeaderName::from_static("x-hidden")).eq([b"1"]));
        assert_eq!((stored.content_length(), lines(&HeaderMap::new())), (None, String::new()));
        for (value, length) in [("17", Some(17)), ("", None), ("1,2", None), ("99999999999999999999", None)] {
            fields.insert(CONTENT_LENGTH, HeaderValue::from_static(value));
            let stored = FieldLines::of(&fields, |name| name == "x-hidden");
            assert_eq!(
                (stored.content_length(), stored.render(0).content_length()),
                (length, length),
                "{value}"
            );
        }
    }

    #[test]
    fn a_line_that_no_field_can_be_is_not_added() {
        let mut rendered = FieldLines::default().render(16);
        let name = HeaderName::from_static("x");
        rendered.push(&name, |value| value.write_str("a\tb é"));
        for wrong in ["a\r\nset-cookie: b", "a\nb", "\0", "\x7f"] {
            rendered.push(&name, |value| value.write_str(wrong));
        }
        rendered.push(&name, |_| Err(fmt::Error));
        rendered.push(&name, |_| Ok(()));
        assert_eq!(rendered.lines(), "x: a\tb é\r\nx: \r\n".as_bytes());
        assert_eq!(rendered.to_map().len(), 2);
    }

    proptest! {
        #[test]
        fn fields_become_lines_and_the_same_fields_again(
            fields in prop::collection::vec(
                ("[a-zA-Z:-]{1,4}", prop::collection::vec(prop_oneof![Just(b':'), Just(b' '), Just(b'\t'), Just(b'\r'), any::<u8>()], 0..6)),
                0..8,
            ),
            hidden in "[a-z]{1,2}",
        ) {
            let fields = map(&fields);
            let lines = FieldLines::of(&fields, |name| name.as_str().starts_with(&hidden));
            prop_assert_eq!(&lines.to_map(), &fields);
            prop_assert_eq!(lines.weight(), lines.all.len());
            for name in fields.keys() {
                prop_assert!(lines.values(name).eq(fields.get_all(name).iter().map(HeaderValue::as_bytes)));
            }
            let shown = lines.render(0).to_map();
            let expected: Vec<_> = fields.iter().filter(|(name, _)| !name.as_str().starts_with(&hidden)).collect();
            prop_assert!(shown.iter().eq(expected), "in their order too");
        }
    }
}
