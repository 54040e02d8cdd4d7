//! What the node counts of its requests, by site; and how numbers are written for Prometheus.
//!
//! Every label is a name from the configuration or a word of the code, never something that a client sent.

pub mod exposition;
mod histogram;
mod outcome;
mod render;
mod site;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

pub use histogram::Distribution;
pub use outcome::Outcome;
pub use site::{Finished, SiteMetrics};

use super::counters::Counters;
use words::Words;

/// What a node counts.
#[derive(Debug)]
pub struct Metrics {
    counters: Arc<Counters>,
    sites: Mutex<BTreeMap<String, Arc<SiteMetrics>>>,
    rejected: Words,
    threads: usize,
}

impl Metrics {
    /// Nothing counted yet; `threads` will count at the same time.
    pub fn new(threads: usize, counters: Arc<Counters>) -> Self {
        Self { counters, sites: Mutex::default(), rejected: Words::default(), threads }
    }

    /// The counts of a site, by its name in the configuration. The same name gets the same counts, so they go on
    /// when a configuration is loaded anew. For each name there is memory that is never given back: about 2 KiB for
    /// each thread.
    pub fn site(&self, name: &str) -> Arc<SiteMetrics> {
        let mut sites = self.sites.lock();
        if let Some(site) = sites.get(name) {
            return Arc::clone(site);
        }
        let site = Arc::new(SiteMetrics::new(name.to_owned(), self.threads));
        sites.insert(name.to_owned(), Arc::clone(&site));
        site
    }

    /// Counts a request that was refused before a site was known.
    pub fn rejected(&self, why: &'static str) {
        self.rejected.count(why);
    }

    /// What was counted of requests as a whole, by decision.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The counts of all sites.
    pub fn sites(&self) -> Vec<Arc<SiteMetrics>> {
        self.sites.lock().values().cloned().collect()
    }
}
