//! Connections that do not wait for ever, and not too many of them: neither in all nor from one place.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;

use super::access::network;
use super::peer::Caller;
use super::wire::Wire;

/// Connections at a time; one more is closed at once.
const MOST: usize = 256;

/// Those of one address, or of a /64 of IPv6.
const MOST_FROM_ONE: usize = 16;

/// Those of this machine by one address, which all of its programs have.
const MOST_FROM_HERE: usize = MOST / 2;

/// Time for the handshake and the first head together, however they drip.
const FIRST: Duration = Duration::from_secs(5);

/// Time in which a connection must take or give a byte. It does not run while a request is worked on.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest that a connection lives, so that drips do not keep it for ever.
const LIFE: Duration = Duration::from_mins(2);

/// Pause after the kernel refused a connection for want of descriptors or memory.
const BREATH: Duration = Duration::from_millis(50);

/// Connections by the place that they come from.
type Crowd = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// A connection's place, given back by its drop.
struct Place {
    _one_of_all: OwnedSemaphorePermit,
    crowd: Crowd,
    from: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.crowd.lock().entry(self.from) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Accepts connections up to a limit.
pub(super) struct Patient {
    socket: TcpListener,
    /// With it they speak TLS.
    acceptor: Option<TlsAcceptor>,
    places: Arc<Semaphore>,
    crowd: Crowd,
}

impl Patient {
    pub(super) fn new(socket: TcpListener, acceptor: Option<TlsAcceptor>) -> Self {
        Self { socket, acceptor, places: Arc::new(Semaphore::new(MOST)), crowd: Crowd::default() }
    }

    /// The connection, unless it is one too many or gone already.
    fn take(&self, stream: TcpStream, peer: SocketAddr) -> Option<Wire> {
        let place = self.place(peer.ip())?;
        let local = stream.local_addr().ok()?.ip();
        let caller = Caller { peer, local, shown: Arc::default(), work: Arc::default() };
        let timed = Timed::new(stream, place, Arc::clone(&caller.work));
        Some(Wire::new(timed, self.acceptor.as_ref(), caller))
    }

    fn place(&self, from: IpAddr) -> Option<Place> {
        let one_of_all = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let most = if from.to_canonical().is_loopback() { MOST_FROM_HERE } else { MOST_FROM_ONE };
        let (crowd, from) = (Arc::clone(&self.crowd), network(from));
        {
            let mut crowd = crowd.lock();
            let count = crowd.entry(from).or_default();
            if *count >= most {
                return None;
            }
            *count += 1;
        }
        Some(Place { _one_of_all: one_of_all, crowd, from })
    }
}

impl axum::serve::Listener for Patient {
    type Io = Wire;
    type Addr = SocketAddr;

    /// Cancel-safe.
    async fn accept(&mut self) -> (Wire, SocketAddr) {
        loop {
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    if let Some(wire) = self.take(stream, peer) {
                        return (wire, peer);
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "the admin listener cannot accept a connection");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// What a connection is at.
#[derive(Debug, Default)]
pub(super) struct Work {
    has_begun: AtomicBool,
    is_under_way: AtomicBool,
}

impl Work {
    /// The head of a request has come.
    pub(super) fn heard(&self) {
        self.has_begun.store(true, Ordering::Relaxed);
    }

    /// All of a request has come, and it is worked on until this is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Working {
        self.is_under_way.store(true, Ordering::Relaxed);
        Working(Arc::clone(self))
    }

    fn is_under_way(&self) -> bool {
        self.is_under_way.load(Ordering::Relaxed)
    }
}

/// A request is worked on.
pub(super) struct Working(Arc<Work>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.is_under_way.store(false, Ordering::Relaxed);
    }
}

/// A connection that fails when nothing moves for too long, or at the end of its life. Neither counts while a request is worked
/// on.
pub(super) struct Timed {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
    dies: Instant,
    work: Arc<Work>,
    _place: Place,
}

impl Timed {
    fn new(stream: TcpStream, place: Place, work: Arc<Work>) -> Self {
        let deadline = Box::pin(tokio::time::sleep(FIRST));
        Self { stream, deadline, dies: Instant::now() + LIFE, work, _place: place }
    }

    /// Passes on what was ready, and moves the deadline; fails if it has passed.
    fn within<T>(&mut self, polled: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            if self.work.has_begun.load(Ordering::Relaxed) {
                let next = (Instant::now() + PATIENCE).min(self.dies);
                self.deadline.as_mut().reset(next);
            }
            return polled;
        }
        while self.deadline.as_mut().poll(cx).is_ready() {
            if !self.work.is_under_way() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            // Time to write the answer there is in any case.
            let next = Instant::now() + PATIENCE;
            self.dies = self.dies.max(next);
            self.deadline.as_mut().reset(next);
        }
        Poll::Pending
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.within(polled, cx)
    }
}

impl AsyncWrite for Timed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.within(polled, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A listener, a connection to it, and a client's end of that.
    async fn connected() -> (Patient, Timed, Arc<Work>, TcpStream) {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let client = TcpStream::connect(socket.local_addr().expect("an address")).await.expect("connected");
        let (stream, peer) = socket.accept().await.expect("accepted");
        let patient = Patient::new(socket, None);
        let work = Arc::<Work>::default();
        let place = patient.place(peer.ip()).expect("a place");
        (patient, Timed::new(stream, place, Arc::clone(&work)), work, client)
    }

    async fn read(timed: &mut Timed) -> io::ErrorKind {
        let read = tokio::time::timeout(LIFE, timed.read(&mut [0])).await;
        read.expect("it ends").expect_err("it fails").kind()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_head_has_a_time_of_its_own_that_drips_do_not_move() {
        let (_patient, mut timed, work, mut client) = connected().await;
        let began = Instant::now();
        client.write_all(b"G").await.expect("written");
        assert_eq!(timed.read_u8().await.expect("a byte"), b'G');
        assert_eq!(read(&mut timed).await, io::ErrorKind::TimedOut);
        assert!(began.elapsed() <= FIRST + Duration::from_millis(2), "{:?}", began.elapsed());
        let (_patient, mut timed, again, mut client) = connected().await;
        work.heard();
        again.heard();
        client.write_all(b"G").await.expect("written");
        assert_eq!(timed.read_u8().await.expect("a byte"), b'G');
        let began = Instant::now();
        assert_eq!(read(&mut timed).await, io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn no_time_runs_while_a_request_is_worked_on() {
        let (_patient, mut timed, work, _client) = connected().await;
        work.heard();
        let working = work.begin();
        let waited = tokio::time::timeout(LIFE * 2, timed.read(&mut [0])).await;
        assert!(waited.is_err(), "it waits still");
        drop(working);
        assert_eq!(read(&mut timed).await, io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn places_are_counted_by_where_one_comes_from_and_given_back() {
        let patient = Patient::new(TcpListener::bind("127.0.0.1:0").await.expect("a listener"), None);
        let place = |from: &str| patient.place(from.parse().expect("an address"));
        let mut taken: Vec<_> =
            (0..MOST_FROM_ONE).map(|host| place(&format!("2001:db8::{host:x}"))).collect();
        assert!(taken.iter().all(Option::is_some) && place("2001:db8::ffff").is_none());
        assert!(place("2001:db8:0:1::1").is_some() && place("192.0.2.1").is_some());
        taken.pop();
        assert!(place("2001:db8::ffff").is_some());
        drop(taken);
        let of_this_machine: Vec<_> = (0..MOST_FROM_HERE).map(|_| place("::ffff:127.0.0.1")).collect();
        assert!(of_this_machine.iter().all(Option::is_some) && place("127.0.0.1").is_none());
        assert!(place("192.0.2.1").is_some());
        drop(of_this_machine);
        assert!(patient.crowd.lock().is_empty());
    }
}
