//! What the access log is to say, and where.

use std::path::PathBuf;
use std::str::FromStr;

use super::field::{Field, UnknownField};

/// What the access log is to say, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where lines go.
    pub sink: Sink,
    /// How they are written.
    pub format: Format,
    /// With [`Format::Fields`]: which, in this order. Each once.
    pub fields: Vec<Field>,
}

/// Where lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sink {
    /// Nowhere.
    Off,
    /// Standard output.
    #[default]
    Stdout,
    /// A file, to which they are appended.
    File(PathBuf),
}

/// How lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    #[default]
    Json,
    /// The combined format of Apache httpd.
    Combined,
    /// Chosen fields between spaces.
    Fields,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Json, Self::Combined, Self::Fields];

    /// The name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Combined => "combined",
            Self::Fields => "fields",
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        let fields = vec![
            Field::Time,
            Field::Client,
            Field::Method,
            Field::Host,
            Field::Target,
            Field::Status,
            Field::Cache,
            Field::Bytes,
            Field::TotalMs,
        ];
        Self { sink: Sink::default(), format: Format::default(), fields }
    }
}

/// Why fields cannot be chosen so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldsError {
    /// There is no such field.
    #[error(transparent)]
    Unknown(#[from] UnknownField),
    /// One is there twice.
    #[error("the field {0} is there twice")]
    Twice(Field),
    /// There are none.
    #[error("no field is named")]
    None,
}

impl Sink {
    /// As an option names it: `off`, `-` for standard output, or a file.
    pub fn named(name: &str) -> Self {
        match name {
            "off" => Self::Off,
            "-" => Self::Stdout,
            path => Self::File(path.into()),
        }
    }
}

/// A format with its fields, as one word: `json`, `combined`, or names of fields between commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout(pub Format, pub Vec<Field>);

impl FromStr for Layout {
    type Err = FieldsError;

    fn from_str(text: &str) -> Result<Self, FieldsError> {
        match text {
            "json" => Ok(Self(Format::Json, Vec::new())),
            "combined" => Ok(Self(Format::Combined, Vec::new())),
            names => {
                let fields: Result<Vec<Field>, _> =
                    names.split(',').map(|name| name.trim().parse()).collect();
                let fields = fields?;
                check(&fields)?;
                Ok(Self(Format::Fields, fields))
            }
        }
    }
}

/// Whether a line can be made of these: at least one, and each once.
pub fn check(fields: &[Field]) -> Result<(), FieldsError> {
    let twice = fields.iter().enumerate().find(|(at, field)| fields.iter().take(*at).any(|f| f == *field));
    match (fields, twice) {
        ([], _) => Err(FieldsError::None),
        (_, Some((_, field))) => Err(FieldsError::Twice(*field)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_is_a_format_or_its_fields() {
        assert_eq!("json".parse(), Ok(Layout(Format::Json, Vec::new())));
        assert_eq!("status, bytes".parse(), Ok(Layout(Format::Fields, vec![Field::Status, Field::Bytes])));
        assert_eq!("time,bytes,time".parse::<Layout>(), Err(FieldsError::Twice(Field::Time)));
        assert!(matches!("jason".parse::<Layout>(), Err(FieldsError::Unknown(_))));
        assert_eq!(check(&[]), Err(FieldsError::None));
    }
}
