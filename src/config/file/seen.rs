//! The files that a configuration was read from, as they looked just before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::include::files_of;
use crate::base::print::Print;

/// Files and folders as they looked. Two looks are the same if nothing was written, replaced, added or taken away between them,
/// also where a path leads over links to another file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    files: BTreeMap<PathBuf, Option<Print>>,
    /// What of a folder is read. Its files are among the others.
    folders: BTreeMap<PathBuf, Option<Vec<PathBuf>>>,
}

impl Seen {
    /// Looks at a file that is about to be read. Blocking, as all that looks.
    pub(super) fn note_file(&mut self, path: &Path) {
        self.files.insert(path.to_owned(), Print::of(path));
    }

    /// Looks at a folder that is about to be read.
    pub(super) fn note_folder(&mut self, path: &Path) {
        self.folders.insert(path.to_owned(), files_of(path).ok());
    }

    /// The same files and folders as they look now.
    #[must_use]
    pub fn again(&self) -> Self {
        let files = self.files.keys().map(|path| (path.clone(), Print::of(path)));
        let folders = self.folders.keys().map(|path| (path.clone(), files_of(path).ok()));
        Self { files: files.collect(), folders: folders.collect() }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::config::Configuration;

    /// A folder with a configuration that reads three files.
    fn configured() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
        fs::create_dir(folder.path().join("more")).expect("made");
        write(
            "more/a.toml",
            "[pools.a]\nendpoints = [\"http://127.0.0.1:1\"]\nsend_fields = { x-key = { file = \"../secret\" } }\n",
        );
        write("secret", "key");
        write("main.toml", "include = [\"more\"]\n");
        let main = folder.path().join("main.toml");
        (folder, main)
    }

    #[test]
    fn every_kind_of_change_is_seen_and_nothing_else() {
        let changes: [fn(&Path); 7] = [
            |folder| fs::write(folder.join("main.toml"), "include = [\"more\"]\n\n").expect("written"),
            |folder| {
                fs::write(folder.join("new"), "include = [\"more\"]\n").expect("written");
                fs::rename(folder.join("new"), folder.join("main.toml")).expect("renamed");
            },
            |folder| fs::write(folder.join("more/b.toml"), "").expect("written"),
            |folder| fs::remove_file(folder.join("more/a.toml")).expect("removed"),
            |folder| fs::write(folder.join("secret"), "other").expect("written"),
            |folder| fs::remove_file(folder.join("main.toml")).expect("removed"),
            |folder| fs::rename(folder.join("more"), folder.join("less")).expect("renamed"),
        ];
        for (nth, change) in changes.into_iter().enumerate() {
            let (folder, main) = configured();
            let seen = Configuration::read(&main).seen;
            fs::write(folder.path().join("more/.hidden.toml"), "x").expect("written");
            fs::write(folder.path().join("other.toml"), "x").expect("written");
            assert_eq!(seen, seen.again(), "{nth}: nothing has changed");
            change(folder.path());
            assert_ne!(seen, seen.again(), "{nth}");
        }
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_a_change() {
        let (folder, _) = configured();
        let path = |name: &str| folder.path().join(name);
        for version in ["one", "two"] {
            fs::create_dir(path(version)).expect("made");
            fs::write(path(version).join("node.toml"), "").expect("written");
        }
        symlink("one", path("..data")).expect("a link");
        symlink("..data/node.toml", path("node.toml")).expect("a link");
        let seen = Configuration::read(&path("node.toml")).seen;
        symlink("two", path("..new")).expect("a link");
        fs::rename(path("..new"), path("..data")).expect("renamed");
        assert_ne!(seen, seen.again());
    }
}
