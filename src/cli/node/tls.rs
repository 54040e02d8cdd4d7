//! TLS to an admin listener.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;

use super::client::AskError;
use crate::listener::tls::provider;

/// What is trusted of an admin listener.
#[derive(Debug)]
pub(super) enum Trust {
    /// Certificates that those in this file vouch for, or that are in it themselves.
    Authorities(PathBuf),
    /// The first certificate in this file: the node's own, as its configuration has it.
    This(PathBuf),
}

/// What speaks TLS to whoever is trusted. Blocking: reads the file.
pub(super) fn connector(trust: &Trust) -> Result<TlsConnector, AskError> {
    let provider = Arc::new(provider());
    let algorithms = provider.signature_verification_algorithms;
    let (Trust::Authorities(file) | Trust::This(file)) = trust;
    let wrong = |why: String| AskError::Ca { file: file.clone(), why };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?;
    let config = match trust {
        Trust::Authorities(ca) => {
            builder.with_root_certificates(roots(ca).map_err(wrong)?).with_no_client_auth()
        }
        Trust::This(file) => {
            let is = first(file).map_err(wrong)?;
            let verifier = Arc::new(This { is, algorithms });
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(ca: &Path) -> Result<RootCertStore, String> {
    let found = CertificateDer::pem_file_iter(ca).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut roots = RootCertStore::empty();
    for certificate in found.map_err(|error| error.to_string())? {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() { Err("there is none".to_owned()) } else { Ok(roots) }
}

/// The certificate that a file begins with.
fn first(file: &Path) -> Result<CertificateDer<'static>, String> {
    CertificateDer::from_pem_file(file).map_err(|error| error.to_string())
}

/// Trusts one certificate, whatever name it is for and whoever vouches for it: who has its key is the node that was
/// configured with it.
#[derive(Debug)]
struct This {
    is: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for This {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *shown == self.is {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whom the certificate has to be for.
pub(super) fn name(name: Option<&str>, address: SocketAddr) -> io::Result<ServerName<'static>> {
    match name {
        None => Ok(ServerName::from(address.ip())),
        Some(name) => ServerName::try_from(name.to_owned()).map_err(io::Error::other),
    }
}
