//! Whose word counts for a client's certificate: authorities and what they have taken back, read from files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use x509_parser::oid_registry::OID_X509_EXT_ISSUER_DISTRIBUTION_POINT;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;

/// The most bytes of names of authorities that clients are told, to choose a certificate by: rustls cannot write more than 64
/// KiB, and clients need none.
const MOST_HINTS: usize = 16 << 10;

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
    /// None of them counts at this time.
    #[error("none of the certificates of authorities is valid now: they have expired, or are not valid yet")]
    Expired,
    /// The file of the lists cannot be read, or is no PEM file.
    #[error("the lists of revoked certificates cannot be read: {0}")]
    UnreadableLists(pem::Error),
    /// There is no list in it.
    #[error("there is no list of revoked certificates: one begins with -----BEGIN X509 CRL-----")]
    NoLists,
    /// One of the lists is damaged. They are counted from 1.
    #[error("list {0} of revoked certificates is malformed")]
    MalformedList(usize),
    /// Two of them are of one authority, of which the library would look at the first alone.
    #[error("lists {0} and {1} of revoked certificates are of one authority: leave the newer one")]
    TwoLists(usize, usize),
    /// One of the lists is of a kind that cannot be used.
    #[error("a list of revoked certificates cannot be used: {0}")]
    Library(#[from] rustls::server::VerifierBuilderError),
}

impl AuthoritiesError {
    /// Whether the file of the lists is to blame.
    pub fn is_of_lists(&self) -> bool {
        matches!(
            self,
            Self::UnreadableLists(_)
                | Self::NoLists
                | Self::MalformedList(_)
                | Self::TwoLists(..)
                | Self::Library(_)
        )
    }
}

impl Authorities {
    /// The file that an error is about.
    pub(super) fn file_of(&self, error: &AuthoritiesError) -> &Path {
        self.crl.as_deref().filter(|_| error.is_of_lists()).unwrap_or(&self.ca)
    }

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
        let names: usize = roots.subjects().iter().map(|name| name.as_ref().len()).sum();
        let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
        let builder = if names > MOST_HINTS { builder.clear_root_hint_subjects() } else { builder };
        let builder = if is_required { builder } else { builder.allow_unauthenticated() };
        // A list that has run out says nothing of what was revoked since.
        let builder = builder.with_crls(self.lists()?).enforce_revocation_expiration();
        Ok(builder.build()?)
    }

    fn roots(&self) -> Result<RootCertStore, AuthoritiesError> {
        let certificates =
            CertificateDer::pem_file_iter(&self.ca).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let certificates = certificates.map_err(AuthoritiesError::Unreadable)?;
        let (mut roots, mut has_expired) = (RootCertStore::empty(), false);
        for (nth, certificate) in (1..).zip(certificates) {
            // The library takes whatever it is given for an authority: a client's own certificate, put here by mistake,
            // would let that client make others.
            let (_, parsed) =
                X509Certificate::from_der(&certificate).map_err(|_| AuthoritiesError::Malformed(nth))?;
            if !parsed.is_ca() {
                return Err(AuthoritiesError::NoAuthority(nth));
            }
            // Nor does it look at their dates.
            if !parsed.validity().is_valid() {
                has_expired = true;
                continue;
            }
            roots.add(certificate.clone()).map_err(|_| AuthoritiesError::Malformed(nth))?;
        }
        match (roots.is_empty(), has_expired) {
            (false, _) => Ok(roots),
            (true, true) => Err(AuthoritiesError::Expired),
            (true, false) => Err(AuthoritiesError::Empty),
        }
    }

    fn lists(&self) -> Result<Vec<CertificateRevocationListDer<'static>>, AuthoritiesError> {
        let Some(crl) = &self.crl else { return Ok(Vec::new()) };
        let lists =
            CertificateRevocationListDer::pem_file_iter(crl).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let lists = lists.map_err(AuthoritiesError::UnreadableLists)?;
        check(&lists)?;
        if lists.is_empty() { Err(AuthoritiesError::NoLists) } else { Ok(lists) }
    }
}

/// Whether each list is one, and its authority's only one. Lists of parts of what an authority has issued may stand side by
/// side (RFC 5280 §5.2.5).
fn check(lists: &[CertificateRevocationListDer<'_>]) -> Result<(), AuthoritiesError> {
    let mut seen = HashMap::new();
    for (nth, list) in (1..).zip(lists) {
        let (_, parsed) =
            CertificateRevocationList::from_der(list).map_err(|_| AuthoritiesError::MalformedList(nth))?;
        let is_part = |oid| oid == OID_X509_EXT_ISSUER_DISTRIBUTION_POINT;
        if parsed.extensions().iter().any(|extension| is_part(extension.oid.clone())) {
            continue;
        }
        if let Some(first) = seen.insert(parsed.issuer().as_raw().to_vec(), nth) {
            return Err(AuthoritiesError::TwoLists(first, nth));
        }
    }
    Ok(())
}
