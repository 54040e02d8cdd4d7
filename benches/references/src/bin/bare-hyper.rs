//! The least that a server on hyper costs: a runtime for each thread, a fixed answer of the size in the path, no
//! routing, no cache, no log.
//!
//!     bare-hyper --port 8080 --workers 2

use bytes::Bytes;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming, server::conn::http1};
use hyper_util::rt::TokioIo;
use references::{answers, arguments::Arguments, threads};
use std::convert::Infallible;
use tokio::net::TcpStream;

fn main() -> std::io::Result<()> {
    let arguments = Arguments::read(&["port", "workers"]);
    let port = arguments.need("port");
    threads::run(arguments.need("workers"), move || threads::accept(port, serve))
}

async fn serve(stream: TcpStream) {
    let answer = |request: Request<Incoming>| async move {
        let size = answers::size_in(request.uri().path()).unwrap_or(0);
        Ok::<_, Infallible>(Response::new(answers::Body::new(size, Bytes::new(), || ())))
    };
    // A client that goes away is no trouble of ours.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await;
}
