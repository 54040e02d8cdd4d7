//! Tables as values.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use super::super::reader::{Reader, Said, kind_of};
use super::super::table::{Description, Kind, Shape, Shown, Table, read_keys, table_name};

/// The longest name of a site or a pool.
const LONGEST: usize = 64;

/// One table.
pub struct One<T>(PhantomData<T>);

/// One table.
pub fn table_of<T: Table>() -> One<T> {
    One(PhantomData)
}

impl<T: Table> Kind for One<T> {
    type Value = T;

    fn name(&self) -> String {
        "table".into()
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<T> {
        let Some(table) = said.get_ref().as_table() else {
            let message = format!("{} is a table, not {}", reader.key(), kind_of(said));
            let hint = format!("write {} and its keys below it", table_name(reader.path()));
            reader.complain(&said.span(), message, Some(hint));
            return None;
        };
        let mut value = T::default();
        read_keys(&mut value, table, reader);
        Some(value)
    }

    fn show(&self, value: &T) -> Shown {
        Shown::Table(value.show())
    }

    fn table(&self) -> Option<Description> {
        Some(Description { shape: Shape::One, keys: T::keys() })
    }
}

/// Tables of one name.
pub struct Many<T>(PhantomData<T>);

/// Tables of one name: `[[name]]`.
pub fn tables_of<T: Table>() -> Many<T> {
    Many(PhantomData)
}

impl<T: Table> Kind for Many<T> {
    type Value = Vec<T>;

    fn name(&self) -> String {
        "tables".into()
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<Vec<T>> {
        let path = reader.path().to_owned();
        let Some(array) = said.get_ref().as_array() else {
            let message = format!("{path} is a list of tables, not {}", kind_of(said));
            reader.complain(&said.span(), message, Some(format!("write [[{path}]] with two brackets")));
            return None;
        };
        // Those of other files stand before these.
        let before = (0..usize::MAX).take_while(|nth| reader.is_said(&format!("{path}[{nth}]"))).count();
        let tables = array.iter().enumerate().map(|(nth, member)| {
            reader.below(&format!("[{}]", before + nth), |reader| {
                reader.note_member(member.span());
                table_of().read(member, reader).unwrap_or_default()
            })
        });
        Some(tables.collect())
    }

    fn show(&self, value: &Vec<T>) -> Shown {
        Shown::Tables(value.iter().map(Table::show).collect())
    }

    fn table(&self) -> Option<Description> {
        Some(Description { shape: Shape::Many, keys: T::keys() })
    }
}

/// Tables by name.
pub struct Named<T>(PhantomData<T>);

/// Tables under names that the operator chooses.
pub fn named<T: Table>() -> Named<T> {
    Named(PhantomData)
}

impl<T: Table> Kind for Named<T> {
    type Value = BTreeMap<String, T>;

    fn name(&self) -> String {
        "tables by name".into()
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<Self::Value> {
        let path = reader.path().to_owned();
        let Some(tables) = said.get_ref().as_table() else {
            let hint = Some(format!("write [{path}.NAME] and its keys below it"));
            reader.complain(&said.span(), format!("{path} are tables by name, not {}", kind_of(said)), hint);
            return None;
        };
        let mut all = BTreeMap::new();
        for (key, said) in tables {
            let name = key.get_ref().as_ref();
            if !is_name(name) {
                let message = format!("{name:?} is no name");
                let hint = format!("a name is 1 to {LONGEST} of a to z, 0 to 9, - and _");
                reader.complain(&key.span(), message, Some(hint));
                continue;
            }
            let table = reader.below(name, |reader| {
                if !said.get_ref().is_table() {
                    let message = format!("{path}.{name} is a table, not {}", kind_of(said));
                    let hint = format!("{path} has only tables: write [{path}.NAME] before this key");
                    reader.complain(&key.span(), message, Some(hint));
                    return None;
                }
                if reader.note(key.span(), said.span()) { table_of().read(said, reader) } else { None }
            });
            all.extend(table.map(|table| (name.to_owned(), table)));
        }
        Some(all)
    }

    fn show(&self, value: &Self::Value) -> Shown {
        Shown::Table(value.iter().map(|(name, table)| (name.clone(), Shown::Table(table.show()))).collect())
    }

    fn table(&self) -> Option<Description> {
        Some(Description { shape: Shape::Named, keys: T::keys() })
    }
}

/// Whether a site or a pool may be called so.
fn is_name(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}
