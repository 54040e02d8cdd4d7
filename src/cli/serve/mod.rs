//! `forebay serve`: a node until SIGTERM or SIGINT.

mod options;
mod written;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{USAGE, demo, say};
use crate::admin::AdminError;
use crate::app::reload::{Origin, Reloader};
use crate::app::{LogError, Logs, RunError, Running, fit_to_descriptors};
use crate::base::units::ByteSize;
use crate::config::file::Complaints;
use crate::config::{Listen, Settings, SettingsError, Spill, unmistakable_id};
use crate::listener::address::Address;
use crate::listener::tls;
use crate::telemetry::access_log::Control;
use crate::telemetry::human;
use options::Options;
use written::Written;

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
    #[error(transparent)]
    AccessLog(#[from] LogError),
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
            | Self::AccessLog(_)
            | Self::Run(RunError::Build(_) | RunError::Admin(AdminError::Access(_) | AdminError::Tls(_))) => {
                ExitCode::from(USAGE)
            }
            Self::Demo(_) | Self::Run(_) | Self::Signals(_) => ExitCode::FAILURE,
        }
    }
}

impl Serve {
    pub(super) fn run(self) -> ExitCode {
        match self.serve() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                say(format_args!("forebay: {error}"));
                error.exit_code()
            }
        }
    }

    fn serve(self) -> Result<(), ServeError> {
        let mut source = Written::by(self.options);
        let (written, complaints, seen) = source.first(|| demo::start().map_err(ServeError::Demo))?;
        human::start(written.log.level.name());
        if !complaints.is_empty() {
            say(format_args!("{complaints}\n"));
        }
        let own_id = unmistakable_id();
        let mut settings = Settings::compile_for(&written, &own_id)?;
        // The one in the cache directory is made with that.
        if settings.cache.disk.is_none() || written.spill.directory.is_some() {
            check_spill_directory(&settings.spill)?;
        }
        fit_to_descriptors(&mut settings);
        let source = Arc::new(source);
        let origin = Origin { source: Arc::clone(&source) as _, written, seen, own_id };
        run_node(&settings, origin, &source)
    }
}

/// Runs a node until a signal ends it.
fn run_node(settings: &Settings, origin: Origin, source: &Written) -> Result<(), ServeError> {
    // Before anything is bound, so that no signal is lost.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServeError::Signals)?;
    let signals = runtime.block_on(async { Awaited::prepare() }).map_err(ServeError::Signals)?;
    let logs = Logs::start(&settings.access_log)?;
    let control = logs.control();
    let running = Running::start_from(settings, logs, Some(origin))?;
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
    match (source.demo(), running.addresses.first()) {
        (Some(_), Some(listen)) => demo::say_what_to_try(listen),
        _ => say_what_is_fronted(settings),
    }
    let reloader = source.has_file().then(|| running.reloader());
    let reason = runtime.block_on(signals.stop(&control, reloader));
    tracing::info!(%reason, "draining: no new connections");
    for writer in running.drain() {
        writer.finish(LOG_LIMIT);
    }
    tracing::info!("stopped");
    Ok(())
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

/// The signals that a node heeds.
struct Awaited {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
    usr1: tokio::signal::unix::Signal,
    hup: tokio::signal::unix::Signal,
}

impl Awaited {
    fn prepare() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            usr1: signal(SignalKind::user_defined1())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the first that ends a node, and until then has the access log opened, or the configuration read, anew when asked
    /// to. Where no file is read, SIGHUP ends a node as it ends any program whose terminal goes. A second one that ends it finds nobody waiting and is left to the deadline.
    async fn stop(mut self, log: &Control, reloader: Option<&Reloader>) -> &'static str {
        loop {
            tokio::select! {
                _ = self.term.recv() => return "SIGTERM",
                _ = self.int.recv() => return "SIGINT",
                _ = self.usr1.recv() => log.reopen(),
                _ = self.hup.recv() => match reloader {
                    Some(reloader) => reloader.ask(),
                    None => return "SIGHUP",
                },
            }
        }
    }
}
