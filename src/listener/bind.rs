//! Listening sockets of the network: one per worker on the same address (decision 1).

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use crate::body::tunnel::watch_over;

/// Connections that the kernel completes before we accept them.
pub(super) const BACKLOG: i32 = 4096;

/// Bytes that may wait in the kernel unsent before it calls a connection writable: what a slow client would have there
/// otherwise are megabytes, of which nobody sees anything in the node's own memory.
const MOST_UNSENT: u32 = 512 << 10;

/// Binds `address` once for each of `workers`. Port 0 picks one port for all of them. `[::]` is every address of IPv6 and none of
/// IPv4, whatever the system would make of it, so that it may stand beside `0.0.0.0`.
///
/// # Errors
/// As the kernel says, `AddrInUse` also when another process of this user listens there with `SO_REUSEPORT`.
pub fn bind(address: SocketAddr, workers: usize) -> io::Result<Vec<TcpListener>> {
    let address = probe(address)?;
    (0..workers.max(1)).map(|_| open(address, true).and_then(listen)).collect()
}

/// The same where this process listens already on an address that takes this one in, or is a part of it, such as `0.0.0.0` with
/// the same port: whether others listen here cannot be told then, and is not looked at.
///
/// # Errors
/// As the kernel says.
pub fn bind_beside(address: SocketAddr, workers: usize) -> io::Result<Vec<TcpListener>> {
    (0..workers.max(1)).map(|_| open(address, true).and_then(listen)).collect()
}

/// Binds without sharing, so that an address in use is told as such, and returns the address with its port.
fn probe(address: SocketAddr) -> io::Result<SocketAddr> {
    let socket = open(address, false)?;
    socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("not an internet address"))
}

fn open(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn listen(socket: Socket) -> io::Result<TcpListener> {
    if let Err(error) = prepare_connections(&socket) {
        tracing::debug!(%error, "an option for connections was refused");
    }
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Sets what connections inherit from the socket that they are accepted on, once for all of them.
fn prepare_connections(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    watch_over(socket)?;
    socket.set_tcp_notsent_lowat(MOST_UNSENT)
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;

    use super::*;

    #[test]
    fn connections_inherit_what_they_need() {
        let sockets = bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1).expect("binds");
        let address = sockets[0].local_addr().expect("an address");
        let _client = std::net::TcpStream::connect(address).expect("connects");
        let accepted = loop {
            match sockets[0].accept() {
                Ok((accepted, _)) => break accepted,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        };
        let accepted = SockRef::from(&accepted);
        assert!(accepted.tcp_nodelay().expect("told") && accepted.keepalive().expect("told"));
        assert_eq!(accepted.tcp_notsent_lowat().expect("told"), MOST_UNSENT);
    }

    #[test]
    fn port_zero_becomes_one_port_for_all_workers() {
        let sockets = bind(SocketAddr::from(([127, 0, 0, 1], 0)), 3).expect("binds");
        let ports: Vec<u16> = sockets.iter().map(|s| s.local_addr().expect("address").port()).collect();
        assert_ne!(ports[0], 0);
        assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
    }

    #[test]
    fn an_address_in_use_is_told_even_though_sockets_are_shared() {
        let taken = bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1).expect("binds");
        let again = bind(taken[0].local_addr().expect("address"), 1);
        assert_eq!(again.expect_err("in use").kind(), io::ErrorKind::AddrInUse);
    }
}
