//! Purges as people and programs ask for them, and what comes of it.
//!
//! - here: what is wished for as a whole. - `named`: what its texts name.
//!
//! A wish is read as a whole: if anything in it makes no sense, everything wrong in it is told and nothing is purged.

mod named;
#[cfg(test)]
mod tests;

use std::fmt;

use http::uri::PathAndQuery;

use super::ledger::TooManyGlobs;
use super::ledger::name::Name;
use super::ledger::record::{Purge, Strength, Subject};
use crate::base::ids::Sequence;
use crate::semantics::glob::Glob;
use crate::semantics::target::canonical_host;
use named::{Placed, Senseless, host, prefix, tag, urls};

/// The most things that one wish may name.
pub const MOST_NAMED: usize = 10_000;

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
