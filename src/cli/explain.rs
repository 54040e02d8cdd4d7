//! `forebay explain`: what a running node would do with a request now, and why.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{USAGE, say};
use crate::admin;
use crate::config::file::{Complaints, Configuration, Report};

/// Where a node's admin listener is looked for that nobody has said anything of.
const USUAL: &str = "127.0.0.1:9090";

/// How long the node may take for all of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most bytes of an answer.
const LONGEST: u64 = 4 << 20;

/// What `explain` may be told.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The whole URL that is asked for
    #[arg(value_name = "URL")]
    url: String,

    /// A field of the request; may be given more than once
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    header: Vec<String>,

    /// The method of the request
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "GET")]
    method: String,

    /// Show it as JSON, for programs
    #[arg(long)]
    json: bool,

    /// The node's admin listener: a port on 127.0.0.1, or IP:PORT [default: as --config says, else 127.0.0.1:9090]
    #[arg(long, value_name = "ADDR")]
    admin: Option<admin::Settings>,

    /// The node's configuration file, which says where its admin listener is
    #[arg(long, value_name = "FILE", conflicts_with = "admin")]
    config: Option<PathBuf>,
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
enum ExplainError {
    #[error("the configuration cannot be used\n\n{0}")]
    Config(Complaints),
    #[error("{0} has no admin listener: set admin.address there, and start the node anew")]
    NoAdmin(String),
    #[error(
        "no node answers at {address} ({error}): is it running, and with an admin listener (forebay serve --admin \
         PORT)? Say with --admin where"
    )]
    Unreachable { address: SocketAddr, error: io::Error },
    #[error("the node at {0} does not answer in time")]
    Slow(SocketAddr),
    #[error("what answers at {0} is no admin listener of a node")]
    Strange(SocketAddr),
    #[error("the node at {0} cannot explain: it is of an older version")]
    Older(SocketAddr),
    #[error("{0}")]
    Refused(String),
    #[error("cannot ask: {0}")]
    Runtime(io::Error),
}

impl ExplainError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) | Self::NoAdmin(_) | Self::Refused(_) => ExitCode::from(USAGE),
            _ => ExitCode::FAILURE,
        }
    }
}

impl Explain {
    pub(super) fn run(&self) -> ExitCode {
        match self.explained() {
            // Whoever reads it may have gone.
            Ok(text) => match io::stdout().write_all(text.as_bytes()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            },
            Err(error) => {
                say(format_args!("forebay: {error}"));
                error.exit_code()
            }
        }
    }

    fn explained(&self) -> Result<String, ExplainError> {
        let address = self.address()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ExplainError::Runtime)?;
        let asked = async { tokio::time::timeout(PATIENCE, ask(address, &self.target())).await };
        let raw = match runtime.block_on(asked) {
            Err(_) => return Err(ExplainError::Slow(address)),
            Ok(Err(error)) => return Err(ExplainError::Unreachable { address, error }),
            Ok(Ok(raw)) => raw,
        };
        let (status, body) = taken_apart(&raw).ok_or(ExplainError::Strange(address))?;
        let value: Option<Value> = serde_json::from_str(body).ok();
        match (status, value) {
            (200, Some(value)) => self.shown(value).ok_or(ExplainError::Strange(address)),
            (404, None) => Err(ExplainError::Older(address)),
            (_, Some(problem)) => {
                let why = problem.get("detail").and_then(Value::as_str);
                Err(why.map_or(ExplainError::Strange(address), |why| ExplainError::Refused(why.to_owned())))
            }
            (_, None) => Err(ExplainError::Strange(address)),
        }
    }

    fn address(&self) -> Result<SocketAddr, ExplainError> {
        if let Some(admin::Settings { address }) = self.admin {
            return Ok(address);
        }
        let Some(file) = &self.config else { return Ok(usual()) };
        let Report { configuration, complaints, .. } = Configuration::read(file);
        let configuration = configuration.ok_or(ExplainError::Config(complaints))?;
        configuration.admin.address.ok_or_else(|| ExplainError::NoAdmin(file.display().to_string()))
    }

    /// What is asked of the admin listener.
    fn target(&self) -> String {
        let mut target = format!("/v1/explain?url={}&method={}", escaped(&self.url), escaped(&self.method));
        for field in &self.header {
            target.push_str("&header=");
            target.push_str(&escaped(field));
        }
        target
    }

    fn shown(&self, mut value: Value) -> Option<String> {
        let text = value.as_object_mut()?.remove("text")?;
        if self.json {
            return serde_json::to_string_pretty(&value).ok().map(|json| json + "\n");
        }
        text.as_str().map(str::to_owned)
    }
}

fn usual() -> SocketAddr {
    USUAL.parse().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 9090)))
}

/// Asks for `target`, and gives all that comes until the other side closes. Cancelled, the connection is closed.
async fn ask(address: SocketAddr, target: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {address}\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut raw = Vec::new();
    stream.take(LONGEST).read_to_end(&mut raw).await?;
    Ok(raw)
}

/// Status and content of an answer that came whole; `None` if it is none.
fn taken_apart(raw: &[u8]) -> Option<(u16, &str)> {
    let (head, body) = std::str::from_utf8(raw).ok()?.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let is_whole = length.is_none_or(|length| length == body.len());
    is_whole.then_some((status, body))
}

/// Every byte but letters, digits and a few signs as `%XX`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing into a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart_if_it_is_whole() {
        let raw = |head: &str| format!("HTTP/1.1 {head}\r\n\r\nbody").into_bytes();
        assert_eq!(taken_apart(&raw("200 OK\r\nContent-Length: 4")), Some((200, "body")));
        assert_eq!(taken_apart(&raw("404 Not Found")), Some((404, "body")));
        for wrong in ["200 OK\r\ncontent-length: 5", "2x0 OK", ""] {
            assert_eq!(taken_apart(&raw(wrong)), None, "{wrong}");
        }
        assert_eq!(taken_apart(b"SSH-2.0-x\r\n"), None);
        assert_eq!(usual().to_string(), USUAL);
    }

    #[test]
    fn nothing_of_a_value_can_end_it() {
        assert_eq!(
            escaped("http://a/b?c=d&e+ \r\n#é"),
            "http%3A%2F%2Fa%2Fb%3Fc%3Dd%26e%2B%20%0D%0A%23%C3%A9"
        );
    }
}
