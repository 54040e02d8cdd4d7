//! Which site a request is for, and the rules of that site.

mod hosts;

use std::fmt;
use std::sync::Arc;

use crate::base::ids::{KeyRules, PoolId, SiteId};
use crate::semantics::policy::Policy;
use crate::telemetry::metrics::{Metrics, SiteMetrics};

use hosts::Hosts;
pub use hosts::{HostPattern, HostPatternError};

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
    /// The port to which clients are sent that speak no TLS; none serves them.
    pub tls_port: Option<u16>,
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
    /// The port to which clients are sent that speak no TLS.
    pub tls_port: Option<u16>,
    /// Where it counts.
    pub metrics: Arc<SiteMetrics>,
}

impl Site {
    fn new(settings: Settings, metrics: &Metrics) -> (Self, Vec<HostPattern>) {
        let Settings { name, hosts, pool, policy, max_body, tls_port } = settings;
        let site = Self {
            id: SiteId::of(&name),
            metrics: metrics.site(&name),
            key_rules: KeyRules::of(&policy.key_rules()),
            name,
            pool,
            policy: Arc::new(policy),
            max_body,
            tls_port,
        };
        (site, hosts)
    }
}

/// Finds the site of a host.
pub struct Router {
    sites: Hosts<Arc<Site>>,
}

impl Router {
    /// Routes to these sites, each of which counts in `metrics`. Of two that claim the same pattern, which the configuration refuses, the first has it.
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
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").finish_non_exhaustive()
    }
}
