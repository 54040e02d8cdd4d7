//! Whose word counts for a client's certificate: authorities and what they have taken back, read from files.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Where authorities and their lists of revoked certificates are, both in PEM form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorities {
    /// Their certificates.
    pub ca: PathBuf,
    /// Their lists. If there are any, each authority on the way to a client's certificate has to have one that is current.
    pub crl: Option<PathBuf>,
}

/// Why nobody's word can count.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// The file of the authorities cannot be read, or is no PEM file.
    #[error("the authorities cannot be read: {0}")]
    Unreadable(pem::Error),
    /// There is no certificate in it.
    #[error("there is no certificate of an authority: one begins with -----BEGIN CERTIFICATE-----")]
    Empty,
    /// One of them is damaged. They are counted from 1.
    #[error("certificate {0} is malformed")]
    Malformed(usize),
    /// One of them is nobody's who may vouch for others (RFC 5280 §4.2.1.9).
    #[error("certificate {0} is not that of an authority: it does not say CA:TRUE")]
    NoAuthority(usize),
    /// The file of the lists cannot be read, or is no PEM file.
    #[error("the lists of revoked certificates cannot be read: {0}")]
    UnreadableLists(pem::Error),
    /// There is no list in it.
    #[error("there is no list of revoked certificates: one begins with -----BEGIN X509 CRL-----")]
    NoLists,
    /// One of the lists is damaged, or of a kind that cannot be used.
    #[error("a list of revoked certificates cannot be used: {0}")]
    Library(#[from] rustls::server::VerifierBuilderError),
}

impl AuthoritiesError {
    /// Whether the file of the lists is to blame.
    pub fn is_of_lists(&self) -> bool {
        matches!(self, Self::UnreadableLists(_) | Self::NoLists | Self::Library(_))
    }
}

impl Authorities {
    /// The files.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        [Some(&self.ca), self.crl.as_ref()].into_iter().flatten().cloned().collect()
    }

    /// Reads them, for clients that have to show a certificate, or else may. Blocking.
    pub fn verifier(
        &self,
        is_required: bool,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, AuthoritiesError> {
        let roots = Arc::new(self.roots()?);
        let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
        let builder = if is_required { builder } else { builder.allow_unauthenticated() };
        // A list that has run out says nothing of what was revoked since.
        let builder = builder.with_crls(self.lists()?).enforce_revocation_expiration();
        Ok(builder.build()?)
    }

    fn roots(&self) -> Result<RootCertStore, AuthoritiesError> {
        let certificates =
            CertificateDer::pem_file_iter(&self.ca).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let certificates = certificates.map_err(AuthoritiesError::Unreadable)?;
        let mut roots = RootCertStore::empty();
        for (nth, certificate) in (1..).zip(certificates) {
            // The library takes whatever it is given for an authority: a client's own certificate, put here by mistake,
            // would let that client make others.
            let (_, parsed) =
                X509Certificate::from_der(&certificate).map_err(|_| AuthoritiesError::Malformed(nth))?;
            if !parsed.is_ca() {
                return Err(AuthoritiesError::NoAuthority(nth));
            }
            roots.add(certificate.clone()).map_err(|_| AuthoritiesError::Malformed(nth))?;
        }
        if roots.is_empty() { Err(AuthoritiesError::Empty) } else { Ok(roots) }
    }

    fn lists(&self) -> Result<Vec<CertificateRevocationListDer<'static>>, AuthoritiesError> {
        let Some(crl) = &self.crl else { return Ok(Vec::new()) };
        let lists =
            CertificateRevocationListDer::pem_file_iter(crl).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let lists = lists.map_err(AuthoritiesError::UnreadableLists)?;
        if lists.is_empty() { Err(AuthoritiesError::NoLists) } else { Ok(lists) }
    }
}
