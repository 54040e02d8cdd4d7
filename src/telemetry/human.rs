//! The log for people, on stderr.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;

/// What may say more than the configuration does.
const VARIABLE: &str = "FOREBAY_LOG";

/// Puts another filter in the place of the one there is.
type SetFilter = Box<dyn Fn(EnvFilter) + Send + Sync>;

/// Of the log that was started.
static SET_FILTER: OnceLock<SetFilter> = OnceLock::new();

/// Starts the log for people at `level` (`error`, `warn`, `info`, `debug`, `trace`); the environment variable
/// `FOREBAY_LOG` may say more. A second call in one process changes nothing.
pub fn start(level: &str) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter(level))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // It would tell of them on stderr too, and panic when that fails.
        .log_internal_errors(false)
        .with_filter_reloading();
    let handle = log.reload_handle();
    if log.try_init().is_ok() {
        // It fails only where the log has gone, which it does with the process.
        let _ = SET_FILTER.set(Box::new(move |filter| drop(handle.reload(filter))));
    }
}

/// Changes the level of a log that was started, from the next line on; where the environment says what is told, nothing.
pub fn set_level(level: &str) {
    if let Some(set) = SET_FILTER.get() {
        set(filter(level));
    }
}

fn filter(level: &str) -> EnvFilter {
    EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(level))
}
