//! A certificate with those that lead to an authority, and its key: read from files, and checked.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::base::clock::Timestamp;

/// Where a certificate and its key are, both in PEM form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificate, then those that lead to an authority.
    pub chain: PathBuf,
    /// The private key of the first one.
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file of the chain cannot be read, or is no PEM file.
    #[error("the chain cannot be read: {0}")]
    UnreadableChain(pem::Error),
    /// There is no certificate in it.
    #[error("there is no certificate in the chain: one begins with -----BEGIN CERTIFICATE-----")]
    Empty,
    /// The first certificate is damaged.
    #[error("the first certificate of the chain is malformed")]
    Malformed,
    /// It says for no host that it is its.
    #[error("the certificate is for no host: it has no DNS name among its subject alternative names")]
    Nameless,
    /// It has expired, and the one that it would replace has not.
    #[error("the certificate has expired, and the one before it has not")]
    Expired,
    /// The file of the key cannot be read, or there is none in it.
    #[error("the key cannot be read as a private key in PEM form: {0}")]
    UnreadableKey(pem::Error),
    /// The key is that of another certificate.
    #[error("the key is not that of the certificate")]
    Mismatch,
    /// A kind of key that cannot be used.
    #[error("the key cannot be used: {0}")]
    Key(rustls::Error),
}

impl CertificateError {
    /// Whether the file of the key is to blame, as far as that can be told.
    pub fn is_of_key(&self) -> bool {
        matches!(self, Self::UnreadableKey(_) | Self::Mismatch | Self::Key(_))
    }
}

/// The hosts that a certificate is for, by a name in it (RFC 9525 §6.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CertificateName {
    /// This host.
    Host(Box<str>),
    /// Every host whose name is one label longer than this.
    Below(Box<str>),
}

impl CertificateName {
    /// Of a DNS name in a certificate; `None` if it could be that of no host.
    fn of(name: &str) -> Option<Self> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let (whole, rest) = match name.strip_prefix("*.") {
            Some(rest) => (false, rest),
            None => (true, name.as_str()),
        };
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if rest.is_empty() || !rest.bytes().all(fits) {
            return None;
        }
        Some(if whole { Self::Host(rest.into()) } else { Self::Below(rest.into()) })
    }
}

/// A certificate that can be shown.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// Chain and key.
    pub key: Arc<CertifiedKey>,
    /// The hosts that it is for; none, if it is for addresses alone.
    pub names: Vec<CertificateName>,
    /// When it ends.
    pub expires: Timestamp,
}

impl Certificate {
    /// Reads a pair of files, whether the certificate has expired or not. Blocking.
    pub fn read(files: &Files, provider: &CryptoProvider) -> Result<Self, CertificateError> {
        let chain =
            CertificateDer::pem_file_iter(&files.chain).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = chain.map_err(CertificateError::UnreadableChain)?;
        let own = chain.first().ok_or(CertificateError::Empty)?;
        let (names, expires) = told_by(own).ok_or(CertificateError::Malformed)?;
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(CertificateError::UnreadableKey)?;
        let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => CertificateError::Mismatch,
            error => CertificateError::Key(error),
        })?;
        Ok(Self { key: Arc::new(key), names, expires })
    }
}

/// The hosts that a certificate is for, and when it ends.
fn told_by(certificate: &CertificateDer<'_>) -> Option<(Vec<CertificateName>, Timestamp)> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()?;
    let names = names.iter().flat_map(|names| &names.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => CertificateName::of(name),
        _ => None,
    });
    let expires = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
    Some((names.collect(), Timestamp::from_secs(expires)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_as_hosts_or_as_what_is_below_a_domain() {
        let host = |name: &str| Some(CertificateName::Host(name.into()));
        assert_eq!(CertificateName::of("Example.COM"), host("example.com"));
        assert_eq!(CertificateName::of("example.com."), host("example.com"));
        assert_eq!(CertificateName::of("*.example.com"), Some(CertificateName::Below("example.com".into())));
        for none in ["", "*", "*.", "a*.example.com", "*.*.example.com", "a b.example"] {
            assert_eq!(CertificateName::of(none), None, "{none}");
        }
    }
}
