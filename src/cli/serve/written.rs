//! The configuration that `serve` runs: what is written in the file, and what the command line says in its place.

use std::path::Path;

use super::ServeError;
use super::options::Options;
use crate::admin::NotReloaded;
use crate::app::reload::source::{Read, Source, faults};
use crate::cli::demo::Demo;
use crate::config::Configuration;
use crate::config::file::{Complaints, Report, Seen};

/// Where the configuration comes from.
#[derive(Debug)]
pub(super) struct Written {
    options: Options,
    /// The demo site, if the node began with no other.
    demo: Option<Demo>,
}

impl Written {
    pub(super) fn by(options: Options) -> Self {
        Self { options, demo: None }
    }

    /// Reads it for the first time. Without any site, `start` starts the demo site.
    pub(super) fn first(
        &mut self,
        start: impl FnOnce() -> Result<Demo, ServeError>,
    ) -> Result<(Configuration, Complaints, Seen), ServeError> {
        let Report { configuration, complaints, seen } = match &self.options.config {
            None => nothing(),
            Some(path) => Configuration::read(path),
        };
        let Some(mut written) = configuration else { return Err(ServeError::Config(complaints)) };
        self.apply(&mut written)?;
        if written.sites.is_empty() {
            let demo = self.demo.insert(start()?);
            written.only_site(vec![demo.origin_url()]);
        }
        Ok((written, complaints, seen))
    }

    /// Whether there is a file that can be read anew.
    pub(super) fn has_file(&self) -> bool {
        self.options.config.is_some()
    }

    /// The demo site, if the node began with no other.
    pub(super) fn demo(&self) -> Option<&Demo> {
        self.demo.as_ref()
    }

    /// Puts what the command line says in the place of what is written.
    fn apply(&self, written: &mut Configuration) -> Result<(), ServeError> {
        let options = &self.options;
        if let Some(option) = options.repeated() {
            return Err(ServeError::Repeated(option));
        }
        if options.has_half_a_certificate() {
            return Err(ServeError::HalfCertificate);
        }
        options.apply(written).map_err(ServeError::Token)?;
        if options.lacks_certificate(written) {
            return Err(ServeError::NoCertificate);
        }
        if options.lacks_tls_listener(written) {
            return Err(ServeError::NoTlsListener);
        }
        if options.lacks_cache_dir(written) {
            return Err(ServeError::NoCacheDirectory);
        }
        Ok(())
    }

    /// The same for a node that runs.
    fn applied(&self, mut written: Configuration) -> Result<Configuration, NotReloaded> {
        self.apply(&mut written).map_err(NotReloaded::because)?;
        if written.sites.is_empty() {
            // Most likely the file is being written, or was lost.
            let Some(demo) = &self.demo else {
                return Err(NotReloaded::because(
                    "no site is configured any more: a node that serves sites does not turn into the demo site",
                ));
            };
            written.only_site(vec![demo.origin_url()]);
        }
        Ok(written)
    }
}

impl Source for Written {
    fn read(&self) -> Read {
        let Report { configuration, complaints, seen } = match &self.options.config {
            None => nothing(),
            Some(path) if is_read_once(path) => {
                let why = format!("{} is no regular file: it was read once, at the start", path.display());
                let written = Err(NotReloaded::because(why));
                return Read { written, complaints: Complaints::default(), seen: Seen::default() };
            }
            Some(path) => Configuration::read(path),
        };
        let written = match configuration {
            Some(written) => self.applied(written),
            None => Err(NotReloaded::of(faults(&complaints))),
        };
        Read { written, complaints, seen }
    }
}

/// As from a file in which nothing is said.
fn nothing() -> Report {
    Report {
        configuration: Some(Configuration::default()),
        complaints: Complaints::default(),
        seen: Seen::default(),
    }
}

/// Whether a file gives what is in it to one reader alone, such as a pipe.
fn is_read_once(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}
