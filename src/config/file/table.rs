//! One declaration for each table of the file. From it come the struct, its defaults, the reading, the showing, and
//! the documentation.

use toml::de::{DeTable, DeValue};

use super::hint::{Hint, hint_for};
use super::reader::{Key, Reader, Said};

/// A kind of value: how it is read and shown.
pub(super) trait Kind {
    /// What is made of it.
    type Value;

    /// What it is called in the documentation.
    fn name(&self) -> String;

    /// Reads a value. If it is wrong, complains and returns `None`.
    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<Self::Value>;

    /// How the value is written, so that it reads back.
    fn show(&self, value: &Self::Value) -> Shown;

    /// The table that such a value is, if it is one.
    fn table(&self) -> Option<Description> {
        None
    }
}

/// A value as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// As TOML, on one line.
    Value(String),
    /// A table's keys.
    Table(Vec<(String, Shown)>),
    /// Tables of one name.
    Tables(Vec<Vec<(String, Shown)>>),
}

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `[name]`
    One,
    /// `[[name]]`, as often as wanted.
    Many,
    /// `[name.NAME]`, under names that the operator chooses.
    Named,
}

/// A table described.
#[derive(Clone, Debug)]
pub(super) struct Description {
    pub shape: Shape,
    pub keys: Vec<KeyDescription>,
}

/// A key described.
#[derive(Clone, Debug)]
pub(super) struct KeyDescription {
    pub name: &'static str,
    /// The kind of its value.
    pub kind: String,
    /// Its default, as TOML.
    pub default: &'static str,
    pub meaning: String,
    /// The table that it is, if it is one.
    pub table: Option<Description>,
}

/// A table of the file.
pub(super) trait Table: Clone + Default {
    /// Its keys, in the order in which they are written.
    fn keys() -> Vec<KeyDescription>;

    /// Whether it has such a key.
    fn has(name: &str) -> bool;

    /// Reads a key that it has.
    fn read_key(&mut self, name: &str, said: &Said<'_>, reader: &mut Reader);

    /// Its keys and values.
    fn show(&self) -> Vec<(String, Shown)>;
}

/// The text of documentation comments as one paragraph.
pub(super) fn paragraph(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// A default, which is read as what stands in a file is.
#[allow(clippy::expect_used, reason = "defaults are no input, and a test reads every one")]
pub(super) fn default_of<K: Kind>(kind: &K, text: &str) -> K::Value {
    let said = DeValue::parse(text).expect("a default is TOML");
    kind.read(&said, &mut Reader::default()).expect("a default is of its kind")
}

/// A kind as it is, of which it is known what it makes.
pub(super) fn kind_of<T, K: Kind<Value = T>>(kind: K) -> K {
    kind
}

/// Declares a table: `name: Type, kind = default;`, where the type is that of the kind's values and the default is
/// TOML that is also made of Rust's tokens.
macro_rules! table {
    (
        $(#[doc = $meaning:literal])+
        pub struct $table:ident {
            $( $(#[doc = $text:literal])+ $name:ident: $type:ty, $kind:expr => $default:expr; )*
        }
    ) => {
        $(#[doc = $meaning])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $table {
            $( $(#[doc = $text])+ pub $name: $type, )*
        }

        impl Default for $table {
            fn default() -> Self {
                Self { $( $name: $crate::config::file::table::default_of(&$crate::config::file::table::kind_of::<$type, _>($kind), stringify!($default)), )* }
            }
        }

        impl $crate::config::file::table::Table for $table {
            fn keys() -> Vec<$crate::config::file::table::KeyDescription> {
                use $crate::config::file::table::Kind as _;
                vec![$( $crate::config::file::table::KeyDescription {
                    name: stringify!($name),
                    kind: $crate::config::file::table::kind_of::<$type, _>($kind).name(),
                    default: stringify!($default),
                    meaning: $crate::config::file::table::paragraph(&[$($text),+]),
                    table: $crate::config::file::table::kind_of::<$type, _>($kind).table(),
                }, )*]
            }

            fn has(name: &str) -> bool {
                [$( stringify!($name), )*].contains(&name)
            }

            fn read_key(
                &mut self,
                name: &str,
                said: &$crate::config::file::reader::Said<'_>,
                reader: &mut $crate::config::file::reader::Reader,
            ) {
                use $crate::config::file::table::Kind as _;
                match name {
                    $( stringify!($name) => {
                        if let Some(value) = $crate::config::file::table::kind_of::<$type, _>($kind).read(said, reader) {
                            self.$name = value;
                        }
                    } )*
                    _ => {}
                }
            }

            fn show(&self) -> Vec<(String, $crate::config::file::table::Shown)> {
                use $crate::config::file::table::Kind as _;
                vec![$( (stringify!($name).to_owned(), $crate::config::file::table::kind_of::<$type, _>($kind).show(&self.$name)), )*]
            }
        }
    };
}
pub(super) use table;

/// Reads all keys of a table into `into`.
pub(super) fn read_keys<T: Table>(into: &mut T, table: &DeTable<'_>, reader: &mut Reader) {
    for (key, said) in table {
        read_key_of(into, key, said, reader);
    }
}

/// Reads one key into the table that it belongs to.
pub(super) fn read_key_of<T: Table>(into: &mut T, key: &Key<'_>, said: &Said<'_>, reader: &mut Reader) {
    let name = key.get_ref().as_ref();
    let known = T::has(name);
    reader.below(name, |reader| {
        if known && reader.note(key.span(), said.span()) {
            into.read_key(name, said, reader);
        }
    });
    if !known {
        unknown_key(into, key, said, reader);
    }
}

/// Complains about a key that the table has not, and says which one may have been meant. What a misspelt table has in
/// it is looked through all the same.
fn unknown_key<T: Table>(into: &T, key: &Key<'_>, said: &Said<'_>, reader: &mut Reader) {
    let name = key.get_ref().as_ref();
    let hint = hint_for::<T>(name, reader);
    let is_table = said.get_ref().is_table();
    let message = match (reader.path(), is_table) {
        ("", true) => format!("there is no table [{name}]"),
        ("", false) => format!("there is no key {name:?} outside of the tables"),
        (path, _) => format!("{} has no key {name:?}", table_name(path)),
    };
    let meant = match &hint {
        Some(Hint::Own(own)) if is_table && is_one_table::<T>(own) => Some(*own),
        _ => None,
    };
    reader.below(name, |reader| {
        reader.complain(&key.span(), message, hint.map(|hint| hint.to_string()));
        if let Some(meant) = meant {
            into.clone().read_key(meant, said, reader);
        }
    });
}

/// Whether a key is written as one table, so that what stands in one can be read as if it were there.
fn is_one_table<T: Table>(name: &str) -> bool {
    let key = T::keys().into_iter().find(|key| key.name == name);
    key.and_then(|key| key.table).is_some_and(|table| table.shape != Shape::Many)
}

/// `[client]`, `[[listeners]]`, or what the top of the file is called.
pub(super) fn table_name(path: &str) -> String {
    match path.strip_suffix(']').and_then(|path| path.rsplit_once('[')) {
        Some((tables, _)) => format!("[[{tables}]]"),
        None if path.is_empty() => "the top of the file".to_owned(),
        None => format!("[{path}]"),
    }
}
