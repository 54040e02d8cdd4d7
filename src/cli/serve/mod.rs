//! `forebay serve`: a node until SIGTERM or SIGINT.

mod options;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{USAGE, demo, say};
use crate::admin::AdminError;
use crate::app::{RunError, Running};
use crate::base::units::ByteSize;
use crate::config::file::{Complaints, Report};
use crate::config::{Configuration, Listen, Settings, SettingsError, Spill};
use crate::listener::address::Address;
use crate::listener::tls;
use crate::telemetry::access_log::{AccessLog, Control, LogWriter, Sink};
use crate::telemetry::human;
use options::Options;

/// How long the last lines of the access log may take to be written.
const LOG_LIMIT: Duration = Duration::from_secs(1);

/// Serves until it is told to stop.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    options: Options,
}

/// Why `serve` ends without having served.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("the configuration cannot be used\n\n{0}")]
    Config(Complaints),
    #[error("--{0}")]
    Settings(#[from] SettingsError),
    #[error("--disk and --disk-admission say how --cache-dir is used: give that too")]
    NoCacheDirectory,
    #[error("{0} is said twice")]
    Repeated(String),
    #[error("--cert and --key belong together: give both")]
    HalfCertificate,
    #[error("--admin-token-file {0}")]
    Token(String),
    #[error("--tls-listen needs a certificate: give --cert FILE and --key FILE")]
    NoCertificate,
    #[error("--cert and --key are for --tls-listen ADDR: give that too")]
    NoTlsListener,
    #[error("cannot write in the spill directory {path}: {error}")]
    SpillDirectory { path: String, error: io::Error },
    #[error("cannot write the access log {path}: {error}")]
    AccessLog { path: String, error: io::Error },
    #[error("the demo site cannot be started: {0}")]
    Demo(io::Error),
    #[error("{0}")]
    Run(#[from] RunError),
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
}

impl ServeError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_)
            | Self::Settings(_)
            | Self::NoCacheDirectory
            | Self::Repeated(_)
            | Self::HalfCertificate
            | Self::Token(_)
            | Self::NoCertificate
            | Self::NoTlsListener
            | Self::SpillDirectory { .. }
            | Self::AccessLog { .. }
            | Self::Run(RunError::Build(_) | RunError::Admin(AdminError::Access(_) | AdminError::Tls(_))) => {
                ExitCode::from(USAGE)
            }
            Self::Demo(_) | Self::Run(_) | Self::Signals(_) => ExitCode::FAILURE,
        }
    }
}

impl Serve {
    pub(super) fn run(&self) -> ExitCode {
        match self.serve() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                say(format_args!("forebay: {error}"));
                error.exit_code()
            }
        }
    }

    fn serve(&self) -> Result<(), ServeError> {
        let mut written = self.written()?;
        human::start(written.log.level.name());
        let demo = if written.sites.is_empty() {
            let site = demo::start().map_err(ServeError::Demo)?;
            written.only_site(vec![site.origin_url()]);
            Some(site)
        } else {
            None
        };
        let settings = Settings::compile(&written)?;
        // The one in the cache directory is made with that.
        if settings.cache.disk.is_none() || written.spill.directory.is_some() {
            check_spill_directory(&settings.spill)?;
        }
        run_node(settings, demo)
    }

    /// What is written in the file, and said in its place.
    fn written(&self) -> Result<Configuration, ServeError> {
        let mut written = match &self.options.config {
            None => Configuration::default(),
            Some(path) => {
                let Report { configuration, complaints } = Configuration::read(path);
                let Some(written) = configuration else { return Err(ServeError::Config(complaints)) };
                if !complaints.is_empty() {
                    say(format_args!("{complaints}\n"));
                }
                written
            }
        };
        if let Some(option) = self.options.repeated() {
            return Err(ServeError::Repeated(option));
        }
        if self.options.has_half_a_certificate() {
            return Err(ServeError::HalfCertificate);
        }
        self.options.apply(&mut written).map_err(ServeError::Token)?;
        if self.options.lacks_certificate(&written) {
            return Err(ServeError::NoCertificate);
        }
        if self.options.lacks_tls_listener(&written) {
            return Err(ServeError::NoTlsListener);
        }
        if self.options.lacks_cache_dir(&written) {
            return Err(ServeError::NoCacheDirectory);
        }
        Ok(written)
    }
}

/// Runs a node until a signal ends it.
fn run_node(mut settings: Settings, demo: Option<demo::Demo>) -> Result<(), ServeError> {
    use_descriptors(&mut settings);
    // Before anything is bound, so that no signal is lost.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServeError::Signals)?;
    let signals = runtime.block_on(async { Awaited::prepare() }).map_err(ServeError::Signals)?;
    let (log, log_writer) = access_log(&settings)?.unzip();
    let control = log.as_ref().map(AccessLog::control);
    let running = Running::start(&settings, log)?;
    for Listen { address, tls, .. } in &running.addresses {
        match (address, if *tls { "https" } else { "http" }) {
            (Address::Inet(address), scheme) => tracing::info!("listening on {scheme}://{address}"),
            (Address::Unix(socket, _), scheme) => tracing::info!("listening on {socket} for {scheme}"),
        }
    }
    if settings.tls.is_some() {
        tracing::info!(aes_by_cpu = tls::has_aes(), "TLS to clients");
    }
    if let Some((address, scheme)) = running.admin_address().zip(running.admin_scheme()) {
        tracing::info!("admin on {scheme}://{address}");
    }
    match (&demo, running.addresses.first()) {
        (Some(_), Some(listen)) => demo::say_what_to_try(listen),
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

fn access_log(settings: &Settings) -> Result<Option<(AccessLog, LogWriter)>, ServeError> {
    AccessLog::start(&settings.access_log).map_err(|error| {
        let path = match &settings.access_log.sink {
            Sink::File(path) => path.display().to_string(),
            Sink::Stdout | Sink::Off => "standard output".to_owned(),
        };
        ServeError::AccessLog { path, error }
    })
}

fn say_what_is_fronted(settings: &Settings) {
    let disk = settings.cache.disk.as_ref().map(|disk| tracing::field::display(disk.directory.display()));
    let memory = ByteSize(settings.memory.limit);
    for site in &settings.sites {
        let hosts = site.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let pool = settings.pools.get(site.pool.0);
        let endpoints = pool.into_iter().flat_map(|pool| &pool.endpoints);
        let origin = endpoints.map(|endpoint| endpoint.url.to_string()).collect::<Vec<_>>().join(" ");
        tracing::info!(site = site.name, hosts, origin, "in front of a site");
    }
    tracing::info!(%memory, cache_dir = disk, "ready");
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
