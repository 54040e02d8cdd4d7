//! What the operator says, checked into what the node runs.

mod disk;
pub mod file;
mod memory;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::ids::PoolId;
use crate::base::units::ByteSize;
use crate::route::HostPattern;
use crate::semantics::policy::Policy;
use crate::{admin, cache, fetch, listener, origin, request, route};

pub use crate::origin::{OriginUrl, OriginUrlError};
pub use disk::{Disk, DiskError};
pub use memory::{MemoryError, MemoryPlan};

/// How this node names itself in `Via`, `Cache-Status` and `Proxy-Status`.
const NODE_NAME: &str = "forebay";

/// The site of a node that was told of no other.
const ONLY_SITE: &str = "default";

/// Bytes of one body that stay in memory before it spills or waits for its reader.
pub const WINDOW: u64 = 64 << 10;

/// Descriptors for listening sockets, logs, idle connections to the origin and the runtime itself.
const RESERVED_DESCRIPTORS: u64 = 320;

/// Everything that a node is run with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// How the memory limit of the process is shared out.
    pub memory: MemoryPlan,
    /// Where bodies spill to, and how much.
    pub spill: Spill,
    /// Threads that serve.
    pub workers: usize,
    /// How long running responses may take to finish after SIGTERM.
    pub drain: Duration,
    /// The admin listener, if there is to be one.
    pub admin: Option<admin::Settings>,
    /// The client side.
    pub listener: listener::Settings,
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

/// The spill area.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spill {
    /// On a real disk, not in memory.
    pub directory: PathBuf,
    /// Bytes for all bodies together.
    pub limit: u64,
}

impl Default for Spill {
    fn default() -> Self {
        Self { directory: "/var/tmp".into(), limit: ByteSize::gib(4).0 }
    }
}

impl Settings {
    /// The defaults for one origin under a memory limit.
    pub fn new(origin_url: OriginUrl, memory: MemoryPlan) -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 8080))],
            memory,
            spill: Spill::default(),
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            drain: Duration::from_secs(30),
            admin: None,
            listener: listener::Settings::default(),
            request: request::Settings {
                node: NODE_NAME.into(),
                max_target: 8 << 10,
                max_connections: 10_000,
            },
            cache: cache::Settings {
                memory: memory.tier,
                max_markers: memory.markers,
                marker_life: Duration::from_mins(2),
                disk: None,
            },
            fetch: fetch::Settings {
                node: NODE_NAME.into(),
                max_fetches: 4096,
                max_object: memory.tier / 4,
                max_spool: ByteSize::gib(1).0,
            },
            pools: vec![origin::Settings::new(ONLY_SITE, vec![origin_url.into()])],
            sites: vec![Self::only_site()],
        }
    }

    /// One site that answers for every host, from the first pool.
    fn only_site() -> route::Settings {
        route::Settings {
            name: ONLY_SITE.into(),
            hosts: vec![HostPattern::Any],
            pool: PoolId(0),
            policy: Policy::default(),
            max_body: ByteSize::gib(1).0,
        }
    }

    /// Descriptors that the node may need: one for each connection, for each fetch one to the origin and one to spill
    /// to, and one for each segment of the disk tier's index.
    pub fn descriptors(&self) -> u64 {
        (self.request.max_connections + 2 * self.fetch.max_fetches) as u64 + self.fixed_descriptors()
    }

    fn fixed_descriptors(&self) -> u64 {
        RESERVED_DESCRIPTORS + self.cache.disk.as_ref().map_or(0, cache::DiskSettings::most_segments)
    }

    /// Lowers the limits on connections and fetches, in proportion, to what `available` descriptors allow.
    pub fn fit_to_descriptors(&mut self, available: u64) {
        let needed = self.descriptors();
        if available >= needed {
            return;
        }
        let fixed = self.fixed_descriptors();
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
        let memory = MemoryPlan::new(ByteSize::gib(1)).expect("enough");
        let mut settings = Settings::new("http://a".parse().expect("an origin"), memory);
        let plenty = settings.descriptors();
        settings.fit_to_descriptors(plenty);
        assert_eq!(settings.request.max_connections, 10_000);
        settings.fit_to_descriptors(1024);
        assert!(settings.descriptors() <= 1024, "{settings:?}");
        assert!(settings.request.max_connections > 350 && settings.fetch.max_fetches > 100);
        settings.fit_to_descriptors(0);
        assert!(settings.request.max_connections > 0);
    }
}
