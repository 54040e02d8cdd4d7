//! What a cache would do with a request and why, in words for people, with the sections of the RFCs.
//!
//! Nothing is decided here: each function is told what was decided, and by what, and puts it into sentences. Values of
//! `Cookie`, `Authorization` and of fields like them are never told.

mod freshness;
mod key;
mod policy;
mod request;
mod stored;

use std::fmt;
use std::time::Duration;

use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName};
use serde::Serialize;

pub use freshness::freshness;
pub use key::{Keyed, key, variant};
pub use policy::site;
pub use request::directives;
pub use stored::{Kept, decided, stored, validators};

/// What would happen to a request now, step by step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The steps, in their order.
    pub steps: Vec<Step>,
    /// What comes of them.
    pub verdict: Verdict,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What it is about, in a word or two.
    pub title: &'static str,
    /// What there is to say, a sentence each.
    pub says: Vec<String>,
    /// Where it is written.
    pub rfc: Option<&'static str>,
}

/// What would happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// In one word.
    pub outcome: Outcome,
    /// What `Cache-Status` would say, as far as it can be known before the origin has answered (RFC 9211).
    pub cache_status: String,
    /// In sentences.
    pub says: Vec<String>,
    /// Where it is written.
    pub rfc: Option<&'static str>,
}

/// What would happen, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Answered from what is stored.
    Hit,
    /// Answered from what is stored, which is refreshed behind the answer.
    HitAndRefresh,
    /// The origin is asked whether what is stored still holds.
    Revalidation,
    /// The origin is asked, because nothing stored can be used.
    Miss,
    /// The request would wait for a fetch that is under way.
    Joins,
    /// It passes by the cache.
    Pass,
    /// Answered with 504, because only what is stored is wanted, and nothing is.
    NotStored,
}

impl Step {
    /// A step with nothing said yet.
    pub fn new(title: &'static str, rfc: Option<&'static str>) -> Self {
        Self { title, says: Vec::new(), rfc }
    }

    /// One more sentence.
    pub fn say(&mut self, sentence: impl Into<String>) {
        self.says.push(sentence.into());
    }
}

impl fmt::Display for Explanation {
    /// Each step as a paragraph, the verdict last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Step { title, says, rfc } in &self.steps {
            paragraph(f, title, says, *rfc)?;
            writeln!(f)?;
        }
        let Verdict { cache_status, says, rfc, .. } = &self.verdict;
        paragraph(f, "Now", says, *rfc)?;
        writeln!(f, "  Cache-Status: {cache_status}")
    }
}

fn paragraph(f: &mut fmt::Formatter<'_>, title: &str, says: &[String], rfc: Option<&str>) -> fmt::Result {
    match rfc {
        Some(rfc) => writeln!(f, "{title} [{rfc}]")?,
        None => writeln!(f, "{title}")?,
    }
    says.iter().try_for_each(|sentence| writeln!(f, "  {sentence}"))
}

/// A span of time in seconds, as freshness is counted.
fn seconds(span: Duration) -> String {
    if span == Duration::MAX {
        return "any time".to_owned();
    }
    match span.subsec_millis() {
        0 => format!("{} s", span.as_secs()),
        millis => format!("{}.{millis:03} s", span.as_secs()),
    }
}

/// `a, b and c`
fn listed<T: AsRef<str>>(items: &[T]) -> String {
    match items {
        [] => "none".to_owned(),
        [one] => one.as_ref().to_owned(),
        [most @ .., last] => {
            let most: Vec<&str> = most.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", most.join(", "), last.as_ref())
        }
    }
}

/// The most letters that are told of one value.
const LONGEST: usize = 200;

/// A field's value for people: all its lines, nothing in it that a terminal would obey, and no secret.
fn value(headers: &HeaderMap, name: &HeaderName) -> String {
    if !headers.contains_key(name) {
        return "absent".to_owned();
    }
    if [COOKIE, AUTHORIZATION, PROXY_AUTHORIZATION].contains(name) {
        return "there, and not told".to_owned();
    }
    let lines: Vec<_> =
        headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    let all = lines.join(", ");
    let shown: String = all.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    let more = if all.chars().nth(LONGEST).is_some() { "…" } else { "" };
    format!("\"{shown}{more}\"")
}

#[cfg(test)]
mod tests;
