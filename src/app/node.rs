//! A node without its sockets: what serves requests, put together.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::configured;
use super::purging::Purging;
use crate::admin::problem::Kind;
use crate::admin::{
    DrainEndpoint, Explain, Explained, Explaining, Handles, Inspect, Inspecting, Question, Refused,
};
use crate::admission::Rejection;
use crate::base::clock::Clock;
use crate::base::ids::SiteId;
use crate::body::budget::Budget;
use crate::body::busy::{Means, SpillArea};
use crate::cache::disk::volume::OpenError;
use crate::cache::{self, Cache};
use crate::config::{Settings, WINDOW};
use crate::fetch::Fetcher;
use crate::listener::tls::{self, Front, PolicyOf, TlsError};
use crate::origin::{Pool, PoolError, connect::Connect};
use crate::request::explain::Unexplained;
use crate::request::{ClientMachine, Parts};
use crate::route::Router;
use crate::telemetry::access_log::{AccessLog, Control};
use crate::telemetry::counters::Counters;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::sites::SiteState;

/// The parts of a node that tests and metrics look into.
#[derive(Clone, Debug)]
pub struct Node {
    /// Answers requests.
    pub machine: Arc<ClientMachine>,
    /// Shakes hands with clients that speak TLS, if any may.
    pub front: Option<Arc<Front>>,
    /// Fetches under way.
    pub fetcher: Fetcher,
    /// The tiers.
    pub cache: Arc<Cache>,
    /// Where sites come from.
    pub pools: Arc<[Pool]>,
    /// Memory and spill files, and what the node holds in them.
    pub means: Means,
    /// What it has counted.
    pub counters: Arc<Counters>,
    /// What it has counted of requests.
    pub metrics: Arc<Metrics>,
    clock: Clock,
    log: Option<Control>,
    sites: Arc<[SiteState]>,
    /// The configuration, to be shown.
    shown: Arc<str>,
}

/// Why a node cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The disk tier cannot have its directory.
    #[error("the cache directory cannot be used: {0}")]
    Disk(#[from] OpenError),
    /// A pool cannot be made.
    #[error("{0}")]
    Pool(#[from] PoolError),
    /// TLS cannot be spoken with clients.
    #[error("{0}")]
    Tls(#[from] TlsError),
}

impl Node {
    /// Puts a node together. Nothing is bound or connected yet; the disk tier, if there is one, begins to load.
    pub fn build(
        settings: &Settings,
        clock: Clock,
        connector: Arc<dyn Connect>,
        log: Option<AccessLog>,
    ) -> Result<Self, BuildError> {
        Self::build_on(settings, clock, connector, log, Cache::open)
    }

    /// The same, with a cache that `open` makes.
    pub fn build_on(
        settings: &Settings,
        clock: Clock,
        connector: Arc<dyn Connect>,
        log: Option<AccessLog>,
        open: impl FnOnce(&cache::Settings, &Arc<Budget>, &Arc<Counters>) -> Result<Cache, OpenError>,
    ) -> Result<Self, BuildError> {
        let budget = Budget::new(settings.memory.budget);
        let spill = SpillArea::new(settings.spill.directory.clone(), settings.spill.limit);
        let counters = Arc::new(Counters::default());
        let metrics = Arc::new(Metrics::new(settings.workers, Arc::clone(&counters)));
        let router = Arc::new(Router::new(settings.sites.iter().cloned(), &metrics));
        let front = settings
            .tls
            .as_ref()
            .map(|tls| shake_hands(tls, &router, (&counters, &budget), &clock))
            .transpose()?;
        let control = log.as_ref().map(AccessLog::control);
        let cache = Arc::new(open(&settings.cache, &budget, &counters)?);
        let connectors = std::iter::repeat_n(connector, settings.pools.len());
        let pools = settings.pools.iter().zip(connectors);
        let pools = pools.map(|(pool, connector)| Pool::new(pool.clone(), connector, &budget));
        let pools: Arc<[Pool]> = pools.collect::<Result<_, _>>()?;
        let means = Means { budget: Arc::clone(&budget), spill, window: WINDOW };
        let fetcher = Fetcher::new(
            settings.fetch.clone(),
            Arc::clone(&cache),
            Arc::clone(&pools),
            means.clone(),
            clock.clone(),
            Arc::clone(&counters),
        );
        let parts = Parts {
            budget,
            router,
            cache: Arc::clone(&cache),
            fetcher: fetcher.clone(),
            clock: clock.clone(),
            counters: Arc::clone(&counters),
            metrics: Arc::clone(&metrics),
            log,
        };
        let machine = Arc::new(ClientMachine::new(settings.request.clone(), parts));
        let (sites, shown) = (sites(settings).collect(), Arc::clone(&settings.shown));
        Ok(Self {
            machine,
            front,
            fetcher,
            cache,
            pools,
            means,
            counters,
            metrics,
            clock,
            log: control,
            sites,
            shown,
        })
    }

    /// What the admin listener looks at.
    pub fn handles(&self, draining: CancellationToken) -> Handles {
        let (pools, front) = (Arc::clone(&self.pools), self.front.clone());
        let tickets = front.clone();
        let sites = Arc::clone(&self.sites);
        Handles {
            metrics: Arc::clone(&self.metrics),
            cache: Arc::clone(&self.cache),
            fetcher: self.fetcher.clone(),
            means: self.means.clone(),
            connections: self.machine.connections(),
            endpoints: Arc::new(move || pools.iter().flat_map(Pool::endpoints).collect()),
            certificates: Arc::new(move || {
                front.as_ref().map_or_else(Vec::new, |front| front.keeper().states())
            }),
            ticket_keys: Arc::new(move || tickets.as_ref().and_then(|front| front.ticket_keys_are_refused())),
            drain_endpoint: self.drain_endpoint(),
            sites: Arc::new(move || sites.to_vec()),
            explain: self.explain(),
            inspect: self.inspect(),
            purger: Arc::new(Purging(Arc::clone(&self.machine))),
            config: configured::configured(&self.shown),
            log: self.log.clone(),
            draining,
            clock: self.clock.clone(),
        }
    }

    /// Lets the admin listener drain endpoints.
    fn drain_endpoint(&self) -> DrainEndpoint {
        let pools = Arc::clone(&self.pools);
        Arc::new(move |pool, endpoint, drained| {
            pools.iter().find(|known| known.name() == pool)?.drain(endpoint, drained)
        })
    }

    /// Tells the admin listener what is stored.
    fn inspect(&self) -> Inspect {
        let machine = Arc::clone(&self.machine);
        Arc::new(move |question: Question| -> Inspecting {
            let machine = Arc::clone(&machine);
            Box::pin(async move {
                let Question { method, url, fields } = question;
                machine.inspect(&method, &url, &fields).await.map_err(|why| refused(&why))
            })
        })
    }

    /// Tells the admin listener what the client machine would do.
    fn explain(&self) -> Explain {
        let machine = Arc::clone(&self.machine);
        Arc::new(move |question: Question| -> Explaining {
            let machine = Arc::clone(&machine);
            Box::pin(async move {
                let Question { method, url, fields } = question;
                let explanation =
                    machine.explain(&method, &url, &fields).await.map_err(|why| refused(&why))?;
                let text = explanation.to_string();
                let value = serde_json::to_value(&explanation).unwrap_or_default();
                Ok(Explained { value, text })
            })
        })
    }
}

/// The sites as they are told to people.
fn sites(settings: &Settings) -> impl Iterator<Item = SiteState> {
    settings.sites.iter().map(|site| SiteState {
        id: SiteId::of(&site.name),
        name: site.name.clone(),
        hosts: site.hosts.iter().map(ToString::to_string).collect(),
        pool: settings.pools.get(site.pool.0).map_or_else(String::new, |pool| pool.name.clone()),
    })
}

/// What shakes hands with clients: what is asked of them is said by the site of the host that they ask for.
fn shake_hands(
    settings: &tls::Settings,
    router: &Arc<Router>,
    (counters, budget): (&Arc<Counters>, &Arc<Budget>),
    clock: &Clock,
) -> Result<Arc<Front>, TlsError> {
    let router = Arc::clone(router);
    let policy_of = PolicyOf::new(move |name| router.client_policy(name));
    Front::new(settings, policy_of, Arc::clone(counters), budget, clock.clone()).map(Arc::new)
}

/// The word that tells why there is nothing to tell: a host of nobody's is not found, what else would be refused is
/// well understood and of no use.
fn refused(why: &Unexplained) -> Refused {
    let kind = match why {
        Unexplained::Rejected(Rejection::UnknownHost) => Kind::NoSuchSite,
        Unexplained::Rejected(_) => Kind::Unusable,
        Unexplained::Url(_) | Unexplained::Method(_) | Unexplained::Field(_) => Kind::Malformed,
    };
    Refused { kind, why: why.to_string() }
}
