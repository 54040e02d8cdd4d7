//! From text to a table, as far as the text is TOML.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use super::reader::Reader;
use super::source::Source;

/// Lines without a value that are passed over in one file; reading ends at the next one.
const MOST_PASSED_OVER: usize = 20;

/// A file with the lines that stop the parser blanked out, byte for byte, so that all places stay.
pub(super) fn readable_text(source: &Source, reader: &mut Reader) -> String {
    let mut text = source.text.clone();
    for _ in 0..MOST_PASSED_OVER {
        let errors = DeTable::parse_recoverable(&text).1;
        let stop = errors.iter().find(|error| error.message().starts_with("key with no value"));
        let Some(line) = stop.and_then(Error::span).and_then(|span| line_around(&text, span.start)) else {
            break;
        };
        reader.complain_of_line(
            &visible(&source.text, line.clone()),
            "this key has no value".into(),
            Some("write KEY = VALUE, or [TABLE] with brackets".into()),
        );
        let blank: String = std::iter::repeat_n(' ', line.len()).collect();
        text.replace_range(line, &blank);
    }
    text
}

/// The table that a text is, what is no TOML being complained about.
pub(super) fn parse<'a>(text: &'a str, reader: &mut Reader) -> Spanned<DeTable<'a>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let unclosed = errors
        .iter()
        .filter(|error| error.message().starts_with("unclosed array"))
        .filter_map(|error| open_list(table.get_ref(), error.span()?.start))
        .min_by_key(|list| list.start);
    if let Some(list) = &unclosed {
        let opening = list.start..list.start + 1;
        reader.complain_of_line(&opening, "this list is not closed".into(), Some("a ] is missing".into()));
    }
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        // Within a list that never ends, everything looks wrong.
        if unclosed.as_ref().is_some_and(|list| list.start <= span.start) {
            continue;
        }
        let span = if is_half_a_word(error) { whole_word(text, &span) } else { span };
        let (message, hint) = in_our_words(error, text.get(span.clone()).unwrap_or(""));
        reader.complain_of_line(&span, message, hint);
    }
    if let Some(list) = unclosed {
        reader.ignore_from(list.start);
    }
    table
}

/// The outermost list that runs to `end`.
fn open_list(table: &DeTable<'_>, end: usize) -> Option<Range<usize>> {
    table.iter().find_map(|(_, said)| match said.get_ref() {
        DeValue::Array(_) if said.span().end == end => Some(said.span()),
        DeValue::Array(members) => members.iter().find_map(|member| match member.get_ref() {
            DeValue::Table(table) => open_list(table, end),
            _ => None,
        }),
        DeValue::Table(table) => open_list(table, end),
        _ => None,
    })
}

/// The line around a byte, without its end.
fn line_around(text: &str, at: usize) -> Option<Range<usize>> {
    let start = text.get(..at)?.rfind('\n').map_or(0, |end| end + 1);
    let end = text.get(at..)?.find(['\n', '\r']).map_or(text.len(), |end| at + end);
    Some(start..end.max(start))
}

/// The part of a line that is no space and no comment.
fn visible(text: &str, line: Range<usize>) -> Range<usize> {
    let full = text.get(line.clone()).unwrap_or("");
    let start = line.start + (full.len() - full.trim_start().len());
    start..start + full.split('#').next().unwrap_or("").trim().len()
}

/// Whether the parser took a word without quotes for something else, by its first letters.
fn is_half_a_word(error: &Error) -> bool {
    error.message().starts_with("invalid float")
}

/// The word, up to what may stand around one.
fn whole_word(text: &str, span: &Range<usize>) -> Range<usize> {
    let around = |c: char| c.is_whitespace() || "=,[]{}#".contains(c);
    let start = text.get(..span.start).and_then(|before| before.rfind(around)).map_or(0, |end| end + 1);
    let end =
        text.get(span.start..).and_then(|after| after.find(around)).map_or(text.len(), |at| span.start + at);
    start.min(span.start)..end.max(span.end)
}

/// What the parser says, in our words where we have some.
fn in_our_words(error: &Error, text: &str) -> (String, Option<String>) {
    let message = error.message();
    let is_word = message.starts_with("string values must be quoted") || is_half_a_word(error);
    if message.starts_with("invalid boolean") || (is_word && ["yes", "no", "on"].contains(&text)) {
        return (
            format!("{text} is no value"),
            Some("write true or false, in small letters and without quotes".into()),
        );
    }
    if is_word && !text.is_empty() {
        return ("a text stands in quotes".into(), Some(format!("write {}", super::kinds::quoted(text))));
    }
    if message.starts_with("string values must be quoted") {
        return ("a value is missing after the =".into(), None);
    }
    if message.starts_with("duplicate key") {
        return (format!("{text} is said a second time in this file"), None);
    }
    if message.starts_with("invalid basic string") || message.starts_with("invalid literal string") {
        return ("this text has no closing quote".into(), None);
    }
    if message.starts_with("invalid multi-line") {
        return ("a text in triple quotes has no end".into(), None);
    }
    if message.starts_with("unclosed table") {
        return ("this table's name is not closed".into(), Some("a ] is missing".into()));
    }
    let known = [
        ("missing comma between key-value pairs", "a comma is missing between two keys"),
        ("missing comma between array elements", "a comma is missing between two members"),
        ("missing escaped value", "a \\ means something here: write \\\\ for a backslash"),
        ("unexpected leading zero", "a number does not begin with 0"),
        ("unclosed inline table", "this table has no }"),
        (
            "unexpected key or value, expected newline",
            "something follows the value: each key has a line of its own",
        ),
    ];
    match known.iter().find(|(theirs, _)| message.starts_with(theirs)) {
        Some((_, ours)) => ((*ours).to_owned(), None),
        None => (format!("this is not TOML: {message}"), None),
    }
}
