//! A client that sends what it is told, byte by byte, and reads answers with a strict grammar.
//!
//! A malformed answer fails the test. A connection that ends early does not: the answer then says
//! `complete: false`. Every read is cancel-safe, so that a test may wrap it in a timeout or a `select!` and read
//! on. Dropping the client is how it leaves.

use super::wire::{Decoder, Fields, Piece, find, find_all, framing, take_head};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::MissedTickBehavior;

/// The head of an answer.
#[derive(Debug, Clone)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// The header fields in order.
    pub headers: Fields,
    /// Every byte of it.
    pub raw: Bytes,
    /// The status codes of the informational answers that came before.
    pub interim: Vec<u16>,
}

impl Head {
    /// The first value of a header, without regard to case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

/// A whole answer, or as much of it as came.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header fields in order.
    pub headers: Fields,
    /// The body, without its framing.
    pub body: Vec<u8>,
    /// Whether the body ended as its framing said.
    pub complete: bool,
    /// The trailer fields of a chunked body.
    pub trailers: Fields,
    /// The status codes of the informational answers that came before.
    pub interim: Vec<u16>,
}

impl Answer {
    /// The first value of a header, without regard to case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// All values of a header, in order.
    pub fn header_all(&self, name: &str) -> Vec<&str> {
        find_all(&self.headers, name)
    }

    /// `Cache-Status`, its lines joined; empty if there is none.
    pub fn cache_status(&self) -> String {
        self.header_all("cache-status").join(", ")
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// How a connection ended, as seen by the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// In an orderly way (FIN).
    Closed,
    /// With an error, such as a reset.
    Broken(io::ErrorKind),
}

/// A client connection.
#[derive(Debug)]
pub struct Client<S = TcpStream> {
    io: S,
    buf: BytesMut,
    /// Methods of requests that are not answered yet: the framing of an answer depends on it.
    methods: VecDeque<String>,
    interim: Vec<u16>,
    body: Decoder,
    ended: Option<Ended>,
}

impl Client<TcpStream> {
    /// Connects over TCP.
    pub async fn connect(addr: SocketAddr) -> Self {
        Self::over(TcpStream::connect(addr).await.unwrap_or_else(|e| panic!("connect to {addr}: {e}")))
    }

    /// Connects over TCP with a small receive buffer. Without it the kernel takes megabytes on behalf of a client
    /// that reads slowly, and the sender never notices.
    pub async fn connect_narrow(addr: SocketAddr, receive_buffer: u32) -> Self {
        let socket = TcpSocket::new_v4().expect("socket");
        socket.set_recv_buffer_size(receive_buffer).expect("SO_RCVBUF");
        Self::over(socket.connect(addr).await.unwrap_or_else(|e| panic!("connect to {addr}: {e}")))
    }

    /// Leaves with a reset instead of an orderly end.
    pub fn reset(self) {
        self.io.set_zero_linger().expect("SO_LINGER");
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Speaks over any byte stream, such as one end of `tokio::io::duplex`.
    pub fn over(io: S) -> Self {
        Self {
            io,
            buf: BytesMut::new(),
            methods: VecDeque::new(),
            interim: Vec::new(),
            body: Decoder::none(),
            ended: None,
        }
    }

    /// The stream underneath. Bytes that were read but not asked for are lost.
    pub fn into_inner(self) -> S {
        self.io
    }

    // ---- sending ----

    /// Sends bytes as they are. Request lines among them (`METHOD target HTTP/1.x`) are noted, so that the answers
    /// are read with the right framing: send a HEAD's request line in one piece.
    pub async fn send(&mut self, text: &str) {
        self.try_send(text.as_bytes()).await.expect("send");
    }

    /// [`send`](Self::send) for a connection that may be gone, and for bytes that are not text.
    pub async fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        for line in bytes.split(|&b| b == b'\n') {
            let words: Vec<&[u8]> = line.trim_ascii_end().split(|&b| b == b' ').collect();
            if let [method, _, b"HTTP/1.1" | b"HTTP/1.0"] = words.as_slice() {
                self.methods.push_back(String::from_utf8_lossy(method).into_owned());
            }
        }
        self.io.write_all(bytes).await?;
        self.io.flush().await
    }

    /// Closes the sending direction (FIN) and goes on reading.
    pub async fn half_close(&mut self) {
        self.io.shutdown().await.expect("half close");
    }

    /// Sends a request; `Host: test` is added unless `headers` has a Host, and the right Content-Length if there is
    /// a body and `headers` gives no framing.
    pub async fn request(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut out = request_head(method, target, headers, body.len()).into_bytes();
        out.extend_from_slice(body);
        self.try_send(&out).await.expect("send a request");
    }

    /// Sends a GET and reads its answer.
    pub async fn get(&mut self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    /// Sends a GET with headers and reads its answer.
    pub async fn get_with(&mut self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.request("GET", path, headers, b"").await;
        self.read_answer().await
    }

    // ---- reading ----

    /// Reads a whole answer. Fails the test if the connection ends before its head.
    pub async fn read_answer(&mut self) -> Answer {
        self.try_answer()
            .await
            .unwrap_or_else(|| panic!("no answer: the connection ended ({:?})", self.ended))
    }

    /// Reads a whole answer; `None` if the connection ends before its first byte.
    pub async fn try_answer(&mut self) -> Option<Answer> {
        let head = self.try_head().await?;
        let body = self.read_body().await;
        Some(Answer {
            status: head.status,
            headers: head.headers,
            body,
            complete: self.is_complete(),
            trailers: self.body.trailers.clone(),
            interim: head.interim,
        })
    }

    /// Reads the next final head; informational ones are gathered into it. Fails the test if there is none.
    pub async fn read_head(&mut self) -> Head {
        self.try_head().await.unwrap_or_else(|| panic!("no answer: the connection ended ({:?})", self.ended))
    }

    /// Reads the next final head; `None` if the connection ends before its first byte.
    pub async fn try_head(&mut self) -> Option<Head> {
        loop {
            let head = self.next_head().await?;
            if head.status >= 200 || head.status == 101 {
                return Some(Head { interim: std::mem::take(&mut self.interim), ..head });
            }
        }
    }

    /// Reads the next head, be it informational or final; `None` if the connection ends before its first byte.
    pub async fn next_head(&mut self) -> Option<Head> {
        assert!(self.body.is_done() || self.ended.is_some(), "read the body before the next head");
        let raw = loop {
            match take_head(&mut self.buf) {
                Ok(Some(head)) => break head,
                Ok(None) if self.fill(usize::MAX).await => {}
                Ok(None) if self.buf.is_empty() => return None,
                Ok(None) => panic!("the connection ended ({:?}) inside a head: {:?}", self.ended, self.buf),
                Err(wrong) => panic!("a malformed head: {wrong}"),
            }
        };
        let status = status_of(&raw.first);
        let framing = framing(&raw.fields).unwrap_or_else(|wrong| panic!("{wrong}, in {:?}", raw.raw));
        if status < 200 && status != 101 {
            assert!(framing.is_none(), "a {status} with a framing field: {:?}", raw.raw);
            self.interim.push(status);
        } else {
            assert!(status != 204 || framing.is_none(), "a 204 with a framing field: {:?}", raw.raw);
            let method = self.methods.pop_front().unwrap_or_default();
            self.body = match (status, method.as_str()) {
                (204 | 304, _) | (_, "HEAD") => Decoder::none(),
                (101, _) | (200..=299, "CONNECT") => Decoder::until_close(),
                _ => framing.unwrap_or_else(Decoder::until_close),
            };
        }
        Some(Head { status, headers: raw.fields, raw: raw.raw, interim: Vec::new() })
    }

    /// Some bytes of the body as they come; `None` at its end. [`is_complete`](Self::is_complete) then tells
    /// whether it was cut.
    pub async fn read_chunk(&mut self) -> Option<Bytes> {
        self.read_at_most(usize::MAX).await
    }

    /// The rest of the body.
    pub async fn read_body(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        while let Some(piece) = self.read_chunk().await {
            body.extend_from_slice(&piece);
        }
        body
    }

    /// Reads the rest of the body slowly: at most `per_tick` of its bytes at each `tick`, the first at once, and
    /// hands them to `sink`. Never reads ahead from the connection by more than `per_tick`. Gives the number of
    /// bytes.
    pub async fn read_paced(&mut self, per_tick: usize, tick: Duration, mut sink: impl FnMut(&[u8])) -> u64 {
        let mut clock = tokio::time::interval(tick);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut total = 0;
        loop {
            clock.tick().await;
            let mut left = per_tick;
            while left > 0 {
                let Some(piece) = self.read_at_most(left).await else { return total };
                sink(&piece);
                left -= piece.len();
                total += piece.len() as u64;
            }
        }
    }

    /// Whether the last body ended as its framing said.
    pub fn is_complete(&self) -> bool {
        self.body.is_done() || (self.ended == Some(Ended::Closed) && self.body.may_end_here())
    }

    /// How the connection ended, once a read has found out.
    pub fn ended(&self) -> Option<Ended> {
        self.ended
    }

    /// Waits for the end of the connection. Fails the test if a byte comes first.
    pub async fn expect_end(&mut self) -> Ended {
        if self.buf.is_empty() {
            self.fill(usize::MAX).await;
        }
        assert!(self.buf.is_empty(), "bytes where the end was expected: {:?}", self.buf);
        self.ended.unwrap()
    }

    /// The bytes that have been read and not asked for, for tests of what follows an answer.
    pub fn unread(&self) -> &[u8] {
        &self.buf
    }

    async fn read_at_most(&mut self, most: usize) -> Option<Bytes> {
        loop {
            match self.body.next(&mut self.buf, most) {
                Ok(Piece::Data(bytes)) => return Some(bytes),
                Ok(Piece::More) if self.fill(most).await => {}
                Ok(Piece::More | Piece::End) => return None,
                Err(wrong) => panic!("a malformed body: {wrong}"),
            }
        }
    }

    /// Reads at most `most` bytes from the connection; false if it has ended.
    async fn fill(&mut self, most: usize) -> bool {
        if self.ended.is_some() {
            return false;
        }
        self.buf.reserve(most.min(64 * 1024));
        match (&mut self.io).take(most as u64).read_buf(&mut self.buf).await {
            Ok(0) => self.ended = Some(Ended::Closed),
            Ok(_) => {}
            Err(e) => self.ended = Some(Ended::Broken(e.kind())),
        }
        self.ended.is_none()
    }
}

fn request_head(method: &str, target: &str, headers: &[(&str, &str)], body: usize) -> String {
    let has = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    let mut out = format!("{method} {target} HTTP/1.1\r\n");
    if !has("host") {
        out.push_str("Host: test\r\n");
    }
    if body > 0 && !has("content-length") && !has("transfer-encoding") {
        let _ = write!(out, "Content-Length: {body}\r\n");
    }
    for (name, value) in headers {
        let _ = write!(out, "{name}: {value}\r\n");
    }
    out + "\r\n"
}

fn status_of(line: &str) -> u16 {
    let code = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    let spaced = line.as_bytes().get(12) == Some(&b' ');
    match code.and_then(|c| c.parse::<u16>().ok()) {
        Some(code) if (100..600).contains(&code) && spaced => code,
        _ => panic!("not a status line: {line:?}"),
    }
}
