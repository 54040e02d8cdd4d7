//! The access log, and those before it that still write their last lines.

use std::io;

use crate::telemetry::access_log::{AccessLog, Control, LogWriter, Settings, Sink};

/// Why the access log cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the access log {place}: {error}")]
pub struct LogError {
    /// Where it was to be.
    place: String,
    error: io::Error,
}

/// The access log of a running node. A reload may turn it to another place, or lay it out otherwise.
#[derive(Debug, Default)]
pub struct Logs {
    settings: Option<Settings>,
    log: Option<AccessLog>,
    writers: Vec<LogWriter>,
    control: Control,
}

/// What is to be written from now on.
#[derive(Debug)]
pub(super) struct Turn {
    settings: Settings,
    log: Option<AccessLog>,
    writer: Option<LogWriter>,
}

impl Logs {
    /// Opens it, if there is to be one. Blocking, for as long as it takes to open a file.
    pub fn start(settings: &Settings) -> Result<Self, LogError> {
        let mut logs = Self::default();
        let turn = logs.prepare(settings)?;
        logs.put(turn);
        Ok(logs)
    }

    /// One that somebody else has opened, and sees to the end of.
    pub(super) fn of(log: Option<AccessLog>) -> Self {
        let logs = Self { log, ..Self::default() };
        logs.control.turn_to(logs.log.as_ref());
        logs
    }

    /// A handle on the one that there is, whichever that is.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// The one that there is now.
    pub(super) fn log(&self) -> Option<AccessLog> {
        self.log.clone()
    }

    /// What has to be written to for these settings: the same file, laid out otherwise, or another one, which is opened.
    pub(super) fn prepare(&self, settings: &Settings) -> Result<Turn, LogError> {
        let settings = settings.clone();
        let same = self.settings.as_ref().filter(|now| now.sink == settings.sink);
        if let (Some(now), Some(log)) = (same, &self.log) {
            let log = if *now == settings { log.clone() } else { log.laid_out(&settings) };
            return Ok(Turn { settings, log: Some(log), writer: None });
        }
        let opened = AccessLog::start(&settings).map_err(|error| {
            let place = match &settings.sink {
                Sink::File(path) => path.display().to_string(),
                Sink::Stdout | Sink::Off => "standard output".to_owned(),
            };
            LogError { place, error }
        })?;
        let (log, writer) = opened.unzip();
        Ok(Turn { settings, log, writer })
    }

    /// Writes there from now on. Lines of requests that run go where they were begun.
    pub(super) fn put(&mut self, turn: Turn) {
        let Turn { settings, log, writer } = turn;
        self.writers.retain(|writer| !writer.has_ended());
        self.writers.extend(writer);
        (self.settings, self.log) = (Some(settings), log);
        self.control.turn_to(self.log.as_ref());
    }

    /// Those that write, to be finished once nothing is logged any more.
    pub(super) fn into_writers(self) -> Vec<LogWriter> {
        self.writers
    }
}
