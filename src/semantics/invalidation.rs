//! Which URLs the answer to a request invalidates (RFC 9111 §4.4).

use http::uri::{PathAndQuery, Scheme};
use http::{Method, StatusCode};

use super::target::canonical_host;

/// The URL that a request was for, in canonical form.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The scheme.
    pub scheme: &'a Scheme,
    /// The canonical host, with its port unless that is the scheme's default.
    pub host: &'a str,
    /// Path and query.
    pub target: &'a PathAndQuery,
}

/// Whether an answer with this status to this method tells of a change: the method is not known to be safe
/// (RFC 9110 §9.2.1; a method that is not known at all counts as unsafe), and the answer is no error.
pub fn is_due(method: &Method, status: StatusCode) -> bool {
    let safe = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(method)
        || method.as_str() == "QUERY";
    !safe && (status.is_success() || status.is_redirection())
}

/// Path and query of what `reference` (a `Location` or `Content-Location`) names, if it is of the same origin as `base`: an
/// answer cannot take back what others publish. Resolved as RFC 3986 §5.2 says, without its fragment.
pub fn same_origin(base: &Target<'_>, reference: &str) -> Option<PathAndQuery> {
    let reference = reference.trim_matches([' ', '\t']);
    let reference = reference.split_once('#').map_or(reference, |(before, _)| before);
    let rest = match scheme_of(reference) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(base.scheme.as_str()) => {
            // `http:x` names no host: RFC 9110 §4.2.1 has none without one.
            rest.strip_prefix("//").map(|_| rest)?
        }
        Some(_) => return None,
        None => reference,
    };
    let resolved = match rest.strip_prefix("//") {
        Some(after) => {
            let end = after.find(['/', '?']).unwrap_or(after.len());
            let (authority, local) = after.split_at(end);
            if canonical_host(authority, base.scheme.as_str()).ok()? != base.host {
                return None;
            }
            let (path, query) = split(local);
            joined(&without_dots(if path.is_empty() { "/" } else { path }), query)
        }
        None => relative(base.target, rest),
    };
    resolved.parse().ok()
}

/// A reference without scheme and authority.
fn relative(base: &PathAndQuery, reference: &str) -> String {
    let (path, query) = split(reference);
    if path.is_empty() {
        return joined(base.path(), query.or(base.query()));
    }
    if path.starts_with('/') {
        return joined(&without_dots(path), query);
    }
    let directory = base.path().rfind('/').map_or("/", |last| base.path().get(..=last).unwrap_or("/"));
    joined(&without_dots(&format!("{directory}{path}")), query)
}

/// The scheme of a reference that has one, and what follows its colon (RFC 3986 §3.1).
fn scheme_of(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let begins = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    (begins && scheme.bytes().all(legal)).then_some((scheme, rest))
}

fn split(local: &str) -> (&str, Option<&str>) {
    local.split_once('?').map_or((local, None), |(path, query)| (path, Some(query)))
}

fn joined(path: &str, query: Option<&str>) -> String {
    query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

/// A path that begins with a slash, without `.` and `..` segments (RFC 3986 §5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                // What a dot segment ends with is a directory.
                if last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    let mut path = String::from("/");
    path.push_str(&kept.join("/"));
    path
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(base: &str, reference: &str) -> Option<String> {
        let target: PathAndQuery = base.parse().expect("a target");
        let base = Target { scheme: &Scheme::HTTP, host: "a.example", target: &target };
        same_origin(&base, reference).map(|target| target.to_string())
    }

    #[test]
    fn only_what_is_unsafe_and_no_error_invalidates() {
        for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "get"] {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            for (status, due) in
                [(200, true), (204, true), (303, true), (304, true), (404, false), (500, false)]
            {
                assert_eq!(
                    is_due(&method, StatusCode::from_u16(status).expect("a status")),
                    due,
                    "{method} {status}"
                );
            }
        }
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY"] {
            assert!(
                !is_due(&Method::from_bytes(method.as_bytes()).expect("a method"), StatusCode::OK),
                "{method}"
            );
        }
    }

    #[test]
    fn references_resolve_as_the_rfc_says() {
        // The table of RFC 3986 §5.4, as far as it stays within one origin.
        for (reference, resolved) in [
            ("g", "/b/c/g"),
            ("./g", "/b/c/g"),
            ("g/", "/b/c/g/"),
            ("/g", "/g"),
            ("?y", "/b/c/d;p?y"),
            ("g?y", "/b/c/g?y"),
            ("#s", "/b/c/d;p?q"),
            ("g#s", "/b/c/g"),
            ("g?y#s", "/b/c/g?y"),
            (";x", "/b/c/;x"),
            ("g;x?y#s", "/b/c/g;x?y"),
            ("", "/b/c/d;p?q"),
            (".", "/b/c/"),
            ("./", "/b/c/"),
            ("..", "/b/"),
            ("../", "/b/"),
            ("../g", "/b/g"),
            ("../..", "/"),
            ("../../g", "/g"),
            ("../../../g", "/g"),
            ("/./g", "/g"),
            ("/../g", "/g"),
            ("g.", "/b/c/g."),
            (".g", "/b/c/.g"),
            ("..g", "/b/c/..g"),
            ("./../g", "/b/g"),
            ("./g/.", "/b/c/g/"),
            ("g/./h", "/b/c/g/h"),
            ("g/../h", "/b/c/h"),
            ("g;x=1/../y", "/b/c/y"),
            ("g?y/../x", "/b/c/g?y/../x"),
            ("a//b", "/b/c/a//b"),
        ] {
            assert_eq!(named("/b/c/d;p?q", reference).as_deref(), Some(resolved), "{reference:?}");
        }
    }

    #[test]
    fn only_the_same_origin_can_be_named() {
        for (reference, resolved) in [
            ("http://a.example/x", "/x"),
            ("HTTP://A.Example:80/x?y#z", "/x?y"),
            ("//a.example./x", "/x"),
            ("http://a.example", "/"),
            ("http://a.example?q", "/?q"),
            ("http://a.example/a/../b", "/b"),
            (" /padded\t", "/padded"),
        ] {
            assert_eq!(named("/", reference).as_deref(), Some(resolved), "{reference:?}");
        }
        for other in [
            "https://a.example/x",
            "http://b.example/x",
            "http://a.example:8080/x",
            "//b.example/x",
            "ftp:/x",
            "http:/x",
            "http:x",
            "mailto:me@a.example",
            "http://me@a.example/x",
            "http://a.example.evil/x",
            "/with space",
            "//",
            "http://",
            "javascript:alert(1)",
        ] {
            assert_eq!(named("/", other), None, "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_named_is_a_path_without_dot_segments(base in "/[a./]{0,8}", reference in "[a-c./?#:@%]{0,16}") {
            if let Some(target) = named(&base, &reference) {
                prop_assert!(target.starts_with('/'));
                let own_path = reference.split(['?', '#']).next().is_some_and(|path| !path.is_empty());
                if own_path {
                    let path = target.split('?').next().unwrap_or_default();
                    prop_assert!(path.split('/').all(|segment| segment != "." && segment != ".."), "{target}");
                }
            }
        }

        #[test]
        fn no_text_panics(base in "/\\PC{0,8}", reference: String) {
            if let Ok(target) = base.parse::<PathAndQuery>() {
                let base = Target { scheme: &Scheme::HTTPS, host: "a", target: &target };
                let _ = same_origin(&base, &reference);
            }
        }
    }
}
