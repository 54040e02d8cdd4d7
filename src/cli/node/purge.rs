//! `forebay purge`: takes back what is stored.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::client::AskError;
use super::said::{is, list, number, pretty, text};
use super::show;
use super::target::Target;

/// What `purge` may be told.
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[derive(Debug, Args)]
pub(in crate::cli) struct Purge {
    /// URLs with their hosts; //HOST/PATH is that of both schemes
    #[arg(value_name = "URL")]
    urls: Vec<String>,

    /// What has this tag; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,

    /// A path and all below it, such as www.example.com/blog; may be repeated
    #[arg(long = "prefix", value_name = "PREFIX")]
    prefixes: Vec<String>,

    /// URLs with * for any text, such as 'www.example.com/*.css'; may be repeated
    #[arg(long = "glob", value_name = "GLOB")]
    globs: Vec<String>,

    /// All of a host; may be repeated
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,

    /// Everything
    #[arg(long)]
    all: bool,

    /// It may still serve as stale: while it is confirmed, and if the origin fails (tags are purged so unless --hard is said)
    #[arg(long, conflicts_with = "hard")]
    soft: bool,

    /// It is gone (all but tags are purged so unless --soft is said)
    #[arg(long)]
    hard: bool,

    /// Count what would be purged, and purge nothing
    #[arg(long)]
    dry_run: bool,

    /// Show what came of it as JSON, for programs
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl Purge {
    pub(in crate::cli) fn run(&self) -> ExitCode {
        show(self.told())
    }

    fn told(&self) -> Result<String, AskError> {
        let Self { urls, tags, prefixes, globs, hosts, all, dry_run, .. } = self;
        let soft = (self.soft || self.hard).then_some(self.soft);
        let wanted = json!({
            "urls": urls, "tags": tags, "prefixes": prefixes, "globs": globs, "hosts": hosts, "all": all, "soft": soft,
            "dry_run": dry_run,
        });
        let value = self.target.node()?.send("/v1/purge", &wanted)?;
        Ok(if self.json { pretty(&value) } else { for_people(&value) })
    }
}

fn for_people(value: &Value) -> String {
    let mut out = String::new();
    // Writing into a string cannot fail.
    if value.pointer("/purged").is_some_and(Value::is_object) {
        let (records, sequence, id) =
            (number(value, "/purged/records"), text(value, "/purged/sequence"), text(value, "/purged/id"));
        let _ = writeln!(out, "purged: {records} in the ledger, the last at {sequence} (id {id})");
    }
    if value.pointer("/matched").is_some_and(Value::is_object) {
        for tier in ["memory", "disk"] {
            let of = |what: &str| format!("/matched/{tier}/{what}");
            let (matched, seen) = (number(value, &of("matched")), number(value, &of("seen")));
            let cut = if is(value, &of("cut")) { "; there are more that were not looked at" } else { "" };
            let _ = writeln!(out, "{tier}: {matched} of {seen} objects would be purged{cut}");
        }
    }
    for host in list(value, "/unknown_hosts") {
        let _ = writeln!(out, "no site answers for {}", text(host, ""));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_it_is_told_in_words() {
        let purged = json!({ "purged": { "id": "ab", "sequence": "3.17", "records": 2, "durable": true }, "matched": null,
            "unknown_hosts": ["www.exmaple.com"] });
        assert_eq!(
            for_people(&purged),
            "purged: 2 in the ledger, the last at 3.17 (id ab)\nno site answers for www.exmaple.com\n"
        );
        let count = |matched, cut| json!({ "matched": matched, "seen": 9, "cut": cut });
        let counted =
            json!({ "purged": null, "matched": { "memory": count(3, false), "disk": count(0, true) } });
        assert_eq!(
            for_people(&counted),
            "memory: 3 of 9 objects would be purged\ndisk: 0 of 9 objects would be purged; there are more that were not looked at\n"
        );
    }
}
