//! The log for people, on stderr.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts the log for people at `level` (`error`, `warn`, `info`, `debug`, `trace`); the environment variable
/// `FOREBAY_LOG` may say more. A second call in one process changes nothing.
pub fn start(level: &str) {
    let filter = EnvFilter::try_from_env("FOREBAY_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // It would tell of them on stderr too, and panic when that fails.
        .log_internal_errors(false)
        .try_init();
}
