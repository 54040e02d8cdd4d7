//! The pieces that a line is made of, in order.

use super::field::Field;
use super::settings::{Format, Settings};

/// What JSON lines tell, in this order.
pub const JSON: [Field; 15] = [
    Field::Time,
    Field::Client,
    Field::Site,
    Field::Method,
    Field::Host,
    Field::Target,
    Field::Version,
    Field::Status,
    Field::Cache,
    Field::Detail,
    Field::Bytes,
    Field::Complete,
    Field::Broken,
    Field::HeadMs,
    Field::TotalMs,
];

/// The most pieces of a line that are known only at its end.
pub(super) const MOST_LATE: usize = 4;

/// A piece of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// As it is.
    Text(&'static str),
    /// A field's value.
    Value(Field),
    /// A member of a JSON object, left out if there is no value.
    Member(Field),
}

/// How values are kept from breaking a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Json,
    Combined,
    Fields,
}

/// All pieces of a line.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) style: Style,
    pub(super) pieces: Box<[Piece]>,
    /// Those of them that are known only at its end.
    pub(super) late: Box<[Piece]>,
}

impl Layout {
    pub(super) fn new(settings: &Settings) -> Self {
        let (style, pieces) = match settings.format {
            Format::Json => (Style::Json, json()),
            Format::Combined => (Style::Combined, combined()),
            Format::Fields => (Style::Fields, spaced(&settings.fields)),
        };
        let late = pieces.iter().copied().filter(Piece::is_late).take(MOST_LATE).collect();
        Self { style, pieces: pieces.into(), late }
    }
}

impl Piece {
    pub(super) fn is_late(&self) -> bool {
        matches!(self, Self::Value(field) | Self::Member(field) if field.is_late())
    }
}

fn json() -> Vec<Piece> {
    let members = JSON.into_iter().map(Piece::Member);
    [Piece::Text("{")].into_iter().chain(members).chain([Piece::Text("}\n")]).collect()
}

/// `client - - [time] "request line" status bytes "referer" "user agent"`
fn combined() -> Vec<Piece> {
    vec![
        Piece::Value(Field::Client),
        Piece::Text(" - - ["),
        Piece::Value(Field::Time),
        Piece::Text("] \""),
        Piece::Value(Field::Method),
        Piece::Text(" "),
        Piece::Value(Field::Target),
        Piece::Text(" "),
        Piece::Value(Field::Version),
        Piece::Text("\" "),
        Piece::Value(Field::Status),
        Piece::Text(" "),
        Piece::Value(Field::Bytes),
        Piece::Text(" \""),
        Piece::Value(Field::Referer),
        Piece::Text("\" \""),
        Piece::Value(Field::UserAgent),
        Piece::Text("\"\n"),
    ]
}

fn spaced(fields: &[Field]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> =
        fields.iter().flat_map(|field| [Piece::Value(*field), Piece::Text(" ")]).collect();
    pieces.pop();
    pieces.push(Piece::Text("\n"));
    pieces
}
