//! Looks after the files of certificates: what has changed is read anew and put on the shelf; what cannot be used leaves
//! the old one there.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::crypto::CryptoProvider;

use super::TlsError;
use super::certificate::{Certificate, Files};
use super::shelf::Shelf;
use crate::telemetry::certificates::CertificateState;

/// A certificate as the operator configures it.
#[derive(Clone, Debug)]
pub struct Named {
    /// What the operator calls it.
    pub name: String,
    /// Where it is.
    pub files: Files,
    /// It is shown to clients that ask for a host that no certificate is for, or for none.
    pub is_default: bool,
}

/// The certificates of a node and their files.
#[derive(Debug)]
pub struct Keeper {
    kept: Mutex<Vec<Kept>>,
    shelf: Arc<Shelf>,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
struct Kept {
    named: Named,
    certificate: Certificate,
    /// The files when they were last read.
    read: Prints,
    /// What is wrong with what they have now, and whether that was told.
    trouble: Option<Trouble>,
}

/// A pair of which only one file has been replaced so far does not match: it is told once it has stayed so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Seen,
    Told,
}

/// How a pair of files looks from outside.
type Prints = [Option<Print>; 2];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Print {
    device: u64,
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

impl Print {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        let changed = (found.mtime(), found.mtime_nsec());
        Some(Self { device: found.dev(), inode: found.ino(), length: found.len(), changed })
    }

    fn both(files: &Files) -> Prints {
        [&files.chain, &files.key].map(|path| Self::of(path))
    }
}

impl Keeper {
    /// Reads all of them. Blocking.
    pub fn open(named: Vec<Named>, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let read = |named: Named| {
            let read = Print::both(&named.files);
            let certificate = Certificate::read(&named.files, &provider).map_err(|error| {
                let (name, files) = (named.name.clone(), named.files.clone());
                TlsError::Certificate { name, files, error }
            })?;
            Ok(Kept { named, certificate, read, trouble: None })
        };
        let kept: Vec<Kept> = named.into_iter().map(read).collect::<Result<_, TlsError>>()?;
        let keeper = Self { kept: Mutex::new(kept), shelf: Arc::default(), provider };
        keeper.fill(&keeper.kept.lock());
        Ok(keeper)
    }

    /// What handshakes take from.
    pub fn shelf(&self) -> &Arc<Shelf> {
        &self.shelf
    }

    /// Reads anew what has changed since the last look. Blocking.
    pub fn look(&self) {
        let mut kept = self.kept.lock();
        let changed = kept.iter_mut().filter_map(|kept| kept.look(&self.provider)).count();
        if changed > 0 {
            self.fill(&kept);
        }
    }

    /// What can be told of them now.
    pub fn states(&self) -> Vec<CertificateState> {
        let state = |kept: &Kept| CertificateState {
            name: kept.named.name.clone(),
            expires: kept.certificate.expires,
            refused: kept.trouble.is_some(),
        };
        self.kept.lock().iter().map(state).collect()
    }

    fn fill(&self, kept: &[Kept]) {
        let default = kept.iter().find(|kept| kept.named.is_default).map(|kept| &kept.certificate);
        self.shelf.fill(kept.iter().map(|kept| &kept.certificate), default);
    }
}

impl Kept {
    /// Some, if there is another certificate now.
    fn look(&mut self, provider: &CryptoProvider) -> Option<()> {
        let now = Print::both(&self.named.files);
        let same = now == self.read;
        if same && self.trouble != Some(Trouble::Seen) {
            return None;
        }
        self.read = now;
        let name = &self.named.name;
        match Certificate::read(&self.named.files, provider) {
            Ok(certificate) => {
                tracing::info!(certificate = name, "a certificate was replaced");
                (self.certificate, self.trouble) = (certificate, None);
                Some(())
            }
            Err(error) => {
                if same {
                    tracing::warn!(certificate = name, %error, "a certificate cannot be replaced; the old one is shown");
                }
                self.trouble = Some(if same { Trouble::Told } else { Trouble::Seen });
                None
            }
        }
    }
}
