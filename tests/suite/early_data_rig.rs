//! A node that takes early data, and a client that sends some, and holds its part of the handshake back for as long as the
//! test wants.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use forebay::app::Running;
use forebay::base::units::ByteSize;
use forebay::config::{Configuration, Settings};
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};
use std::io::{Read as _, Write as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::authority::{Authority, Pair};
use crate::support::client::{Answer, Client};
use crate::support::origin::{Act, Origin, SeenRequest};
use crate::support::{ms, within};

pub const HOST: &str = "site.test";

/// A node, its origin, and who vouches for it.
pub struct Site {
    pub authority: Authority,
    pub shown: Pair,
    pub origin: Origin,
    pub node: Running,
}

impl Site {
    pub async fn new(script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::with("early_data = true\n", "", "", script).await
    }

    /// With `listener` said of its listener, `tls` of TLS, and `more` of its sites.
    pub async fn with(
        listener: &str,
        tls: &str,
        more: &str,
        script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        let (authority, origin) = (Authority::new(), Origin::tcp(script).await);
        let shown = authority.pair("main", &[HOST, "other.test"], 2999);
        let node = start(&shown, &origin.url(), listener, tls, more);
        Self { authority, shown, origin, node }
    }

    pub fn addr(&self) -> SocketAddr {
        self.node.addresses[0].address.inet().expect("an address")
    }

    /// A client that remembers its sessions, and sends early data where it may.
    pub fn config(&self, protocols: &[&str]) -> Arc<ClientConfig> {
        let mut config = self.authority.client_who(None, &TLS13, protocols);
        config.enable_early_data = true;
        Arc::new(config)
    }

    /// A client of HTTP/1.1 that has been here before, for this page.
    pub async fn known(&self, path: &str) -> Arc<ClientConfig> {
        let config = self.config(&["http/1.1"]);
        let (answer, _) = self.visit(&config, path, &[]).await;
        assert_eq!(answer.status, 200);
        config
    }

    /// Shakes hands to the end, asks for a page, and tells by what kind of a handshake.
    pub async fn visit(
        &self,
        config: &Arc<ClientConfig>,
        path: &str,
        fields: &[(&str, &str)],
    ) -> (Answer, HandshakeKind) {
        let stream = TcpStream::connect(self.addr()).await.expect("connects");
        let name = ServerName::try_from(HOST).expect("a name");
        let shaken = TlsConnector::from(Arc::clone(config)).connect(name, stream).await.expect("a handshake");
        let kind = shaken.get_ref().1.handshake_kind().expect("a handshake");
        let mut client = Client::over(shaken);
        let fields =
            fields.iter().fold(String::new(), |lines, (name, value)| lines + name + ": " + value + "\r\n");
        client.send(&ask("GET", path, &fields)).await;
        (client.read_answer().await, kind)
    }

    /// Sends this early; the handshake is under way.
    pub async fn early(&self, config: &Arc<ClientConfig>, bytes: impl AsRef<[u8]>) -> Half {
        Half::begin(self.addr(), config, bytes.as_ref()).await
    }
}

/// A node of the site.
pub fn start(shown: &Pair, origin: &str, listener: &str, tls: &str, more: &str) -> Running {
    let text = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = true\n{listener}\
         [tls]\ndefault_certificate = \"own\"\nreload_every = \"1h\"\n{tls}\
         [certificates.own]\nchain = \"{}\"\nkey = \"{}\"\n\
         [sites.s]\nhosts = [\"*\"]\norigins = [{origin:?}]\n{more}",
        shown.chain.display(),
        shown.key.display(),
    );
    let report = Configuration::read_text(Path::new("forebay.toml"), &text);
    let mut written = report.configuration.unwrap_or_else(|| panic!("{}", report.complaints));
    written.memory.limit = ByteSize::mib(128);
    written.node.workers = Some(2);
    Running::start(&Settings::compile(&written).expect("settings"), None).expect("a running node")
}

/// A request without content.
pub fn ask(method: &str, path: &str, fields: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n")
}

/// A client whose handshake does not end before it says so.
pub struct Half {
    pub io: TcpStream,
    pub tls: ClientConnection,
    /// What it has sent so far, encrypted.
    pub sent: Vec<u8>,
    /// What it has read, decrypted.
    pub read: Vec<u8>,
    pub ended: bool,
}

impl Half {
    async fn begin(addr: SocketAddr, config: &Arc<ClientConfig>, early: &[u8]) -> Self {
        let name = ServerName::try_from(HOST).expect("a name");
        let mut tls = ClientConnection::new(Arc::clone(config), name).expect("a client");
        if !early.is_empty() {
            let mut writer = tls.early_data().expect("a session that takes early data");
            writer.write_all(early).expect("room");
        }
        let io = TcpStream::connect(addr).await.expect("connects");
        let mut half = Self { io, tls, sent: Vec::new(), read: Vec::new(), ended: false };
        half.leave().await;
        half
    }

    /// Sends what is encrypted: from its second flight on, the handshake ends by it.
    pub async fn leave(&mut self) {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes).expect("encrypted");
        }
        self.io.write_all(&bytes).await.expect("sent");
        self.sent.extend_from_slice(&bytes);
    }

    /// Ends the handshake.
    pub async fn finish(&mut self) {
        self.is_taken().await;
        self.leave().await;
    }

    /// Says this after what was early.
    pub async fn say(&mut self, text: &str) {
        self.tls.writer().write_all(text.as_bytes()).expect("room");
        self.leave().await;
    }

    /// Reads until what came so far holds, or the end.
    pub async fn until(&mut self, holds: impl Fn(&[u8]) -> bool) {
        self.until_it(|_, read| holds(read)).await;
    }

    /// The same of what is known of the connection.
    pub async fn until_it(&mut self, holds: impl Fn(&ClientConnection, &[u8]) -> bool) {
        let mut buffer = vec![0; 64 << 10];
        while !holds(&self.tls, &self.read) && !self.ended {
            let read = within(ms(10_000), self.io.read(&mut buffer)).await.unwrap_or(0);
            self.ended = read == 0;
            let mut came = &buffer[..read];
            while !came.is_empty() {
                self.tls.read_tls(&mut came).expect("read");
                if self.tls.process_new_packets().is_err() {
                    self.ended = true;
                    return;
                }
                let mut plain = Vec::new();
                let _ = self.tls.reader().read_to_end(&mut plain);
                self.read.extend_from_slice(&plain);
            }
        }
    }

    /// Waits until this text has come.
    pub async fn hears(&mut self, text: &str) {
        let has = |read: &[u8]| read.windows(text.len()).any(|window| window == text.as_bytes());
        self.until(has).await;
        assert!(has(&self.read), "{text:?} in {:?}", String::from_utf8_lossy(&self.read));
    }

    /// Waits for the node's part of the handshake, and tells whether it took the early data.
    pub async fn is_taken(&mut self) -> bool {
        let mut buffer = vec![0; 2 << 10];
        while self.tls.is_handshaking() {
            let read = within(ms(10_000), self.io.read(&mut buffer)).await.expect("read");
            assert!(read > 0, "the handshake broke off");
            let mut came = &buffer[..read];
            while !came.is_empty() {
                self.tls.read_tls(&mut came).expect("read");
                self.tls.process_new_packets().expect("no alert");
            }
            let mut plain = Vec::new();
            let _ = self.tls.reader().read_to_end(&mut plain);
            self.read.extend_from_slice(&plain);
        }
        self.tls.is_early_data_accepted()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.read).into_owned()
    }
}
