//! A node without its sockets: what serves requests, put together.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio_util::sync::CancellationToken;

use super::configured::{self, Told};
use super::made::{Made, Making};
use super::purging::Purging;
use crate::admin::problem::Kind;
use crate::admin::{
    DrainEndpoint, Explain, Explained, Explaining, Handles, Inspect, Inspecting, Question, Refused,
};
use crate::admission::{Connections, Rejection};
use crate::base::clock::Clock;
use crate::base::units::ByteSize;
use crate::body::budget::Budget;
use crate::body::busy::{Means, SpillArea};
use crate::cache::disk::volume::OpenError;
use crate::cache::{self, Cache};
use crate::config::{Settings, WINDOW};
use crate::fetch::Fetcher;
use crate::listener::tls::{Front, TlsError};
use crate::origin::{Living, Pool, PoolError, connect::Connect};
use crate::request::imagined::Unexplained;
use crate::request::{ClientMachine, Current, Parts};
use crate::route::Router;
use crate::telemetry::access_log::{AccessLog, Control};
use crate::telemetry::counters::Counters;
use crate::telemetry::metrics::Metrics;
use crate::transform::press::Press;

/// The parts of a node that tests and metrics look into. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Node {
    /// Answers requests.
    pub machine: Arc<Current>,
    /// Fetches under way.
    pub fetcher: Fetcher,
    /// The tiers.
    pub cache: Arc<Cache>,
    /// Codes what is stored, behind answers.
    pub press: Arc<Press>,
    /// Memory and spill files, and what the node holds in them.
    pub means: Means,
    /// What it has counted.
    pub counters: Arc<Counters>,
    /// What it has counted of requests.
    pub metrics: Arc<Metrics>,
    connections: Connections,
    connector: Arc<dyn Connect>,
    /// Pools that somebody still uses.
    living: Arc<Living>,
    /// By which sites are found in handshakes.
    routes: Arc<ArcSwap<Router>>,
    front: Arc<ArcSwapOption<Front>>,
    clock: Clock,
    log: Control,
    /// What is told of the configuration in place.
    told: Arc<ArcSwap<Told>>,
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
        spill.limit_files(settings.fetch.max_fetches);
        let means = Means { budget: Arc::clone(&budget), spill, window: WINDOW };
        let counters = Arc::new(Counters::default());
        let metrics = Arc::new(Metrics::new(settings.workers, Arc::clone(&counters)));
        let router = router(settings, &metrics);
        let ways = Arc::new(ArcSwap::new(Arc::clone(&router)));
        let living = Arc::new(Living::default());
        let made = Making {
            routes: &ways,
            counters: &counters,
            budget: &budget,
            clock: &clock,
            connector: &connector,
            living: &living,
        };
        let made = made.by(settings, &[], None)?;
        let cache = Arc::new(open(&settings.cache, &budget, &counters)?);
        let fetcher = Fetcher::new(
            &settings.fetch,
            Arc::clone(&cache),
            means.clone(),
            clock.clone(),
            Arc::clone(&counters),
        );
        let control = log.as_ref().map(AccessLog::control).unwrap_or_default();
        let press = Arc::new(Press::new(Arc::clone(&cache), Arc::clone(&budget), Arc::clone(&counters)));
        let connections = Connections::new(settings.request.max_connections);
        let Made { setup, front } = made;
        let parts = Parts {
            connections: connections.clone(),
            budget,
            router,
            cache: Arc::clone(&cache),
            fetcher: fetcher.clone(),
            setup,
            clock: clock.clone(),
            counters: Arc::clone(&counters),
            metrics: Arc::clone(&metrics),
            log,
            press: Arc::clone(&press),
        };
        let machine = Arc::new(Current::new(Arc::new(ClientMachine::new(settings.request.clone(), parts))));
        let front = Arc::new(ArcSwapOption::new(front));
        let log = control;
        Ok(Self {
            machine,
            fetcher,
            cache,
            press,
            means,
            counters,
            metrics,
            connections,
            connector,
            living,
            routes: ways,
            front,
            clock,
            log,
            told: Arc::new(ArcSwap::from_pointee(Told::of(settings))),
        })
    }

    /// Where sites come from now.
    pub fn pools(&self) -> Vec<Arc<Pool>> {
        self.machine.machine().setup().pools().to_vec()
    }

    /// Shakes hands with clients that speak TLS, if any may.
    pub fn front(&self) -> Option<Arc<Front>> {
        self.front.load_full()
    }

    /// Wall time.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Is told of the access log that there is from now on.
    pub(super) fn log_by(&mut self, control: Control) {
        self.log = control;
    }

    /// Makes what another configuration needs. Pools whose settings are the same, and TLS with clients, stay as they are; nothing
    /// is changed. Blocking: reads files.
    pub(super) fn make(&self, settings: &Settings) -> Result<Made, BuildError> {
        let Self { routes, counters, clock, connector, living, .. } = self;
        let making = Making { routes, counters, budget: &self.means.budget, clock, connector, living };
        making.by(settings, &self.pools(), self.front().as_ref())
    }

    /// Has requests and handshakes that come from now on go by another configuration. Cannot fail.
    pub(super) fn put(&self, settings: &Settings, made: &Made, log: Option<AccessLog>) {
        let router = router(settings, &self.metrics);
        let parts = Parts {
            connections: self.connections.clone(),
            budget: Arc::clone(&self.means.budget),
            router: Arc::clone(&router),
            cache: Arc::clone(&self.cache),
            fetcher: self.fetcher.clone(),
            setup: Arc::clone(&made.setup),
            clock: self.clock.clone(),
            counters: Arc::clone(&self.counters),
            metrics: Arc::clone(&self.metrics),
            log,
            press: Arc::clone(&self.press),
        };
        self.connections.set_limit(settings.request.max_connections);
        self.fetcher.set_limits(&settings.fetch);
        self.means.spill.limit_files(settings.fetch.max_fetches);
        self.front.store(made.front.clone());
        self.routes.store(router);
        self.told.store(Arc::new(Told::of(settings)));
        self.machine.put(Arc::new(ClientMachine::new(settings.request.clone(), parts)));
    }

    /// Shares the memory out anew, if its limit has changed: never are shares larger than what they are of. Blocking, as long as
    /// it takes to move what is stored.
    pub(super) fn share_out(&self, settings: &Settings) {
        let (budget, cache) = (&self.means.budget, &self.cache);
        let (before, now) = (budget.limit(), settings.memory.budget);
        if before == now {
            return;
        }
        budget.set_limit(before.max(now));
        let entries = cache.memory_entries();
        cache.resize(&settings.cache, budget);
        budget.set_limit(now);
        let (kept, limit) = (cache.memory_entries(), ByteSize(settings.memory.limit));
        tracing::info!(%limit, entries, kept, "the memory tier was built anew");
    }

    /// What the admin listener looks at.
    pub fn handles(&self, draining: CancellationToken) -> Handles {
        let (machine, front, tickets) =
            (Arc::clone(&self.machine), Arc::clone(&self.front), Arc::clone(&self.front));
        let (told, living) = (Arc::clone(&self.told), Arc::clone(&self.living));
        Handles {
            metrics: Arc::clone(&self.metrics),
            cache: Arc::clone(&self.cache),
            fetcher: self.fetcher.clone(),
            means: self.means.clone(),
            connections: self.connections.clone(),
            endpoints: Arc::new(move || {
                let machine = machine.machine();
                machine.setup().pools().iter().flat_map(|pool| living.endpoints(pool)).collect()
            }),
            certificates: Arc::new(move || {
                front.load().as_ref().map_or_else(Vec::new, |front| front.keeper().states())
            }),
            ticket_keys: Arc::new(move || tickets.load().as_ref()?.ticket_keys_are_refused()),
            explain: self.explain(),
            drain_endpoint: self.drain_endpoint(),
            sites: Arc::new(move || told.load().sites.clone()),
            inspect: self.inspect(),
            purger: Arc::new(Purging(Arc::clone(&self.machine))),
            config: configured::configured(&self.told),
            log: Some(self.log.clone()),
            reload: None,
            draining,
            clock: self.clock.clone(),
        }
    }

    /// Lets the admin listener drain endpoints.
    fn drain_endpoint(&self) -> DrainEndpoint {
        let (machine, living) = (Arc::clone(&self.machine), Arc::clone(&self.living));
        Arc::new(move |pool, endpoint, drained| {
            let machine = machine.machine();
            let now = machine.setup().pools().iter().find(|known| known.name() == pool)?;
            living.drain(now, endpoint, drained)
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

fn router(settings: &Settings, metrics: &Metrics) -> Arc<Router> {
    Arc::new(Router::new(settings.sites.iter().cloned(), metrics))
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
