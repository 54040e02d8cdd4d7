//! Looks after the files of certificates: what has changed is read anew and put on the shelf; what cannot be used leaves
//! the old one there.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use rustls::crypto::CryptoProvider;

use super::TlsError;
use super::certificate::{Certificate, CertificateError, Files};
use super::shelf::Shelf;
use super::watch::Watch;
use crate::base::clock::Timestamp;
use crate::telemetry::certificates::CertificateState;

/// A certificate as the operator configures it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// What the operator calls it.
    pub name: String,
    /// Where it is.
    pub files: Files,
    /// It is shown to clients that ask for a host that no certificate is for, or for none.
    pub is_default: bool,
}

impl Named {
    /// Reads it. One that is for no host is of use as the default alone. Blocking.
    pub fn read(&self, provider: &CryptoProvider) -> Result<Certificate, CertificateError> {
        let certificate = Certificate::read(&self.files, provider)?;
        if certificate.names.is_empty() && !self.is_default {
            return Err(CertificateError::Nameless);
        }
        Ok(certificate)
    }
}

/// The certificates of a node and their files.
#[derive(Debug)]
pub struct Keeper {
    /// Held while files are read: by those who look, and nobody else.
    kept: Mutex<Vec<Kept>>,
    /// What can be told of them, for those who ask meanwhile.
    states: RwLock<Vec<CertificateState>>,
    shelf: Arc<Shelf>,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
struct Kept {
    named: Named,
    certificate: Certificate,
    watch: Watch,
}

impl Keeper {
    /// Reads all of them. One that has expired is shown all the same: clients will say so. Blocking.
    pub fn open(named: Vec<Named>, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let read = |named: Named| {
            let watch = Watch::new(vec![named.files.chain.clone(), named.files.key.clone()]);
            let certificate = named.read(&provider).map_err(|error| {
                let (name, files) = (named.name.clone(), Box::new(named.files.clone()));
                TlsError::Certificate { name, files, error: Box::new(error) }
            })?;
            Ok(Kept { named, certificate, watch })
        };
        let kept: Vec<Kept> = named.into_iter().map(read).collect::<Result<_, TlsError>>()?;
        let keeper = Self {
            states: RwLock::new(kept.iter().map(Kept::state).collect()),
            kept: Mutex::new(kept),
            shelf: Arc::default(),
            provider,
        };
        keeper.fill(&keeper.kept.lock());
        Ok(keeper)
    }

    /// What handshakes take from.
    pub fn shelf(&self) -> &Arc<Shelf> {
        &self.shelf
    }

    /// Reads anew, at `now`, what has changed since the last look, or could not be used then. Blocking.
    pub fn look(&self, now: Timestamp) {
        let mut kept = self.kept.lock();
        let changed = kept.iter_mut().filter_map(|kept| kept.look(&self.provider, now)).count();
        if changed > 0 {
            self.fill(&kept);
        }
        *self.states.write() = kept.iter().map(Kept::state).collect();
    }

    /// What can be told of them now.
    pub fn states(&self) -> Vec<CertificateState> {
        self.states.read().clone()
    }

    fn fill(&self, kept: &[Kept]) {
        let default = kept.iter().find(|kept| kept.named.is_default).map(|kept| &kept.certificate);
        self.shelf.fill(kept.iter().map(|kept| &kept.certificate), default);
    }
}

impl Kept {
    fn state(&self) -> CertificateState {
        CertificateState {
            name: self.named.name.clone(),
            expires: self.certificate.expires,
            refused: self.watch.is_refused(),
        }
    }

    /// Some, if there is another certificate now.
    fn look(&mut self, provider: &CryptoProvider, now: Timestamp) -> Option<()> {
        let Self { named, certificate, watch } = self;
        let name = &named.name;
        let tell = |error: &CertificateError| {
            tracing::warn!(certificate = name, %error, "a certificate cannot be replaced; the old one is shown");
        };
        let new = watch.look(|| replacement(named, certificate, provider, now), tell)?;
        if new.key.cert != certificate.key.cert {
            tracing::info!(certificate = name, "a certificate was replaced");
        }
        *certificate = new;
        Some(())
    }
}

/// What is in the files now, if it may stand in for `old`.
fn replacement(
    named: &Named,
    old: &Certificate,
    provider: &CryptoProvider,
    now: Timestamp,
) -> Result<Certificate, CertificateError> {
    let new = named.read(provider)?;
    if new.expires <= now && old.expires > now {
        return Err(CertificateError::Expired);
    }
    Ok(new)
}
