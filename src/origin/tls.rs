//! TLS to endpoints, verified unless the operator says otherwise.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;

use super::settings::{HttpVersion, TlsSettings};
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
    /// The key of what is shown to endpoints cannot be read.
    #[error("the key in {path} cannot be read: {error}; write it in PEM form", path = path.display())]
    UnreadableKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: rustls::pki_types::pem::Error,
    },
    /// What is to be shown to endpoints does not fit together.
    #[error("the certificate in {certificate} cannot be shown with the key in {key}: {error}",
            certificate = certificate.display(), key = key.display())]
    Client {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong.
        error: rustls::Error,
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

/// HTTP/2, and HTTP/1.1, as ALPN names them (RFC 7301).
const H2: &[u8] = b"h2";
const HTTP11: &[u8] = b"http/1.1";

/// What all connections of a pool share: trust, sessions to resume, and the name if one was given.
#[derive(Clone)]
pub(super) struct Tls {
    connector: TlsConnector,
    /// For what only HTTP/1.1 can do.
    by_http1: TlsConnector,
    version: HttpVersion,
    name: Option<ServerName<'static>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the certificates that are trusted, and the one that is shown. `version` of HTTP is what is asked for (ALPN).
    pub(super) fn new(settings: &TlsSettings, version: HttpVersion) -> Result<Self, TlsError> {
        // Named, never the process's default, which depends on what else is linked.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = if settings.verify {
            builder.with_root_certificates(roots(settings.ca.as_deref())?)
        } else {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        };
        let config = match &settings.client {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let wrong =
                    |error| TlsError::Client { certificate: certificate.clone(), key: key.clone(), error };
                builder.with_client_auth_cert(certificates(certificate)?, private_key(key)?).map_err(wrong)?
            }
        };
        let asking_for = |protocols: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            TlsConnector::from(Arc::new(config))
        };
        let by_http1 = asking_for(&[HTTP11]);
        let connector = match version {
            HttpVersion::Http10 | HttpVersion::Http11 => by_http1.clone(),
            HttpVersion::Http2 => asking_for(&[H2]),
            HttpVersion::Auto => asking_for(&[H2, HTTP11]),
        };
        let name = settings.server_name.as_deref().map(server_name).transpose()?;
        Ok(Self { connector, by_http1, version, name })
    }

    /// The name that an endpoint's certificate has to be for.
    pub(super) fn name_of(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        self.name.clone().map_or_else(|| server_name(host), Ok)
    }

    /// The connection inside `io`, once `name` has shown its certificate, and whether it is one of HTTP/2: never where
    /// `only_http1` will do. Cancelled, the connection is closed.
    pub(super) async fn over(
        &self,
        io: Box<dyn Io>,
        name: ServerName<'static>,
        only_http1: bool,
    ) -> io::Result<(Box<dyn Io>, bool)> {
        let connector = if only_http1 { &self.by_http1 } else { &self.connector };
        let failed = |error: io::Error| io::Error::new(error.kind(), TlsFailure(error));
        let stream = connector.connect(name, io).await.map_err(failed)?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(H2);
        if self.version == HttpVersion::Http2 && !is_http2 {
            return Err(failed(io::Error::other("the endpoint does not choose HTTP/2 (ALPN)")));
        }
        Ok((Box::new(stream), is_http2))
    }
}

fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    match host.parse::<IpAddr>() {
        Ok(address) => Ok(ServerName::from(address)),
        Err(_) => ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned())),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |error| TlsError::Unreadable { path: path.to_owned(), error };
    CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(unreadable)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let unreadable = |error| TlsError::UnreadableKey { path: path.to_owned(), error };
    PrivateKeyDer::from_pem_file(path).map_err(unreadable)
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca {
        roots.add_parsable_certificates(certificates(path)?);
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
