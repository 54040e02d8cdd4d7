//! A scripted origin that speaks HTTP/1.1 byte by byte, and keeps account of what happened.
//!
//! ```ignore
//! let origin = Origin::pipe(|request, _nth| match request.path() {
//!     "/slow" => vec![Act::Wait(ms(1000)), respond("200 OK", &[("Cache-Control", "max-age=60")], "hello")],
//!     "/cut" => vec![head("200 OK", &[("Content-Length", "100")]), Act::send("only this"), Act::Close],
//!     _ => vec![respond("404 Not Found", &[], "")],
//! });
//! ```
//!
//! The script is asked once for each request, when its head has arrived, and answers with a list of [`Act`]s.
//! After the last one the connection stays open and the next request is read. A request body that no
//! [`Act::ReadBody`] took is read then.
//!
//! While it waits or stalls, the origin notices a peer that leaves (it reads ahead, at most 64 KiB). Dropping the
//! last handle of an [`Origin`] ends its listener and connections.

mod act;
mod board;
mod link;

#[allow(unused_imports)]
pub use act::{Act, Gate, chunk, chunked, head, interim, last_chunk, respond, respond_chunked, respond_to};
pub use board::{Exchange, SeenRequest, Tally};

use board::Board;
use link::{Link, Script};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::DuplexStream;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::time::Instant;

/// How much an in-memory connection holds in each direction, unless told otherwise.
const PIPE: usize = 64 * 1024;

/// A running origin. Clones are handles of the same one.
#[derive(Clone)]
pub struct Origin {
    script: Script,
    board: Arc<Board>,
    addr: Option<SocketAddr>,
    pipe: usize,
    /// Every task ends when this turns true or its last sender is dropped.
    stop: Arc<watch::Sender<bool>>,
}

impl Origin {
    /// Listens on a free port of 127.0.0.1.
    pub async fn tcp(script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind the origin");
        let mut origin = Self::pipe(script);
        origin.addr = Some(listener.local_addr().expect("address of the origin"));
        let (script, board, stop) = (origin.script.clone(), origin.board.clone(), origin.stop.subscribe());
        let mut stopped = stop.clone();
        tokio::spawn(async move {
            loop {
                let io = tokio::select! {
                    accepted = listener.accept() => accepted.expect("accept at the origin").0,
                    _ = stopped.wait_for(|stop| *stop) => return,
                };
                io.set_nodelay(true).expect("TCP_NODELAY");
                tokio::spawn(Link::new(io, script.clone(), board.clone()).run(stop.clone()));
            }
        });
        origin
    }

    /// An origin in memory: connections come from [`connect`](Self::connect).
    pub fn pipe(script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self {
            script: Arc::new(script),
            board: Arc::default(),
            addr: None,
            pipe: PIPE,
            stop: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Sets how much an in-memory connection holds in each direction: small, to feel back-pressure early.
    #[must_use]
    pub fn with_pipe_size(mut self, bytes: usize) -> Self {
        self.pipe = bytes;
        self
    }

    /// Opens an in-memory connection (also to an origin that listens on TCP). To a stopped origin it is one that
    /// has already been closed.
    pub fn connect(&self) -> DuplexStream {
        let (near, far) = tokio::io::duplex(self.pipe);
        if !*self.stop.borrow() {
            let link = Link::new(far, self.script.clone(), self.board.clone());
            tokio::spawn(link.run(self.stop.subscribe()));
        }
        near
    }

    /// Stops listening and drops every connection where it is.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Where it listens. Fails the test for an origin in memory.
    pub fn addr(&self) -> SocketAddr {
        self.addr.expect("an origin in memory has no address")
    }

    /// `http://ADDR`, for `--origin`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// All that has been recorded so far.
    pub fn tally(&self) -> Tally {
        self.board.now()
    }

    /// The requests seen so far, in the order in which their heads arrived.
    pub fn seen(&self) -> Vec<SeenRequest> {
        self.tally().exchanges.into_iter().map(|e| e.request).collect()
    }

    /// The exchange of the `nth` request, from 0. Fails the test if there was none.
    pub fn exchange(&self, nth: usize) -> Exchange {
        self.tally().exchanges.get(nth).cloned().unwrap_or_else(|| panic!("no request {nth} at the origin"))
    }

    /// How many requests it has seen.
    pub fn hits(&self) -> usize {
        self.board.look(|t| t.exchanges.len())
    }

    /// How many requests it has seen for a path, or for a path with its query if `path` has one.
    pub fn hits_of(&self, path: &str) -> usize {
        let same = |r: &SeenRequest| if path.contains('?') { r.target == path } else { r.path() == path };
        self.board.look(|t| t.exchanges.iter().filter(|e| same(&e.request)).count())
    }

    /// How many connections were opened to it.
    pub fn opened(&self) -> usize {
        self.board.look(|t| t.opened)
    }

    /// How many connections are open.
    pub fn open_now(&self) -> usize {
        self.board.look(|t| t.opened - t.ended)
    }

    /// How many connections the peer has closed, before the script did.
    pub fn closed_by_peer(&self) -> usize {
        self.board.look(|t| t.closed_by_peer)
    }

    /// How many bytes it has written, over all connections.
    pub fn bytes_written(&self) -> u64 {
        self.board.look(|t| t.written)
    }

    /// When the last act of the `nth` request had been written in full; `None` before that, or if the peer left.
    pub fn finished_at(&self, nth: usize) -> Option<Instant> {
        self.board.look(|t| t.exchanges.get(nth).and_then(|e| e.finished))
    }

    /// Waits until it has seen `count` requests.
    pub async fn wait_for_hits(&self, count: usize) {
        self.wait_until(|t| t.exchanges.len() >= count).await;
    }

    /// Waits until `count` answers have been written in full.
    pub async fn wait_for_finished(&self, count: usize) {
        self.wait_until(|t| t.exchanges.iter().filter(|e| e.finished.is_some()).count() >= count).await;
    }

    /// Waits until the peer has closed `count` connections.
    pub async fn wait_for_closed_by_peer(&self, count: usize) {
        self.wait_until(|t| t.closed_by_peer >= count).await;
    }

    /// Waits until the record satisfies `done`. Woken by events, it never polls. `done` runs under the record's
    /// lock: it must not ask the origin itself.
    pub async fn wait_until(&self, done: impl FnMut(&Tally) -> bool) {
        self.board.wait(done).await;
    }

    /// Fails the test if a peer has sent something that is not HTTP/1.1.
    #[track_caller]
    pub fn assert_clean(&self) {
        let faults = self.tally().faults;
        assert!(faults.is_empty(), "the origin was sent: {faults:?}");
    }
}

/// An address at which nobody listens, and which nobody else is given while this process lives: who knows it may
/// begin to listen there, end, and begin again. A socket that is bound, does not listen and shares its address
/// (`SO_REUSEADDR`) keeps the system from handing the port out, and stands in no listener's way.
pub fn refusing_addr() -> SocketAddr {
    let held = || {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = socket.local_addr()?;
        std::mem::forget(socket);
        Ok::<_, std::io::Error>(address)
    };
    held().expect("a free port")
}
