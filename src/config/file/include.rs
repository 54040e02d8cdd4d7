//! Files that a file includes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::kinds::{list, unread_path};
use super::load::{Loading, name_in};
use super::reader::Said;
use super::source::{MAX_FILES_SIZE, Source};
use super::table::Kind as _;

/// The most files that a configuration has.
pub const MAX_FILES: usize = 1000;

/// How deep files may include files.
const MAX_DEPTH: usize = 8;

/// What is included so far.
#[derive(Debug, Default)]
pub(super) struct Included {
    /// Files on the way to the present one, from the first.
    chain: Vec<PathBuf>,
    /// Where each file was named, or nothing for the first.
    known: BTreeMap<PathBuf, String>,
}

impl Loading {
    /// Reads what the file with this number includes.
    pub(super) fn include(&mut self, said: &Said<'_>, file: usize, path: &Path) {
        let identity = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        self.included.known.entry(identity.clone()).or_default();
        self.included.chain.push(identity);
        let names = self.reader.below("include", |reader| list(unread_path()).read(said, reader));
        if names.is_none() {
            self.reader.is_missing_something();
        }
        let spans = said.get_ref().as_array().into_iter().flatten().map(toml::Spanned::span);
        for (name, span) in names.into_iter().flatten().zip(spans) {
            self.reader.reenter(file);
            let directory = path.parent().unwrap_or(Path::new(""));
            self.include_one(&name, &name_in(directory, &name), &span, file);
        }
        self.included.chain.pop();
    }

    fn include_one(&mut self, said: &Path, path: &Path, span: &Range<usize>, file: usize) {
        if self.included.chain.len() > MAX_DEPTH {
            self.refuse(span, &format!("files include files more than {MAX_DEPTH} deep"));
            return;
        }
        let is_folder = match fs::metadata(path) {
            Ok(about) => about.is_dir(),
            Err(error) => {
                // It may come.
                self.reader.seen.note_file(path);
                return self.refuse(span, &format!("{} cannot be included: {error}", said.display()));
            }
        };
        if !is_folder {
            return self.include_file(said, path, span);
        }
        self.reader.seen.note_folder(path);
        match files_of(path) {
            Ok(files) if files.is_empty() => {
                self.reader.warn(span, format!("the folder {} has no *.toml", said.display()), None);
            }
            Ok(files) => {
                for name in files {
                    self.reader.reenter(file);
                    self.include_file(&said.join(&name), &path.join(&name), span);
                }
            }
            Err(error) => {
                self.refuse(span, &format!("the folder {} cannot be read: {error}", said.display()));
            }
        }
    }

    fn include_file(&mut self, said: &Path, path: &Path, span: &Range<usize>) {
        let shown = said.display();
        if self.reader.files() >= MAX_FILES {
            return self.refuse(
                span,
                &format!("{shown} is one file too many: a configuration has {MAX_FILES} at most"),
            );
        }
        let identity = match fs::canonicalize(path) {
            Ok(identity) => identity,
            Err(error) => return self.refuse(span, &format!("{shown} cannot be included: {error}")),
        };
        if self.included.chain.contains(&identity) {
            return self.refuse(span, &format!("{shown} includes itself, by this or by another file"));
        }
        if let Some(earlier) = self.included.known.get(&identity) {
            let message = format!("{shown} is included already");
            let hint = Some(format!("it is at {earlier}"));
            return self.reader.below("include", |reader| reader.complain(span, message, hint));
        }
        let place = self.reader.place_of(span);
        self.reader.seen.note_file(path);
        match Source::open_regular(path) {
            Ok(source) if self.reader.size() + source.text.len() as u64 > MAX_FILES_SIZE.0 => {
                self.refuse(
                    span,
                    &format!("{shown} is too much: all files together have {MAX_FILES_SIZE} at most"),
                );
            }
            Ok(source) => {
                self.included.known.insert(identity, place);
                self.read_file(source, path);
            }
            Err(error) => self.refuse(span, &format!("{shown} cannot be included: it {error}")),
        }
    }

    fn refuse(&mut self, span: &Range<usize>, message: &str) {
        self.reader.is_missing_something();
        self.reader.below("include", |reader| reader.complain(span, message, None));
    }
}

/// The names of a folder's `*.toml`, in order. Hidden files are left out: editors keep their own there.
pub(super) fn files_of(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = PathBuf::from(entry?.file_name());
        let is_toml = name.extension().is_some_and(|extension| extension == "toml");
        if is_toml && !name.as_os_str().as_encoded_bytes().starts_with(b".") && !folder.join(&name).is_dir() {
            names.push(name);
        }
        if names.len() > MAX_FILES {
            break;
        }
    }
    names.sort();
    Ok(names)
}
