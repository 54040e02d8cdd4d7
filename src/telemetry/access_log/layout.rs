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

/// A value in a line, with what stands before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) before: Box<str>,
    pub(super) field: Field,
    /// Left out with what stands around it, if there is no value; otherwise that is told by `-`.
    pub(super) optional: bool,
    /// A quote ends it, as one ends what stands before it.
    pub(super) quoted: bool,
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
    /// Those of them that are known only at the end of the line.
    pub(super) late: Box<[Piece]>,
    /// What stands behind the last one.
    pub(super) end: &'static str,
}

impl Layout {
    pub(super) fn new(settings: &Settings) -> Self {
        let (style, pieces, end) = match settings.format {
            Format::Json => (Style::Json, json(), "}\n"),
            Format::Combined => (Style::Combined, combined(), "\"\n"),
            Format::Fields => (Style::Fields, spaced(&settings.fields), "\n"),
        };
        let late = pieces.iter().filter(|piece| piece.field.is_late()).take(MOST_LATE).cloned().collect();
        Self { style, pieces: pieces.into(), late, end }
    }
}

fn json() -> Vec<Piece> {
    let member = |(at, field): (usize, Field)| {
        let (begin, quoted) = (if at == 0 { '{' } else { ',' }, !field.is_bare());
        let quote = if quoted { "\"" } else { "" };
        Piece { before: format!("{begin}\"{}\":{quote}", field.name()).into(), field, optional: true, quoted }
    };
    JSON.into_iter().enumerate().map(member).collect()
}

/// `client - - [time] "request line" status bytes "referer" "user agent"`
fn combined() -> Vec<Piece> {
    let pieces = [
        ("", Field::Client),
        (" - - [", Field::Time),
        ("] \"", Field::Method),
        (" ", Field::Target),
        (" ", Field::Version),
        ("\" ", Field::Status),
        (" ", Field::Bytes),
        (" \"", Field::Referer),
        ("\" \"", Field::UserAgent),
    ];
    pieces
        .into_iter()
        .map(|(before, field)| Piece { before: before.into(), field, optional: false, quoted: false })
        .collect()
}

fn spaced(fields: &[Field]) -> Vec<Piece> {
    let before = |at| if at == 0 { "" } else { " " };
    let pieces = fields.iter().enumerate();
    pieces
        .map(|(at, &field)| Piece { before: before(at).into(), field, optional: false, quoted: false })
        .collect()
}
