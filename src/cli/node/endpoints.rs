//! `forebay endpoints`: how the endpoints of a running node are.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::client::AskError;
use super::said::{list, pretty, table, text};
use super::show;
use super::target::Target;

/// What `endpoints` may be told.
#[derive(Debug, Args)]
pub(in crate::cli) struct Endpoints {
    /// Show it as JSON, for programs
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

const COLUMNS: [(&str, &str); 8] = [
    ("POOL", "/pool"),
    ("ENDPOINT", "/endpoint"),
    ("STATE", "/state"),
    ("ACTIVE", "/active"),
    ("IDLE", "/idle"),
    ("REQUESTS", "/requests"),
    ("FAILURES", "/failures"),
    ("OPENED", "/opened"),
];

impl Endpoints {
    pub(in crate::cli) fn run(&self) -> ExitCode {
        show(self.told())
    }

    fn told(&self) -> Result<String, AskError> {
        let value = self.target.node()?.get("/v1/endpoints")?;
        Ok(if self.json { pretty(&value) } else { for_people(list(&value, "/endpoints")) })
    }
}

pub(super) fn for_people(endpoints: &[Value]) -> String {
    let mut rows = vec![COLUMNS.map(|(name, _)| name.to_owned()).to_vec()];
    rows.extend(endpoints.iter().map(|endpoint| COLUMNS.map(|(_, place)| text(endpoint, place)).to_vec()));
    table(&rows)
}
