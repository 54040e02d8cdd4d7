//! Queries, as forms write them.

use super::problem::{Kind, Problem};

/// The most bytes of a query, as it is written.
pub(super) const LONGEST: usize = 48 << 10;

/// Names and values. A query that is too long, or no text, is an error.
pub(super) fn pairs(query: Option<&str>) -> Result<Vec<(&str, String)>, Problem> {
    let query = query.unwrap_or("");
    if query.len() > LONGEST {
        return Err(wrong(format!("the question is longer than {LONGEST} bytes")));
    }
    let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
    let pair = |parameter| {
        let (name, value): (&str, &str) = str::split_once(parameter, '=').unwrap_or((parameter, ""));
        let value = decoded(value).ok_or_else(|| wrong(format!("{name:?} is no text in UTF-8")))?;
        Ok((name, value))
    };
    parameters.map(pair).collect()
}

/// What is wrong with a query.
pub(super) fn wrong(why: impl Into<String>) -> Problem {
    Problem::new(Kind::Malformed, why)
}

/// `%XX` is a byte, and `+` a space. `None` if that is no UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.filter(|hex| !hex.starts_with('+')).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        if let Some(byte) = byte {
            bytes.push(byte);
            rest = after.get(2..).unwrap_or_default();
        } else {
            bytes.push(if *first == b'+' { b' ' } else { *first });
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_forms_write_it() {
        let pairs = pairs(Some("a=%2F&&b=1+2&c=x=y&d")).expect("pairs");
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(pairs, [("a", "/"), ("b", "1 2"), ("c", "x=y"), ("d", "")]);
        assert_eq!(decoded("100%+%zz%2"), Some("100% %zz%2".into()));
        assert_eq!(decoded("%ff"), None);
    }
}
