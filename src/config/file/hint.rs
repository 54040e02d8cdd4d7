//! What an unknown key may have been meant to be.

use std::fmt;

use super::documentation::described;
use super::near::nearest;
use super::reader::Reader;
use super::table::Table;

/// As many keys as are named where nothing resembles what was said.
const FEW: usize = 16;

/// What an unknown key may have been meant to be.
pub(super) enum Hint {
    /// Another key of its table.
    Own(&'static str),
    /// What other tables have.
    Elsewhere { name: String, tables: String },
    /// Any of the few that its table has.
    Any(Vec<&'static str>),
    /// What resembles something that another table has.
    NearElsewhere { name: &'static str, table: String },
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(name) => write!(f, "did you mean {name:?}?"),
            Self::Elsewhere { name, tables } => write!(f, "{name} belongs to {tables}"),
            Self::Any(names) => write!(f, "there is only {}", names.join(", ")),
            Self::NearElsewhere { name, table } => write!(f, "did you mean {name:?}? it belongs to {table}"),
        }
    }
}

/// What may have been meant by a key that the present table has not.
pub(super) fn hint_for<T: Table>(name: &str, reader: &mut Reader) -> Option<Hint> {
    if !reader.has_room() {
        return None;
    }
    let own = nearest(name, T::keys().iter().map(|key| key.name));
    let all = described();
    let tables: Vec<&str> =
        all.iter().filter(|(_, key)| *key == name).map(|(table, _)| table.as_str()).collect();
    match own {
        Some((distance, own)) if distance <= 1 || tables.is_empty() => {
            let path = reader.path();
            let meant = if path.is_empty() { own.to_owned() } else { format!("{path}.{own}") };
            reader.suspect(meant);
            Some(Hint::Own(own))
        }
        _ if !tables.is_empty() => {
            Some(Hint::Elsewhere { name: name.to_owned(), tables: tables.join(" or ") })
        }
        _ => {
            let near = nearest(name, all.iter().map(|(_, key)| *key));
            if let Some((table, name)) = near.and_then(|(_, near)| all.iter().find(|(_, key)| *key == near)) {
                return Some(Hint::NearElsewhere { name, table: table.clone() });
            }
            let names: Vec<&str> = T::keys().iter().map(|key| key.name).collect();
            (names.len() <= FEW).then_some(Hint::Any(names))
        }
    }
}
