//! Asks a node's admin listener one thing: one request, one connection.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::USAGE;
use super::tls::{self, Trust};
use crate::config::file::Complaints;

/// How long the node may take for all of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same for what reads files, or is made durable.
const LONG_PATIENCE: Duration = Duration::from_mins(2);

/// The most bytes of an answer.
const LONGEST: u64 = 16 << 20;

/// A node as it is reached.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) address: SocketAddr,
    pub(super) token: Option<String>,
    /// Whose certificates are trusted: with it, TLS is spoken.
    pub(super) trust: Option<Trust>,
    /// The name that its certificate is for.
    pub(super) name: Option<String>,
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("the configuration cannot be used\n\n{0}")]
    Config(Complaints),
    #[error("{0} has no admin listener: set admin.address there, and start the node anew")]
    NoAdmin(String),
    #[error("the token file {} {why}", .file.display())]
    Token { file: PathBuf, why: String },
    #[error("the token has characters in it that cannot be sent")]
    NoToken,
    #[error(
        "a token would go to {0} in the clear: say --admin-ca FILE if that listener speaks TLS, or with --config FILE, the \
         node's configuration, that it does not"
    )]
    InTheClear(SocketAddr),
    #[error("the certificates in {} cannot be used: {why}", .file.display())]
    Ca { file: PathBuf, why: String },
    #[error(
        "no node answers at {address} ({error}): is it running, and with an admin listener (forebay serve --admin \
         PORT)? Say with --admin where"
    )]
    Unreachable { address: SocketAddr, error: io::Error },
    #[error("the node at {0} does not answer in time")]
    Slow(SocketAddr),
    #[error("what answers at {0} is no admin listener of a node; if it speaks TLS, say --admin-ca FILE")]
    Strange(SocketAddr),
    #[error("the node at {0} cannot do this: it is of an older version")]
    Older(SocketAddr),
    #[error("{0}: say --token-file FILE, or set FOREBAY_ADMIN_TOKEN")]
    Unproven(String),
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Failed(String),
    #[error("cannot ask: {0}")]
    Runtime(io::Error),
}

impl AskError {
    /// 2 for what was said wrong, 1 for what went wrong.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_)
            | Self::NoAdmin(_)
            | Self::Token { .. }
            | Self::NoToken
            | Self::InTheClear(_)
            | Self::Ca { .. }
            | Self::Unproven(_)
            | Self::Refused(_) => ExitCode::from(USAGE),
            _ => ExitCode::FAILURE,
        }
    }
}

impl Node {
    /// Asks for what is at `target`. Blocking.
    pub(super) fn get(&self, target: &str) -> Result<Value, AskError> {
        self.ask("GET", target, None)
    }

    /// Tells it something. Blocking.
    pub(super) fn post(&self, target: &str) -> Result<Value, AskError> {
        self.ask("POST", target, None)
    }

    /// Sends it something. Blocking.
    pub(super) fn send(&self, target: &str, content: &Value) -> Result<Value, AskError> {
        self.ask("POST", target, Some(content))
    }

    /// Puts something in the place of what is at `target`. Blocking.
    pub(super) fn put(&self, target: &str, content: &Value) -> Result<Value, AskError> {
        self.ask("PUT", target, Some(content))
    }

    fn ask(&self, method: &str, target: &str, content: Option<&Value>) -> Result<Value, AskError> {
        let connector = self.trust.as_ref().map(tls::connector).transpose()?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(AskError::Runtime)?;
        let request = self.request(method, target, content);
        let asked = async {
            let stream = TcpStream::connect(self.address).await?;
            match connector {
                None => exchange(stream, &request).await,
                Some(connector) => {
                    let name = tls::name(self.name.as_deref(), self.address)?;
                    exchange(connector.connect(name, stream).await?, &request).await
                }
            }
        };
        let raw = runtime.block_on(async { tokio::time::timeout(patience(target), asked).await });
        let raw = raw.map_err(|_| AskError::Slow(self.address))?;
        self.understood(&raw.map_err(|error| AskError::Unreachable { address: self.address, error })?)
    }

    fn request(&self, method: &str, target: &str, content: Option<&Value>) -> String {
        let address = self.address;
        let mut request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {address}\r\nAccept: application/json\r\nConnection: close\r\n"
        );
        // Writing into a string cannot fail.
        if let Some(token) = &self.token {
            let _ = write!(request, "Authorization: Bearer {token}\r\n");
        }
        let content = content.map(Value::to_string);
        if let Some(content) = &content {
            let _ =
                write!(request, "Content-Type: application/json\r\nContent-Length: {}\r\n", content.len());
        } else if method != "GET" {
            request.push_str("Content-Length: 0\r\n");
        }
        request.push_str("\r\n");
        request + content.as_deref().unwrap_or_default()
    }

    fn understood(&self, raw: &[u8]) -> Result<Value, AskError> {
        let strange = || AskError::Strange(self.address);
        let (status, body) = taken_apart(raw).ok_or_else(strange)?;
        let value: Option<Value> = serde_json::from_str(body).ok();
        let said = |key: &str| {
            let said = value.as_ref().and_then(|problem| problem.get(key)).and_then(Value::as_str);
            said.map(str::to_owned)
        };
        match status {
            200 => value.ok_or_else(strange),
            404 if said("type").is_none_or(|kind| kind.ends_with(":no-such-path")) => {
                Err(AskError::Older(self.address))
            }
            401 => Err(said("detail").map_or_else(strange, AskError::Unproven)),
            500.. => Err(said("detail").map_or_else(strange, AskError::Failed)),
            _ => Err(said("detail").map_or_else(strange, AskError::Refused)),
        }
    }
}

fn patience(target: &str) -> Duration {
    if ["/v1/purge", "/v1/config/reload"].contains(&target) { LONG_PATIENCE } else { PATIENCE }
}

/// Sends a request, and gives all that comes until the other side closes. Cancelled, the connection is closed.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> io::Result<Vec<u8>> {
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
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
pub(super) fn escaped(text: &str) -> String {
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
    }

    #[test]
    fn nothing_of_a_value_can_end_it() {
        assert_eq!(
            escaped("http://a/b?c=d&e+ \r\n#é"),
            "http%3A%2F%2Fa%2Fb%3Fc%3Dd%26e%2B%20%0D%0A%23%C3%A9"
        );
    }
}
