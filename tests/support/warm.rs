//! A node with one small object in memory, and the request that it answers.

#![allow(dead_code, missing_docs, clippy::expect_used, clippy::panic)]

use std::io;
use std::sync::Arc;

use forebay::app::Node;
use forebay::base::clock::Clock;
use forebay::base::ids::ClientPolicy;
use forebay::body::Body;
use forebay::body::message::{Reply, Request};
use forebay::body::tunnel::Io;
use forebay::config::{Configuration, Settings};
use forebay::listener::{Answer, Handler};
use forebay::origin::connect::{Connect, Connecting};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

pub const HOST: &str = "www.example.org";
pub const PATH: &str = "/assets/pictures/2026/11/17.jpg";

/// The object's content.
pub const LENGTH: usize = 1024;

/// What the origin says of it.
const HEAD: &str = "HTTP/1.1 200 OK\r\n\
    Date: Mon, 23 Nov 2026 21:03:50 GMT\r\n\
    Content-Type: image/jpeg\r\n\
    Content-Length: 1024\r\n\
    Last-Modified: Mon, 23 Nov 2026 21:03:50 GMT\r\n\
    ETag: \"5f3c1c2a-400\"\r\n\
    Vary: Accept-Encoding\r\n\
    Cache-Control: public, max-age=315360000\r\n\r\n";

/// What a plain client sends.
pub const PLAIN: &[(&str, &str)] = &[("host", HOST), ("user-agent", "curl/8.14.1"), ("accept", "*/*")];

/// What a browser sends.
pub const BROWSER: &[(&str, &str)] = &[
    ("host", HOST),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"),
    ("accept-language", "en-GB,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("connection", "keep-alive"),
    ("referer", "https://www.example.org/"),
    ("sec-fetch-dest", "image"),
    ("sec-fetch-mode", "no-cors"),
    ("sec-fetch-site", "same-origin"),
];

pub struct Warm {
    pub node: Node,
}

impl Warm {
    /// Within a runtime.
    pub async fn new() -> Self {
        let mut written = Configuration::default();
        written.only_site(vec!["http://origin.test".parse().expect("an origin")]);
        written.node.workers = Some(2);
        let settings = Settings::compile(&written).expect("settings");
        let node = Node::build(&settings, Clock::system(), Arc::new(Origin), None).expect("a node");
        let warm = Self { node };
        warm.store(request(PLAIN)).await;
        warm
    }

    /// Has the answer to a request fetched and stored.
    pub async fn store(&self, request: Request) {
        let miss = match self.node.machine.handle(request) {
            Answer::Now(_) => panic!("it is stored already"),
            Answer::Later(later) => later.reply.await,
        };
        read(miss).await;
        while self.node.fetcher.running() > 0 {
            tokio::task::yield_now().await;
        }
    }

    /// Answers a request at once.
    pub fn answer(&self, request: Request) -> Reply {
        let Answer::Now(reply) = self.node.machine.handle(request) else { panic!("no hit") };
        reply
    }

    /// Answers a request at once, and counts the answer as sent.
    pub fn hit(&self, request: Request) {
        sent_whole(self.answer(request));
    }
}

/// Does with an answer what a listener does, but for the sending.
pub fn sent_whole(reply: Reply) {
    let Body::Bytes(content) = &reply.body else { panic!("not in memory") };
    assert_eq!(content.len(), LENGTH);
    if let Some(mut record) = reply.record {
        record.sent(LENGTH);
        record.finish(true);
    }
}

/// The request for the object, with these fields.
pub fn request(fields: &[(&'static str, &'static str)]) -> Request {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    Request {
        method: Method::GET,
        scheme: Scheme::HTTP,
        target_authority: None,
        target: PathAndQuery::from_static(PATH),
        version: Version::HTTP_11,
        headers,
        body: Body::Empty,
        peer: std::net::SocketAddr::from(([192, 0, 2, 7], 4711)).into(),
        policy: ClientPolicy::NONE,
        certificate: None,
        early: None,
        can_break_off: true,
    }
}

async fn read(reply: Reply) {
    if let Body::Busy(mut reader) = reply.body {
        while let Some(piece) = reader.next().await {
            piece.expect("a piece");
        }
    }
}

#[derive(Debug)]
struct Origin;

impl Connect for Origin {
    fn connect<'a>(&'a self, _authority: &'a str) -> Connecting<'a> {
        Box::pin(async {
            let (near, far) = tokio::io::duplex(64 << 10);
            tokio::spawn(answer(far));
            Ok(Box::new(near) as Box<dyn Io>) as io::Result<_>
        })
    }
}

/// Answers one request.
async fn answer(mut stream: DuplexStream) {
    let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = stream.read(&mut buffer).await.expect("a request");
        head.extend_from_slice(buffer.get(..read).unwrap_or_default());
    }
    let answer = [HEAD.as_bytes(), &[b'x'; LENGTH]].concat();
    stream.write_all(&answer).await.expect("written");
}
