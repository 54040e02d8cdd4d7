//! `forebay serve`: a node until SIGTERM or SIGINT.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{USAGE, demo};
use crate::admin;
use crate::app::{RunError, Running};
use crate::base::units::ByteSize;
use crate::config::{Disk, MemoryPlan, OriginUrl, Settings, Spill};
use crate::telemetry::access_log::{self, AccessLog, Control, LogWriter, Sink};
use crate::telemetry::human;

/// How long the last lines of the access log may take to be written.
const LOG_LIMIT: Duration = Duration::from_secs(1);

/// What `serve` may be told.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The site to stand in front of; given more than once, its endpoints take turns. Without it, an embedded demo
    /// site
    #[arg(long, value_name = "http://HOST:PORT")]
    origin: Vec<OriginUrl>,

    /// Where to listen; may be given more than once
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = parse_address)]
    listen: Vec<SocketAddr>,

    /// Memory limit of the whole process
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    memory: ByteSize,

    /// Where to keep what memory cannot hold, also over restarts; an empty or a new directory on a real disk
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,

    /// Disk that the cache directory may take, with its index and with bodies that exceed their memory
    #[arg(long, value_name = "SIZE", default_value = "10GiB", requires = "cache_dir")]
    disk: ByteSize,

    /// What a full disk lets in: what is asked for at least as often as what would have to go (frequency), everything
    /// (always), or as frequency and nothing at its first request (second-request)
    #[arg(long, value_name = "RULE", default_value = "frequency", requires = "cache_dir",
          value_parser = ["always", "frequency", "second-request"])]
    disk_admission: String,

    /// Where bodies go that exceed their memory; on a real disk [default: in the cache directory, else /var/tmp]
    #[arg(long, value_name = "DIR")]
    spill_dir: Option<PathBuf>,

    /// Disk that such bodies may take together, at most a quarter of --disk; 0 turns spilling off
    #[arg(long, value_name = "SIZE", default_value = "4GiB")]
    spill: ByteSize,

    /// Access log: a file, which SIGUSR1 has opened anew, "-" for standard output, or "off"
    #[arg(long, value_name = "FILE", default_value = "-")]
    access_log: String,

    /// How its lines are written: json, combined, or names of fields with commas between them
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    access_log_format: access_log::Layout,

    /// Where to tell metrics and health: a port on 127.0.0.1, or IP:PORT, on loopback only [default: nowhere]
    #[arg(long, value_name = "ADDR")]
    admin: Option<admin::Settings>,

    /// Time for running responses to finish after SIGTERM
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    drain: Duration,

    /// Threads that serve; by default one per core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,

    /// What to tell on standard error: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info",
          value_parser = ["error", "warn", "info", "debug", "trace"])]
    log_level: String,
}

fn parse_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "write IP:PORT, for example 127.0.0.1:8080 or [::]:80")
}

/// Why `serve` ends without having served.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("--memory: {0}")]
    Memory(#[from] crate::config::MemoryError),
    #[error("--disk: {0}")]
    Disk(#[from] crate::config::DiskError),
    #[error("--spill-dir: {path}: {error}")]
    SpillDirectory { path: String, error: io::Error },
    #[error("--access-log: cannot write {path}: {error}")]
    AccessLog { path: String, error: io::Error },
    #[error("the demo site cannot be started: {0}")]
    Demo(io::Error),
    #[error("{0}")]
    Run(#[from] crate::app::RunError),
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
}

impl ServeError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Memory(_)
            | Self::Disk(_)
            | Self::SpillDirectory { .. }
            | Self::AccessLog { .. }
            | Self::Run(RunError::Build(_)) => ExitCode::from(USAGE),
            Self::Demo(_) | Self::Run(_) | Self::Signals(_) => ExitCode::FAILURE,
        }
    }
}

impl Serve {
    pub(super) fn run(self) -> ExitCode {
        human::start(&self.log_level);
        match self.serve() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("forebay: {error}");
                error.exit_code()
            }
        }
    }

    fn serve(self) -> Result<(), ServeError> {
        // Before anything is bound, so that no signal is lost.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ServeError::Signals)?;
        let memory = MemoryPlan::new(self.memory)?;
        let (log, log_writer) = self.access_log()?.unzip();
        let control = log.as_ref().map(AccessLog::control);
        let (origin, demo) = if let Some(origin) = self.origin.first() {
            (origin.clone(), None)
        } else {
            let site = demo::start().map_err(ServeError::Demo)?;
            (site.origin_url(), Some(site))
        };
        let mut settings = Settings::new(origin, memory);
        if let Some(pool) = settings.pools.first_mut() {
            pool.endpoints.extend(self.origin.iter().skip(1).cloned().map(Into::into));
        }
        settings.listen = self.listen;
        if let Some(workers) = self.workers {
            settings.workers = workers.into();
        }
        settings.spill.limit = self.spill.0;
        match self.cache_dir {
            Some(directory) => {
                // The rule was checked when it was parsed.
                let admission = self.disk_admission.parse().unwrap_or_default();
                let disk = Disk { directory, limit: self.disk, admission };
                settings.use_disk(disk, self.spill_dir.clone())?;
            }
            None => settings.spill.directory = self.spill_dir.clone().unwrap_or(settings.spill.directory),
        }
        if settings.cache.disk.is_none() || self.spill_dir.is_some() {
            check_spill_directory(&settings.spill)?;
        }
        settings.drain = self.drain;
        settings.admin = self.admin;

        use_descriptors(&mut settings);

        let signals = runtime.block_on(async { Awaited::prepare() }).map_err(ServeError::Signals)?;
        let running = Running::start(&settings, log)?;
        for address in &running.addresses {
            tracing::info!("listening on http://{address}");
        }
        if let Some(address) = running.admin_address() {
            tracing::info!("admin on http://{address}");
        }
        match (&demo, running.addresses.first()) {
            (Some(_), Some(address)) => demo::say_what_to_try(*address),
            _ => say_what_is_fronted(&settings),
        }
        let reason = runtime.block_on(signals.stop(control.as_ref()));
        tracing::info!(%reason, deadline = ?settings.drain, "draining: no new connections");
        running.drain();
        drop(demo);
        if let Some(writer) = log_writer {
            writer.finish(LOG_LIMIT);
        }
        tracing::info!("stopped");
        Ok(())
    }

    fn access_log(&self) -> Result<Option<(AccessLog, LogWriter)>, ServeError> {
        let access_log::Layout(format, fields) = self.access_log_format.clone();
        let settings = access_log::Settings { sink: Sink::named(&self.access_log), format, fields };
        let failed = |error| ServeError::AccessLog { path: self.access_log.clone(), error };
        AccessLog::start(&settings).map_err(failed)
    }
}

fn say_what_is_fronted(settings: &Settings) {
    let disk = settings.cache.disk.as_ref().map(|disk| tracing::field::display(disk.directory.display()));
    let memory = ByteSize(settings.memory.limit);
    let endpoints = settings.pools.iter().flat_map(|pool| &pool.endpoints);
    let origin = endpoints.map(|endpoint| endpoint.url.to_string()).collect::<Vec<_>>().join(" ");
    tracing::info!(origin, %memory, cache_dir = disk, "in front of the origin");
}

/// A directory that the operator named must be there. The one in the cache directory is made with that.
fn check_spill_directory(spill: &Spill) -> Result<(), ServeError> {
    if spill.limit == 0 {
        return Ok(());
    }
    let probe = tempfile::tempfile_in(&spill.directory);
    probe
        .map(drop)
        .map_err(|error| ServeError::SpillDirectory { path: spill.directory.display().to_string(), error })
}

/// Takes the descriptors that the limits ask for, or lowers the limits to those that there are.
fn use_descriptors(settings: &mut Settings) {
    let needed = settings.descriptors();
    let available = rlimit::increase_nofile_limit(needed).unwrap_or(0);
    if available < needed {
        settings.fit_to_descriptors(available);
        tracing::warn!(
            available,
            needed,
            connections = settings.request.max_connections,
            fetches = settings.fetch.max_fetches,
            "few file descriptors: limits are lowered (raise them with ulimit -n)"
        );
    }
}

/// The signals that a node heeds.
struct Awaited {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
    usr1: tokio::signal::unix::Signal,
}

impl Awaited {
    fn prepare() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            usr1: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits for the first that ends a node, and until then has the access log opened anew when asked to. A second
    /// one that ends it finds nobody waiting and is left to the deadline.
    async fn stop(mut self, log: Option<&Control>) -> &'static str {
        loop {
            tokio::select! {
                _ = self.term.recv() => return "SIGTERM",
                _ = self.int.recv() => return "SIGINT",
                _ = self.usr1.recv() => if let Some(log) = log { log.reopen() },
            }
        }
    }
}
