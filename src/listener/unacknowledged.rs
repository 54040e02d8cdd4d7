//! What the system holds of a connection that the other side has not acknowledged.
//!
//! A slow client has hundreds of KiB in the system's buffers, and a socket takes no more before half of them have gone: at
//! one KiB a second nothing moves for minutes. Only the system sees that the client goes on. It tells by its diagnosis of sockets
//! (`sock_diag(7)`), which finds one by its two addresses; so it is asked in a message, and not by a call that would be unsafe here.

use std::cell::OnceCell;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;

const AF_NETLINK: i32 = 16;
const NETLINK_SOCK_DIAG: i32 = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;

/// The head of a message: length, kind, flags, number, sender.
const HEAD: usize = 16;

/// Where the answer has the bytes that were written and not acknowledged: behind the state, the two addresses, and the
/// bytes that were not read.
const WRITTEN: usize = HEAD + 4 + 48 + 4 + 4;

thread_local! {
    /// A way to ask, if there is one.
    static ASKED: OnceCell<Option<Socket>> = const { OnceCell::new() };
}

/// Bytes that were written to `io` and that the other side has not acknowledged. `None` if the system does not tell.
pub(super) fn of(io: &TcpStream) -> Option<u64> {
    let (local, peer) = (io.local_addr().ok()?, io.peer_addr().ok()?);
    ASKED.with(|asked| {
        let socket = asked.get_or_init(|| {
            open()
                .inspect_err(|error| tracing::debug!(%error, "the system does not tell of its sockets"))
                .ok()
        });
        ask(socket.as_ref()?, local, peer).ok().flatten()
    })
}

fn open() -> io::Result<Socket> {
    let (domain, protocol) = (Domain::from(AF_NETLINK), Protocol::from(NETLINK_SOCK_DIAG));
    let socket = Socket::new(domain, Type::from(3).cloexec(), Some(protocol))?;
    // It answers before the question has been sent to its end.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn ask(mut socket: &Socket, local: SocketAddr, peer: SocketAddr) -> io::Result<Option<u64>> {
    let mut answer = [0; 512];
    // What an earlier question left, if anything.
    while socket.read(&mut answer).is_ok() {}
    socket.write_all(&question(local, peer))?;
    let length = socket.read(&mut answer)?;
    Ok(told(answer.get(..length).unwrap_or_default()))
}

/// A message that asks for the connection between two addresses.
fn question(local: SocketAddr, peer: SocketAddr) -> Vec<u8> {
    let family = if local.is_ipv4() { AF_INET } else { AF_INET6 };
    let every_state = u32::MAX;
    let mut body = vec![family, IPPROTO_TCP, 0, 0];
    body.extend(every_state.to_ne_bytes());
    body.extend(local.port().to_be_bytes());
    body.extend(peer.port().to_be_bytes());
    for address in [local.ip(), peer.ip()] {
        match address {
            IpAddr::V4(address) => body.extend([address.octets().as_slice(), &[0; 12]].concat()),
            IpAddr::V6(address) => body.extend(address.octets()),
        }
    }
    let scope = if let SocketAddr::V6(peer) = peer { peer.scope_id() } else { 0 };
    body.extend(scope.to_ne_bytes());
    // Whichever socket that is.
    body.extend([0xff; 8]);
    let mut message = Vec::with_capacity(HEAD + body.len());
    message.extend(u32::try_from(HEAD + body.len()).unwrap_or(0).to_ne_bytes());
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    message
}

/// What the answer says, if it is one and no error.
fn told(answer: &[u8]) -> Option<u64> {
    let kind = answer.get(4..6)?.try_into().ok().map(u16::from_ne_bytes)?;
    let written = answer.get(WRITTEN..WRITTEN + 4)?.try_into().ok().map(u32::from_ne_bytes)?;
    (kind == SOCK_DIAG_BY_FAMILY).then_some(u64::from(written))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Where the system does not tell, which a container may see to, there is nothing to test.
    #[tokio::test]
    async fn it_falls_as_the_other_side_reads() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listening) = TcpListener::bind(address).await else { continue };
            let local = listening.local_addr().expect("an address");
            let mut reader = TcpStream::connect(local).await.expect("connects");
            let (mut writer, _) = listening.accept().await.expect("accepted");
            if of(&writer).is_none() {
                return;
            }
            writer.write_all(b"hello").await.expect("sent");
            let mut hello = [0; 5];
            reader.read_exact(&mut hello).await.expect("read");
            while of(&writer) != Some(0) {
                tokio::task::yield_now().await;
            }
            let (mut sent, piece) = (0, vec![7; 64 << 10]);
            while let Ok(more) = writer.try_write(&piece) {
                sent += more;
            }
            let held = of(&writer).expect("told");
            assert!(held > 0 && held <= sent as u64, "{held} of {sent}");
            let mut taken = vec![0; sent];
            reader.read_exact(&mut taken).await.expect("read");
            while of(&writer) != Some(0) {
                tokio::task::yield_now().await;
            }
        }
    }

    #[test]
    fn an_error_is_no_answer() {
        let mut answer = vec![0; 124];
        answer[4] = 2;
        assert_eq!(told(&answer), None);
        assert_eq!(told(&[]), None);
    }
}
