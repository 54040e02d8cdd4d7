//! Which hosts a site answers for.

use super::super::reader::{Reader, Said};
use super::super::table::{Kind, Shown};
use super::shown;
pub use crate::route::HostPattern;
use crate::route::HostPatternError;

/// Why a text is no pattern.
#[derive(Debug, PartialEq, Eq)]
struct NoPattern {
    reason: String,
    hint: Option<String>,
}

impl NoPattern {
    fn new(reason: &str, hint: impl Into<String>) -> Self {
        Self { reason: reason.to_string(), hint: Some(hint.into()) }
    }
}

fn parse(text: &str) -> Result<HostPattern, NoPattern> {
    if text == "*" {
        return Ok(HostPattern::Any);
    }
    if let Some((_, host)) = text.split_once("://") {
        let host = host.split(['/', '?', '#']).next().unwrap_or("");
        return Err(NoPattern::new("a host has no scheme", format!("write only the host: {host:?}")));
    }
    if let Some((host, _)) = text.split_once('/') {
        return Err(NoPattern::new("a host has no path", format!("write only the host: {host:?}")));
    }
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return Err(NoPattern::new("an IPv6 address stands in brackets", format!("write \"[{text}]\"")));
    }
    text.parse().map_err(|error| hinted(text, &error))
}

/// The error with what to write instead.
fn hinted(text: &str, error: &HostPatternError) -> NoPattern {
    let hint = match error {
        HostPatternError::Port => {
            let name = text.rsplit_once(':').map_or(text, |(name, _)| name);
            Some(format!("write {name:?}"))
        }
        HostPatternError::Address => Some(format!("write {:?}", text.trim_start_matches("*."))),
        HostPatternError::Host(_) if !text.is_ascii() => {
            Some("names in other letters are written as browsers send them: \"xn--bcher-kva.example\"".into())
        }
        HostPatternError::Star | HostPatternError::Host(_) => None,
    };
    NoPattern { reason: error.to_string(), hint }
}

/// A pattern of hosts.
pub struct Pattern;

/// A pattern of hosts: one, `*.` before a domain, or `*`.
pub fn host_pattern() -> Pattern {
    Pattern
}

impl Kind for Pattern {
    type Value = HostPattern;

    fn name(&self) -> String {
        "host, \"*.DOMAIN\" or \"*\"".into()
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<HostPattern> {
        let text = reader.text(said, "a host", "\"example.com\", \"*.example.com\" or \"*\"")?;
        parse(text)
            .map_err(|NoPattern { reason, hint }| {
                reader.complain(&said.span(), format!("{text:?} is no host: {reason}"), hint);
            })
            .ok()
    }

    fn show(&self, value: &HostPattern) -> Shown {
        shown(value)
    }
}

/// The name of a server, as its certificate has it.
pub struct ServerName;

/// The name of a server, as its certificate has it.
pub fn server_name() -> ServerName {
    ServerName
}

impl Kind for ServerName {
    type Value = String;

    fn name(&self) -> String {
        "host name".into()
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<String> {
        let text = reader.text(said, "a host name", "\"origin.example.com\"")?;
        match parse(text) {
            Ok(HostPattern::Exact(name)) => Some(name),
            Ok(_) => {
                reader.complain(&said.span(), format!("{} is one name, not {text:?}", reader.key()), None);
                None
            }
            Err(NoPattern { reason, hint }) => {
                reader.complain(&said.span(), format!("{text:?} is no host name: {reason}"), hint);
                None
            }
        }
    }

    fn show(&self, value: &String) -> Shown {
        shown(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_take_their_canonical_form() {
        let canonical = |text| parse(text).map(|pattern| pattern.to_string()).ok();
        assert_eq!(canonical("EXAMPLE.com.").as_deref(), Some("example.com"));
        assert_eq!(canonical("*.Example.com").as_deref(), Some("*.example.com"));
        assert_eq!(canonical("*").as_deref(), Some("*"));
        assert_eq!(canonical("[::0:1]").as_deref(), Some("[::1]"));
        assert_eq!(canonical("192.0.2.1").as_deref(), Some("192.0.2.1"));
    }

    #[test]
    fn what_is_no_pattern_says_what_to_write() {
        let hint = |text| parse(text).expect_err("no pattern").hint.unwrap_or_default();
        assert!(hint("http://example.com/a").ends_with("\"example.com\""));
        assert!(hint("example.com/a").ends_with("\"example.com\""));
        assert!(hint("example.com:8080").ends_with("\"example.com\""));
        assert!(hint("*.example.com:8080").ends_with("\"*.example.com\""));
        assert!(hint("[::1]:80").ends_with("\"[::1]\""));
        assert!(hint("::1").ends_with("\"[::1]\""));
        assert!(hint("*.192.0.2.1").ends_with("\"192.0.2.1\""));
        assert!(parse("a.*.com").expect_err("no pattern").reason.contains("\"*.example.com\""));
        assert!(parse("*example.com").expect_err("no pattern").reason.contains("\"*.example.com\""));
        assert!(hint("bücher.example").contains("xn--"));
    }

    proptest! {
        #[test]
        fn what_is_accepted_reads_back(text in r"(\*\.)?[A-Za-z0-9.:*\[\]-]{0,14}|\PC{0,12}") {
            if let Ok(pattern) = parse(&text) {
                prop_assert_eq!(parse(&pattern.to_string()), Ok(pattern));
            }
        }
    }
}
