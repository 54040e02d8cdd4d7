//! A program as a child process: its lines, its memory and CPU, and its end.
//!
//! For tests whose time runs: a runtime with paused time would not wait for a real child.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a child may take to say a line or to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many lines are kept.
const MOST_LINES: usize = 10_000;

/// A running child. It is killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: u32,
    /// What it has said on stdout and stderr; the channel closes when both have ended.
    lines: watch::Receiver<Vec<String>>,
}

impl Process {
    /// Starts a program. Colours are off (`NO_COLOR`).
    pub fn start<A: AsRef<OsStr>>(program: impl AsRef<Path>, args: &[A]) -> Self {
        let mut child = command(program.as_ref(), args).spawn().unwrap_or_else(|e| {
            panic!("start {}: {e}", program.as_ref().display());
        });
        let (sender, lines) = watch::channel(Vec::new());
        collect(child.stdout.take().unwrap(), sender.clone());
        collect(child.stderr.take().unwrap(), sender);
        let pid = child.id().expect("a child that was just started has a pid");
        Self { child, pid, lines }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What it has said so far, stdout and stderr together.
    pub fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    /// The first line that contains `what`, waiting for it. Fails the test with all that was said, if it ends or
    /// 20 s pass first.
    pub async fn wait_for_line(&self, what: &str) -> String {
        let find = |lines: &Vec<String>| lines.iter().find(|l| l.contains(what)).cloned();
        let mut lines = self.lines.clone();
        let waited = tokio::time::timeout(PATIENCE, lines.wait_for(|l| find(l).is_some())).await;
        if let Ok(Ok(lines)) = waited {
            return find(&lines).unwrap();
        }
        panic!("no line with {what:?}; it said:\n{}", self.lines().join("\n"));
    }

    /// The address in its line `listening on http://ADDR` (the scheme may be missing).
    pub async fn listening(&self) -> SocketAddr {
        let line = self.wait_for_line("listening on ").await;
        address_in(&line).unwrap_or_else(|| panic!("no address in {line:?}"))
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal by name, such as `HUP`.
    pub fn signal(&self, name: &str) {
        let flag = format!("-{name}");
        let status = std::process::Command::new("/bin/kill").args([&flag, &self.pid.to_string()]).status();
        assert!(status.expect("run kill").success(), "kill {flag} {}", self.pid);
    }

    /// Waits for its end, at most 20 s. `None` as code: it died of a signal.
    pub async fn exit_code(&mut self) -> Option<i32> {
        let Ok(status) = tokio::time::timeout(PATIENCE, self.child.wait()).await else {
            panic!("it did not end; it said:\n{}", self.lines().join("\n"));
        };
        status.expect("wait for the child").code()
    }

    /// Kills it at once and waits for its end: the power cut of the tests.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("kill the child");
    }
}

/// Runs a program to its end and gives its exit code and output. Fails the test after 20 s.
pub async fn run<A: AsRef<OsStr>>(program: impl AsRef<Path>, args: &[A]) -> Output {
    let output = command(program.as_ref(), args).output();
    tokio::time::timeout(PATIENCE, output).await.expect("it did not end").expect("run a program")
}

fn command<A: AsRef<OsStr>>(program: &Path, args: &[A]) -> Command {
    let mut command = Command::new(program);
    command.args(args).env("NO_COLOR", "1").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn collect(stream: impl AsyncRead + Unpin + Send + 'static, sender: watch::Sender<Vec<String>>) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            sender.send_modify(|all| {
                if all.len() < MOST_LINES {
                    all.push(line);
                }
            });
        }
    });
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening on ")?;
    let word = rest.split_whitespace().next()?;
    let (_, address) = word.split_once("://").unwrap_or(("", word));
    address.trim_end_matches(['/', ',', '.']).parse().ok()
}

/// Anonymous memory that a process holds (`RssAnon`), in KiB.
pub fn rss_anon_kib(pid: u32) -> u64 {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:")).expect("RssAnon");
    line.trim().trim_end_matches("kB").trim().parse().expect("RssAnon in KiB")
}

/// User and system time that a process has used, in clock ticks (1/100 s).
pub fn cpu_ticks(pid: u32) -> u64 {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    // The name, in brackets, may hold anything; utime and stime are the 12th and 13th fields after it.
    let (_, rest) = stat.rsplit_once(") ").expect("the name in stat");
    rest.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().expect("ticks")).sum()
}

/// Samples a process's anonymous memory until it is stopped.
#[derive(Debug)]
pub struct RssWatch {
    before: u64,
    stop: watch::Sender<bool>,
    peak: JoinHandle<u64>,
}

impl RssWatch {
    /// Samples now, and every so often from now on.
    pub fn start(pid: u32, every: Duration) -> Self {
        let before = rss_anon_kib(pid);
        let (stop, mut stopped) = watch::channel(false);
        let peak = tokio::spawn(async move {
            let mut peak = before;
            while tokio::time::timeout(every, stopped.changed()).await.is_err() {
                peak = peak.max(rss_anon_kib(pid));
            }
            peak.max(rss_anon_kib(pid))
        });
        Self { before, stop, peak }
    }

    /// Stops, and gives how much the highest sample was above the first, in KiB.
    pub async fn growth_kib(self) -> u64 {
        self.stop.send_replace(true);
        self.peak.await.expect("the sampler") - self.before
    }
}
