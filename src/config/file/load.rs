//! Reads a configuration with all that it includes.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::complaint::Complaints;
use super::include::Included;
use super::kinds::{named, tables_of};
use super::reader::Reader;
use super::seen::Seen;
use super::source::{MAX_FILE, Source, SourceError, directory_of};
use super::table::{Kind as _, read_key_of};
use super::tables::Configuration;
use super::{check, syntax};

/// What came of reading a configuration.
#[derive(Clone, Debug)]
pub struct Report {
    /// The configuration, unless something is wrong with it.
    pub configuration: Option<Configuration>,
    /// All that is wrong, and warnings.
    pub complaints: Complaints,
    /// What it was read from.
    pub seen: Seen,
}

impl Configuration {
    /// Reads a file and all that it includes, or says everything that is wrong with them. Warnings are not told:
    /// [`Configuration::read`] tells them.
    ///
    /// Secrets are read from where they are kept. No host name is resolved and nothing is written.
    pub fn load(path: &Path) -> Result<Self, Complaints> {
        let Report { configuration, complaints, .. } = Self::read(path);
        configuration.ok_or(complaints)
    }

    /// As [`Configuration::load`], with warnings.
    pub fn read(path: &Path) -> Report {
        let mut loading = Loading::default();
        loading.reader.seen.note_file(path);
        match Source::open(path) {
            Ok(source) => loading.read_file(source, path),
            Err(error) => loading.reader.complain_of_file(path.to_owned(), error.to_string()),
        }
        loading.finish()
    }

    /// Reads a text as if it stood in a file of this name, relative to which it includes others.
    pub fn read_text(name: &Path, text: &str) -> Report {
        Self::read_as(name, text, Loading::default())
    }

    /// As [`Configuration::read_text`], of a text that somebody else sent: it may not include files, or it would be told what
    /// is in them by what is wrong with it. Whether files are there that it names is looked at all the same.
    pub fn read_sent(name: &Path, text: &str) -> Report {
        Self::read_as(name, text, Loading { includes_nothing: true, ..Loading::default() })
    }

    fn read_as(name: &Path, text: &str, mut loading: Loading) -> Report {
        let source = match directory_of(name) {
            Ok(_) if text.len() as u64 > MAX_FILE.0 => Err(SourceError::TooLong),
            Ok(directory) => Ok(Source::new(name.to_owned(), directory, text.to_owned())),
            Err(error) => Err(error.into()),
        };
        match source {
            Ok(source) => loading.read_file(source, name),
            Err(error) => loading.reader.complain_of_file(name.to_owned(), error.to_string()),
        }
        loading.finish()
    }
}

/// Reading in progress.
#[derive(Default)]
pub(super) struct Loading {
    configuration: Configuration,
    pub(super) reader: Reader,
    pub(super) included: Included,
    listeners_said: bool,
    /// What it is told to include is refused.
    includes_nothing: bool,
}

impl Loading {
    /// Reads one file, then what it includes.
    pub(super) fn read_file(&mut self, source: Source, path: &Path) {
        let source = std::sync::Arc::new(source);
        let file = self.reader.enter(std::sync::Arc::clone(&source));
        let text = syntax::readable_text(&source, &mut self.reader);
        let table = syntax::parse(&text, &mut self.reader);
        self.read_top(table.get_ref());
        let Some(said) = table.get_ref().get("include") else { return };
        if !self.includes_nothing {
            self.include(said, file, path);
        } else if said.get_ref().as_array().is_none_or(|files| !files.is_empty()) {
            let hint = "send what is in the files, or use forebay check FILE".to_owned();
            self.reader.below("include", |reader| {
                reader.complain(&said.span(), "files are not included here".to_owned(), Some(hint));
                reader.is_missing_something();
            });
        }
    }

    fn read_top(&mut self, table: &DeTable<'_>) {
        let Self { configuration, reader, listeners_said, .. } = self;
        for (key, said) in table {
            match key.get_ref().as_ref() {
                // Each file has its own.
                "include" => {}
                "listeners" => {
                    let more = reader.below("listeners", |reader| {
                        reader.note_again(key.span(), said.span());
                        tables_of().read(said, reader)
                    });
                    if let Some(more) = more {
                        if !std::mem::replace(listeners_said, true) {
                            configuration.listeners.clear();
                        }
                        configuration.listeners.extend(more);
                    }
                }
                "sites" => {
                    let more = reader.below("sites", |reader| named().read(said, reader));
                    configuration.sites.extend(more.into_iter().flatten());
                }
                "certificates" => {
                    let more = reader.below("certificates", |reader| named().read(said, reader));
                    configuration.certificates.extend(more.into_iter().flatten());
                }
                "pools" => {
                    let more = reader.below("pools", |reader| named().read(said, reader));
                    configuration.pools.extend(more.into_iter().flatten());
                }
                _ => read_key_of(configuration, key, said, reader),
            }
        }
    }

    fn finish(self) -> Report {
        let Self { configuration, mut reader, .. } = self;
        check::check(&configuration, &mut reader);
        if reader.has_errors() {
            // Whatever is mended, it may be well then.
            for file in std::mem::take(&mut reader.named) {
                reader.seen.note_file(&file);
            }
        } else {
            let tls = configuration.pools.values().map(|pool| &pool.tls);
            let files = tls.flat_map(|tls| tls.ca.iter().chain(&tls.certificate).chain(&tls.key));
            files.for_each(|file| reader.seen.note_file(file));
        }
        let seen = std::mem::take(&mut reader.seen);
        let complaints = reader.finish();
        let configuration = (!complaints.has_errors()).then_some(configuration);
        Report { configuration, complaints, seen }
    }
}

/// The name for people of a file in a directory.
pub(super) fn name_in(directory: &Path, name: &Path) -> PathBuf {
    if directory.as_os_str().is_empty() { name.to_owned() } else { directory.join(name) }
}
