//! What the operator says, checked into what the node runs.

mod compile;
mod disk;
pub mod file;
mod memory;
mod restart;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::listener::address::Address;
use crate::listener::proxied::Proxies;
use crate::telemetry::access_log;
use crate::{admin, cache, fetch, listener, origin, request, route};

pub use crate::origin::{OriginUrl, OriginUrlError};
pub use compile::{SettingsError, unmistakable_id};
pub use disk::{Disk, DiskError};
pub use file::{Complaints, Configuration, LogLevel};
pub use memory::{MemoryError, MemoryPlan};

/// Bytes of one body that stay in memory before it spills or waits for its reader.
pub const WINDOW: u64 = 64 << 10;

/// Descriptors for listening sockets, logs, the admin listener and the runtime itself.
const RESERVED_DESCRIPTORS: u64 = 128;

/// Idle connections to origins may take this part of the descriptors that there are, if there are few.
const IDLE_PART: u64 = 4;

/// Everything that a node is run with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen.
    pub listen: Vec<Listen>,
    /// How the memory limit of the process is shared out.
    pub memory: MemoryPlan,
    /// Where bodies spill to, and how much.
    pub spill: Spill,
    /// Threads that serve.
    pub workers: usize,
    /// How long running responses may take to finish after SIGTERM.
    pub drain: Duration,
    /// How often the files of the configuration are looked at, if they are.
    pub watch: Option<Duration>,
    /// What is told to people.
    pub log_level: LogLevel,
    /// The admin listener, if there is to be one.
    pub admin: Option<admin::Settings>,
    /// The whole configuration as it was compiled, as TOML, without secrets: to be shown.
    pub shown: Arc<str>,
    /// What the access log is to say, and where.
    pub access_log: access_log::Settings,
    /// The client side.
    pub listener: listener::Settings,
    /// How TLS is spoken with clients; only if any may.
    pub tls: Option<listener::tls::Settings>,
    /// The client machine.
    pub request: request::Settings,
    /// The cache.
    pub cache: cache::Settings,
    /// The fetch machine.
    pub fetch: fetch::Settings,
    /// The origin side.
    pub pools: Vec<origin::Settings>,
    /// Who answers for which hosts.
    pub sites: Vec<route::Settings>,
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address.
    pub address: Address,
    /// Whether clients speak TLS there.
    pub tls: bool,
    /// Whether they may speak HTTP/2: by choice where TLS is spoken, else at once or not at all.
    pub http2: bool,
    /// Whether early data is taken of those who speak TLS.
    pub early_data: bool,
    /// Who says for whom it connects, by the PROXY protocol.
    pub proxies: Vec<Proxies>,
}

/// The spill area.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spill {
    /// On a real disk, not in memory.
    pub directory: PathBuf,
    /// Bytes for all bodies together.
    pub limit: u64,
}

impl Settings {
    /// Descriptors that the node may need: one for each connection, for each fetch one to the origin, as many files to spill
    /// to, and one for each segment of the disk tier's index.
    pub fn descriptors(&self) -> u64 {
        (self.request.max_connections + 2 * self.fetch.max_fetches) as u64 + self.fixed_descriptors()
    }

    fn fixed_descriptors(&self) -> u64 {
        let segments = self.cache.disk.as_ref().map_or(0, cache::DiskSettings::most_segments);
        RESERVED_DESCRIPTORS + self.idle_descriptors() + segments
    }

    /// Those of idle connections to origins.
    fn idle_descriptors(&self) -> u64 {
        self.pools.iter().map(|pool| (pool.endpoints.len() * pool.max_idle) as u64).sum()
    }

    /// Lowers the limits on idle connections, connections and fetches, in proportion, to what `available` descriptors
    /// allow.
    pub fn fit_to_descriptors(&mut self, available: u64) {
        let needed = self.descriptors();
        if available >= needed {
            return;
        }
        let (idle, most_idle) = (self.idle_descriptors(), (available / IDLE_PART).max(1));
        if idle > most_idle {
            for pool in &mut self.pools {
                let kept = pool.max_idle as u64 * most_idle / idle;
                pool.max_idle = usize::try_from(kept).unwrap_or(pool.max_idle);
            }
        }
        let (needed, fixed) = (self.descriptors(), self.fixed_descriptors());
        let usable = u128::from(available.saturating_sub(fixed));
        let scale = |limit: usize| {
            let scaled = limit as u128 * usable / u128::from(needed - fixed).max(1);
            usize::try_from(scaled).unwrap_or(limit).max(1)
        };
        self.request.max_connections = scale(self.request.max_connections);
        self.fetch.max_fetches = scale(self.fetch.max_fetches);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_descriptors_mean_few_connections_and_fetches() {
        let mut written = Configuration::default();
        written.only_site(vec!["http://a".parse().expect("an origin")]);
        let mut settings = Settings::compile(&written).expect("settings");
        let plenty = settings.descriptors();
        settings.fit_to_descriptors(plenty);
        assert_eq!(settings.request.max_connections, 10_000);
        settings.fit_to_descriptors(1024);
        assert!(settings.descriptors() <= 1024, "{settings:?}");
        assert!(settings.request.max_connections > 350 && settings.fetch.max_fetches > 100);
        let pool = &mut settings.pools[0];
        pool.endpoints = vec![pool.endpoints[0].clone(); 100];
        settings.fit_to_descriptors(1024);
        assert!(settings.descriptors() <= 1024 && settings.request.max_connections > 200, "{settings:?}");
        settings.fit_to_descriptors(0);
        assert!(settings.request.max_connections > 0);
    }
}
