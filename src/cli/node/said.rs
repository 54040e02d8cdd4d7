//! What a node has answered, for people: texts and numbers out of JSON, in columns.

use std::fmt::Write as _;

use serde_json::Value;

use crate::base::units::ByteSize;

/// As it is, for programs.
pub(super) fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// The text at a place such as `/a/b`; empty if there is none. Nothing in it can steer a terminal.
pub(super) fn text(value: &Value, place: &str) -> String {
    match value.pointer(place) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => {
            text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
        }
        Some(other) => other.to_string(),
    }
}

/// The number at a place; 0 if there is none.
pub(super) fn number(value: &Value, place: &str) -> u64 {
    value.pointer(place).and_then(Value::as_u64).unwrap_or(0)
}

/// Whether what is at a place is true.
pub(super) fn is(value: &Value, place: &str) -> bool {
    value.pointer(place).and_then(Value::as_bool) == Some(true)
}

/// The list at a place.
pub(super) fn list<'a>(value: &'a Value, place: &str) -> &'a [Value] {
    value.pointer(place).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// So many bytes, rounded down to three digits or so.
pub(super) fn bytes(count: u64) -> String {
    let unit = [40, 30, 20, 10].into_iter().find(|shift| count >> shift >= 10);
    ByteSize(unit.map_or(count, |shift| count >> shift << shift)).to_string()
}

/// Rows below each other, each column as wide as its widest cell.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing into a string cannot fail.
            let _ = write!(line, "{cell:<width$}  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
        assert_eq!(table(&[row(&["a", "bcd"]), row(&["efg", "h"])]), "a    bcd\nefg  h\n");
    }

    #[test]
    fn sizes_are_told_in_few_digits() {
        assert_eq!([0, 1023, 20_480, 20_481, 5 << 30].map(bytes), ["0B", "1023B", "20KiB", "20KiB", "5GiB"]);
    }

    #[test]
    fn a_text_cannot_steer_a_terminal() {
        let value = serde_json::json!({ "a": { "b": "x\u{1b}[31m" }, "c": 7 });
        assert_eq!(
            [text(&value, "/a/b"), text(&value, "/c"), text(&value, "/d")],
            ["x\u{fffd}[31m", "7", ""]
        );
    }
}
