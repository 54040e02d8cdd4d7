//! A running node: one worker thread with a runtime of its own per core (decision 1), and how it drains.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::caretaker::Caretaker;
use super::{BuildError, Node};
use crate::admin::{Admin, AdminError};
use crate::base::clock::Clock;
use crate::config::{Listen, Settings};
use crate::listener::accept::Speaks;
use crate::listener::address::Address;
use crate::listener::proxied::Trusted;
use crate::listener::tls::Front;
use crate::listener::unix::SocketFile;
use crate::listener::wire::Bound;
use crate::listener::{Handler, Serving, accept, bind, unix};
use crate::origin::connect::Tcp;
use crate::telemetry::access_log::AccessLog;

/// Threads for file I/O that one worker may have.
const BLOCKING_THREADS: usize = 12;

/// How long the disk tier may take to write what waits.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// Why a node does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// An address cannot be had.
    #[error("cannot listen on {address}: {error}{hint}", hint = hint(.error))]
    Listen {
        /// The address.
        address: Address,
        /// What the kernel said.
        error: io::Error,
    },
    /// The node cannot be put together.
    #[error("{0}")]
    Build(#[from] BuildError),
    /// There is no admin listener.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// A thread or its runtime could not be started.
    #[error("cannot start a worker: {0}")]
    Worker(io::Error),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => " (another program listens there; choose another with --listen)",
        io::ErrorKind::PermissionDenied => {
            " (ports below 1024 need a privilege, Unix sockets a directory to write to)"
        }
        io::ErrorKind::NotFound => " (the directory of a Unix socket has to be there)",
        io::ErrorKind::AddrNotAvailable => " (this machine has no such address)",
        _ => "",
    }
}

/// A node that serves.
#[derive(Debug)]
pub struct Running {
    /// Its parts.
    pub node: Node,
    /// Where it listens, ports filled in.
    pub addresses: Vec<Listen>,
    /// The files of Unix sockets.
    files: Vec<SocketFile>,
    draining: CancellationToken,
    workers: Vec<JoinHandle<()>>,
    admin: Option<Admin>,
    caretaker: Option<Caretaker>,
}

impl Running {
    /// Binds every address, starts the workers, and the admin listener if there is to be one.
    pub fn start(settings: &Settings, log: Option<AccessLog>) -> Result<Self, RunError> {
        let node = Node::build(settings, Clock::system(), Arc::new(Tcp), log)?;
        let Everywhere { addresses, sockets, files } = bind_all(&settings.listen, settings.workers)?;
        let caretaker = node.front.as_ref().zip(settings.tls.as_ref());
        let caretaker = caretaker.map(|(front, tls)| Caretaker::start(front, tls.reload_every));
        let caretaker = caretaker.transpose().map_err(RunError::Worker)?;
        let draining = CancellationToken::new();
        let connections = TaskTracker::new();
        let mut workers = Vec::with_capacity(sockets.len());
        for (index, sockets) in sockets.into_iter().enumerate() {
            let worker = Worker {
                handler: Arc::clone(&node.machine),
                sockets,
                front: node.front.clone(),
                serving: Serving {
                    settings: settings.listener.clone(),
                    uploads: node.means.clone(),
                    counters: Arc::clone(&node.counters),
                    draining: draining.clone(),
                },
                connections: connections.clone(),
                deadline: settings.drain,
            };
            workers.push(worker.spawn(index).map_err(RunError::Worker)?);
        }
        let mut running = Self { node, addresses, files, draining, workers, admin: None, caretaker };
        if let Some(settings) = &settings.admin {
            match Admin::start(settings, running.node.handles(running.draining.clone())) {
                Ok(admin) => running.admin = Some(admin),
                Err(error) => {
                    running.drain();
                    return Err(error.into());
                }
            }
        }
        Ok(running)
    }

    /// Where the admin listener is, if there is one.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::address)
    }

    /// How the URLs of the admin listener begin, if there is one.
    pub fn admin_scheme(&self) -> Option<&'static str> {
        self.admin.as_ref().map(Admin::scheme)
    }

    /// Stops accepting, lets running responses finish within the deadline, and waits for the workers.
    pub fn drain(self) {
        // As long as they are listened on, nobody else has put others there.
        drop(self.files);
        self.draining.cancel();
        drop(self.caretaker);
        for worker in self.workers {
            let _ = worker.join();
        }
        self.node.cache.close(CLOSE_LIMIT);
        // Last, so that all this can be watched.
        if let Some(admin) = self.admin {
            admin.stop();
        }
    }
}

/// What is listened on.
struct Everywhere {
    /// Ports filled in.
    addresses: Vec<Listen>,
    /// By worker.
    sockets: Vec<Vec<Socket>>,
    files: Vec<SocketFile>,
}

/// Each address once for each worker.
fn bind_all(wanted: &[Listen], workers: usize) -> Result<Everywhere, RunError> {
    let mut sockets: Vec<Vec<Socket>> = (0..workers.max(1)).map(|_| Vec::new()).collect();
    let (mut addresses, mut files) = (Vec::with_capacity(wanted.len()), Vec::new());
    for listen in wanted {
        let failed = |error| RunError::Listen { address: listen.address.clone(), error };
        let (address, bound) = match &listen.address {
            Address::Inet(address) => {
                let bound = bind::bind(*address, sockets.len()).map_err(failed)?;
                let address = bound.first().map_or(Ok(*address), TcpListener::local_addr).map_err(failed)?;
                (address.into(), bound.into_iter().map(Bound::Tcp).collect::<Vec<_>>())
            }
            Address::Unix(socket, mode) => {
                let (bound, file) = unix::bind(socket, *mode, sockets.len()).map_err(failed)?;
                files.push(file);
                (listen.address.clone(), bound.into_iter().map(Bound::Unix).collect())
            }
        };
        addresses.push(Listen { address, ..listen.clone() });
        for (worker, bound) in sockets.iter_mut().zip(bound) {
            let Listen { tls, http2, early_data, .. } = *listen;
            worker.push(Socket { bound, tls, http2, early_data, proxies: Trusted::new(&listen.proxies) });
        }
    }
    Ok(Everywhere { addresses, sockets, files })
}

/// A listening socket.
struct Socket {
    bound: Bound,
    /// Whether clients speak TLS there.
    tls: bool,
    http2: bool,
    early_data: bool,
    proxies: Option<Trusted>,
}

/// One thread with its runtime and its sockets.
struct Worker<H> {
    handler: Arc<H>,
    sockets: Vec<Socket>,
    front: Option<Arc<Front>>,
    serving: Serving,
    /// Those of all workers: a connection may read what another worker fetches, so none ends before the last.
    connections: TaskTracker,
    deadline: Duration,
}

impl<H: Handler> Worker<H> {
    fn spawn(self, index: usize) -> io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .build()?;
        std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            if let Err(error) = runtime.block_on(self.serve()) {
                tracing::error!(%error, "a worker could not use its sockets");
            }
            // File reads of clients that are gone are not waited for.
            runtime.shutdown_background();
        })
    }

    async fn serve(self) -> io::Result<()> {
        let mut accepting = tokio::task::JoinSet::new();
        for Socket { bound, tls, http2, early_data, proxies } in self.sockets {
            let socket = bound.listen()?;
            let speaks = Speaks { front: self.front.clone().filter(|_| tls), http2, early_data, proxies };
            let (handler, serving) = (Arc::clone(&self.handler), self.serving.clone());
            accepting.spawn(accept::accept(socket, speaks, handler, serving, self.connections.clone()));
        }
        accepting.join_all().await;
        self.connections.close();
        if tokio::time::timeout(self.deadline, self.connections.wait()).await.is_err() {
            tracing::warn!(
                left = self.connections.len(),
                "the drain deadline passed; ending what still runs"
            );
        }
        Ok(())
    }
}
