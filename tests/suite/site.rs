//! A real static site behind the built binary: an npm package's `dist` folder, served by nginx.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::cli::FOREBAY;
use crate::disk_rig::{binary, slots_on_disk, until};
use crate::support::client::{Answer, Client};
use crate::support::origin::refusing_addr;
use crate::support::process::Process;

const PACKAGE: &str = "bootstrap@5.3.8";

#[tokio::test]
async fn a_static_site_is_byte_identical_cold_and_warm_and_nginx_sees_each_file_once() {
    let dist = dist();
    let files = files_of(&dist);
    assert!(files.len() > 30, "only {} files in {}", files.len(), dist.display());
    let nginx = Nginx::start(&dist).await;
    let origin = format!("http://{}", nginx.address);
    let forebay = Process::start(FOREBAY, &["serve", "--listen", "127.0.0.1:0", "--origin", &origin]);
    let mut client = Client::connect(forebay.listening().await).await;

    for path in &files {
        let answer = client.get(path).await;
        assert_same(&answer, &dist, path);
        assert!(answer.cache_status().starts_with("forebay; fwd=uri-miss; stored; ttl="), "{path}");
    }
    for path in &files {
        let answer = client.get(path).await;
        assert_same(&answer, &dist, path);
        assert!(
            answer.cache_status().starts_with("forebay; hit; ttl=3"),
            "{path}: {}",
            answer.cache_status()
        );
    }
    let once: Vec<_> = files.iter().map(|path| format!("GET {path} HTTP/1.1 200")).collect();
    assert_eq!(nginx.requests(), once);
}

/// Cold, warm, after an end in good order, and after a power cut: the same bytes each time, and nginx is asked once.
#[tokio::test]
async fn a_static_site_is_byte_identical_after_a_restart_and_after_a_kill_without_asking_nginx() {
    let dist = dist();
    let files = files_of(&dist);
    let nginx = Nginx::start(&dist).await;
    let origin = format!("http://{}", nginx.address);
    let directory = tempfile::tempdir().expect("a directory");
    let cache_dir = directory.path().join("cache");
    let once: Vec<_> = files.iter().map(|path| format!("GET {path} HTTP/1.1 200")).collect();

    let mut node = binary(&origin, &cache_dir, &[]);
    let mut client = Client::connect(node.listening().await).await;
    for said in ["forebay; fwd=", "forebay; hit; ttl=3"] {
        assert_site(&mut client, &dist, &files, said).await;
    }
    node.terminate();
    assert_eq!(node.exit_code().await, Some(0));

    // From disk at first; the second time what memory took is answered from there.
    for _ in 0..2 {
        let mut node = binary(&origin, &cache_dir, &[]);
        let mut client = Client::connect(node.listening().await).await;
        for _ in 0..2 {
            assert_site(&mut client, &dist, &files, "forebay; hit; ttl=3").await;
        }
        node.terminate();
        assert_eq!(node.exit_code().await, Some(0));
    }
    assert_eq!(nginx.requests(), once);

    // A site that was never stored in good order: killed as soon as the index has all of it.
    let cut = directory.path().join("cut");
    let mut node = binary(&origin, &cut, &[]);
    let mut client = Client::connect(node.listening().await).await;
    assert_site(&mut client, &dist, &files, "forebay; fwd=").await;
    until("the index on disk has every file", || slots_on_disk(&cut).len() >= files.len()).await;
    node.kill().await;
    assert_eq!(nginx.requests().len(), 2 * files.len());
    let mut node = binary(&origin, &cut, &[]);
    let mut client = Client::connect(node.listening().await).await;
    assert_site(&mut client, &dist, &files, "forebay; hit; ttl=3").await;
    node.kill().await;
    assert_eq!(nginx.requests().len(), 2 * files.len(), "after the kill nginx is not asked");
}

/// Every file, byte for byte, with a `Cache-Status` that begins as said.
async fn assert_site(client: &mut Client, dist: &Path, files: &[String], said: &str) {
    for path in files {
        let answer = client.get(path).await;
        assert_same(&answer, dist, path);
        assert!(answer.cache_status().starts_with(said), "{path}: {}", answer.cache_status());
    }
}

#[track_caller]
fn assert_same(answer: &Answer, dist: &Path, path: &str) {
    let file = fs::read(dist.join(path.trim_start_matches('/'))).expect("read a file of the site");
    assert!(answer.status == 200 && answer.complete, "{path}: {}", answer.status);
    assert!(answer.body == file, "{path}: {} bytes, not those {} of the file", answer.body.len(), file.len());
    assert_eq!(answer.header("server"), None, "{path}");
}

/// The package's `dist` folder, fetched by npm once and kept for later runs.
fn dist() -> PathBuf {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(PACKAGE.replace('@', "-"));
    let dist = kept.join("package/dist");
    if dist.is_dir() {
        return dist;
    }
    let fresh = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory under target/");
    done("npm", Command::new("npm").args(["pack", "--silent", PACKAGE]).current_dir(fresh.path()));
    let archive = fs::read_dir(fresh.path()).unwrap().next().expect("what npm packed").unwrap().path();
    done("tar", Command::new("tar").arg("xzf").arg(archive).current_dir(fresh.path()));
    // Whole or not at all; another run may have been faster.
    if let Err(error) = fs::rename(fresh.path(), &kept) {
        assert!(dist.is_dir(), "move the site to {}: {error}", kept.display());
    }
    dist
}

fn done(program: &str, command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| missing(program, &error));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} failed ({}): {complaint}", output.status);
}

fn missing(program: &str, error: &dyn std::fmt::Display) -> ! {
    panic!("this test needs {program}, which does not start ({error}): .ci/run installs it")
}

/// The path of every file, as a URL has it.
fn files_of(dist: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut directories = vec![dist.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("list the site") {
            let path = entry.expect("an entry").path();
            match path.strip_prefix(dist) {
                _ if path.is_dir() => directories.push(path),
                Ok(relative) => files.push(format!("/{}", relative.to_str().expect("UTF-8"))),
                Err(error) => panic!("{error}"),
            }
        }
    }
    files.sort();
    files
}

/// nginx with a configuration of our own. It ends with its process.
pub struct Nginx {
    pub address: SocketAddr,
    pub process: Process,
    directory: TempDir,
}

impl Nginx {
    async fn start(root: &Path) -> Self {
        Self::at(refusing_addr(), &format!("root '{}'; expires 1h;", root.display())).await
    }

    /// One that listens at `address` and does what is `said` in its server block.
    pub async fn at(address: SocketAddr, said: &str) -> Self {
        if let Err(error) = Command::new("nginx").arg("-v").output() {
            missing("nginx", &error);
        }
        let directory = tempfile::tempdir().expect("a directory");
        let config = configuration(address, said);
        fs::write(directory.path().join("nginx.conf"), config).expect("write nginx.conf");
        let prefix = directory.path().to_str().expect("UTF-8");
        let process = Process::start("nginx", &["-p", prefix, "-c", "nginx.conf", "-e", "stderr"]);
        process.wait_for_line("getrlimit").await;
        Self { address, process, directory }
    }

    /// The requests that it has answered, from its log.
    fn requests(&self) -> Vec<String> {
        self.log("access.log")
    }

    /// The lines of a log so far.
    pub fn log(&self, name: &str) -> Vec<String> {
        let log = fs::read_to_string(self.directory.path().join(name)).expect("nginx's log");
        log.lines().map(str::to_owned).collect()
    }
}

fn configuration(address: SocketAddr, said: &str) -> String {
    format!(
        "daemon off;
        master_process off;
        worker_processes 1;
        pid nginx.pid;
        error_log stderr notice;
        events {{}}
        http {{
            include /etc/nginx/mime.types;
            log_format request '$request $status';
            log_format bytes '$body_bytes_sent $status $request_uri $http_range';
            access_log access.log request;
            client_body_temp_path body;
            proxy_temp_path proxy;
            fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi;
            scgi_temp_path scgi;
            server {{
                listen {address};
                {said}
            }}
        }}
        "
    )
}
