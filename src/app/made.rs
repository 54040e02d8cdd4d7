//! What a configuration needs that may not be had: pools, and TLS with clients. Made aside, before anything is put in place.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::BuildError;
use crate::base::clock::Clock;
use crate::body::budget::Budget;
use crate::config::Settings;
use crate::fetch::setup::Setup;
use crate::listener::tls::{self, Front, PolicyOf, TlsError};
use crate::origin::{self, Living, Pool, PoolError, connect::Connect};
use crate::route::Router;
use crate::telemetry::counters::Counters;

/// What a configuration needs that may not be had, made aside.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) setup: Arc<Setup>,
    /// Shakes hands with clients that speak TLS, if any may.
    pub(super) front: Option<Arc<Front>>,
}

/// What it takes to make what a configuration needs.
pub(super) struct Making<'a> {
    /// By which sites are found in handshakes.
    pub(super) routes: &'a Arc<ArcSwap<Router>>,
    pub(super) counters: &'a Arc<Counters>,
    pub(super) budget: &'a Arc<Budget>,
    pub(super) clock: &'a Clock,
    pub(super) connector: &'a Arc<dyn Connect>,
    /// Where pools are taken up.
    pub(super) living: &'a Living,
}

impl Making<'_> {
    /// As the settings say, with what there is already as far as they say the same.
    pub(super) fn by(
        &self,
        settings: &Settings,
        pools: &[Arc<Pool>],
        front: Option<&Arc<Front>>,
    ) -> Result<Made, BuildError> {
        let before: HashMap<&str, &Arc<Pool>> = pools.iter().map(|pool| (pool.name(), pool)).collect();
        let front = settings.tls.as_ref().map(|tls| self.front(tls, front)).transpose()?;
        let pool = |wanted: &origin::Settings| -> Result<Arc<Pool>, PoolError> {
            let before = before.get(wanted.name.as_str());
            if let Some(same) = before.filter(|before| before.is_as(wanted)) {
                return Ok(Arc::clone(same));
            }
            let pool = Arc::new(Pool::new(wanted.clone(), Arc::clone(self.connector), self.budget)?);
            self.living.add(&pool);
            Ok(pool)
        };
        let pools = settings.pools.iter().map(pool).collect::<Result<Vec<_>, _>>()?;
        Ok(Made { setup: Setup::new(settings.fetch.clone(), pools), front })
    }

    /// What shakes hands with clients: what is asked of them is said by the site of the host that they ask for.
    fn front(&self, settings: &tls::Settings, earlier: Option<&Arc<Front>>) -> Result<Arc<Front>, TlsError> {
        if let Some(same) = earlier.filter(|earlier| earlier.settings() == settings) {
            return Ok(Arc::clone(same));
        }
        let routes = Arc::clone(self.routes);
        let policy_of = PolicyOf::new(move |name| routes.load().client_policy(name));
        let (counters, clock) = (Arc::clone(self.counters), self.clock.clone());
        Front::new(settings, policy_of, counters, self.budget, clock, earlier.map(|earlier| &**earlier))
            .map(Arc::new)
    }
}
