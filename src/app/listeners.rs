//! What is listened on: sockets that are bound, kept over a reload, turned to something else, and closed.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use tokio::sync::watch;

use super::RunError;
use super::worker::{Fresh, Inbox};
use crate::config::Listen;
use crate::listener::accept::{Speaks, Spoken};
use crate::listener::address::Address;
use crate::listener::proxied::Trusted;
use crate::listener::tls::Front;
use crate::listener::unix::SocketFile;
use crate::listener::wire::Bound;
use crate::listener::{Serving, bind, unix};

/// Every listener of a node.
#[derive(Debug)]
pub(super) struct Listeners {
    open: Vec<Listener>,
    /// One for each worker.
    workers: Vec<Inbox>,
    /// How connections are served.
    serving: Serving,
}

/// An address that is listened on.
#[derive(Debug)]
struct Listener {
    /// As it is configured.
    wanted: Listen,
    /// Its port filled in.
    address: Address,
    /// Dropped, the sockets are closed, and its connections end, those who have just come served.
    spoken: watch::Sender<Spoken>,
    file: Option<SocketFile>,
}

/// What is to be listened on, as far as it could fail.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// In the order of the configuration.
    wanted: Vec<Planned>,
}

#[derive(Debug)]
enum Planned {
    /// The one in this place goes on.
    Kept(usize, Listen),
    /// One that was bound, for each worker once.
    Bound { wanted: Listen, address: Address, sockets: Vec<Bound>, file: Option<SocketFile> },
}

impl Listeners {
    /// None so far.
    pub(super) fn new(workers: Vec<Inbox>, serving: Serving) -> Self {
        Self { open: Vec::new(), workers, serving }
    }

    /// What is listened on, in the order of the configuration, ports filled in.
    pub(super) fn addresses(&self) -> Vec<Listen> {
        self.open.iter().map(|one| Listen { address: one.address.clone(), ..one.wanted.clone() }).collect()
    }

    /// Binds what is not there yet. Nothing is changed, but for the permissions of a Unix socket's file. Blocking.
    pub(super) fn plan(&self, wanted: &[Listen]) -> Result<Plan, RunError> {
        let mut left: Vec<(usize, &Listener)> = self.open.iter().enumerate().collect();
        let mut plan = Plan::default();
        for listen in wanted {
            let same = left.iter().position(|(_, open)| is_same(open, listen));
            plan.wanted.push(match same.map(|nth| left.remove(nth)) {
                Some((place, _)) => Planned::Kept(place, listen.clone()),
                None => self.bind(listen).map_err(|error| failed(listen, error))?,
            });
        }
        // Last, and so as good as aside.
        for planned in &plan.wanted {
            if let Planned::Kept(place, listen) = planned
                && let Some(open) = self.open.get(*place)
                && let (Some(file), Address::Unix(_, mode)) = (&open.file, &listen.address)
                && open.wanted.address != listen.address
            {
                file.set_mode(*mode).map_err(|error| failed(listen, error))?;
            }
        }
        Ok(plan)
    }

    fn bind(&self, wanted: &Listen) -> io::Result<Planned> {
        let workers = self.workers.len();
        let (address, sockets, file) = match &wanted.address {
            Address::Inet(address) => {
                let bound = if self.open.iter().any(|open| open.address.overlaps(&wanted.address)) {
                    // It goes, or the configuration would not have been taken.
                    bind::bind_beside(*address, workers)?
                } else {
                    bind::bind(*address, workers)?
                };
                let address = bound.first().map_or(Ok(*address), TcpListener::local_addr)?;
                (address.into(), bound.into_iter().map(Bound::Tcp).collect(), None)
            }
            Address::Unix(socket, mode) => {
                let (bound, file) = unix::bind(socket, *mode, workers)?;
                (wanted.address.clone(), bound.into_iter().map(Bound::Unix).collect(), Some(file))
            }
        };
        Ok(Planned::Bound { wanted: wanted.clone(), address, sockets, file })
    }

    /// Listens on what was planned and on nothing else. Says what is another now.
    pub(super) fn put(&mut self, plan: Plan, front: Option<&Arc<Front>>) -> Vec<String> {
        let mut before: Vec<Option<Listener>> = self.open.drain(..).map(Some).collect();
        let mut changed = Vec::new();
        for planned in plan.wanted {
            match planned {
                Planned::Kept(place, wanted) => {
                    let Some(mut open) = before.get_mut(place).and_then(Option::take) else { continue };
                    if open.turn_to(wanted, front) {
                        changed.push(format!("listener {} changed", open.address));
                    }
                    self.open.push(open);
                }
                Planned::Bound { wanted, address, sockets, file } => {
                    let serving = self.serving.clone();
                    let (spoken, hear) =
                        watch::channel(Spoken { speaks: speaks(&wanted, front), manner: 0, serving });
                    for (worker, bound) in self.workers.iter().zip(sockets) {
                        worker.give(Fresh { bound, spoken: hear.clone() });
                    }
                    changed.push(format!("listener {address} added"));
                    self.open.push(Listener { wanted, address, spoken, file });
                }
            }
        }
        for removed in before.into_iter().flatten() {
            changed.push(format!("listener {} removed", removed.address));
        }
        changed
    }

    /// The files of Unix sockets go. As long as they are listened on, nobody else has put others there.
    pub(super) fn remove_files(&mut self) {
        for open in &mut self.open {
            drop(open.file.take());
        }
    }
}

impl Listener {
    /// Has connections that come from now on served as `wanted` says. Those that were made before end with the response that they
    /// are at, if it is something else that is spoken now.
    fn turn_to(&mut self, wanted: Listen, front: Option<&Arc<Front>>) -> bool {
        let turned = self.wanted != wanted;
        let spoken = |listen: &Listen| (listen.tls, listen.http2, listen.early_data, listen.proxies.clone());
        let ends = spoken(&self.wanted) != spoken(&wanted);
        self.wanted = wanted;
        if let Address::Unix(..) = self.wanted.address {
            self.address = self.wanted.address.clone();
        }
        let speaks = speaks(&self.wanted, front);
        let of = |speaks: &Speaks| speaks.front.as_ref().map(Arc::as_ptr);
        self.spoken.send_if_modified(|now| {
            let modified = ends || of(&now.speaks) != of(&speaks);
            now.speaks = speaks;
            now.manner = now.manner.wrapping_add(u32::from(ends));
            modified
        });
        turned
    }
}

fn speaks(listen: &Listen, front: Option<&Arc<Front>>) -> Speaks {
    let Listen { tls, http2, early_data, proxies, .. } = listen;
    let front = front.filter(|_| *tls).cloned();
    Speaks { front, http2: *http2, early_data: *early_data, proxies: Trusted::new(proxies) }
}

/// Whether it is listened on where it was, whatever is spoken there.
fn is_same(open: &Listener, wanted: &Listen) -> bool {
    match (&open.wanted.address, &wanted.address) {
        (Address::Unix(open, _), Address::Unix(wanted, _)) => open == wanted,
        (open, wanted) => open == wanted,
    }
}

fn failed(listen: &Listen, error: io::Error) -> RunError {
    RunError::Listen { address: listen.address.clone(), error }
}
