//! What a script can make the origin do, and helpers that write answers.

use super::SeenRequest;
use bytes::Bytes;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;
use tokio::sync::watch;

/// One step of an answer.
#[derive(Debug, Clone)]
pub enum Act {
    /// Writes these bytes as they are.
    Send(Bytes),
    /// Lets this much (tokio) time pass.
    Wait(Duration),
    /// Waits until the test opens the gate.
    WaitFor(Arc<Gate>),
    /// Opens a gate, to tell the test that the script got here.
    Open(Arc<Gate>),
    /// Does nothing more, until the peer closes.
    Stall,
    /// Ends the answers in an orderly way (FIN), then swallows what comes until the peer closes too.
    Close,
    /// Ends the connection at once: RST on TCP, a dropped end in memory.
    Reset,
    /// Reads the request body, as its framing says, and records it.
    ReadBody,
    /// Writes `body` in pieces of `chunk` bytes, with `every` between two.
    Paced {
        /// Bytes in a piece.
        chunk: usize,
        /// Time between two pieces.
        every: Duration,
        /// What to write.
        body: Bytes,
    },
    /// Writes `piece` every so often, until the peer closes: an endless stream.
    Endless {
        /// What to write each time.
        piece: Bytes,
        /// Time between two.
        every: Duration,
    },
    /// Writes `length` bytes of the body of `seed` from `first` on, made as they are written, and counts them.
    Pattern {
        /// Which body.
        seed: u64,
        /// Where in it.
        first: u64,
        /// How much of it.
        length: u64,
        /// What is written is added to this.
        sent: Arc<AtomicU64>,
    },
    /// Adds one to a counter of the test.
    Count(Arc<AtomicUsize>),
}

impl Act {
    /// [`Act::Send`] of anything that makes bytes.
    pub fn send(bytes: impl Into<Bytes>) -> Self {
        Self::Send(bytes.into())
    }

    /// [`Act::Paced`] so that `body` takes about `total`, in `pieces` pieces.
    pub fn drip(body: Bytes, pieces: usize, total: Duration) -> Self {
        let gaps = u32::try_from(pieces.saturating_sub(1)).unwrap().max(1);
        Self::Paced { chunk: body.len().div_ceil(pieces.max(1)).max(1), every: total / gaps, body }
    }
}

/// A gate that the test opens. Once open it stays open.
#[derive(Debug)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    /// A closed gate.
    pub fn new() -> Arc<Self> {
        Arc::new(Self(watch::Sender::new(false)))
    }

    /// Lets everybody through, from now on.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is open.
    pub async fn wait(&self) {
        // The sender lives in `self`, so this cannot fail.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

/// A head as given, nothing added. `status` is `200 OK`, or a whole status line.
pub fn head(status: &str, fields: &[(&str, &str)]) -> Act {
    Act::send(head_text(status, fields))
}

/// An informational answer, such as `103 Early Hints`.
pub fn interim(status: &str, fields: &[(&str, &str)]) -> Act {
    head(status, fields)
}

/// A whole answer. The right `Content-Length` is added, unless `fields` has one (to lie), or a
/// `Transfer-Encoding`, or the status allows no body.
pub fn respond(status: &str, fields: &[(&str, &str)], body: impl AsRef<[u8]>) -> Act {
    let mut out = sized_head(status, fields, body.as_ref().len()).into_bytes();
    out.extend_from_slice(body.as_ref());
    Act::send(out)
}

/// [`respond`], without the body if the request was a HEAD.
pub fn respond_to(
    request: &SeenRequest,
    status: &str,
    fields: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) -> Act {
    if request.method == "HEAD" {
        Act::send(sized_head(status, fields, body.as_ref().len()))
    } else {
        respond(status, fields, body)
    }
}

/// A whole answer with a chunked body.
pub fn respond_chunked(status: &str, fields: &[(&str, &str)], parts: &[&[u8]]) -> Act {
    let mut all = vec![("Transfer-Encoding", "chunked")];
    all.extend_from_slice(fields);
    let mut out = head_text(status, &all).into_bytes();
    out.extend_from_slice(&coded(parts, true));
    Act::send(out)
}

/// A whole chunked body: a chunk for each part, and the end. Its head comes from [`head`].
pub fn chunked(parts: &[&[u8]]) -> Act {
    Act::send(coded(parts, true))
}

/// One chunk.
pub fn chunk(part: impl AsRef<[u8]>) -> Act {
    Act::send(coded(&[part.as_ref()], false))
}

/// The end of a chunked body, with trailers if there are any.
pub fn last_chunk(trailers: &[(&str, &str)]) -> Act {
    let mut out = "0\r\n".to_owned();
    for (name, value) in trailers {
        let _ = write!(out, "{name}: {value}\r\n");
    }
    Act::send(out + "\r\n")
}

fn coded(parts: &[&[u8]], end: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts.iter().filter(|p| !p.is_empty()) {
        out.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
    if end {
        out.extend_from_slice(b"0\r\n\r\n");
    }
    out
}

fn sized_head(status: &str, fields: &[(&str, &str)], len: usize) -> String {
    let has = |name: &str| fields.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    let code = status.trim_start_matches("HTTP/1.1 ").trim_start_matches("HTTP/1.0 ");
    let bodiless = code.starts_with('1') || code.starts_with("204") || code.starts_with("304");
    if bodiless || has("content-length") || has("transfer-encoding") {
        return head_text(status, fields);
    }
    let len = len.to_string();
    let mut all = vec![("Content-Length", len.as_str())];
    all.extend_from_slice(fields);
    head_text(status, &all)
}

fn head_text(status: &str, fields: &[(&str, &str)]) -> String {
    let version = if status.starts_with("HTTP/") { "" } else { "HTTP/1.1 " };
    let mut out = format!("{version}{status}\r\n");
    for (name, value) in fields {
        let _ = write!(out, "{name}: {value}\r\n");
    }
    out + "\r\n"
}
