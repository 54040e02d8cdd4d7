//! URLs as an operator writes them when he means many, with `*` for what he leaves open.

use memchr::memmem;

use super::target::{HostError, canonical_host};

/// The longest glob, in bytes.
pub const LONGEST: usize = 512;

/// The most stars in one.
pub const MOST_STARS: usize = 8;

/// A pattern of URLs. `*` stands for any text or none, `/` and `?` included; everything else for itself. One without
/// scheme is meant for any.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Glob(Box<str>);

/// Why a text is no glob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// It has nothing before its path, so that it would match by accident.
    #[error("a glob begins with a host, such as www.example.com/blog/*, with a scheme, or with a star")]
    NoHost,
    /// What it has for a host, without a star, is none.
    #[error("{0}")]
    Host(#[from] HostError),
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
    /// Reads one, in the form of keys: its scheme in small letters, and a host without stars in its canonical form. Of a host
    /// with stars what stands before the first is written small; a star may be slashes, so that what follows may be of a path.
    /// Reading [`Glob::text`] gives the same glob again.
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
        let (scheme, rest) = split_scheme(text).unwrap_or(("", text));
        let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if host.is_empty() {
            return Err(GlobError::NoHost);
        }
        let host = match host.split_once('*') {
            Some((before, behind)) => format!("{}*{behind}", before.to_ascii_lowercase()),
            None => canonical_host(host, scheme)?,
        };
        let after_scheme = if scheme.is_empty() { "" } else { "://" };
        let text = format!("{}{after_scheme}{host}{path}", scheme.to_ascii_lowercase());
        // An address may be longer in its canonical form.
        if text.len() > LONGEST { Err(GlobError::Long) } else { Ok(Self(text.into())) }
    }

    /// The text that it was read from, in the form that is compared.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether it means this URL, written as `scheme://host/path?query`. Linear in its length for each star.
    pub fn matches(&self, url: &str) -> bool {
        let without_scheme = || url.split_once("://").map_or(url, |(_, rest)| rest);
        let url = if split_scheme(&self.0).is_some() { url } else { without_scheme() };
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

/// The scheme of a glob, and what follows its `://`; `None` if it has none. What stands in a path or a query is no scheme,
/// nor what a star may stretch into one: only `*` itself is any scheme, and `http*` either.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let is_any = scheme == "*" || scheme.eq_ignore_ascii_case("http*");
    let is_one = !scheme.is_empty() && !scheme.contains(['/', '?', '*']);
    (is_any || is_one).then_some((scheme, rest))
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
    fn letters_are_small_in_scheme_and_host_alone() {
        for (glob, url) in [
            ("*.JPG", "http://test/IMG.JPG"),
            ("*Post*", "http://test/Post-1"),
            ("TEST/Go?u=HTTP://x/*", "http://test/Go?u=HTTP://x/y"),
            ("*Go?u=http://x/*", "http://test/Go?u=http://x/y"),
            ("test?U=http://x", "http://test?U=http://x"),
            ("WWW.*/A", "http://www.test/A"),
            ("*://TEST/A", "https://test/A"),
            ("HTTP*://test/A", "https://test/A"),
        ] {
            assert!(matches(glob, url), "{glob} {url}");
        }
        assert!(!matches("*.JPG", "http://test/img.jpg") && !matches("*://test/A", "https://test/a"));
    }

    #[test]
    fn a_host_is_that_of_keys() {
        for (glob, text) in [
            ("http://Test.:80/a*", "http://test/a*"),
            ("HTTPS://test:443/*", "https://test/*"),
            ("https://test:80/*", "https://test:80/*"),
            ("test:8080/*", "test:8080/*"),
            ("[2001:DB8::0]/*", "[2001:db8::]/*"),
        ] {
            assert_eq!(Glob::new(glob).expect(glob).text(), text);
        }
        assert!(matches("http://test:80/a*", "http://test/ab"));
        assert!(matches!(Glob::new("a..b/*"), Err(GlobError::Host(HostError::Label))));
    }

    #[test]
    fn what_is_no_glob_is_told() {
        let error = |text: &str| Glob::new(text).expect_err(text);
        assert_eq!([error("/blog/*"), error("https:///x"), error("")], [const { GlobError::NoHost }; 3]);
        assert_eq!([error("a/ b"), error("a/ü")], [const { GlobError::Character }; 2]);
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

    /// The text in the form of keys, as whoever reads it would write it.
    fn small_host(url: &str) -> String {
        let host = url.find(['*', '/', '?']).unwrap_or(url.len());
        url[..host].to_ascii_lowercase() + &url[host..]
    }

    proptest! {
        #[test]
        fn it_matches_what_a_slow_model_matches(
            glob in "[aB](a|B|\\*|/|\\?|A://){0,7}",
            url in "[ab]{1,2}/(a|B|b|/|\\?|A://){0,8}",
            between in "(a|B|/|\\?|A://){0,2}",
        ) {
            prop_assume!(Glob::new(&glob).is_ok() && split_scheme(&glob).is_none());
            let plain = small_host(&glob);
            prop_assert_eq!(
                matches(&glob, &format!("http://{url}")),
                model(plain.as_bytes(), url.as_bytes()),
                "{} {}", glob, url
            );
            let with_scheme = format!("http://{plain}");
            prop_assert_eq!(matches(&with_scheme, &format!("http://{url}")), model(plain.as_bytes(), url.as_bytes()));
            let alike = format!("https://{}", plain.replace('*', &between));
            prop_assert!(matches(&glob, &alike), "{} {}", glob, alike);
            let matches_the_other = matches(&with_scheme, &format!("https://{url}"));
            prop_assert!(!matches_the_other);
        }

        #[test]
        fn its_text_is_itself(text in "(//)?([a-cA-C*:?/]{0,4}(://)?){0,2}[aA*:/?.\\[\\]804]{0,12}") {
            if let Ok(glob) = Glob::new(&text) {
                prop_assert_eq!(Glob::new(glob.text()), Ok(glob.clone()), "{}", text);
            }
        }
    }
}
