//! A running node: its workers, and how it drains.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::listeners::Listeners;
use super::logs::Logs;
use super::reload::{Begun, Origin, Reloader};
use super::worker::{Deadline, Inbox, Worker};
use super::{BuildError, Node};
use crate::admin::{Admin, AdminError};
use crate::base::clock::Clock;
use crate::config::{Listen, Settings};
use crate::listener::address::Address;
use crate::listener::{Limits, Serving};
use crate::origin::connect::Tcp;
use crate::telemetry::access_log::{AccessLog, LogWriter};

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
    /// Where it listened when it began, ports filled in.
    pub addresses: Vec<Listen>,
    reloader: Reloader,
    draining: CancellationToken,
    workers: Vec<JoinHandle<()>>,
    admin: Option<Admin>,
}

impl Running {
    /// Binds every address, starts the workers, and the admin listener if there is to be one. Its configuration stays as it is.
    pub fn start(settings: &Settings, log: Option<AccessLog>) -> Result<Self, RunError> {
        Self::start_from(settings, Logs::of(log), None)
    }

    /// The same, with a configuration that can be read anew from where it is from.
    pub fn start_from(settings: &Settings, logs: Logs, origin: Option<Origin>) -> Result<Self, RunError> {
        let mut node = Node::build(settings, Clock::system(), Arc::new(Tcp), logs.log())?;
        node.log_by(logs.control());
        let draining = CancellationToken::new();
        let limits = Limits::from(settings.listener.clone());
        let inboxes: Vec<Inbox> = (0..settings.workers.max(1)).map(|_| Inbox::default()).collect();
        let serving = Serving {
            settings: limits.clone(),
            uploads: node.means.clone(),
            counters: Arc::clone(&node.counters),
            draining: draining.clone(),
        };
        let mut listeners = Listeners::new(inboxes.clone(), serving);
        let plan = listeners.plan(&settings.listen)?;
        listeners.put(plan, node.front().as_ref());
        let addresses = listeners.addresses();
        let deadline = Deadline::new(settings.drain);
        let connections = TaskTracker::new();
        let mut workers = Vec::with_capacity(inboxes.len());
        for (index, inbox) in inboxes.into_iter().enumerate() {
            let worker = Worker {
                handler: Arc::clone(&node.machine),
                inbox,
                draining: draining.clone(),
                connections: connections.clone(),
                deadline: deadline.clone(),
            };
            workers.push(worker.spawn(index).map_err(RunError::Worker)?);
        }
        let begun =
            Begun { node: node.clone(), listeners, logs, limits, deadline, draining: draining.clone() };
        let reloader = Reloader::start(begun, settings.clone(), origin).map_err(RunError::Worker)?;
        let mut running = Self { node, addresses, reloader, draining, workers, admin: None };
        if let Some(settings) = &settings.admin {
            match Admin::start(settings, running.reloader.handles()) {
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

    /// Reads the configuration anew, if it can be.
    pub fn reloader(&self) -> &Reloader {
        &self.reloader
    }

    /// Stops accepting, lets running responses finish within the deadline, and waits for the workers. Gives back what still writes
    /// the access log's last lines.
    pub fn drain(self) -> Vec<LogWriter> {
        // Also ends what looks after files.
        let logs = self.reloader.end(&self.draining);
        for worker in self.workers {
            let _ = worker.join();
        }
        self.node.cache.close(CLOSE_LIMIT);
        // Last, so that all this can be watched.
        if let Some(admin) = self.admin {
            admin.stop();
        }
        logs.into_writers()
    }
}
