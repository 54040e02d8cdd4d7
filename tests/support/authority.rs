//! An authority of our own, whose certificates are in files.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName,
    DnType, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RevokedCertParams, SerialNumber,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// It vouches for whom it is told to.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

/// A certificate and its key in files.
#[derive(Clone, Debug)]
pub struct Pair {
    pub chain: PathBuf,
    pub key: PathBuf,
    serial: SerialNumber,
}

impl Pair {
    /// What is in the file of the chain.
    pub fn certificates(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_file_iter(&self.chain).expect("a file").collect::<Result<_, _>>().expect("PEM")
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_file(&self.key).expect("a key")
    }
}

impl Authority {
    pub fn new() -> Self {
        Self::called("an authority")
    }

    /// The same by another name: of two by one name, one is taken for the other, with a wrong signature.
    pub fn called(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        // OpenSSL takes what has the name of its issuer for its own.
        params.distinguished_name = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("ca.pem"), issuer.pem()).expect("write");
        Self { issuer, directory }
    }

    /// Its own certificate.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Certificate and key in PEM form for these hosts, good until a year.
    fn pem(&self, hosts: &[&str], until: i32, serial: SerialNumber) -> (String, String) {
        self.pem_of(&KeyPair::generate().expect("a key"), hosts, until, serial)
    }

    /// The same of this key.
    fn pem_of(&self, key: &KeyPair, hosts: &[&str], until: i32, serial: SerialNumber) -> (String, String) {
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(hosts).expect("parameters");
        params.distinguished_name = named("a host");
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        params.serial_number = Some(serial);
        let certificate = params.signed_by(key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    /// Where the files of this name are.
    pub fn path(&self, name: &str) -> Pair {
        let place = |what: &str| self.directory.path().join(format!("{name}.{what}.pem"));
        Pair { chain: place("chain"), key: place("key"), serial: serial(name) }
    }

    /// Files of a certificate for these hosts. Written again under the same name, they are replaced.
    pub fn pair(&self, name: &str, hosts: &[&str], until: i32) -> Pair {
        let pair = self.path(name);
        let (chain, key) = self.pem(hosts, until, pair.serial.clone());
        std::fs::write(&pair.chain, chain).expect("write");
        std::fs::write(&pair.key, key).expect("write");
        pair
    }

    /// The same as [`pair`](Self::pair), with an RSA key in place of one of P-256.
    pub fn rsa_pair(&self, name: &str, hosts: &[&str], until: i32) -> Pair {
        let pair = self.path(name);
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
        let (chain, key) = self.pem_of(&key, hosts, until, pair.serial.clone());
        std::fs::write(&pair.chain, chain).expect("write");
        std::fs::write(&pair.key, key).expect("write");
        pair
    }

    /// A server's side of TLS, with a certificate for these hosts that is good until a year.
    pub fn server(&self, hosts: &[&str], until: i32) -> TlsAcceptor {
        self.server_of(hosts, until, &["http/1.1"], false)
    }

    /// The same that speaks these protocols, and lets only those in for whom this authority vouches, or all.
    pub fn server_of(&self, hosts: &[&str], until: i32, protocols: &[&str], only_known: bool) -> TlsAcceptor {
        let (chain, key) = self.pem(hosts, until, serial("server"));
        let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = if only_known {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).expect("an authority");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_single_cert(chain, key).expect("a configuration");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// A client that trusts it, and speaks one version and these protocols.
    pub fn client(&self, version: &'static SupportedProtocolVersion, protocols: &[&str]) -> TlsConnector {
        TlsConnector::from(Arc::new(self.client_who(None, version, protocols)))
    }

    /// The same for one that shows a certificate if it is asked for one.
    pub fn client_who(
        &self,
        shows: Option<&Pair>,
        version: &'static SupportedProtocolVersion,
        protocols: &[&str],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("an authority");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match shows {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                builder.with_client_auth_cert(pair.certificates(), pair.private_key()).expect("a pair")
            }
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config
    }

    /// A list in a file, of these certificates of its own, by which they are revoked; it runs out with a year.
    pub fn revoke(&self, pairs: &[&Pair], until: i32) -> PathBuf {
        let long_ago = rcgen::date_time_ymd(2020, 1, 1);
        let revoked = pairs.iter().map(|pair| RevokedCertParams {
            serial_number: pair.serial.clone(),
            revocation_time: long_ago,
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: long_ago,
            next_update: rcgen::date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).expect("a list");
        let file = self.directory.path().join("crl.pem");
        std::fs::write(&file, list.pem().expect("PEM")).expect("write");
        file
    }
}

/// By which a certificate is revoked.
fn serial(name: &str) -> SerialNumber {
    SerialNumber::from_slice(&[b"name ", name.as_bytes()].concat())
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}
