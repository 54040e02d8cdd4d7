//! The client machine that answers now. A reload puts another in its place (decision 22).

use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::imagined::Unexplained;
use super::{Begin, ClientMachine};
use crate::admission::{Connections, Guest};
use crate::body::budget::Charge;
use crate::body::message::{Reply, Request};
use crate::cache::inspect::Inspection;
use crate::cache::ledger::Source;
use crate::cache::tally::Tally;
use crate::cache::wish::{Fulfilled, Unfulfilled, Wish};
use crate::listener::link::Link;
use crate::listener::refusal::Refusal;
use crate::listener::{Answer, Handler};
use crate::semantics::explanation::Explanation;

/// Hands each request to the machine that is in place when it comes, which has it to its end. One for all workers.
pub struct Current(ArcSwap<ClientMachine>);

impl Current {
    /// This one answers.
    pub fn new(machine: Arc<ClientMachine>) -> Self {
        Self(ArcSwap::new(machine))
    }

    /// From now on `machine` answers what comes. The one before it goes with its last request.
    pub fn put(&self, machine: Arc<ClientMachine>) {
        self.0.store(machine);
    }

    /// The one that answers now.
    pub fn machine(&self) -> Arc<ClientMachine> {
        self.0.load_full()
    }

    /// The account of connections, which all machines share.
    pub fn connections(&self) -> Connections {
        self.0.load().connections()
    }

    /// See [`ClientMachine::explain`].
    pub async fn explain(
        &self,
        method: &str,
        url: &str,
        fields: &[(String, String)],
    ) -> Result<Explanation, Unexplained> {
        self.machine().explain(method, url, fields).await
    }
}

/// What is wished for beside requests, each by the machine that is in place when it begins.
impl Current {
    /// See [`ClientMachine::inspect`].
    pub async fn inspect(
        &self,
        method: &str,
        url: &str,
        fields: &[(String, String)],
    ) -> Result<Inspection, Unexplained> {
        self.machine().inspect(method, url, fields).await
    }

    /// See [`ClientMachine::purge`].
    pub async fn purge(&self, wish: &Wish, source: Source) -> Result<Fulfilled, Unfulfilled> {
        self.machine().purge(wish, source).await
    }

    /// See [`ClientMachine::tally`].
    pub fn tally(&self, wish: &Wish) -> Result<Tally, Unfulfilled> {
        self.0.load().tally(wish)
    }

    /// See [`ClientMachine::unknown_hosts`].
    pub fn unknown_hosts(&self, wish: &Wish) -> Vec<String> {
        self.0.load().unknown_hosts(wish)
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Current").field(&self.0.load()).finish()
    }
}

impl Handler for Current {
    type Guest = (Guest, Charge);

    fn admit(&self, link: &Link) -> Option<Self::Guest> {
        self.0.load().admit(link)
    }

    fn refuse(&self, refusal: &Refusal, link: &Link) -> Reply {
        self.0.load().refuse(refusal, link)
    }

    fn handle(&self, request: Request) -> Answer<'_> {
        // What is answered at once needs no count of who holds the machine.
        let machine = self.0.load();
        match machine.begin(request) {
            Begin::Answered(reply) => Answer::Now(reply),
            begin => {
                let machine = Guard::into_inner(machine);
                Answer::later(|client| machine.go_on(begin, client))
            }
        }
    }
}
