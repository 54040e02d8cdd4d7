//! Paths. One that is relative is below the directory of the file that says it.

use std::fs::{self, File};
use std::path::PathBuf;

use super::super::reader::{Reader, Said};
use super::super::table::{Kind, Shown};
use super::shown;
use crate::telemetry::access_log::Sink;

/// A path.
pub struct Path {
    resolved: bool,
    readable: bool,
}

/// A path.
pub fn path() -> Path {
    Path { resolved: true, readable: false }
}

/// The path of a file that must be there, and readable.
pub fn readable_file() -> Path {
    Path { resolved: true, readable: true }
}

/// A path that stays as it was written.
pub fn unread_path() -> Path {
    Path { resolved: false, readable: false }
}

impl Kind for Path {
    type Value = PathBuf;

    fn name(&self) -> String {
        if self.readable { "file" } else { "path" }.into()
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<PathBuf> {
        let text = reader.text(said, "a path", "\"/var/cache/forebay\"")?;
        if text.is_empty() || text.contains('\0') {
            reader.complain(
                &said.span(),
                format!("{} is a path{}, not {text:?}", reader.key(), reader.or()),
                None,
            );
            return None;
        }
        if !self.resolved {
            return Some(text.into());
        }
        let path = reader.directory().join(text);
        if self.readable {
            reader.named.push(path.clone());
        }
        if self.readable
            && let Err(reason) = check_readable(&path)
        {
            reader.complain(&said.span(), format!("{text} {reason}"), None);
            return None;
        }
        Some(path)
    }

    fn show(&self, value: &PathBuf) -> Shown {
        shown(&value.display())
    }
}

/// Whether there is a file to read. A pipe is not opened: that would wait for whoever writes to it.
fn check_readable(path: &std::path::Path) -> Result<(), String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let about = fs::metadata(path).map_err(unreadable)?;
    if about.is_dir() {
        return Err("is a directory, not a file".into());
    }
    if !about.is_file() {
        return Err("is no regular file".into());
    }
    File::open(path).map(drop).map_err(unreadable)
}

/// Where the access log goes.
pub struct Target;

/// Where the access log goes.
pub fn log_target() -> Target {
    Target
}

impl Kind for Target {
    type Value = Sink;

    fn name(&self) -> String {
        "path, \"-\" (standard output) or \"off\"".into()
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<Sink> {
        match said.get_ref().as_str() {
            Some("-") => Some(Sink::Stdout),
            Some("off") => Some(Sink::Off),
            _ => reader.or_word("off", |reader| {
                reader.or_word("-", |reader| path().read(said, reader).map(Sink::File))
            }),
        }
    }

    fn show(&self, value: &Sink) -> Shown {
        match value {
            Sink::Stdout => shown("-"),
            Sink::Off => shown("off"),
            Sink::File(file) => shown(&file.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn only_a_regular_file_is_opened() {
        let folder = tempfile::tempdir().expect("a directory");
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
        assert_eq!(check_readable(&pipe), Err("is no regular file".into()));
        assert_eq!(check_readable(folder.path()), Err("is a directory, not a file".into()));
        assert!(
            check_readable(&folder.path().join("none")).is_err_and(|why| why.starts_with("cannot be read"))
        );
    }
}
