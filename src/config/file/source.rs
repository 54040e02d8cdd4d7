//! The files that a configuration is read from, and places in them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::base::units::ByteSize;

/// The longest file that is read.
pub const MAX_FILE: ByteSize = ByteSize::mib(1);

/// What all files of a configuration have together at most.
pub(super) const MAX_FILES_SIZE: ByteSize = ByteSize::mib(32);

/// One file.
#[derive(Debug)]
pub(super) struct Source {
    /// As it is named to people: as the operator named it, or below the file that includes it.
    pub name: PathBuf,
    /// What paths in it are relative to, from the root of the file system.
    pub directory: PathBuf,
    pub text: String,
    /// Where each line starts.
    lines: Vec<usize>,
}

/// Why a file cannot be read as text.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("is a directory, not a file")]
    Directory,
    #[error("is no regular file")]
    NoFile,
    #[error("is longer than {MAX_FILE}")]
    TooLong,
    #[error("is not text: byte {0} is not UTF-8")]
    NotText(usize),
}

/// A line and column, both counted from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub line: usize,
    pub column: usize,
}

impl Source {
    /// Reads the file that the operator named, which may be a pipe.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        if fs::metadata(path)?.is_dir() {
            return Err(SourceError::Directory);
        }
        Self::read(path)
    }

    /// Reads a file that another one includes, which must be a regular file.
    pub fn open_regular(path: &Path) -> Result<Self, SourceError> {
        if !fs::metadata(path)?.is_file() {
            return Err(SourceError::NoFile);
        }
        Self::read(path)
    }

    fn read(path: &Path) -> Result<Self, SourceError> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_FILE.0 + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE.0 {
            return Err(SourceError::TooLong);
        }
        let text = String::from_utf8(bytes)
            .map_err(|error| SourceError::NotText(error.utf8_error().valid_up_to()))?;
        Ok(Self::new(path.to_owned(), directory_of(path)?, text))
    }

    pub fn new(name: PathBuf, directory: PathBuf, text: String) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        Self { name, directory, text, lines }
    }

    /// The line of the byte at `offset`, from 1; unlike its column, found without reading the line.
    pub fn line_of(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset).max(1)
    }

    /// Where the byte at `offset` is. What is past the end is at the end.
    pub fn position(&self, offset: usize) -> Position {
        let line = self.line_of(offset);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..offset.min(self.text.len())).unwrap_or("");
        Position { line, column: before.chars().count() + 1 }
    }

    /// The text of a line, without its end.
    pub fn line(&self, line: usize) -> &str {
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or(self.text.len());
        let end = self.lines.get(line).copied().unwrap_or(self.text.len());
        self.text.get(start..end).unwrap_or("").trim_end_matches(['\r', '\n'])
    }

    /// How many characters of `span` stand on the line where it starts; at least one.
    pub fn width(&self, span: &Range<usize>) -> usize {
        let text = self.text.get(span.clone()).unwrap_or("");
        text.lines().next().unwrap_or("").chars().count().max(1)
    }
}

/// The directory of a file, from the root of the file system.
pub(super) fn directory_of(path: &Path) -> io::Result<PathBuf> {
    let directory = path.parent().unwrap_or(Path::new(""));
    // An empty path is the working directory, which `absolute` refuses.
    std::path::absolute(if directory.as_os_str().is_empty() { Path::new(".") } else { directory })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let source = Source::new("a.toml".into(), "/".into(), "a = \"é\"\nb\r\n".into());
        assert_eq!(source.position(0), Position { line: 1, column: 1 });
        assert_eq!(source.position(7), Position { line: 1, column: 7 });
        assert_eq!(source.position(9), Position { line: 2, column: 1 });
        assert_eq!(source.position(99), Position { line: 3, column: 1 });
        assert_eq!((source.line(1), source.line(2), source.line(3)), ("a = \"é\"", "b", ""));
        assert_eq!(source.width(&(4..8)), 3);
        assert_eq!(source.width(&(0..0)), 1);
    }
}
