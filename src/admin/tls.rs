//! TLS on the admin listener: a certificate of its own, and whose certificates let clients in.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::Settings;
use crate::listener::tls::authorities::{Authorities, AuthoritiesError};
use crate::listener::tls::certificate::{Certificate, CertificateError, Files};
use crate::listener::tls::provider;

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate cannot be used.
    #[error("admin.certificate {}: {error}", .chain.display())]
    Certificate {
        /// Its file.
        chain: PathBuf,
        /// What is wrong.
        error: CertificateError,
    },
    /// The authorities cannot be used.
    #[error("admin.client_ca {}: {error}", .file.display())]
    Authorities {
        /// Their file.
        file: PathBuf,
        /// What is wrong.
        error: AuthoritiesError,
    },
    /// The library refuses.
    #[error("the admin listener cannot speak TLS: {0}")]
    Library(#[from] rustls::Error),
}

/// What shakes hands with clients, if they speak TLS. The files are read now, and not again. Blocking.
pub(super) fn acceptor(settings: &Settings) -> Result<Option<TlsAcceptor>, TlsError> {
    let Some((chain, key)) = settings.certificate.clone().zip(settings.key.clone()) else { return Ok(None) };
    let provider = Arc::new(provider());
    let files = Files { chain, key };
    let certificate = Certificate::read(&files, &provider)
        .map_err(|error| TlsError::Certificate { chain: files.chain.clone(), error })?;
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match &settings.client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let authorities = Authorities { ca: ca.clone(), crl: None };
            // Who has none may still be asked for a token, or ask whether the node is ready.
            let verifier = authorities.verifier(false, &provider);
            let wrong = |error| TlsError::Authorities { file: ca.clone(), error };
            builder.with_client_cert_verifier(verifier.map_err(wrong)?)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(single(&certificate.key)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A session that is resumed brings along a certificate that nobody verifies again (decision 16).
    if settings.client_ca.is_some() {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

fn single(key: &Arc<CertifiedKey>) -> SingleCertAndKey {
    SingleCertAndKey::from(CertifiedKey::clone(key))
}

/// Whose a certificate is, in words.
pub(super) fn subject(certificate: &CertificateDer<'_>) -> String {
    let parsed = X509Certificate::from_der(certificate).ok();
    parsed.map_or_else(|| "unreadable".to_owned(), |(_, certificate)| certificate.subject().to_string())
}
