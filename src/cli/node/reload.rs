//! `forebay reload`: has a running node read its configuration anew.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::client::AskError;
use super::said::{list, pretty, text};
use super::show;
use super::target::Target;

/// What `reload` may be told.
#[derive(Debug, Args)]
pub(in crate::cli) struct Reload {
    /// Tell what would be another, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Show what came of it as JSON, for programs
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl Reload {
    pub(in crate::cli) fn run(&self) -> ExitCode {
        show(self.told())
    }

    fn told(&self) -> Result<String, AskError> {
        let (node, path) = (self.target.node()?, "/v1/config/reload");
        let value = if self.dry_run { node.get(path)? } else { node.post(path)? };
        Ok(if self.json { pretty(&value) } else { for_people(&value) })
    }
}

fn for_people(value: &Value) -> String {
    let mut out = String::new();
    // Writing into a string cannot fail.
    for one in list(value, "/changed") {
        let _ = writeln!(out, "{}", text(one, ""));
    }
    for key in list(value, "/needs_restart") {
        let _ = writeln!(out, "{}: counts after a restart only", text(key, ""));
    }
    for warning in list(value, "/warnings") {
        let _ = writeln!(out, "warning: {}", text(warning, "/message"));
    }
    if out.is_empty() {
        out.push_str("nothing is another than it was\n");
    }
    let not_tried: Vec<String> = list(value, "/not_tried").iter().map(|what| text(what, "")).collect();
    if !not_tried.is_empty() {
        let _ = writeln!(out, "not tried: {}", not_tried.join(", "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_another_is_told_line_by_line() {
        let told = serde_json::json!({
            "changed": ["site shop changed"], "needs_restart": ["node.workers"], "warnings": [{ "message": "f: hm" }],
        });
        let expected = "site shop changed\nnode.workers: counts after a restart only\nwarning: f: hm\n";
        assert_eq!(for_people(&told), expected);
        assert_eq!(for_people(&serde_json::json!({})), "nothing is another than it was\n");
    }
}
