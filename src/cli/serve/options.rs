//! What `forebay serve` may be told on the command line: each option in place of what the file says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::admin;
use crate::base::token::Token;
use crate::base::units::ByteSize;
use crate::config::file::Secret;
use crate::config::{Configuration, OriginUrl, file};
use crate::listener::address::Address;
use crate::telemetry::access_log::{self, Sink};

/// Turns off what the file has. A directory of this name is `./off`, as in the file.
const OFF: &str = "off";

/// What `serve` may be told. Defaults are those of [`Configuration`].
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// The configuration file; other options go before what it says
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// The site to stand in front of, in place of those of the file, by its URL or as "unix:" and the path of a Unix socket;
    /// given more than once, its endpoints take turns. Without any, an embedded demo site
    #[arg(long, value_name = "http://HOST:PORT")]
    origin: Vec<OriginUrl>,

    /// Where to listen, IP:PORT or "unix:" and the path of a Unix socket; may be given more than once
    /// [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Vec<Address>,

    /// Where to listen for clients that speak TLS; may be given more than once. With it, and without --listen, nothing is
    /// listened on in the clear
    #[arg(long, value_name = "ADDR")]
    tls_listen: Vec<Address>,

    /// The certificate for --tls-listen in PEM form, then those that lead to an authority; it is shown whatever host a
    /// client asks for, in place of those of the file
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,

    /// Its private key in PEM form
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    /// Memory limit of the whole process [default: 1GiB]
    #[arg(long, value_name = "SIZE")]
    pub(super) memory: Option<ByteSize>,

    /// Where to keep what memory cannot hold, also over restarts; an empty or a new directory on a real disk, or "off"
    /// [default: off]
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,

    /// Disk that the cache directory may take, with its index and with bodies that exceed their memory [default: 10GiB]
    #[arg(long, value_name = "SIZE")]
    pub(super) disk: Option<ByteSize>,

    /// What a full disk lets in: what is asked for at least as often as what would have to go (frequency), everything
    /// (always), or as frequency and nothing at its first request (second-request) [default: frequency]
    #[arg(long, value_name = "RULE", value_parser = ["always", "frequency", "second-request"])]
    disk_admission: Option<String>,

    /// Where bodies go that exceed their memory; on a real disk [default: in the cache directory, else /var/tmp]
    #[arg(long, value_name = "DIR")]
    spill_dir: Option<PathBuf>,

    /// Disk that such bodies may take together, at most a quarter of --disk; 0 turns spilling off [default: 4GiB]
    #[arg(long, value_name = "SIZE")]
    spill: Option<ByteSize>,

    /// Where operators ask and tell the node: a port on 127.0.0.1, or IP:PORT, which takes a token off loopback, or "off"
    /// [default: off]
    #[arg(long, value_name = "ADDR", value_parser = parse_admin)]
    admin: Option<Admin>,

    /// A file with the token that operators have to show, on loopback too
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<PathBuf>,

    /// Access log: a file, which SIGUSR1 has opened anew, "-" for standard output, or "off" [default: -]
    #[arg(long, value_name = "FILE")]
    access_log: Option<String>,

    /// How its lines are written: json, combined, or names of fields with commas between them [default: json]
    #[arg(long, value_name = "FORMAT")]
    access_log_format: Option<access_log::Layout>,

    /// Time for running responses to finish after SIGTERM [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    drain: Option<Duration>,

    /// Threads that serve [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,

    /// What to tell on standard error: error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL", value_parser = file::LogLevel::parse)]
    log_level: Option<file::LogLevel>,
}

/// Where the admin listener is to be, if there is to be one.
#[derive(Clone, Copy, Debug)]
struct Admin(Option<SocketAddr>);

fn parse_admin(text: &str) -> Result<Admin, admin::AddressError> {
    match text {
        OFF => Ok(Admin(None)),
        text => text.parse().map(|admin: admin::Settings| Admin(Some(admin.address))),
    }
}

/// What the certificate of the command line is called.
const OF_COMMAND_LINE: &str = "command-line";

impl Options {
    /// Whether something is said of a disk tier that there is not.
    pub(super) fn lacks_cache_dir(&self, written: &Configuration) -> bool {
        written.disk.directory.is_none() && (self.disk.is_some() || self.disk_admission.is_some())
    }

    /// What is said twice: two endpoints or listeners of one address.
    pub(super) fn repeated(&self) -> Option<String> {
        let origins = self.origin.iter().map(|origin| format!("--origin {origin}"));
        let mut said = BTreeSet::new();
        let fixed = |address: &&Address| address.inet().is_none_or(|address| address.port() != 0);
        let listeners = self.listen.iter().filter(fixed).map(|address| format!("--listen {address}"));
        let repeated = origins.chain(listeners).find(|option| !said.insert(option.clone()));
        let again = |address: &&Address| !said.insert(format!("--listen {address}"));
        let mut by_tls = self.tls_listen.iter().filter(fixed).filter(again);
        repeated.or_else(|| by_tls.next().map(|address| format!("--tls-listen {address}")))
    }

    /// Whether one of --cert and --key is missing.
    pub(super) fn has_half_a_certificate(&self) -> bool {
        self.cert.is_some() != self.key.is_some()
    }

    /// Whether there is nothing that could be shown to clients that speak TLS.
    pub(super) fn lacks_certificate(&self, written: &Configuration) -> bool {
        !self.tls_listen.is_empty() && written.certificates.is_empty()
    }

    /// Whether a certificate was given, and no client speaks TLS.
    pub(super) fn lacks_tls_listener(&self, written: &Configuration) -> bool {
        self.cert.is_some() && !written.listeners.iter().any(|listener| listener.tls)
    }

    /// Puts what was said here in the place of what is written.
    pub(super) fn apply(&self, written: &mut Configuration) -> Result<(), String> {
        if !self.origin.is_empty() {
            written.only_site(self.origin.clone());
        }
        if !self.listen.is_empty() || !self.tls_listen.is_empty() {
            let listener = |tls: bool| {
                move |address: &Address| file::Listener {
                    address: address.clone(),
                    tls,
                    ..file::Listener::default()
                }
            };
            let (clear, tls) =
                (self.listen.iter().map(listener(false)), self.tls_listen.iter().map(listener(true)));
            written.listeners = clear.chain(tls).collect();
        }
        if let (Some(chain), Some(key)) = (&self.cert, &self.key) {
            let certificate = file::Certificate { chain: Some(chain.clone()), key: Some(key.clone()) };
            written.certificates = BTreeMap::from([(OF_COMMAND_LINE.to_owned(), certificate)]);
            written.tls.default_certificate = Some(OF_COMMAND_LINE.to_owned());
        }
        put(&mut written.memory.limit, self.memory);
        let cache_dir = self.cache_dir.clone();
        put(
            &mut written.disk.directory,
            cache_dir.map(|directory| Some(directory).filter(|named| named != OFF)),
        );
        put(&mut written.disk.limit, self.disk);
        // The rule was checked when it was parsed.
        put(&mut written.disk.admission, self.disk_admission.as_deref().and_then(|rule| rule.parse().ok()));
        put(&mut written.spill.directory, self.spill_dir.clone().map(Some));
        put(&mut written.spill.limit, self.spill);
        put(&mut written.admin.address, self.admin.map(|admin| admin.0));
        if let Some(file) = &self.admin_token_file {
            written.admin.token = Some(token_in(file)?);
        }
        put(&mut written.log.access, self.access_log.as_deref().map(Sink::named));
        if let Some(access_log::Layout(format, fields)) = self.access_log_format.clone() {
            written.log.format = format;
            written.log.fields = fields;
        }
        put(&mut written.node.drain, self.drain);
        put(&mut written.node.workers, self.workers.map(Some));
        put(&mut written.log.level, self.log_level);
        Ok(())
    }
}

/// The token in a file, or what is wrong with it.
fn token_in(file: &Path) -> Result<Secret, String> {
    let told = |why: String| format!("{}: {why}", file.display());
    let token = Secret::in_file(file.to_owned()).map_err(told)?;
    token.expose().parse::<Token>().map_err(|error| told(error.to_string()))?;
    Ok(token)
}

fn put<T>(place: &mut T, said: Option<T>) {
    if let Some(said) = said {
        *place = said;
    }
}
