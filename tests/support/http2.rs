//! A client of HTTP/2 that writes and reads frames as they are, and may write any.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Types (RFC 9113 §6, RFC 9218 §7.1).
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const PRIORITY_UPDATE: u8 = 16;

// Flags.
pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;
pub const WITH_PRIORITY: u8 = 32;

/// A frame with any length that fits its head, whatever its payload has.
pub fn frame_of(length: usize, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(length).expect("a length").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    frame_of(payload.len(), kind, flags, stream, payload)
}

/// A setting (RFC 9113 §6.5.1).
pub fn setting(id: u16, value: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// A number with a prefix of so many bits, of which `first` are set before it (RFC 7541 §5.1).
fn number(value: usize, bits: u32, first: u8) -> Vec<u8> {
    let most = (1_usize << bits) - 1;
    if value < most {
        return vec![first | u8::try_from(value).expect("small")];
    }
    let mut bytes = vec![first | u8::try_from(most).expect("small")];
    let mut rest = value - most;
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128 + 128).expect("small"));
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).expect("small"));
    bytes
}

/// A field that is in no table and is put into none (RFC 7541 §6.2.2).
pub fn field(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Vec<u8> {
    let (name, value) = (name.as_ref(), value.as_ref());
    [&[0][..], &number(name.len(), 7, 0), name, &number(value.len(), 7, 0), value].concat()
}

/// Fields as a block.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| field(name, value)).collect()
}

/// The head of a plain request, with more fields behind it.
pub fn ask(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let plain = [(":method", method), (":scheme", "http"), (":authority", "test"), (":path", path)];
    [block(&plain), block(more)].concat()
}

/// The same as a frame that ends its stream.
pub fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &ask("GET", path, &[]))
}

/// A frame that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The number at a place of its payload.
    pub fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }
}

/// A connection.
pub struct Raw<S> {
    pub io: S,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    /// Begins as a client does, with these settings.
    pub async fn begin(io: S, settings: &[u8]) -> Self {
        let mut raw = Self { io };
        raw.send(PREFACE).await;
        raw.send(&frame(SETTINGS, 0, 0, settings)).await;
        raw
    }

    /// Writes bytes as they are. That the other side has closed is found out by reading.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.io.write_all(bytes).await;
    }

    /// The next frame; `None` at the end. Fails after 1,000 s.
    pub async fn read(&mut self) -> Option<Frame> {
        let read = tokio::time::timeout(Duration::from_secs(1_000), self.read_one()).await;
        read.expect("a frame, or the end").ok()
    }

    async fn read_one(&mut self) -> std::io::Result<Frame> {
        let mut head = [0; 9];
        self.io.read_exact(&mut head).await?;
        let mut payload =
            vec![0; usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])];
        self.io.read_exact(&mut payload).await?;
        let stream = u32::from_be_bytes(head[5..].try_into().expect("four bytes"));
        Ok(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The next frame that is none of the connection's own: no SETTINGS, no `WINDOW_UPDATE`.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            match self.read().await {
                Some(frame) if [SETTINGS, WINDOW_UPDATE].contains(&frame.kind) => {}
                other => return other,
            }
        }
    }

    /// All frames to the end.
    pub async fn rest(&mut self) -> Vec<Frame> {
        let mut all = Vec::new();
        while let Some(frame) = self.next().await {
            all.push(frame);
        }
        all
    }
}
