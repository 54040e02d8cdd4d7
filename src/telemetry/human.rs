//! The log for people, on stderr.

use std::io::IsTerminal;
use std::sync::OnceLock;

use parking_lot::Mutex;
use tracing_subscriber::EnvFilter;

/// What is always told, however little else is: lines about what operators have changed.
const ALWAYS: &str = "audit=info";

/// Puts another filter in the place of the one that there is; false if nobody is listening any more.
type Replace = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;

/// The log of this process. There is one, as there is one stderr.
struct Human {
    replace: Replace,
    now: Mutex<String>,
    /// The environment has said it, which goes before what a configuration says.
    is_said: bool,
}

static HUMAN: OnceLock<Human> = OnceLock::new();

/// There is no log whose level could be changed: it was not started by [`start`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this process has no log of its own")]
pub struct NoLog;

/// Starts the log for people at `level` (`error`, `warn`, `info`, `debug`, `trace`); the environment variable
/// `FOREBAY_LOG` may say more. A second call in one process changes nothing.
pub fn start(level: &str) {
    let said = std::env::var("FOREBAY_LOG").ok().filter(|said| EnvFilter::try_new(said).is_ok());
    let (is_said, said) = (said.is_some(), said.unwrap_or_else(|| level.to_owned()));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter(&said))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // It would tell of them on stderr too, and panic when that fails.
        .log_internal_errors(false)
        .with_filter_reloading();
    let handle = log.reload_handle();
    if log.try_init().is_ok() {
        let replace: Replace = Box::new(move |filter| handle.reload(filter).is_ok());
        let _ = HUMAN.set(Human { replace, now: Mutex::new(said), is_said });
    }
}

/// What is told now: a level, or what `FOREBAY_LOG` said.
pub fn told() -> Result<String, NoLog> {
    HUMAN.get().map(|human| human.now.lock().clone()).ok_or(NoLog)
}

/// Tells from now on what `level` says, in place of what was told before.
pub fn tell(level: &str) -> Result<(), NoLog> {
    let human = HUMAN.get().ok_or(NoLog)?;
    let mut now = human.now.lock();
    if !(human.replace)(filter(level)) {
        return Err(NoLog);
    }
    level.clone_into(&mut now);
    Ok(())
}

/// The same for a configuration that was read anew, which says nothing where `FOREBAY_LOG` has said it.
pub fn configured(level: &str) -> Result<(), NoLog> {
    if HUMAN.get().ok_or(NoLog)?.is_said { Ok(()) } else { tell(level) }
}

/// What may be said is bounded by its callers; what makes no sense in it is left out.
fn filter(said: &str) -> EnvFilter {
    EnvFilter::new(format!("{said},{ALWAYS}"))
}
