//! Names and paths as an operator writes them, with `*` for what he leaves open.

/// Names, of parameters or of cookies. They are compared byte for byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    exact: Vec<String>,
    beginnings: Vec<String>,
}

impl Names {
    /// These names; one that ends in `*` is the beginning of many. In any order, and repeated or not, the same names
    /// are the same rule.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut exact, mut beginnings) = (Vec::new(), Vec::new());
        for pattern in patterns {
            match pattern.strip_suffix('*') {
                Some(beginning) => beginnings.push(beginning.to_owned()),
                None => exact.push(pattern.to_owned()),
            }
        }
        for list in [&mut exact, &mut beginnings] {
            list.sort_unstable();
            list.dedup();
        }
        Self { exact, beginnings }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.beginnings.is_empty()
    }

    /// Whether `name` is among them.
    pub fn has(&self, name: &[u8]) -> bool {
        self.exact.iter().any(|exact| exact.as_bytes() == name)
            || self.beginnings.iter().any(|beginning| name.starts_with(beginning.as_bytes()))
    }

    /// What tells one rule from another: the exact names, then the beginnings, those being marked.
    /// The names as the operator has written them.
    pub fn written(&self) -> Vec<String> {
        let beginnings = self.beginnings.iter().map(|beginning| format!("{beginning}*"));
        self.exact.iter().cloned().chain(beginnings).collect()
    }

    pub(super) fn patterns(&self) -> impl Iterator<Item = &str> {
        self.exact.iter().map(String::as_str).chain(["*"]).chain(self.beginnings.iter().map(String::as_str))
    }
}

/// Paths, in which `*` stands for any bytes or none, `/` included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths(Vec<String>);

impl Paths {
    /// The paths of these patterns.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        Self(patterns.into_iter().map(str::to_owned).collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `path` is one of them: as it is written, or as an origin may read it, with its escapes undone, slashes in
    /// a row taken for one and dot segments resolved. A spelling that no origin would take for the path may so be
    /// matched too. What an origin makes of `;`, of other letters or of escapes of escapes is not known here.
    pub fn has(&self, path: &str) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let one_of = |path: &[u8]| self.0.iter().any(|pattern| matches(pattern.as_bytes(), path));
        if one_of(path.as_bytes()) {
            return true;
        }
        if !path.contains('%') && !path.contains("//") && !path.contains("/.") {
            return false;
        }
        let decoded = undo_escapes(path.as_bytes());
        one_of(&decoded) || one_of(&resolve(&decoded))
    }
}

/// Whether `text` is `pattern` with something in the place of each `*`.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let mut parts = pattern.split(|byte| *byte == b'*');
    let Some(mut rest) = parts.next().and_then(|beginning| text.strip_prefix(beginning)) else {
        return false;
    };
    let Some(end) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = find(rest, part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(end)
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() { Some(0) } else { text.windows(part.len()).position(|window| window == part) }
}

/// `%41` as `A`; what is no escape stays.
fn undo_escapes(path: &[u8]) -> Vec<u8> {
    let digit = |at: usize| path.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(path.len());
    let mut at = 0;
    while let Some(byte) = path.get(at) {
        let escaped = if *byte == b'%' { digit(at + 1).zip(digit(at + 2)) } else { None };
        let escaped = escaped.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        decoded.push(escaped.unwrap_or(*byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    decoded
}

/// Without empty segments, `.` and `..` (RFC 3986 §5.2.4).
fn resolve(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let mut resolved = Vec::with_capacity(path.len());
    for segment in kept {
        resolved.push(b'/');
        resolved.extend_from_slice(segment);
    }
    if resolved.is_empty() || path.ends_with(b"/") {
        resolved.push(b'/');
    }
    resolved
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_order_of_names_makes_no_other_rule() {
        assert_eq!(Names::new(["b", "a", "b"]), Names::new(["a", "b"]));
        assert_ne!(Names::new(["a*"]), Names::new(["a"]));
        let names = Names::new(["_ga*", "id"]);
        let known = ["_ga", "_ga_1", "id", "id2", "ID", ""].map(|name| names.has(name.as_bytes()));
        assert_eq!(known, [true, true, true, false, false, false]);
    }

    #[test]
    fn a_star_stands_for_anything_anywhere() {
        for (pattern, path, is_one) in [
            ("/admin/*", "/admin/", true),
            ("/admin/*", "/admin/a/b", true),
            ("/admin/*", "/admin", false),
            ("/admin", "/admin", true),
            ("/admin", "/admin/", false),
            ("*/preview", "/a/preview", true),
            ("/a/*/b*", "/a/x/y/bc", true),
            ("/a*a", "/a", false),
            ("*", "/", true),
        ] {
            assert_eq!(Paths::new([pattern]).has(path), is_one, "{pattern} {path}");
        }
    }

    #[test]
    fn no_other_spelling_slips_through() {
        let paths = Paths::new(["/admin/*"]);
        for path in
            ["/%61dmin/x", "/%61%64min%2fx", "//admin/x", "/x/../admin/x", "/x/%2e%2e/admin/x", "/./admin//x"]
        {
            assert!(paths.has(path), "{path}");
        }
        for path in ["/administration", "/x/admin/y", "/%ad", "/%", "/a%2"] {
            assert!(!paths.has(path), "{path}");
        }
    }

    /// The same, slowly: every way to put something in the place of the star.
    fn model(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => {
                (0..=text.len()).any(|skip| model(rest, text.get(skip..).unwrap_or_default()))
            }
            Some((byte, rest)) => {
                text.split_first().is_some_and(|(first, text)| first == byte && model(rest, text))
            }
        }
    }

    proptest! {
        #[test]
        fn a_pattern_is_what_its_stars_can_become(pattern in "[/a*]{0,6}", path in "[/ab]{0,8}") {
            prop_assert_eq!(matches(pattern.as_bytes(), path.as_bytes()), model(pattern.as_bytes(), path.as_bytes()));
        }
    }
}
