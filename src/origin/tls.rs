//! TLS to endpoints, verified unless the operator says otherwise.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;

use super::settings::TlsSettings;
use crate::body::tunnel::Io;
use crate::semantics::proxy_status::ProxyError;

/// Why TLS cannot be set up as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read, or is no PEM file.
    #[error("the certificates in {path} cannot be read: {error}; write them in PEM form", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: rustls::pki_types::pem::Error,
    },
    /// There are none to trust.
    #[error("there is no usable certificate in {}", .0.display())]
    NoCertificates(PathBuf),
    /// The system has no store.
    #[error("the system has no certificates to trust{0}; install ca-certificates, or name a PEM file")]
    NoSystemStore(String),
    /// Not a name that a certificate could have.
    #[error("{0:?} is no name that a certificate can be for; write a host name or an IP address")]
    Name(String),
    /// The library refuses.
    #[error("TLS cannot be used: {0}")]
    Library(#[from] rustls::Error),
}

/// What all connections of a pool share: trust, sessions to resume, and the name if one was given.
#[derive(Clone)]
pub(super) struct Tls {
    connector: TlsConnector,
    name: Option<ServerName<'static>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the certificates that are trusted.
    pub(super) fn new(settings: &TlsSettings) -> Result<Self, TlsError> {
        // Named, never the process's default, which depends on what else is linked.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = if settings.verify {
            builder.with_root_certificates(roots(settings.ca.as_deref())?)
        } else {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        };
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = settings.server_name.as_deref().map(server_name).transpose()?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// The name that an endpoint's certificate has to be for.
    pub(super) fn name_of(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        self.name.clone().map_or_else(|| server_name(host), Ok)
    }

    /// The connection inside `io`, once `name` has shown its certificate. Cancelled, the connection is closed.
    pub(super) async fn over(&self, io: Box<dyn Io>, name: ServerName<'static>) -> io::Result<Box<dyn Io>> {
        match self.connector.connect(name, io).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(io::Error::new(error.kind(), TlsFailure(error))),
        }
    }
}

fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    match host.parse::<IpAddr>() {
        Ok(address) => Ok(ServerName::from(address)),
        Err(_) => ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned())),
    }
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca {
        let unreadable = |error| TlsError::Unreadable { path: path.to_owned(), error };
        let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<_, _>>)
            .map_err(unreadable)?;
        roots.add_parsable_certificates(certificates);
        return if roots.is_empty() { Err(TlsError::NoCertificates(path.to_owned())) } else { Ok(roots) };
    }
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(TlsError::NoSystemStore(why));
    }
    Ok(roots)
}

/// A handshake that failed.
#[derive(Debug, thiserror::Error)]
#[error("TLS failed: {0}")]
pub(super) struct TlsFailure(io::Error);

impl TlsFailure {
    /// In the words of RFC 9209.
    pub(super) fn error(&self) -> ProxyError {
        let inner = self.0.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
                ProxyError::TlsCertificateError
            }
            Some(rustls::Error::AlertReceived(_)) => ProxyError::TlsAlertReceived,
            _ => ProxyError::TlsProtocolError,
        }
    }
}

/// Takes any certificate. The handshake is still checked, so that it is at least one whose key the other side has.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
