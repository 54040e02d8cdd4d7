//! The method PURGE: whoever may takes back what is stored under the URL that is asked for. It is not HTTP's own, but
//! sites and their plugins know it. Who may not is told what everybody is told, whatever is stored.

use std::net::IpAddr;

use http::uri::PathAndQuery;
use http::{Method, StatusCode, header};
use ipnet::IpNet;

use super::{ClientMachine, Received};
use crate::admission::Rejection;
use crate::base::token::Token;
use crate::body::message::{Reply, Request};
use crate::cache::ledger::Source;
use crate::cache::tally::Tally;
use crate::cache::wish::{Fulfilled, Unfulfilled, Wish};
use crate::deliver;

/// Who may purge by the method PURGE: who is in one of these networks and shows the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgeRules {
    /// Where they may be.
    pub from: Vec<IpNet>,
    /// What they show.
    pub token: Token,
}

impl PurgeRules {
    fn allow(&self, request: &Request) -> bool {
        let is_near = |peer: IpAddr| self.from.iter().any(|network| network.contains(&peer.to_canonical()));
        let mut shown = request.headers.get_all(header::AUTHORIZATION).iter();
        // Both in any case: how long it takes says nothing of either.
        let has_token = shown.any(|field| self.token.is_borne_by(field.as_bytes()));
        request.peer.ip().is_some_and(is_near) & has_token
    }
}

pub(super) fn is_purge(method: &Method) -> bool {
    method.as_str() == "PURGE"
}

/// What came of a PURGE whose client left before it was known: it holds if it was recorded by then.
const LEFT: &str = "left";

/// A PURGE that leaves its line when it ends, also if its client ends it.
struct Attempt<'a> {
    by: Option<IpAddr>,
    urls: &'a [String],
    outcome: &'static str,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let Self { by, urls, outcome } = self;
        tracing::info!(target: "audit", who = ?by, what = "PURGE", on = ?urls, outcome, "changed by an operator");
    }
}

impl ClientMachine {
    /// Why a PURGE goes no further.
    pub(super) fn purge_refused(&self, request: &Request) -> Option<Rejection> {
        let may = self.settings.purge.as_ref().is_some_and(|rules| rules.allow(request));
        (!may).then(|| Rejection::Method(request.method.clone()))
    }

    /// Purges what a request asks for, by both schemes: who asks for it in the clear, from behind the same wall, means what
    /// clients see by TLS too. Dropped while it waits, the purge holds all the same, and
    /// its line is written.
    pub(super) async fn purged(&self, received: Received) -> Reply {
        let Received { request, admitted, site, begun } = received;
        let wish = Wish::of_url(format!("//{}{}", admitted.host, request.target));
        let mut attempt = Attempt { by: request.peer.ip(), urls: &wish.urls, outcome: LEFT };
        let done = self.purge(&wish, Source { id: fastrand::u128(..), stream: 0 }).await;
        attempt.outcome = match &done {
            Ok(_) => "done",
            Err(Unfulfilled::NotDurable(_)) => "not durable",
            Err(_) => "refused",
        };
        drop(attempt);
        let reply = match done {
            Ok(Fulfilled { id, sequence, .. }) => {
                deliver::said(StatusCode::OK, &format!("Purged at {sequence}, as {id:032x}."), begun.time)
            }
            Err(why @ Unfulfilled::NotDurable(_)) => {
                deliver::said(StatusCode::SERVICE_UNAVAILABLE, &why.to_string(), begun.time)
            }
            Err(why) => deliver::said(StatusCode::BAD_REQUEST, &why.to_string(), begun.time),
        };
        begun.logged_purge(reply, &request, &site.name, self.log.as_ref())
    }

    /// Does what is wished for by whoever may: the names of URLs are those of the keys of their sites.
    pub async fn purge(&self, wish: &Wish, source: Source) -> Result<Fulfilled, Unfulfilled> {
        self.cache.fulfil(wish, |host, target| self.normal(host, target), self.clock.now(), source).await
    }

    /// Blocking, for a second at most: what a wish would match, without purging anything.
    pub fn tally(&self, wish: &Wish) -> Result<Tally, Unfulfilled> {
        Ok(self.cache.tally(wish.read(|host, target| self.normal(host, target))?)?)
    }

    /// The target of keys for what is asked for at a canonical host.
    fn normal(&self, host: &str, target: PathAndQuery) -> PathAndQuery {
        let site = self.router.site(host);
        site.and_then(|site| site.policy.query.normal(&target)).unwrap_or(target)
    }

    /// Which of the hosts that a wish names nobody answers for: most likely they are misspelt.
    pub fn unknown_hosts(&self, wish: &Wish) -> Vec<String> {
        wish.hosts_named().into_iter().filter(|host| self.router.site(host).is_none()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn an_attempt_whose_client_leaves_leaves_its_line() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber =
            tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        let _log = tracing::subscriber::set_default(subscriber);
        let urls = ["//shop.test/a".to_owned()];
        let left = async {
            let _attempt = Attempt { by: None, urls: &urls, outcome: LEFT };
            std::future::pending::<()>().await;
        };
        assert!(tokio::time::timeout(std::time::Duration::from_millis(1), left).await.is_err());
        let told = String::from_utf8(lines.0.lock().clone()).expect("UTF-8");
        assert!(
            told.contains("PURGE") && told.contains("//shop.test/a") && told.contains("outcome=\"left\""),
            "{told}"
        );
    }
}
