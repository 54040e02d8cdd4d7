//! The built binary with a configuration file that the test writes anew.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::admin::{scrape, value};
use crate::cli::FOREBAY;
use crate::support::client::Client;
use crate::support::process::Process;
use crate::support::{ms, within};

/// Where a node listens and tells of itself, in every configuration of these tests.
pub const PLACES: &str = "\
    [[listeners]]\naddress = \"127.0.0.1:0\"\n\
    [admin]\naddress = \"127.0.0.1:0\"\n\
    [memory]\nlimit = \"128MiB\"\n";

/// A site with these hosts and one endpoint.
pub fn site(name: &str, hosts: &str, origin: &str) -> String {
    format!("[sites.{name}]\nhosts = [\"{hosts}\"]\norigins = [\"{origin}\"]\n")
}

/// A node and its file.
pub struct Served {
    pub node: Process,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub folder: TempDir,
}

impl Served {
    /// A node of this configuration.
    pub async fn new(text: &str) -> Self {
        Self::with(text, &[]).await
    }

    /// The same, with options that go before the file.
    pub async fn with(text: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        fs::write(folder.path().join("node.toml"), text).expect("written");
        Self::in_folder(folder, options).await
    }

    /// A node of the file `node.toml` in a folder.
    pub async fn in_folder(folder: TempDir, options: &[&str]) -> Self {
        let file = folder.path().join("node.toml");
        let file = file.to_str().expect("UTF-8");
        let node = Process::start(FOREBAY, &[&["serve", "--config", file], options].concat());
        let address = node.listening().await;
        let line = node.wait_for_line("admin on http://").await;
        let (_, admin) = line.split_once("admin on http://").expect("an address");
        let admin = admin.trim().parse().expect("an address");
        Self { node, address, admin, folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts another text in the place of the file, as a whole.
    pub fn write(&self, text: &str) {
        replace(&self.path("node.toml"), text);
    }

    /// How many reloads have come to something, and to nothing.
    pub async fn reloads(&self) -> (f64, f64) {
        let said = scrape(self.admin).await;
        let of = |result: &str| {
            value(&said, &format!("forebay_config_reloads_total{{result=\"{result}\"}}")).expect("a number")
        };
        (of("ok"), of("failed"))
    }

    /// Waits until so many have come to something, and to nothing.
    pub async fn has_reloaded(&self, ok: f64, failed: f64) {
        let reloaded = async {
            while self.reloads().await != (ok, failed) {
                tokio::time::sleep(ms(5)).await;
            }
        };
        within(ms(20_000), reloaded).await;
    }

    /// Has the file read anew. Whether it was put in place.
    pub async fn signal(&self) -> bool {
        let (ok, failed) = self.reloads().await;
        self.node.signal("HUP");
        let told = async {
            loop {
                let (now_ok, now_failed) = self.reloads().await;
                if now_ok + now_failed > ok + failed {
                    return now_ok > ok;
                }
                tokio::time::sleep(ms(5)).await;
            }
        };
        within(ms(20_000), told).await
    }

    /// Has another text read, which is put in place.
    pub async fn reload(&self, text: &str) {
        self.write(text);
        assert!(self.signal().await, "{:?}", self.node.lines().last());
    }

    /// Has another text read, which changes nothing.
    pub async fn refuses(&self, text: &str) {
        self.write(text);
        assert!(!self.signal().await, "it was put in place");
    }

    pub async fn client(&self) -> Client<TcpStream> {
        Client::connect(self.address).await
    }
}

/// Puts a text in the place of a file, as editors and installers do.
pub fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("written");
    fs::rename(&new, path).expect("renamed");
}
