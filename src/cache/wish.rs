//! Purges as people and programs ask for them, and what comes of it.
//!
//! A wish is read as a whole: if anything in it makes no sense, everything wrong in it is told and nothing is purged.

use std::fmt;

use http::uri::{PathAndQuery, Scheme};

use super::key;
use super::ledger::TooManyGlobs;
use super::ledger::name::{DEEPEST, Name};
use super::ledger::record::{Purge, Strength, Subject};
use crate::base::ids::Sequence;
use crate::semantics::glob::{Glob, GlobError};
use crate::semantics::tags::Tag;
use crate::semantics::target::{HostError, canonical_host};

/// The most things that one wish may name.
pub const MOST_NAMED: usize = 10_000;

/// The longest tag, in bytes.
const LONGEST_TAG: usize = 1024;

/// What is to be purged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// URLs with their hosts; `//host/path` is that of either scheme. All variants, representations and blocks go.
    pub urls: Vec<String>,
    /// Tags, as origins write them.
    pub tags: Vec<String>,
    /// Paths and all below them: `host/path`, or with a scheme. They end where a segment does.
    pub prefixes: Vec<String>,
    /// URLs in which `*` is any text: see [`Glob`].
    pub globs: Vec<String>,
    /// Hosts, with their ports unless those go without saying.
    pub hosts: Vec<String>,
    /// Everything.
    pub all: bool,
    /// Whether what is purged may still serve as stale. Unless it is said, tags are purged softly and all else hard.
    pub soft: Option<bool>,
}

/// Something in a wish makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// In which list.
    pub list: &'static str,
    /// At which place of it, from 0 on.
    pub place: usize,
    /// The text.
    pub text: String,
    /// What is wrong, and what to write instead.
    pub why: String,
}

/// Why nothing was purged, or less than was wished for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfulfilled {
    /// Nothing is named.
    #[error("nothing is named: say urls, tags, prefixes, globs, hosts or all")]
    Nothing,
    /// Too much is named.
    #[error("{0} things are named, and {MOST_NAMED} are the most of one call: make several")]
    TooMuch(usize),
    /// Some of it makes no sense.
    #[error("{}", tell(.0))]
    Wrong(Vec<Wrong>),
    /// It has more globs than there may be.
    #[error(transparent)]
    Globs(#[from] TooManyGlobs),
    /// The disk has not taken it. It holds in memory, but may not outlive the process.
    #[error(
        "the purge holds now, but the disk tier could not make it durable: it may be lost if this node ends before the disk \
         is well; ask again, which does no harm"
    )]
    NotDurable(Fulfilled),
}

/// What was purged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fulfilled {
    /// The unique id that it was given.
    pub id: u128,
    /// The ledger's sequence of the last of it: whatever is born from now on is younger.
    pub sequence: Sequence,
    /// Records that it took.
    pub records: usize,
    /// Whether it outlives the process as what is stored does: on disk, if that is there.
    pub durable: bool,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}] {:?}: {}", self.list, self.place, self.text, self.why)
    }
}

fn tell(wrong: &[Wrong]) -> String {
    wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Wish {
    /// A wish for this URL.
    pub fn of_url(url: impl Into<String>) -> Self {
        Self { urls: vec![url.into()], ..Self::default() }
    }

    /// How many things it names.
    pub fn named(&self) -> usize {
        let lists = [&self.urls, &self.tags, &self.prefixes, &self.globs, &self.hosts];
        lists.into_iter().map(Vec::len).sum::<usize>() + usize::from(self.all)
    }

    /// The purges that it is made of. `normal` gives the target of the keys for what is asked for at a canonical host, as
    /// the rules of its site have it.
    pub fn read(
        &self,
        normal: impl Fn(&str, PathAndQuery) -> PathAndQuery,
    ) -> Result<Vec<Purge>, Unfulfilled> {
        match self.named() {
            0 => return Err(Unfulfilled::Nothing),
            named if named > MOST_NAMED => return Err(Unfulfilled::TooMuch(named)),
            _ => {}
        }
        let mut reading = Reading { purges: Vec::with_capacity(self.named()), wrong: Vec::new() };
        let strength = if self.soft == Some(true) { Strength::Soft } else { Strength::Hard };
        let of_tags = if self.soft == Some(false) { Strength::Hard } else { Strength::Soft };
        reading.each("urls", &self.urls, strength, |url| urls(url, &normal));
        reading.each("tags", &self.tags, of_tags, |text| Ok(vec![Subject::Named(Name::of_tag(tag(text)?))]));
        reading.each("prefixes", &self.prefixes, strength, |text| Ok(vec![Subject::Named(prefix(text)?)]));
        reading.each("globs", &self.globs, strength, |text| Ok(vec![Subject::Like(Glob::new(text)?)]));
        reading.each("hosts", &self.hosts, strength, |text| Ok(vec![Subject::Named(host(text)?)]));
        if self.all {
            reading.purges.push(Purge { strength, subject: Subject::All });
        }
        if reading.wrong.is_empty() { Ok(reading.purges) } else { Err(Unfulfilled::Wrong(reading.wrong)) }
    }

    /// The canonical hosts that it names by URLs, prefixes and hosts, each once: for who wants to tell which of them nobody
    /// answers for.
    pub fn hosts_named(&self) -> Vec<String> {
        let of_urls =
            self.urls.iter().chain(&self.prefixes).filter_map(|text| Some(Placed::of(text).ok()?.host));
        let of_hosts = self.hosts.iter().filter_map(|text| canonical_host(text, "").ok());
        let mut hosts: Vec<String> = of_urls.chain(of_hosts).collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    }
}

/// A wish on its way to purges.
struct Reading {
    purges: Vec<Purge>,
    wrong: Vec<Wrong>,
}

/// As many complaints are told at once.
const MOST_WRONG: usize = 20;

impl Reading {
    fn each(
        &mut self,
        list: &'static str,
        texts: &[String],
        strength: Strength,
        read: impl Fn(&str) -> Result<Vec<Subject>, Senseless>,
    ) {
        for (place, text) in texts.iter().enumerate() {
            match read(text) {
                Ok(subjects) => {
                    self.purges.extend(subjects.into_iter().map(|subject| Purge { strength, subject }));
                }
                Err(why) if self.wrong.len() < MOST_WRONG => {
                    let text = text.chars().take(200).collect();
                    self.wrong.push(Wrong { list, place, text, why: why.to_string() });
                }
                Err(_) => {}
            }
        }
    }
}

/// Why a text names nothing that could be purged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Senseless {
    #[error(
        "it has no host: write https://www.example.com/path, or //www.example.com/path for either scheme"
    )]
    NoHost,
    #[error("only http and https have URLs here")]
    Scheme,
    #[error("{0}")]
    Host(#[from] HostError),
    #[error("its path or query has a character that no URL has: write it as %XX")]
    Target,
    #[error("a prefix has no query and no star: purge URLs, or by a glob")]
    NoPath,
    #[error("a prefix has at most {DEEPEST} segments")]
    Deep,
    #[error("a tag is not empty, has at most {LONGEST_TAG} bytes, and no controls")]
    Tag,
    #[error("a host stands alone, without scheme and path")]
    MoreThanHost,
    #[error("{0}")]
    Glob(#[from] GlobError),
}

/// Where a text points: at a host, by a scheme or by either.
struct Placed<'a> {
    schemes: &'static [Scheme],
    host: String,
    /// Path and query.
    local: &'a str,
}

const HTTP: &[Scheme] = &[Scheme::HTTP];
const HTTPS: &[Scheme] = &[Scheme::HTTPS];
const EITHER: &[Scheme] = &[Scheme::HTTP, Scheme::HTTPS];

impl<'a> Placed<'a> {
    fn of(text: &'a str) -> Result<Self, Senseless> {
        let text = text.split_once('#').map_or(text, |(before, _)| before);
        let (schemes, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (HTTP, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (HTTPS, rest),
            Some((scheme, _)) if !scheme.contains(['/', '?']) => return Err(Senseless::Scheme),
            _ => (EITHER, text.strip_prefix("//").unwrap_or(text)),
        };
        let (authority, local) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.is_empty() {
            return Err(Senseless::NoHost);
        }
        // Of either scheme, both usual ports go without saying.
        let scheme = if let [scheme] = schemes { scheme.as_str() } else { "" };
        Ok(Self { schemes, host: canonical_host(authority, scheme)?, local })
    }

    fn target(&self) -> Result<PathAndQuery, Senseless> {
        let local = match self.local {
            "" => "/".to_owned(),
            query if query.starts_with('?') => format!("/{query}"),
            local => local.to_owned(),
        };
        let (path, query) = local.split_once('?').unwrap_or((&local, ""));
        if path.bytes().any(is_escaped_in_paths) || query.bytes().any(is_escaped) {
            return Err(Senseless::Target);
        }
        local.parse().map_err(|_| Senseless::Target)
    }
}

/// Whether clients write this as `%XX` wherever it is meant (RFC 3986 §2.1, and the percent-encode sets of the URL Standard):
/// a URL that has it as it is names nothing that they ask for.
fn is_escaped(byte: u8) -> bool {
    !byte.is_ascii_graphic() || matches!(byte, b'"' | b'<' | b'>')
}

/// The same of a path. In queries browsers leave these as they are, and `|` everywhere.
fn is_escaped_in_paths(byte: u8) -> bool {
    is_escaped(byte) || matches!(byte, b'\\' | b'^' | b'`' | b'{' | b'}')
}

fn urls(text: &str, normal: impl Fn(&str, PathAndQuery) -> PathAndQuery) -> Result<Vec<Subject>, Senseless> {
    // A name alone is more likely a slip than the root of a host.
    if !text.contains("//") {
        return Err(Senseless::NoHost);
    }
    let placed = Placed::of(text)?;
    let target = normal(&placed.host, placed.target()?);
    let url = |scheme| Subject::Named(Name::of_url(&key::url(scheme, &placed.host, &target)));
    Ok(placed.schemes.iter().map(url).collect())
}

fn prefix(text: &str) -> Result<Name, Senseless> {
    if text.contains(['?', '*']) {
        return Err(Senseless::NoPath);
    }
    let placed = Placed::of(text)?;
    let target = placed.target()?;
    let path = target.path().trim_end_matches('/');
    if path.matches('/').count() > DEEPEST {
        return Err(Senseless::Deep);
    }
    let scheme = if let [scheme] = placed.schemes { scheme.as_str() } else { "" };
    Ok(Name::of_prefix(scheme, &placed.host, path))
}

fn host(text: &str) -> Result<Name, Senseless> {
    if text.contains('/') {
        return Err(Senseless::MoreThanHost);
    }
    Ok(Name::of_host(&canonical_host(text, "")?))
}

fn tag(text: &str) -> Result<Tag, Senseless> {
    let fits = !text.is_empty() && text.len() <= LONGEST_TAG && !text.chars().any(char::is_control);
    if fits { Ok(Tag::of(text.as_bytes())) } else { Err(Senseless::Tag) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wish: &Wish) -> Result<Vec<Purge>, Unfulfilled> {
        // Sites of this test take no query into their keys that begins with x.
        wish.read(|_, target| match target.query() {
            Some(query) if query.starts_with('x') => target.path().parse().expect("a path"),
            _ => target,
        })
    }

    fn url(scheme: &Scheme, host: &str, target: &str) -> Subject {
        Subject::Named(Name::of_url(&key::url(scheme, host, &target.parse().expect("a target"))))
    }

    fn subjects(wish: &Wish) -> Vec<Subject> {
        read(wish).expect("sense").into_iter().map(|purge| purge.subject).collect()
    }

    #[test]
    fn a_url_is_that_of_the_keys() {
        let (http, https) = (Scheme::HTTP, Scheme::HTTPS);
        for (text, expected) in [
            ("HTTP://A.Test.:80/x?y#z", vec![url(&http, "a.test", "/x?y")]),
            ("https://a.test:8443", vec![url(&https, "a.test:8443", "/")]),
            ("https://a.test?q", vec![url(&https, "a.test", "/?q")]),
            ("//a.test/x?x=1", vec![url(&http, "a.test", "/x"), url(&https, "a.test", "/x")]),
            ("http://[2001:DB8::0]/", vec![url(&http, "[2001:db8::]", "/")]),
        ] {
            assert_eq!(subjects(&Wish::of_url(text)), expected, "{text}");
        }
    }

    #[test]
    fn what_no_client_asks_for_as_it_is_written_is_refused() {
        for local in ["ü", "\"", "<", ">", "a\\b", "^", "`", "{x}", " ", "?q=ü", "?q=\"", "?<", "?>"] {
            let url = Wish::of_url(format!("http://a.test/{local}"));
            let Err(Unfulfilled::Wrong(wrong)) = read(&url) else { panic!("{local} was read") };
            assert!(wrong[0].why.contains("write it as %XX"), "{}", wrong[0]);
            if !local.contains('?') {
                let prefix = Wish { prefixes: vec![format!("a.test/{local}")], ..Wish::default() };
                assert!(matches!(read(&prefix), Err(Unfulfilled::Wrong(_))), "{local}");
            }
        }
        // Browsers send these as they are.
        for local in ["a|b", "?a=b|c&d={e}\\^`", "%C3%BC", "~!$&'()*+,;=:@-._[]"] {
            assert!(read(&Wish::of_url(format!("http://a.test/{local}"))).is_ok(), "{local}");
        }
    }

    #[test]
    fn tags_are_purged_softly_and_all_else_hard_unless_it_is_said() {
        let wish = |soft| Wish {
            tags: vec!["a".into()],
            hosts: vec!["A.test".into()],
            all: true,
            soft,
            ..Wish::default()
        };
        let strengths =
            |soft| read(&wish(soft)).expect("sense").iter().map(|p| p.strength).collect::<Vec<_>>();
        assert_eq!(strengths(None), [Strength::Soft, Strength::Hard, Strength::Hard]);
        assert_eq!(strengths(Some(true)), [Strength::Soft; 3]);
        assert_eq!(strengths(Some(false)), [Strength::Hard; 3]);
        assert_eq!(subjects(&wish(None))[1], Subject::Named(Name::of_host("a.test")));
    }

    #[test]
    fn a_prefix_ends_without_its_slash_and_may_have_a_scheme() {
        let of = |text: &str| subjects(&Wish { prefixes: vec![text.into()], ..Wish::default() });
        let named = |scheme, path| [Subject::Named(Name::of_prefix(scheme, "a.test", path))];
        for text in ["a.test/b", "//a.test/b/", "A.TEST/b//"] {
            assert_eq!(of(text), named("", "/b"), "{text}");
        }
        assert_eq!(of("https://a.test:443/b"), named("https", "/b"));
        assert_eq!(of("a.test"), named("", ""));
    }

    #[test]
    fn everything_wrong_is_told_in_its_place_and_nothing_is_purged() {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let deep = format!("a/{}", "b/".repeat(DEEPEST + 1));
        let wish = Wish {
            urls: list(&[
                "http://fine.test/",
                "/path",
                "ftp://a/",
                "http://a b/",
                "http://a/ü ",
                "www.a.test/x",
                "http://",
            ]),
            tags: list(&["", "ok", "a\nb"]),
            prefixes: list(&["a/b?c", "a/*", &deep]),
            globs: list(&["/x*"]),
            hosts: list(&["http://a", "a..b"]),
            ..Wish::default()
        };
        let Err(Unfulfilled::Wrong(wrong)) = read(&wish) else { panic!("nonsense was read") };
        let places: Vec<_> = wrong.iter().map(|wrong| (wrong.list, wrong.place)).collect();
        let urls = [1, 2, 3, 4, 5, 6].map(|place| ("urls", place));
        assert_eq!(places[..6], urls);
        let rest = [
            ("tags", 0),
            ("tags", 2),
            ("prefixes", 0),
            ("prefixes", 1),
            ("prefixes", 2),
            ("globs", 0),
            ("hosts", 0),
            ("hosts", 1),
        ];
        assert_eq!(places[6..], rest);
        assert!(wrong[0].to_string().contains("https://www.example.com/path"), "{}", wrong[0]);
    }

    #[test]
    fn a_wish_names_something_and_not_too_much() {
        assert_eq!(read(&Wish::default()), Err(Unfulfilled::Nothing));
        let many = |count| Wish { tags: vec!["a".into(); count], ..Wish::default() };
        assert!(read(&many(MOST_NAMED)).is_ok());
        assert_eq!(read(&many(MOST_NAMED + 1)), Err(Unfulfilled::TooMuch(MOST_NAMED + 1)));
    }

    #[test]
    fn the_hosts_that_are_named_are_told_once() {
        let wish = Wish {
            urls: vec!["http://b.test/".into(), "//a.test/x".into()],
            prefixes: vec!["a.test/y".into()],
            hosts: vec!["C.test".into()],
            ..Wish::default()
        };
        assert_eq!(wish.hosts_named(), ["a.test", "b.test", "c.test"]);
    }
}
