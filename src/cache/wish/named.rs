//! What texts name: URLs, prefixes, hosts, tags.

use http::uri::{PathAndQuery, Scheme};

use super::super::key;
use super::super::ledger::name::{DEEPEST, Name};
use super::super::ledger::record::Subject;
use crate::semantics::glob::GlobError;
use crate::semantics::tags::Tag;
use crate::semantics::target::{HostError, canonical_host};

/// The longest tag, in bytes.
const LONGEST_TAG: usize = 1024;

/// Why a text names nothing that could be purged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Senseless {
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
pub(super) struct Placed<'a> {
    schemes: &'static [Scheme],
    pub(super) host: String,
    /// Path and query.
    local: &'a str,
}

const HTTP: &[Scheme] = &[Scheme::HTTP];
const HTTPS: &[Scheme] = &[Scheme::HTTPS];
const EITHER: &[Scheme] = &[Scheme::HTTP, Scheme::HTTPS];

impl<'a> Placed<'a> {
    pub(super) fn of(text: &'a str) -> Result<Self, Senseless> {
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

pub(super) fn urls(
    text: &str,
    normal: impl Fn(&str, PathAndQuery) -> PathAndQuery,
) -> Result<Vec<Subject>, Senseless> {
    // A name alone is more likely a slip than the root of a host.
    if !text.contains("//") {
        return Err(Senseless::NoHost);
    }
    let placed = Placed::of(text)?;
    let target = normal(&placed.host, placed.target()?);
    let url = |scheme| Subject::Named(Name::of_url(&key::url(scheme, &placed.host, &target)));
    Ok(placed.schemes.iter().map(url).collect())
}

pub(super) fn prefix(text: &str) -> Result<Name, Senseless> {
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

pub(super) fn host(text: &str) -> Result<Name, Senseless> {
    if text.contains('/') {
        return Err(Senseless::MoreThanHost);
    }
    Ok(Name::of_host(&canonical_host(text, "")?))
}

pub(super) fn tag(text: &str) -> Result<Tag, Senseless> {
    let fits = !text.is_empty() && text.len() <= LONGEST_TAG && !text.chars().any(char::is_control);
    if fits { Ok(Tag::of(text.as_bytes())) } else { Err(Senseless::Tag) }
}
