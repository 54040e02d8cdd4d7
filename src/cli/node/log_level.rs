//! `forebay log-level`: what a running node tells on standard error.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::client::AskError;
use super::said::{pretty, text};
use super::show;
use super::target::Target;
use crate::config::file;

/// What `log-level` may be told.
#[derive(Debug, Args)]
pub(in crate::cli) struct LogLevel {
    /// What is to be told from now on: error, warn, info, debug or trace; without, what is told now
    #[arg(value_name = "LEVEL", value_parser = file::LogLevel::parse)]
    level: Option<file::LogLevel>,

    /// Show it as JSON, for programs
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl LogLevel {
    pub(in crate::cli) fn run(&self) -> ExitCode {
        show(self.told())
    }

    fn told(&self) -> Result<String, AskError> {
        let node = self.target.node()?;
        let value = match self.level {
            None => node.get("/v1/log-level")?,
            Some(level) => node.put("/v1/log-level", &json!({ "level": level.name() }))?,
        };
        Ok(if self.json { pretty(&value) } else { text(&value, "/level") + "\n" })
    }
}
