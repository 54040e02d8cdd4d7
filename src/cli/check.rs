//! `forebay check`: what is wrong with a configuration.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{USAGE, say};
use crate::config::file::{Complaints, Configuration, Report};

/// What `check` may be told.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The configuration
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Show what holds in the end, with all defaults, as TOML; secrets as where they are kept
    #[arg(long)]
    print: bool,
}

impl Check {
    pub(super) fn run(self) -> ExitCode {
        let Report { configuration, complaints, .. } = Configuration::read(&self.file);
        if !complaints.is_empty() {
            say(format_args!("{complaints}\n"));
        }
        let Some(configuration) = configuration else {
            say(format_args!("forebay: {}: {}", self.file.display(), count(&complaints)));
            return ExitCode::from(USAGE);
        };
        let text =
            if self.print { configuration.to_toml() } else { format!("{}\n", self.praise(&configuration)) };
        // Whoever reads it may have gone.
        match io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        }
    }

    fn praise(&self, configuration: &Configuration) -> String {
        let sites = match configuration.sites.len() {
            0 => "no sites: the demo site is served".to_owned(),
            1 => "1 site".to_owned(),
            many => format!("{many} sites"),
        };
        format!("{} is well: {sites}", self.file.display())
    }
}

/// `2 errors, 1 warning`
fn count(complaints: &Complaints) -> String {
    let plural = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    match complaints.warnings() {
        0 => plural(complaints.errors(), "error"),
        warnings => format!("{}, {}", plural(complaints.errors(), "error"), plural(warnings, "warning")),
    }
}
