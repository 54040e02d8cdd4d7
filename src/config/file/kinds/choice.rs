//! One of a few words.

use super::super::near::nearest;
use super::super::reader::{Reader, Said};
use super::super::table::{Kind, Shown};
use super::shown;
use crate::cache::Admission;
use crate::listener::tls::MinimumVersion;
use crate::listener::tls::gate::{ClientCertificates, Told};
use crate::origin::HttpVersion;
use crate::telemetry::access_log::{Field, Format};

/// A type whose values are words.
pub trait Words: Copy + 'static {
    /// All of them, each with its word.
    fn all() -> Vec<(&'static str, Self)>;

    /// The word of this one.
    fn word(self) -> &'static str;
}

/// Declares an enum whose values are words.
macro_rules! words {
    (
        $(#[$attribute:meta])+
        pub enum $name:ident { $( $(#[$of_variant:meta])+ $variant:ident = $word:literal, )+ }
    ) => {
        $(#[$attribute])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $( $(#[$of_variant])+ $variant, )+ }

        impl $name {
            /// The word for it in the configuration.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }

            /// All of them.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )+];

            /// The one of this word, or what the words are.
            pub fn parse(word: &str) -> Result<Self, &'static str> {
                let found = Self::ALL.iter().find(|value| value.name() == word).copied();
                found.ok_or(concat!("it is one of:", $( " ", $word, )+))
            }
        }

        impl $crate::config::file::kinds::Words for $name {
            fn all() -> Vec<(&'static str, Self)> {
                Self::ALL.iter().map(|word| (word.name(), *word)).collect()
            }

            fn word(self) -> &'static str {
                self.name()
            }
        }
    };
}
pub(in crate::config::file) use words;

/// Words that the modules have, whose settings they are.
macro_rules! words_of {
    ($($type:ty),+) => { $(
        impl Words for $type {
            fn all() -> Vec<(&'static str, Self)> {
                Self::ALL.into_iter().map(|value| (value.name(), value)).collect()
            }

            fn word(self) -> &'static str {
                self.name()
            }
        }
    )+ };
}

words_of!(Admission, ClientCertificates, Field, Format, HttpVersion, MinimumVersion, Told);

/// One of a few words.
pub struct Choice<T>(std::marker::PhantomData<T>);

/// One of a few words.
pub fn choice<T: Words>() -> Choice<T> {
    Choice(std::marker::PhantomData)
}

impl<T: Words> Choice<T> {
    fn listed(joined_by: &str) -> String {
        let mut words: Vec<String> = T::all().iter().map(|(word, _)| format!("{word:?}")).collect();
        let last = words.pop().unwrap_or_default();
        if words.is_empty() { last } else { format!("{} {joined_by} {last}", words.join(", ")) }
    }
}

impl<T: Words> Kind for Choice<T> {
    type Value = T;

    fn name(&self) -> String {
        Self::listed("or")
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<T> {
        let all = T::all();
        let text = reader.text(said, &Self::listed("or"), &format!("{:?}", all.first()?.0))?;
        let found = all.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let hint = match nearest(text, all.iter().map(|(word, _)| *word)) {
                Some((_, near)) => format!("did you mean {near:?}?"),
                None => format!("it is {}", Self::listed("or")),
            };
            let message = format!("{} is not {text:?}", reader.key());
            reader.complain(&said.span(), message, Some(hint));
        }
        found.map(|(_, value)| *value)
    }

    fn show(&self, value: &T) -> Shown {
        shown(value.word())
    }
}
