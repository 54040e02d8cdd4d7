//! The origin of the compare bench: `/SIZE/NAME` may be stored for an hour, `/pass/SIZE/NAME` must not be stored.
//! Each body begins with its path, so that no two are equal. `/-/counts` tells as JSON how many requests there were,
//! and of how many bodies the last byte was taken.
//!
//!     origin --port 8080 --workers 2

use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming, server::conn::http1};
use hyper_util::rt::TokioIo;
use references::answers::{Body, size_in};
use references::{arguments::Arguments, threads};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::net::TcpStream;

static REQUESTS: AtomicU64 = AtomicU64::new(0);
static BODIES: AtomicU64 = AtomicU64::new(0);

fn main() -> std::io::Result<()> {
    let arguments = Arguments::read(&["port", "workers"]);
    let port = arguments.need("port");
    threads::run(arguments.need("workers"), move || threads::accept(port, serve))
}

async fn serve(stream: TcpStream) {
    let answer =
        |request: Request<Incoming>| async move { Ok::<_, Infallible>(answer(request.uri().path())) };
    // A cache that closes its connection is no trouble of ours.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await;
}

fn answer(path: &str) -> Response<Body<fn()>> {
    if path == "/-/counts" {
        let counts =
            format!("{{\"requests\":{},\"bodies\":{}}}", REQUESTS.load(Relaxed), BODIES.load(Relaxed));
        return response(counts.len() as u64, counts, "no-store", || ());
    }
    REQUESTS.fetch_add(1, Relaxed);
    let may_store = if path.starts_with("/pass/") { "no-store" } else { "max-age=3600" };
    response(size_in(path).unwrap_or(0), path.to_owned(), may_store, || {
        BODIES.fetch_add(1, Relaxed);
    })
}

fn response(size: u64, first: String, may_store: &'static str, ended: fn()) -> Response<Body<fn()>> {
    let mut response = Response::new(Body::new(size, Bytes::from(first), ended));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(may_store));
    response
}
