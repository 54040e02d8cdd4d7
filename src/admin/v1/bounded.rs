//! How much of a call is kept while it is read, and how much of it an audit line tells.

use std::fmt;
use std::io;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserializer, Serialize};

use crate::cache::wish::MOST_NAMED;

/// Reads a list of texts that is no longer than all that a call may name. What follows in a longer one is not kept: its texts
/// may be empty, and take many times what they take in JSON.
pub(super) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    deserializer.deserialize_seq(Texts)
}

struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence of texts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<String>, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = list.next_element()? {
            if texts.len() == MOST_NAMED {
                return Err(A::Error::custom(format_args!(
                    "too many things are named: {MOST_NAMED} are the most of one call, make several"
                )));
            }
            texts.push(text);
        }
        Ok(texts)
    }
}

/// The beginning of something as JSON: at most so many bytes, of which no more is made, and `…` behind what was cut.
pub(super) fn told(call: &impl Serialize, most: usize) -> String {
    let mut beginning = Beginning { bytes: Vec::new(), most };
    let whole = serde_json::to_writer(&mut beginning, call).is_ok();
    let mut bytes = beginning.bytes;
    if !whole {
        // No character is cut in two.
        let valid = std::str::from_utf8(&bytes).map_or_else(|error| error.valid_up_to(), str::len);
        bytes.truncate(valid);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if whole { text } else { text + "…" }
}

/// Takes so many bytes, and no more.
struct Beginning {
    bytes: Vec<u8>,
    most: usize,
}

impl io::Write for Beginning {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.most.saturating_sub(self.bytes.len());
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.bytes.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use serde::{Deserialize, Serializer};

    use super::*;

    /// A long list that counts how much of it was asked for.
    struct Long(Cell<usize>);

    impl Serialize for Long {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq((0..1_000_000).inspect(|_| self.0.set(self.0.get() + 1)).map(|_| "é"))
        }
    }

    #[test]
    fn no_more_is_made_than_is_told() {
        let long = Long(Cell::new(0));
        assert_eq!(told(&long, 9), "[\"é\",\"é…");
        assert_eq!(told(&long, 8), "[\"é\",\"…");
        assert!(long.0.get() <= 4, "{}", long.0.get());
        assert_eq!(told(&["a"], 5), "[\"a\"]");
        assert_eq!(told(&["a"], 4), "[\"a\"…");
    }

    #[derive(Debug, Deserialize)]
    struct Read(#[serde(deserialize_with = "texts")] Vec<String>);

    #[test]
    fn a_list_is_read_as_far_as_it_may_be_long() {
        let list = |many: usize| format!("[{}\"\"]", "\"\",".repeat(many - 1));
        let read = |many| serde_json::from_str::<Read>(&list(many));
        assert_eq!(read(MOST_NAMED).map(|read| read.0.len()).ok(), Some(MOST_NAMED));
        let refused = read(1_000_000).expect_err("too long");
        assert!(refused.column() <= 3 * MOST_NAMED + 4, "{refused}");
        assert!(refused.to_string().contains("10000 are the most"), "{refused}");
    }
}
