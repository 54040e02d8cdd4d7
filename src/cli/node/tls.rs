//! TLS to an admin listener.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::client::AskError;
use crate::listener::tls::provider;

/// What speaks TLS to whoever has a certificate of these.
pub(super) fn connector(ca: &Path) -> Result<TlsConnector, AskError> {
    let wrong = |why: String| AskError::Ca { file: ca.to_owned(), why };
    let found = CertificateDer::pem_file_iter(ca).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut roots = RootCertStore::empty();
    for certificate in found.map_err(|error| wrong(error.to_string()))? {
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("there is none".to_owned()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Whom the certificate has to be for.
pub(super) fn name(name: Option<&str>, address: SocketAddr) -> io::Result<ServerName<'static>> {
    match name {
        None => Ok(ServerName::from(address.ip())),
        Some(name) => ServerName::try_from(name.to_owned()).map_err(io::Error::other),
    }
}
