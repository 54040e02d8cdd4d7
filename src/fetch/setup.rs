//! By what rules fetches go, and to which pools, under one configuration.

use std::sync::Arc;

use super::Settings;
use super::outgoing::Us;
use crate::base::ids::PoolId;
use crate::origin::Pool;

/// What one configuration says of fetches. Who asks holds the one that was in place when his request began, and with it
/// everything that is fetched for him.
#[derive(Debug)]
pub struct Setup {
    pub(super) settings: Settings,
    pub(super) us: Us,
    pools: Vec<Arc<Pool>>,
}

impl Setup {
    /// Sites name their pool by its place in `pools`.
    pub fn new(settings: Settings, pools: Vec<Arc<Pool>>) -> Arc<Self> {
        let us = Us::new(&settings.node, &settings.cdn_id);
        Arc::new(Self { settings, us, pools })
    }

    /// The rules.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// All pools, in their order.
    pub fn pools(&self) -> &[Arc<Pool>] {
        &self.pools
    }

    pub(super) fn pool(&self, id: PoolId) -> Option<&Arc<Pool>> {
        self.pools.get(id.0)
    }
}
