//! Fields that are added to requests.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};

use super::super::reader::{Reader, Said};
use super::super::table::{Description, Kind, Shape, Shown};
use super::quoted;
use super::secret::{Secret, secret};
use crate::semantics::client_cert;
use crate::semantics::fields::is_hop_by_hop;

/// Fields by name, in small letters.
pub struct Fields;

/// Fields by name, in small letters.
pub fn fields() -> Fields {
    Fields
}

impl Kind for Fields {
    type Value = BTreeMap<String, Secret>;

    fn name(&self) -> String {
        format!("fields, each {}", secret().name())
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<Self::Value> {
        let Some(table) = said.get_ref().as_table() else {
            reader.wrong_kind(said, "a table of fields", "{ X-Name = \"value\" }");
            return None;
        };
        let mut all = BTreeMap::new();
        let mut sound = true;
        for (key, said) in table {
            let name = key.get_ref().as_ref();
            let lower = name.to_ascii_lowercase();
            let field = reader.below(&lower, |reader| {
                let known = reader.is_said(reader.path());
                if known {
                    let message = format!("the field {name} is named twice");
                    let hint =
                        format!("it is also at {}: case makes no difference", reader.where_is(reader.path()));
                    reader.complain(&key.span(), message, Some(hint));
                    return None;
                }
                reader.note(key.span(), said.span());
                if let Err(reason) = check_name(name) {
                    reader.complain(&key.span(), format!("{name:?} {reason}"), None);
                    return None;
                }
                let value = secret().read(said, reader)?;
                if HeaderValue::from_str(value.expose()).is_err() {
                    let message = format!("the value of {name} has characters that no field may have");
                    reader.complain(&said.span(), message, None);
                    return None;
                }
                Some(value)
            });
            sound &= field.is_some();
            all.extend(field.map(|value| (lower, value)));
        }
        sound.then_some(all)
    }

    fn show(&self, value: &Self::Value) -> Shown {
        Shown::Table(value.iter().map(|(name, value)| (key(name), secret().show(value))).collect())
    }

    fn table(&self) -> Option<Description> {
        Some(Description { shape: Shape::One, keys: Vec::new() })
    }
}

/// A field's name as a key of TOML.
fn key(name: &str) -> String {
    let bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if bare { name.to_owned() } else { quoted(name) }
}

/// Whether the operator may set a field of this name: not those that the node sets itself.
fn check_name(name: &str) -> Result<(), &'static str> {
    const OURS: [&str; 9] = [
        "cdn-loop",
        "host",
        "content-length",
        "expect",
        "via",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
    ];
    const SELECTIVE: [&str; 6] =
        ["range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "is no name of a field")?;
    if is_hop_by_hop(&name) {
        return Err("belongs to one connection only: the node sets it");
    }
    if OURS.contains(&name.as_str()) || client_cert::is_one(name.as_str()) {
        return Err("is set by the node itself");
    }
    if SELECTIVE.contains(&name.as_str()) {
        return Err("asks for a part of an answer or for none: not what is to be stored");
    }
    Ok(())
}
