//! `forebay objects`: what a running node has stored under a URL, or what is asked for most there.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::client::AskError;
use super::explain::question;
use super::said::{bytes, is, list, number, pretty, table, text};
use super::show;
use super::target::Target;

/// What `objects` may be told.
#[derive(Debug, Args)]
pub(in crate::cli) struct Objects {
    /// The whole URL; without one, what is asked for most of late
    #[arg(value_name = "URL")]
    url: Option<String>,

    /// A field of the request that shall select; may be given more than once
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", requires = "url")]
    header: Vec<String>,

    /// How many of what is asked for most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=512), conflicts_with = "url")]
    limit: u16,

    /// Show it as JSON, for programs
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl Objects {
    pub(in crate::cli) fn run(&self) -> ExitCode {
        show(self.told())
    }

    fn told(&self) -> Result<String, AskError> {
        let target = match &self.url {
            Some(url) => question("/v1/objects", url, "GET", &self.header),
            None => format!("/v1/objects/hot?limit={}", self.limit),
        };
        let value = self.target.node()?.get(&target)?;
        Ok(match (&self.url, self.json) {
            (_, true) => pretty(&value),
            (Some(_), false) => stored(&value),
            (None, false) => hot(&value),
        })
    }
}

fn hot(value: &Value) -> String {
    let keys = list(value, "/keys");
    if keys.is_empty() {
        return "nothing was asked for often enough to be in the sample yet\n".to_owned();
    }
    let mut rows = vec![["REQUESTS", "SITE", "URL"].map(str::to_owned).to_vec()];
    rows.extend(keys.iter().map(|key| {
        vec![format!("about {}", number(key, "/requests_about")), text(key, "/site"), text(key, "/url")]
    }));
    table(&rows)
}

fn stored(value: &Value) -> String {
    let mut out = format!("{} (key {})\n", text(value, "/url"), text(value, "/key"));
    if value.pointer("/marker").is_some_and(Value::is_object) {
        let (reason, since) = (text(value, "/marker/reason"), number(value, "/marker/since_seconds"));
        // Writing into a string cannot fail.
        let _ = writeln!(out, "not for sharing ({reason}), since {since} s");
    }
    let variants = list(value, "/variants");
    if variants.is_empty() {
        return out + "nothing is stored\n";
    }
    for variant in variants {
        out.push('\n');
        out.push_str(&self::variant(variant));
    }
    if is(value, "/cut") {
        out.push_str("\nthere are more\n");
    }
    out
}

fn variant(value: &Value) -> String {
    let row = |name: &str, says: String| vec![name.to_owned(), says];
    let vary = value.pointer("/vary").and_then(Value::as_object).into_iter().flatten();
    let vary: Vec<String> = vary.map(|(name, _)| format!("{name}: {}", said(value, name))).collect();
    let vary = if vary.is_empty() { "every request".to_owned() } else { vary.join("; ") };
    let of = |what: &str| number(value, &format!("/lifetime/{what}"));
    let state = if is(value, "/lifetime/fresh") { "fresh" } else { "stale" };
    let alive = if is(value, "/alive") { "" } else { ", PURGED" };
    let places = [("memory", "/head_in_memory"), ("disk", "/on_disk")];
    let places: Vec<&str> =
        places.into_iter().filter(|(_, place)| is(value, place)).map(|(name, _)| name).collect();
    let mut rows = vec![
        row(
            "for",
            format!("{vary}{}", if is(value, "/selected") { " (what this request is given)" } else { "" }),
        ),
        row("status", format!("{}, {state}{alive}", number(value, "/status"))),
        row("age", format!("{} of {} s", of("age_seconds"), of("fresh_seconds"))),
        row("head in", if places.is_empty() { "neither tier".to_owned() } else { places.join(", ") }),
        row("generation", format!("{}, born at {}", text(value, "/generation"), text(value, "/born"))),
    ];
    for representation in list(value, "/representations") {
        rows.push(row("content", content(representation)));
    }
    table(&rows)
}

fn said(value: &Value, name: &str) -> String {
    let values = value.pointer("/vary").and_then(|vary| vary.get(name)).and_then(Value::as_array);
    let values: Vec<String> = values.into_iter().flatten().map(|value| text(value, "")).collect();
    if values.is_empty() { "(absent)".to_owned() } else { values.join(", ") }
}

fn content(value: &Value) -> String {
    let (coding, size) = (text(value, "/coding"), bytes(number(value, "/bytes")));
    match number(value, "/blocks") {
        0 => format!("{coding}, {size}, with its head"),
        blocks => format!(
            "{coding}, {size}, {blocks} blocks: {} in memory, {} on disk",
            number(value, "/blocks_in_memory"),
            number(value, "/blocks_on_disk")
        ),
    }
}
