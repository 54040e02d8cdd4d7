//! Numbers, switches, lists, and words in place of a value.

use std::fmt::Display;
use std::ops::RangeInclusive;

use toml::de::DeValue;

use super::super::near::nearest;
use super::super::reader::{Reader, Said, kind_of};
use super::super::table::{Kind, Shown};
use super::quoted;

/// `true` or `false`.
pub struct Flag;

/// `true` or `false`.
pub fn flag() -> Flag {
    Flag
}

impl Kind for Flag {
    type Value = bool;

    fn name(&self) -> String {
        "true or false".into()
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<bool> {
        let value = said.get_ref().as_bool();
        if value.is_none() {
            let (key, or) = (reader.key(), reader.or());
            let message = format!("{key} is true or false{or}, not {}", kind_of(said));
            reader.complain(&said.span(), message, Some("written without quotes".into()));
        }
        value
    }

    fn show(&self, value: &bool) -> Shown {
        Shown::Value(value.to_string())
    }
}

/// A whole number within a range.
pub struct Whole<T>(RangeInclusive<T>);

/// A whole number within a range.
pub fn whole<T>(range: RangeInclusive<T>) -> Whole<T> {
    Whole(range)
}

impl<T: Copy + Display + PartialOrd + TryFrom<i128>> Kind for Whole<T> {
    type Value = T;

    fn name(&self) -> String {
        format!("number, {} to {}", self.0.start(), self.0.end())
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<T> {
        let DeValue::Integer(number) = said.get_ref() else {
            reader.wrong_kind(said, "a whole number", &format!("{}, without quotes", self.0.start()));
            return None;
        };
        let value = i128::from_str_radix(number.as_str(), number.radix()).ok();
        let value = value.and_then(|value| T::try_from(value).ok()).filter(|value| self.0.contains(value));
        if value.is_none() {
            let (key, or) = (reader.key(), reader.or());
            let message = format!("{key} is a number from {} to {}{or}", self.0.start(), self.0.end());
            reader.complain(&said.span(), message, None);
        }
        value
    }

    fn show(&self, value: &T) -> Shown {
        Shown::Value(value.to_string())
    }
}

/// A list of values of one kind.
pub struct List<K>(K);

/// A list of values of one kind.
pub fn list<K>(kind: K) -> List<K> {
    List(kind)
}

impl<K: Kind> Kind for List<K> {
    type Value = Vec<K::Value>;

    fn name(&self) -> String {
        format!("list: {}", self.0.name())
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<Self::Value> {
        let Some(array) = said.get_ref().as_array() else {
            let example = match said.get_ref().as_str() {
                Some(text) => format!("[{}]", quoted(text)),
                None => "[\"…\"]".to_owned(),
            };
            reader.wrong_kind(said, "a list", &example);
            return None;
        };
        let members = array.iter().enumerate().map(|(nth, member)| {
            reader.below(&format!("[{nth}]"), |reader| {
                reader.note_member(member.span());
                self.0.read(member, reader)
            })
        });
        // All of them are read, so that all that is wrong is told.
        members.collect::<Vec<_>>().into_iter().collect()
    }

    fn show(&self, value: &Self::Value) -> Shown {
        let members = value.iter().map(|member| match self.0.show(member) {
            Shown::Value(text) => text,
            Shown::Table(keys) => inline(&keys),
            Shown::Tables(_) => String::new(),
        });
        Shown::Value(format!("[{}]", members.collect::<Vec<_>>().join(", ")))
    }
}

/// A small table on one line.
fn inline(keys: &[(String, Shown)]) -> String {
    let keys = keys.iter().filter_map(|(name, shown)| match shown {
        Shown::Value(text) => Some(format!("{name} = {text}")),
        _ => None,
    });
    format!("{{ {} }}", keys.collect::<Vec<_>>().join(", "))
}

/// A value, or a word that says that there is none.
pub struct Either<K> {
    word: &'static str,
    kind: K,
}

/// A value, or a word that says that there is none.
pub fn either<K>(word: &'static str, kind: K) -> Either<K> {
    Either { word, kind }
}

impl<K: Kind> Kind for Either<K> {
    type Value = Option<K::Value>;

    fn name(&self) -> String {
        format!("{} or {:?}", self.kind.name(), self.word)
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<Self::Value> {
        if let Some(text) = said.get_ref().as_str() {
            if text == self.word {
                return Some(None);
            }
            if !self.word.is_empty()
                && !text.is_empty()
                && text.chars().all(char::is_alphabetic)
                && nearest(text, [self.word]).is_some()
            {
                let message = format!("{} is not {text:?}", reader.key());
                reader.complain(&said.span(), message, Some(format!("did you mean {:?}?", self.word)));
                return None;
            }
        }
        reader.or_word(self.word, |reader| self.kind.read(said, reader)).map(Some)
    }

    fn show(&self, value: &Self::Value) -> Shown {
        value.as_ref().map_or_else(|| Shown::Value(quoted(self.word)), |value| self.kind.show(value))
    }
}
