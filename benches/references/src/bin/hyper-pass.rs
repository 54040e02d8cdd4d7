//! The least that a proxy on hyper costs: a runtime for each thread, and for each client's connection one of its own
//! to the origin, kept alive. Nothing is looked at, and only the connection's own fields are taken out.
//!
//!     hyper-pass --port 8080 --origin 8081 --workers 2

use hyper::client::conn::http1::SendRequest;
use hyper::header::CONNECTION;
use hyper::service::service_fn;
use hyper::{Request, body::Incoming};
use hyper_util::rt::TokioIo;
use references::{arguments::Arguments, threads};
use std::cell::RefCell;
use std::future::poll_fn;
use std::net::Ipv4Addr;
use tokio::net::TcpStream;

fn main() -> std::io::Result<()> {
    let arguments = Arguments::read(&["port", "origin", "workers"]);
    let (port, origin) = (arguments.need("port"), arguments.need("origin"));
    threads::run(arguments.need("workers"), move || {
        threads::accept(port, move |client| async move {
            if let Err(error) = serve(client, origin).await {
                eprintln!("the origin cannot be reached: {error}");
            }
        })
    })
}

async fn serve(client: TcpStream, origin: u16) -> Result<(), Box<dyn std::error::Error>> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, origin)).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(connection);
    let sender = RefCell::new(sender);
    let pass = |request| pass(&sender, request);
    let served = hyper::server::conn::http1::Builder::new();
    // A client that goes away is no trouble of ours.
    let _ = served.serve_connection(TokioIo::new(client), service_fn(pass)).await;
    Ok(())
}

async fn pass(
    sender: &RefCell<SendRequest<Incoming>>,
    mut request: Request<Incoming>,
) -> hyper::Result<hyper::Response<Incoming>> {
    request.headers_mut().remove(CONNECTION);
    poll_fn(|context| sender.borrow_mut().poll_ready(context)).await?;
    let answer = sender.borrow_mut().send_request(request);
    let mut answer = answer.await?;
    answer.headers_mut().remove(CONNECTION);
    Ok(answer)
}
