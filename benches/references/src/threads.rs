//! Threads that share a port and nothing else.

use socket2::{Domain, Protocol, Socket, Type};
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use tokio::net::TcpStream;
use tokio::task::LocalSet;

/// A listener of 127.0.0.1 that shares its port with those of the other threads. It does not block.
pub fn listen(port: u16) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

/// Runs `work` on so many threads, until one of them fails.
pub fn run(workers: usize, work: impl Fn() -> io::Result<()> + Clone + Send + 'static) -> io::Result<()> {
    let threads: Vec<_> = (0..workers.max(1))
        .map(|_| {
            let work = work.clone();
            thread::spawn(work)
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| io::Error::other("a thread panicked"))??;
    }
    Ok(())
}

/// One thread's share of a tokio server: a runtime of its own, and `serve` for each connection.
pub fn accept<F: Future<Output = ()> + 'static>(port: u16, serve: impl Fn(TcpStream) -> F) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = tokio::net::TcpListener::from_std(listen(port)?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::task::spawn_local(serve(stream));
        }
    })
}
