//! How much of a call is kept while it is read.

use std::fmt;

use serde::Deserializer;
use serde::de::{Error, SeqAccess, Visitor};

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

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

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
