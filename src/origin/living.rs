//! All pools that there are, also those that a reload has replaced and that requests still go by: what an operator says of an
//! endpoint counts in each of them.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::Pool;
use crate::telemetry::endpoints::EndpointState;

/// The pools that somebody still uses. An endpoint is drained in all pools of a name, or in none.
#[derive(Debug, Default)]
pub struct Living(Mutex<Vec<Weak<Pool>>>);

impl Living {
    /// Takes a pool up before anybody uses it: what is drained in another one of its name is drained in it.
    pub fn add(&self, pool: &Arc<Pool>) {
        let mut living = self.0.lock();
        living.retain(|pool| pool.strong_count() > 0);
        for other in called(&living, pool.name()) {
            pool.drain_as(&other);
        }
        living.push(Arc::downgrade(pool));
    }

    /// Drains an endpoint in every pool of the name, or asks it again; how it is then. What it is called is as for
    /// [`Pool::drain`], and as `now` understands it, the pool that the next request goes by.
    pub fn drain(&self, now: &Arc<Pool>, called_so: &str, drained: bool) -> Option<EndpointState> {
        let url = now.url_of(called_so)?;
        // One that is made at this moment comes before or after.
        let living = self.0.lock();
        for pool in called(&living, now.name()) {
            // Another one need not have it.
            let _ = pool.drain(&url, drained);
        }
        drop(living);
        self.endpoints(now).into_iter().find(|state| state.endpoint == url)
    }

    /// The endpoints of a pool, and what is under way there by those that it has replaced. What is counted is its own.
    pub fn endpoints(&self, now: &Arc<Pool>) -> Vec<EndpointState> {
        let mut states = now.endpoints();
        let others = called(&self.0.lock(), now.name());
        for other in
            others.iter().filter(|other| !Arc::ptr_eq(other, now)).flat_map(|other| other.endpoints())
        {
            if let Some(state) = states.iter_mut().find(|state| state.endpoint == other.endpoint) {
                state.active += other.active;
                state.idle += other.idle;
            }
        }
        states
    }
}

fn called(living: &[Weak<Pool>], name: &str) -> Vec<Arc<Pool>> {
    living.iter().filter_map(Weak::upgrade).filter(|pool| pool.name() == name).collect()
}
