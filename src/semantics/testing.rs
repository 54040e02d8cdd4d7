//! What the tests of this module share.

use http::{HeaderMap, HeaderName, HeaderValue};

/// A header map of these fields, in this order; a repeated name makes a repeated field.
pub fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// A header map of one field with these lines, without those that no field may hold.
pub fn repeated(name: &HeaderName, lines: &[String]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.iter().filter_map(|line| HeaderValue::from_str(line).ok()) {
        headers.append(name, line);
    }
    headers
}
