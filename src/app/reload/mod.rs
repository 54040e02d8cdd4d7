//! The configuration, read anew while the node runs (decision 22): made aside, then put in place as a whole, or not at all.
//!
//! - here: [`Reloader`], which does it, one at a time, for whoever asks.
//! - [`source`]: where configurations come from.
//! - `record`: what came of it.
//! - `changes`: what is another than before, in words.

mod changes;
mod record;
pub mod source;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::caretaker::{Caretaker, SELDOM};
use super::listeners::Listeners;
use super::logs::Logs;
use super::policies::Policies;
use super::worker::Deadline;
use super::{Node, descriptors};
use crate::admin::{Handles, NotReloaded, Reloaded, Reloads, Said, told};
use crate::config::file::Seen;
use crate::config::{Configuration, Listen, Settings, unmistakable_id};
use crate::listener::Limits;
use crate::telemetry::human;
use record::Record;
use source::{Read, Source, faults};

/// How long a reload that is under way may hold up the end of the node.
const END_LIMIT: Duration = Duration::from_secs(2);

/// What a reload does that a preview does not try: it could not be undone unseen.
const NOT_TRIED: [&str; 2] = ["addresses of new listeners", "the file of the access log"];

/// Reads the configuration of a running node anew. Cloning shares it.
#[derive(Clone)]
pub struct Reloader(Arc<Inner>);

/// Where the configuration is from that a node began with.
#[derive(Clone)]
pub struct Origin {
    /// Reads it anew.
    pub source: Arc<dyn Source>,
    /// What was read.
    pub written: Configuration,
    /// Its files, as they looked then.
    pub seen: Seen,
    /// By what the node knows its requests, where the configuration has nothing for that.
    pub own_id: String,
}

/// The parts of a node that has begun.
pub(super) struct Begun {
    pub(super) node: Node,
    pub(super) listeners: Listeners,
    pub(super) logs: Logs,
    pub(super) limits: Limits,
    pub(super) deadline: Deadline,
    pub(super) draining: CancellationToken,
}

struct Inner {
    node: Node,
    limits: Limits,
    deadline: Deadline,
    draining: CancellationToken,
    source: Option<Arc<dyn Source>>,
    own_id: String,
    record: Record,
    /// A signal has asked for it.
    is_asked: AtomicBool,
    /// Held while it is read anew: one at a time.
    state: Mutex<State>,
    /// How often files are looked at, for those who do.
    pace: Mutex<Pace>,
    /// Look after files, and after what is asked by signal. They end with this.
    caretakers: OnceLock<Caretakers>,
}

struct State {
    written: Configuration,
    settings: Settings,
    listeners: Listeners,
    logs: Logs,
    policies: Policies,
    /// The files as they looked before they were last read.
    seen: Seen,
    /// As they looked at the last look.
    looked: Seen,
}

#[derive(Clone, Copy)]
struct Pace {
    certificates: Option<Duration>,
    watch: Option<Duration>,
}

impl Pace {
    fn of(settings: &Settings) -> Self {
        Self { certificates: settings.tls.as_ref().map(|tls| tls.reload_every), watch: settings.watch }
    }
}

struct Caretakers {
    certificates: Caretaker,
    files: Option<Caretaker>,
}

impl Reloader {
    /// Begins to look after the files of a node.
    pub(super) fn start(begun: Begun, settings: Settings, origin: Option<Origin>) -> io::Result<Self> {
        let Begun { node, listeners, logs, limits, deadline, draining } = begun;
        let (source, written, seen, own_id) = match origin {
            Some(Origin { source, written, seen, own_id }) => (Some(source), written, seen, own_id),
            None => (None, Configuration::default(), Seen::default(), unmistakable_id()),
        };
        let pace = Pace::of(&settings);
        let policies = Policies::of(&settings);
        let looked = seen.clone();
        let state = State { written, settings, listeners, logs, policies, seen, looked };
        let inner = Arc::new(Inner {
            node,
            limits,
            deadline,
            draining,
            source,
            own_id,
            record: Record::default(),
            is_asked: AtomicBool::new(false),
            state: Mutex::new(state),
            pace: Mutex::new(pace),
            caretakers: OnceLock::new(),
        });
        let weak = Arc::downgrade(&inner);
        let looks = move || weak.upgrade().map(|inner| inner.look_after_certificates());
        let certificates = Caretaker::start("certificates", pace.certificates.unwrap_or(SELDOM), looks)?;
        let weak = Arc::downgrade(&inner);
        let looks = move || weak.upgrade().map(|inner| inner.look_after_files());
        let files = inner.source.is_some();
        let files =
            files.then(|| Caretaker::start("reload", pace.watch.unwrap_or(SELDOM), looks)).transpose()?;
        // Who has looked already has nobody to wake.
        let _ = inner.caretakers.set(Caretakers { certificates, files });
        Ok(Self(inner))
    }

    /// Has the configuration read anew by a thread that is there for that, and returns at once. What comes of it is logged.
    pub fn ask(&self) {
        let caretakers = self.0.caretakers.get();
        let Some(files) = caretakers.and_then(|caretakers| caretakers.files.as_ref()) else {
            return tracing::warn!("there is no configuration to be read anew");
        };
        self.0.is_asked.store(true, Ordering::Release);
        files.wake();
    }

    /// Where the node listens now, ports filled in.
    pub fn addresses(&self) -> Vec<Listen> {
        self.0.state.lock().listeners.addresses()
    }

    /// What the admin listener looks at, and this beside it.
    pub(super) fn handles(&self) -> Handles {
        let handles = self.0.node.handles(self.0.draining.clone());
        let reload = self.0.source.is_some().then(|| Arc::new(self.clone()) as Arc<dyn Reloads>);
        Handles { reload, ..handles }
    }

    /// The node ends: nothing is reloaded any more. Waits for a reload that is under way, unless files hold it up.
    pub(super) fn end(self, draining: &CancellationToken) -> Logs {
        let mut state = self.0.state.try_lock_for(END_LIMIT);
        if let Some(state) = &mut state {
            state.listeners.remove_files();
        }
        draining.cancel();
        state.map(|mut state| std::mem::take(&mut state.logs)).unwrap_or_default()
    }
}

impl Reloads for Reloader {
    fn reload(&self) -> Result<Reloaded, NotReloaded> {
        self.0.reload(&mut self.0.state.lock())
    }

    fn validate(&self) -> Result<Reloaded, NotReloaded> {
        let read = self.0.source()?.read();
        let state = self.0.state.lock();
        let Compiled { settings, mut reloaded, .. } = self.0.compile(&state, read)?;
        // It is thrown away: nobody uses it.
        self.0.node.make(&settings).map_err(NotReloaded::because)?;
        reloaded.not_tried = NOT_TRIED.to_vec();
        Ok(reloaded)
    }

    fn said(&self) -> Said {
        self.0.record.said()
    }
}

/// A configuration that was read and found well.
struct Compiled {
    written: Configuration,
    settings: Settings,
    reloaded: Reloaded,
}

impl Inner {
    fn source(&self) -> Result<&Arc<dyn Source>, NotReloaded> {
        let none = || NotReloaded::because("there is no configuration file to be read anew (--config FILE)");
        self.source.as_ref().ok_or_else(none)
    }

    /// Reads it anew, and says so in the log and in the record.
    fn reload(&self, state: &mut State) -> Result<Reloaded, NotReloaded> {
        let outcome = self.try_reload(state);
        self.record.note(&outcome, self.node.clock().now());
        match &outcome {
            Ok(Reloaded { changed, needs_restart, warnings, .. }) => {
                let changed = if changed.is_empty() { "nothing".to_owned() } else { changed.join(", ") };
                tracing::info!(changed, warnings = warnings.len(), "the configuration was reloaded");
                if !needs_restart.is_empty() {
                    let keys = needs_restart.join(", ");
                    tracing::warn!(keys, "this part of the configuration counts after a restart only");
                }
            }
            Err(NotReloaded { text, .. }) => {
                tracing::error!("the configuration was not reloaded, and nothing has changed: {text}");
            }
        }
        outcome
    }

    fn try_reload(&self, state: &mut State) -> Result<Reloaded, NotReloaded> {
        if self.draining.is_cancelled() {
            return Err(NotReloaded::because("the node is ending"));
        }
        let read = self.source()?.read();
        state.seen = read.seen.clone();
        state.looked = read.seen.clone();
        let Compiled { written, mut settings, mut reloaded } = self.compile(state, read)?;
        if !reloaded.warnings.is_empty() {
            let warnings = told(&reloaded.warnings);
            tracing::warn!("the configuration may be used, but is hardly meant so: {warnings}");
        }
        descriptors::fit(&mut settings);
        state.policies.number(&mut settings);
        let made = self.node.make(&settings).map_err(NotReloaded::because)?;
        let log = state.logs.prepare(&settings.access_log).map_err(NotReloaded::because)?;
        let plan = state.listeners.plan(&settings.listen).map_err(NotReloaded::because)?;
        // From here on nothing fails.
        if settings.log_level != state.settings.log_level {
            // Where it says what it said, what somebody has set meanwhile stays. Without a log there is nothing to set.
            let _ = human::configured(settings.log_level.name());
        }
        self.limits.put(settings.listener.clone());
        self.deadline.set(settings.drain);
        state.logs.put(log);
        self.node.put(&settings, &made, state.logs.log());
        reloaded.changed.extend(state.listeners.put(plan, made.front.as_ref()));
        if let Some(front) = &made.front {
            // Whoever asks for a reload may have put new certificates there.
            front.look(self.node.clock().now());
        }
        *self.pace.lock() = Pace::of(&settings);
        if let Some(Caretakers { certificates, files }) = self.caretakers.get() {
            certificates.wake();
            files.iter().for_each(Caretaker::wake);
        }
        // Last, because it takes a while.
        self.node.share_out(&settings);
        (state.written, state.settings) = (written, settings);
        Ok(reloaded)
    }

    /// What was read, as far as it can be had without a restart.
    fn compile(&self, state: &State, read: Read) -> Result<Compiled, NotReloaded> {
        let Read { written, complaints, .. } = read;
        let (warnings, mut written) = (faults(&complaints), written?);
        let needs_restart = written.hold(&state.written).into_iter().map(str::to_owned).collect();
        let settings = Settings::compile_for(&written, &self.own_id).map_err(NotReloaded::because)?;
        let changed = changes::between((&state.written, &state.settings), (&written, &settings));
        Ok(Compiled {
            written,
            settings,
            reloaded: Reloaded { changed, needs_restart, warnings, not_tried: Vec::new() },
        })
    }

    fn look_after_certificates(&self) -> Duration {
        if let Some(front) = self.node.front() {
            front.look(self.node.clock().now());
        }
        self.pace.lock().certificates.unwrap_or(SELDOM)
    }

    /// Reads the configuration anew if a signal has asked for it, or if its files are watched and have changed. Two looks have to
    /// see the same, so that nothing is read while it is written.
    fn look_after_files(&self) -> Duration {
        let watch = self.pace.lock().watch;
        let mut state = self.state.lock();
        if self.is_asked.swap(false, Ordering::Acquire) {
            let _ = self.reload(&mut state);
        } else if watch.is_some() {
            let now = state.seen.again();
            let has_settled = now == state.looked;
            let has_changed = now != state.seen;
            state.looked = now;
            if has_changed && has_settled {
                tracing::info!("the files of the configuration have changed");
                let _ = self.reload(&mut state);
            }
        }
        self.pace.lock().watch.unwrap_or(SELDOM)
    }
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").field("record", &self.0.record).finish_non_exhaustive()
    }
}
