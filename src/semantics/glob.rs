//! URLs as an operator writes them when he means many, with `*` for what he leaves open.

use memchr::memmem;

/// The longest glob, in bytes.
pub const LONGEST: usize = 512;

/// The most stars in one.
pub const MOST_STARS: usize = 8;

/// A pattern of URLs. `*` stands for any text or none, `/` and `?` included; everything else for itself. One without
/// `://` is meant for any scheme.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Glob(Box<str>);

/// Why a text is no glob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// It has nothing before its path, so that it would match by accident.
    #[error("a glob begins with a host, such as www.example.com/blog/*, with a scheme, or with a star")]
    NoHost,
    /// It is too long.
    #[error("a glob has at most {LONGEST} bytes")]
    Long,
    /// It has too many stars.
    #[error("a glob has at most {MOST_STARS} stars; a prefix or a tag may do")]
    ManyStars,
    /// It has a character that no URL has.
    #[error("a glob has no blanks and nothing but printable ASCII, as URLs have; write the rest as %XX")]
    Character,
}

impl Glob {
    /// Reads one. Scheme and host are written in small letters by this: they are compared so.
    pub fn new(text: &str) -> Result<Self, GlobError> {
        if text.len() > LONGEST {
            return Err(GlobError::Long);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(GlobError::Character);
        }
        if text.bytes().filter(|byte| *byte == b'*').count() > MOST_STARS {
            return Err(GlobError::ManyStars);
        }
        let text = text.strip_prefix("//").unwrap_or(text);
        let host_at = text.find("://").map_or(0, |colon| colon + "://".len());
        let path_at = text.get(host_at..).and_then(|rest| rest.find(['/', '?']));
        let path_at = path_at.map_or(text.len(), |at| host_at + at);
        if path_at == host_at {
            return Err(GlobError::NoHost);
        }
        let (before, path) = text.split_at(path_at);
        Ok(Self(format!("{}{path}", before.to_ascii_lowercase()).into()))
    }

    /// The text that it was read from, in the form that is compared.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether it means this URL, written as `scheme://host/path?query`. Linear in its length for each star.
    pub fn matches(&self, url: &str) -> bool {
        let without_scheme = || url.split_once("://").map_or(url, |(_, rest)| rest);
        let url = if self.0.contains("://") { url } else { without_scheme() };
        let mut pieces = self.0.split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(mut rest) = url.strip_prefix(first) else { return false };
        let Some(last) = pieces.next_back() else { return rest.is_empty() };
        for piece in pieces {
            let Some(at) = memmem::find(rest.as_bytes(), piece.as_bytes()) else { return false };
            rest = rest.get(at + piece.len()..).unwrap_or_default();
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(glob: &str, url: &str) -> bool {
        Glob::new(glob).expect(glob).matches(url)
    }

    #[test]
    fn a_star_is_any_text_and_the_rest_is_itself() {
        let url = "https://www.example.com/blog/2024/post?a=1";
        for glob in [
            "https://www.example.com/blog/*",
            "HTTPS://WWW.Example.com/blog/*",
            "www.example.com/blog/2024/post?a=1",
            "//www.example.com/*/post?*",
            "*.example.com/*",
            "*",
            "*post*",
            "www.example.com/b*g/*4/*st?a=*1",
        ] {
            assert!(matches(glob, url), "{glob}");
        }
        for glob in [
            "http://www.example.com/blog/*",
            "www.example.com/Blog/*",
            "www.example.com/blog",
            "example.com/*",
            "www.example.com/*/post",
            "*a=1?",
            "www.example.com/blog/2024/post?a=1*1",
        ] {
            assert!(!matches(glob, url), "{glob}");
        }
        assert!(!matches("a*ab/", "http://ab/"), "no byte counts twice");
    }

    #[test]
    fn what_is_no_glob_is_told() {
        let error = |text: &str| Glob::new(text).expect_err(text);
        assert_eq!([error("/blog/*"), error("https:///x"), error("")], [GlobError::NoHost; 3]);
        assert_eq!([error("a/ b"), error("a/ü")], [GlobError::Character; 2]);
        assert_eq!(error(&"*".repeat(MOST_STARS + 1)), GlobError::ManyStars);
        assert_eq!(error(&"a".repeat(LONGEST + 1)), GlobError::Long);
    }

    /// Slow and plain.
    fn model(glob: &[u8], url: &[u8]) -> bool {
        match glob.split_first() {
            None => url.is_empty(),
            Some((b'*', rest)) => (0..=url.len()).any(|at| model(rest, &url[at..])),
            Some((byte, rest)) => {
                url.split_first().is_some_and(|(first, url)| first == byte && model(rest, url))
            }
        }
    }

    proptest! {
        #[test]
        fn it_matches_what_a_slow_model_matches(glob in "a[ab*/]{0,7}", url in "a[ab/]{0,9}") {
            prop_assume!(Glob::new(&glob).is_ok());
            prop_assert_eq!(matches(&glob, &format!("http://{url}")), model(glob.as_bytes(), url.as_bytes()));
        }
    }
}
