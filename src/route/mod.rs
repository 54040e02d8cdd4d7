//! Which site a request is for, and the rules of that site.

mod hosts;

use std::fmt;
use std::sync::Arc;

use crate::base::ids::{ClientPolicy, KeyRules, PoolId, SiteId};
use crate::semantics::patterns::Paths;
use crate::semantics::policy::Policy;
use crate::semantics::target::canonical_host;
use crate::telemetry::metrics::{Metrics, SiteMetrics};

use hosts::Hosts;
pub use hosts::{HostPattern, HostPatternError};

/// What a site asks of its clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clients {
    /// What was asked of them when they connected by TLS: nobody else is answered.
    pub policy: ClientPolicy,
    /// That it was a certificate, without which nobody got so far: nobody is answered in the clear.
    pub need_certificate: bool,
    /// The origin is told of a certificate that they showed.
    pub are_told: bool,
}

/// A site as the operator configures it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the operator calls it: in logs, metrics and keys.
    pub name: String,
    /// The hosts that it answers for.
    pub hosts: Vec<HostPattern>,
    /// Where it comes from.
    pub pool: PoolId,
    /// What it adds to the rules of HTTP.
    pub policy: Policy,
    /// The most bytes of a request's content; more is answered with 413.
    pub max_body: u64,
    /// The most of them that are taken in before the origin is asked; longer content is passed on as it comes.
    pub max_buffered_body: u64,
    /// Where all content is passed on as it comes.
    pub streamed_paths: Paths,
    /// The port to which clients are sent that speak no TLS; none serves them.
    pub tls_port: Option<u16>,
    /// What is asked of them.
    pub clients: Clients,
}

/// A site as a request sees it.
#[derive(Debug)]
pub struct Site {
    /// Its identity in keys.
    pub id: SiteId,
    /// The generation of its key rules.
    pub key_rules: KeyRules,
    /// What the operator calls it.
    pub name: String,
    /// Where it comes from.
    pub pool: PoolId,
    /// What it adds to the rules of HTTP.
    pub policy: Arc<Policy>,
    /// The most bytes of a request's content.
    pub max_body: u64,
    /// The most of them that are taken in before the origin is asked.
    pub max_buffered_body: u64,
    /// Where all content is passed on as it comes.
    pub streamed_paths: Paths,
    /// The port to which clients are sent that speak no TLS.
    pub tls_port: Option<u16>,
    /// What is asked of clients.
    pub clients: Clients,
    /// Where it counts.
    pub metrics: Arc<SiteMetrics>,
}

impl Site {
    fn new(settings: Settings, metrics: &Metrics) -> (Self, Vec<HostPattern>) {
        let Settings {
            name,
            hosts,
            pool,
            policy,
            max_body,
            max_buffered_body,
            streamed_paths,
            tls_port,
            clients,
        } = settings;
        let site = Self {
            id: SiteId::of(&name),
            metrics: metrics.site(&name),
            key_rules: KeyRules::of(&key_rules(&policy, clients)),
            name,
            pool,
            policy: Arc::new(policy),
            max_body,
            max_buffered_body,
            streamed_paths,
            tls_port,
            clients,
        };
        (site, hosts)
    }
}

/// What tells the keys of a site from those that it would have under other rules. What was stored for those who have shown a
/// certificate is for nobody else, also if none has to be shown any more.
fn key_rules(policy: &Policy, clients: Clients) -> Vec<u8> {
    /// Behind what the policy says, which begins otherwise.
    const FOR_WHO_HAS_SHOWN_ONE: &[u8] = b"need_certificate";
    let mut rules = policy.key_rules();
    if clients.need_certificate {
        rules.extend_from_slice(FOR_WHO_HAS_SHOWN_ONE);
    }
    rules
}

/// Finds the site of a host.
pub struct Router {
    sites: Hosts<Arc<Site>>,
}

impl Router {
    /// Routes to these sites, each of which counts in `metrics`. Of two that claim the same pattern, which the configuration
    /// refuses, the first has it.
    pub fn new(sites: impl IntoIterator<Item = Settings>, metrics: &Metrics) -> Self {
        let mut hosts = Hosts::default();
        for settings in sites {
            let (site, patterns) = Site::new(settings, metrics);
            let site = Arc::new(site);
            for pattern in patterns {
                hosts.add(pattern, Arc::clone(&site));
            }
        }
        Self { sites: hosts }
    }

    /// The site of a canonical host; none if nobody answers for it. Its port says nothing: a site is the same one
    /// behind every listener.
    pub fn site(&self, host: &str) -> Option<&Arc<Site>> {
        self.sites.find(host)
    }

    /// What is asked of clients that ask for a host by this name, as they spell it: what its site asks, found as for a
    /// request.
    pub fn client_policy(&self, name: &str) -> ClientPolicy {
        let host = canonical_host(name, "https").ok();
        host.and_then(|host| self.site(&host).map(|site| site.clients.policy)).unwrap_or_default()
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::counters::Counters;

    fn site(name: &str, hosts: &[&str], policy: u32) -> Settings {
        Settings {
            name: name.into(),
            hosts: hosts.iter().map(|host| host.parse().expect("a pattern")).collect(),
            pool: PoolId(0),
            policy: Policy::default(),
            max_body: 1,
            max_buffered_body: 1,
            streamed_paths: Paths::default(),
            tls_port: None,
            clients: Clients { policy: ClientPolicy(policy), ..Clients::default() },
        }
    }

    #[test]
    fn what_is_asked_of_clients_is_found_by_any_spelling_of_a_host() {
        let metrics = Metrics::new(1, Arc::new(Counters::default()));
        let sites = [site("a", &["a.test", "*.a.test"], 1), site("b", &["b.a.test"], 2)];
        let router = Router::new(sites, &metrics);
        for (policy, names) in [
            (1, &["a.test", "A.Test", "a.test.", "x.a.test", "X.y.A.test."][..]),
            (2, &["b.a.test", "B.A.TEST."]),
            (0, &["", ".", "test", "xa.test", "a..test", "a.test/", "192.0.2.1", "[::1]", "a@a.test"]),
        ] {
            for name in names {
                assert_eq!(router.client_policy(name), ClientPolicy(policy), "{name}");
            }
        }
    }
}
