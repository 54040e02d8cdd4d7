//! The commands that ask a running node, or tell it something: by its admin listener.

mod client;
mod drain;
mod endpoints;
mod explain;
mod log_level;
mod objects;
mod purge;
mod reload;
mod said;
mod stats;
mod target;
mod tls;

pub(super) use drain::Drain;
pub(super) use endpoints::Endpoints;
pub(super) use explain::Explain;
pub(super) use log_level::LogLevel;
pub(super) use objects::Objects;
pub(super) use purge::Purge;
pub(super) use reload::Reload;
pub(super) use stats::Stats;

use std::io::{self, Write as _};
use std::process::ExitCode;

use super::say;
use client::AskError;

/// Shows what came of it: a text on standard output, or an error and the exit code for it.
fn show(came: Result<String, AskError>) -> ExitCode {
    match came {
        // Whoever reads it may have gone.
        Ok(text) => match io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            say(format_args!("forebay: {error}"));
            error.exit_code()
        }
    }
}
