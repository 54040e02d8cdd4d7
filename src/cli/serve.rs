//! `forebay serve`: a node until SIGTERM or SIGINT.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{USAGE, demo};
use crate::app::{RunError, Running};
use crate::base::units::ByteSize;
use crate::config::{Disk, MemoryPlan, OriginUrl, Settings, Spill};
use crate::telemetry::access_log::{AccessLog, LogWriter};
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

    /// JSON access log: a file, "-" for standard output, or "off"
    #[arg(long, value_name = "FILE", default_value = "-")]
    access_log: String,

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

        use_descriptors(&mut settings);

        let stop = runtime.block_on(async { Stop::prepare() }).map_err(ServeError::Signals)?;
        let running = Running::start(&settings, log)?;
        for address in &running.addresses {
            tracing::info!("listening on http://{address}");
        }
        match (&demo, running.addresses.first()) {
            (Some(_), Some(address)) => demo::say_what_to_try(*address),
            _ => say_what_is_fronted(&settings),
        }
        let reason = runtime.block_on(stop.requested());
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
        let path = self.access_log.as_str();
        let failed = |error| ServeError::AccessLog { path: path.to_owned(), error };
        let sink: Box<dyn Write + Send> = match path {
            "off" => return Ok(None),
            // Not `Stdout`, which keeps what could not be written.
            "-" => Box::new(File::from(io::stdout().as_fd().try_clone_to_owned().map_err(failed)?)),
            path => Box::new(OpenOptions::new().create(true).append(true).open(path).map_err(failed)?),
        };
        AccessLog::start(sink).map(Some).map_err(failed)
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

/// The signals that end a node.
struct Stop {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
}

impl Stop {
    fn prepare() -> io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    /// Waits for the first of them. A second one finds nobody waiting and is left to the deadline.
    async fn requested(mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}
