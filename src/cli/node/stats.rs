//! `forebay stats`: what a running node does and holds.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::client::AskError;
use super::said::{bytes, is, number, pretty, table, text};
use super::show;
use super::target::Target;

/// What `stats` may be told.
#[derive(Debug, Args)]
pub(in crate::cli) struct Stats {
    /// Show it as JSON, for programs
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl Stats {
    pub(in crate::cli) fn run(&self) -> ExitCode {
        show(self.told())
    }

    fn told(&self) -> Result<String, AskError> {
        let value = self.target.node()?.get("/v1/stats")?;
        Ok(if self.json { pretty(&value) } else { for_people(&value) })
    }
}

fn for_people(value: &Value) -> String {
    let row = |name: &str, says: String| vec![name.to_owned(), says];
    let of = |place: &str| bytes(number(value, place));
    let uptime = humantime::format_duration(Duration::from_secs(number(value, "/uptime_seconds")));
    let ready = if is(value, "/ready") { "ready" } else { "not ready" };
    let mut rows = vec![
        row("node", format!("{ready}, up {uptime}")),
        row("requests", number(value, "/requests/total").to_string()),
        row("hit ratio", ratio(value)),
    ];
    for (outcome, count) in
        value.pointer("/requests/by_outcome").and_then(Value::as_object).into_iter().flatten()
    {
        rows.push(row(&format!("  {outcome}"), count.to_string()));
    }
    rows.push(row("sent", of("/requests/bytes_sent")));
    rows.push(row("memory tier", tier(value, "memory")));
    if value.pointer("/tiers/disk").is_some_and(Value::is_object) {
        rows.push(row(
            "disk tier",
            format!("{}, {}", tier(value, "disk"), text(value, "/tiers/disk/health")),
        ));
    }
    let fetches = format!(
        "{} running, {} begun, {} joined",
        number(value, "/fetches/running"),
        number(value, "/fetches/begun"),
        number(value, "/fetches/collapsed")
    );
    rows.extend([
        row(
            "connections",
            format!("{} of {}", number(value, "/connections/now"), number(value, "/connections/limit")),
        ),
        row("fetches", fetches),
        row(
            "ledger",
            format!(
                "at {}, {} purges held",
                text(value, "/ledger/sequence"),
                number(value, "/ledger/records")
            ),
        ),
        row(
            "memory",
            format!("{} of {} in the budget", of("/memory/budget_bytes"), of("/memory/budget_limit_bytes")),
        ),
    ]);
    table(&rows)
}

fn ratio(value: &Value) -> String {
    let ratio = value.pointer("/requests/hit_ratio").and_then(Value::as_f64);
    ratio.map_or_else(|| "no requests yet".to_owned(), |ratio| format!("{:.1} %", ratio * 100.0))
}

fn tier(value: &Value, name: &str) -> String {
    let of = |key: &str| number(value, &format!("/tiers/{name}/{key}"));
    format!("{} of {}, {} entries", bytes(of("bytes")), bytes(of("limit_bytes")), of("entries"))
}
