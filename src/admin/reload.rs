//! The configuration, read anew: what is asked for, what came of it, and what is told of it in metrics.

use std::fmt;
use std::sync::Arc;

use super::scrape::seconds;
use crate::base::clock::Timestamp;
use crate::telemetry::metrics::exposition::{Exposition, Family, Kind};

/// Who reads the configuration anew. Cloning shares it.
pub type Reload = Arc<dyn Reloads>;

/// Reads the configuration anew. All of it may block: reading files, and waiting for one who does the same already.
pub trait Reloads: Send + Sync {
    /// Reads the files anew and puts what they say in place, or changes nothing and says why.
    fn reload(&self) -> Result<Reloaded, NotReloaded>;

    /// Says what a reload would change, or what is wrong with the files, or with the pools and certificates that are made of them.
    /// Nothing is changed.
    fn validate(&self) -> Result<Reloaded, NotReloaded>;

    /// What has come of reloads so far.
    fn said(&self) -> Said;
}

/// What a reload has changed, or would change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// What is another now, in words: `site shop`, `pool app`, `listener 127.0.0.1:8080 added`.
    pub changed: Vec<String>,
    /// Keys whose new value counts after a restart only.
    pub needs_restart: Vec<String>,
    /// What is hardly meant so.
    pub warnings: Vec<Fault>,
    /// What a reload would do beside that, and was not tried, so that it may fail still. Empty after a reload.
    pub not_tried: Vec<&'static str>,
}

/// Why nothing was changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotReloaded {
    /// All of it for people, with places. No line of a file is in it, for there may be secrets in those.
    pub text: String,
    /// What is wrong with the files, one by one, with warnings. Empty where they are well, and something else is not: an address
    /// that is taken, a file that cannot be opened.
    pub complaints: Vec<Fault>,
}

impl fmt::Display for NotReloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for NotReloaded {}

impl NotReloaded {
    /// For a reason that is in no file.
    pub fn because(why: impl fmt::Display) -> Self {
        Self { text: why.to_string(), complaints: Vec::new() }
    }

    /// For what is wrong with the files.
    pub fn of(complaints: Vec<Fault>) -> Self {
        Self { text: told(&complaints), complaints }
    }
}

/// One thing that is wrong with a file, or hardly meant so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, as it is named to people.
    pub file: String,
    /// Line and column, from 1; none if it is about the whole file.
    pub position: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
    /// What to do about it, if there is something to say.
    pub what_to_do: Option<String>,
    /// Whether the configuration may be used all the same.
    pub is_warning: bool,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some((line, column)) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}{}", if self.is_warning { "warning: " } else { "" }, self.message)?;
        self.what_to_do.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

/// The most faults that a text names.
const MOST_TOLD: usize = 20;

/// Faults for people, one on a line. Nothing of it can steer a terminal.
pub fn told(faults: &[Fault]) -> String {
    let harmless = |text: String| text.replace(|c: char| c.is_control(), "\u{fffd}");
    let mut lines: Vec<String> =
        faults.iter().take(MOST_TOLD).map(|fault| harmless(fault.to_string())).collect();
    if faults.len() > MOST_TOLD {
        lines.push(format!("and {} more", faults.len() - MOST_TOLD));
    }
    lines.join("\n")
}

/// What has come of reloads so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Those that were put in place.
    pub succeeded: u64,
    /// Those that changed nothing, because something was wrong.
    pub failed: u64,
    /// The last one was of those.
    pub last_failed: bool,
    /// When the configuration was read that is in place, if it was not the start.
    pub last_success: Option<Timestamp>,
    /// Keys that wait for a restart.
    pub needs_restart: usize,
}

static RELOADS: Family = Family {
    name: "forebay_config_reloads_total",
    kind: Kind::Counter,
    labels: &["result"],
    help: "Times that the configuration was read anew: ok, put in place; failed, nothing was changed.",
};

static LAST_SUCCESSFUL: Family = Family {
    name: "forebay_config_last_reload_successful",
    kind: Kind::Gauge,
    labels: &[],
    help: "0 if the last reload failed, so that the files are not what runs; 1 otherwise.",
};

static LAST_SUCCESS: Family = Family {
    name: "forebay_config_last_reload_success_timestamp_seconds",
    kind: Kind::Gauge,
    labels: &[],
    help: "When the configuration was put in place that runs, in seconds since 1970.",
};

static NEEDS_RESTART: Family = Family {
    name: "forebay_config_keys_awaiting_restart",
    kind: Kind::Gauge,
    labels: &[],
    help: "Keys of the configuration whose new value counts after a restart only.",
};

/// Writes what came of reloads.
pub(super) fn render(to: &mut Exposition, said: Option<Said>, started: Timestamp) {
    let said = said.unwrap_or_default();
    let mut reloads = to.family(&RELOADS);
    reloads.sample(&["ok"], said.succeeded);
    reloads.sample(&["failed"], said.failed);
    to.family(&LAST_SUCCESSFUL).sample(&[], u64::from(!said.last_failed));
    to.family(&LAST_SUCCESS).decimal(&[], seconds(said.last_success.unwrap_or(started).as_millis()));
    to.family(&NEEDS_RESTART).sample(&[], said.needs_restart as u64);
}
