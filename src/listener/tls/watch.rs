//! Files that are looked at now and then: whether there is something else in them, and whether that can be used.

use std::path::PathBuf;

use crate::base::print::Print;

/// Some files that belong together, and what became of the last look at them.
#[derive(Debug)]
pub(super) struct Watch {
    files: Vec<PathBuf>,
    /// How they looked when they were last read.
    read: Vec<Option<Print>>,
    /// What they have now cannot be used.
    trouble: Option<Trouble>,
}

/// Files that are replaced one after the other do not match in between: it is told once it has stayed so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Seen,
    Told,
}

impl Watch {
    /// Of files that are read right after this, so that no change slips in between. Blocking.
    pub(super) fn new(files: Vec<PathBuf>) -> Self {
        Self { read: Print::all(&files), files, trouble: None }
    }

    /// Has them read if they have changed since the last look, or could not be used then: some, if they can be. What is
    /// wrong is told once, after it has stayed so for two looks. Blocking.
    pub(super) fn look<T, E>(
        &mut self,
        read: impl FnOnce() -> Result<T, E>,
        tell: impl FnOnce(&E),
    ) -> Option<T> {
        let prints = Print::all(&self.files);
        let same = prints == self.read;
        if same && self.trouble.is_none() {
            return None;
        }
        self.read = prints;
        match read() {
            Ok(new) => {
                self.trouble = None;
                Some(new)
            }
            Err(error) => {
                if same && self.trouble == Some(Trouble::Seen) {
                    tell(&error);
                }
                self.trouble = Some(if same { Trouble::Told } else { Trouble::Seen });
                None
            }
        }
    }

    /// Whether what is in them now cannot be used.
    pub(super) fn is_refused(&self) -> bool {
        self.trouble.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_wrong_is_told_once_and_what_is_right_is_read_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("file");
        let write = |text: &str| fs::write(&file, text).expect("written");
        write("1");
        let mut watch = Watch::new(vec![file.clone()]);
        let mut told = 0;
        let mut look = |watch: &mut Watch| {
            watch.look(|| fs::read_to_string(&file).expect("text").parse::<u32>(), |_| told += 1)
        };
        assert_eq!(look(&mut watch), None, "nothing has changed");
        write("22");
        assert_eq!((look(&mut watch), look(&mut watch)), (Some(22), None));
        write("rubbish");
        for _ in 0..4 {
            assert!(look(&mut watch).is_none() && watch.is_refused());
        }
        write("333");
        assert_eq!((look(&mut watch), watch.is_refused(), told), (Some(333), false, 1));
    }
}
