//! TLS to endpoints: verified by default, by the right name, and nothing is sent to one that is not known.

use std::io;
use std::sync::Arc;

use forebay::body::tunnel::Io;
use forebay::origin::Settings;
use forebay::origin::connect::{Connect, Connecting};
use forebay::semantics::proxy_status::ProxyError;
use tokio_rustls::TlsAcceptor;

use crate::pool_rig::{Outcome, ask, get, made, pool_settings, says};
use crate::support::authority::Authority;
use crate::support::origin::Origin;

/// Puts TLS in front of a scripted origin. Without an acceptor the origin is asked in the clear.
struct Behind {
    origin: Arc<Origin>,
    acceptor: Option<TlsAcceptor>,
}

impl std::fmt::Debug for Behind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Behind")
    }
}

impl Connect for Behind {
    fn connect<'a>(&'a self, _authority: &'a str) -> Connecting<'a> {
        let Some(acceptor) = self.acceptor.clone() else {
            return Box::pin(async { Ok(Box::new(self.origin.connect()) as Box<dyn Io>) as io::Result<_> });
        };
        let (near, far) = tokio::io::duplex(64 << 10);
        let origin = Arc::clone(&self.origin);
        tokio::spawn(async move {
            if let Ok(mut stream) = acceptor.accept(far).await {
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut origin.connect()).await;
            }
        });
        Box::pin(async { Ok(Box::new(near) as Box<dyn Io>) as io::Result<_> })
    }
}

fn settings_for(authority: &Authority) -> Settings {
    let mut settings = pool_settings(&["https://origin.test"]);
    settings.tls.ca = Some(authority.file());
    settings
}

/// Two requests to a server with this certificate, and what they came to.
async fn asked(settings: Settings, acceptor: Option<TlsAcceptor>) -> (Outcome, Arc<Origin>) {
    let origin = Arc::new(Origin::pipe(says("secretly")));
    let behind = Behind { origin: Arc::clone(&origin), acceptor };
    let pool = made(settings, Arc::new(behind)).expect("a pool");
    let first = ask(&pool, get("/")).await;
    assert_eq!(first.is_ok(), ask(&pool, get("/")).await.is_ok());
    (first, origin)
}

async fn refused(settings: Settings, acceptor: Option<TlsAcceptor>) -> ProxyError {
    let (outcome, origin) = asked(settings, acceptor).await;
    assert_eq!(origin.hits(), 0, "nothing was sent");
    let error = outcome.expect_err("refused");
    assert_eq!(error.error.status(), 502);
    error.error
}

#[tokio::test(start_paused = true)]
async fn a_certificate_of_the_named_authority_for_the_host_is_taken() {
    let authority = Authority::new();
    let (outcome, origin) =
        asked(settings_for(&authority), Some(authority.server(&["origin.test"], 2999))).await;
    let (status, content, answered) = outcome.expect("an answer");
    assert_eq!((status, content.as_str(), answered.as_str()), (200, "secretly", "origin.test:443"));
    assert_eq!((origin.hits(), origin.opened()), (2, 1), "kept alive");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_name_an_unknown_authority_and_an_old_certificate_are_refused() {
    let (known, unknown) = (Authority::new(), Authority::new());
    for acceptor in [
        known.server(&["other.test"], 2999),
        unknown.server(&["origin.test"], 2999),
        known.server(&["origin.test"], 2020),
    ] {
        let error = refused(settings_for(&known), Some(acceptor)).await;
        assert_eq!(error, ProxyError::TlsCertificateError);
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_speaks_no_tls_is_refused() {
    let authority = Authority::new();
    let origin = Arc::new(Origin::pipe(says("in the clear")));
    let behind = Behind { origin: Arc::clone(&origin), acceptor: None };
    let pool = made(settings_for(&authority), Arc::new(behind)).expect("a pool");
    let error = ask(&pool, get("/")).await.expect_err("no TLS");
    assert!(matches!(error.error, ProxyError::TlsProtocolError | ProxyError::ConnectionTimeout), "{error:?}");
    assert_eq!(origin.hits(), 0);
}

#[tokio::test(start_paused = true)]
async fn another_name_may_be_asked_for() {
    let authority = Authority::new();
    let mut settings = settings_for(&authority);
    settings.tls.server_name = Some("inner.test".to_owned());
    let (outcome, _) = asked(settings.clone(), Some(authority.server(&["inner.test"], 2999))).await;
    assert!(outcome.is_ok(), "{outcome:?}");
    let error = refused(settings, Some(authority.server(&["origin.test"], 2999))).await;
    assert_eq!(error, ProxyError::TlsCertificateError);
}

#[tokio::test(start_paused = true)]
async fn an_address_is_verified_as_one() {
    let authority = Authority::new();
    let mut settings = settings_for(&authority);
    settings.endpoints[0].url = "https://192.0.2.1".parse().expect("an origin");
    let (outcome, _) = asked(settings.clone(), Some(authority.server(&["192.0.2.1"], 2999))).await;
    assert!(outcome.is_ok(), "{outcome:?}");
    refused(settings, Some(authority.server(&["192.0.2.2"], 2999))).await;
}

#[tokio::test(start_paused = true)]
async fn verification_ends_only_when_somebody_says_so() {
    let unknown = Authority::new();
    let mut settings = pool_settings(&["https://origin.test"]);
    settings.tls.ca = Some(Authority::new().file());
    assert!(made(settings.clone(), nobody()).is_err(), "its directory is gone");
    settings.tls.verify = false;
    let (outcome, _) = asked(settings, Some(unknown.server(&["other.test"], 2020))).await;
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[test]
fn what_cannot_be_set_up_is_told_at_the_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("ca.pem");
    let mut settings = pool_settings(&["https://origin.test"]);
    settings.tls.ca = Some(file.clone());
    for (content, complaint) in [("not PEM", "no usable certificate"), ("", "no usable certificate")] {
        std::fs::write(&file, content).expect("write");
        let error = made(settings.clone(), nobody()).expect_err("refused").to_string();
        assert!(
            error.contains(complaint) && error.contains("ca.pem") && error.contains("pool test"),
            "{error}"
        );
    }
    let bad = pool_settings(&["https://not_a_name_"]);
    let mut bad = Settings { tls: forebay::origin::TlsSettings { verify: false, ..bad.tls.clone() }, ..bad };
    bad.tls.server_name = Some("two words".to_owned());
    let error = made(bad, nobody()).expect_err("refused").to_string();
    assert!(error.contains("\"two words\""), "{error}");
}

fn nobody() -> Arc<dyn Connect> {
    crate::pool_rig::Network::new()
}
