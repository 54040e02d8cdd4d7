//! What the operator says becomes what the node runs: each module gets the settings that are its own.
//!
//! - here: the node. - `sites`: sites and pools. - `tls`: TLS with clients.

mod sites;
#[cfg(test)]
mod tests;
mod tls;

use std::hash::{BuildHasher, RandomState};

use super::file::{Admin, Configuration, Listener};
use super::{Disk, DiskError, Listen, MemoryError, MemoryPlan, Settings, Spill};
use crate::telemetry::access_log;
use crate::{admin, cache, fetch, listener, request};
use sites::pools_and_sites;
use tls::tls;

/// Where bodies spill to without a cache directory.
const SPILL: &str = "/var/tmp";

/// The part of the memory tier that one body may take: it is in memory until it is whole.
pub(super) const LARGEST: u64 = 4;

/// Why a configuration makes no node. A file in which this is wrong is refused before, with the place
/// ([`Configuration::load`]); options of the command line come to this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Too little memory.
    #[error("memory: {0}")]
    Memory(#[from] MemoryError),
    /// Too little disk.
    #[error("disk: {0}")]
    Disk(#[from] DiskError),
    /// The admin listener would let in whoever comes.
    #[error("admin: {0}")]
    Admin(#[from] admin::AccessError),
}

impl Settings {
    /// The settings of a node of this configuration. Nothing is opened or asked for. Where it has no id for `CDN-Loop`, the
    /// node gets one that no other has.
    pub fn compile(written: &Configuration) -> Result<Self, SettingsError> {
        Self::compile_for(written, &unmistakable_id())
    }

    /// The same for a node that is known by `own_id` where the configuration has none.
    pub fn compile_for(written: &Configuration, own_id: &str) -> Result<Self, SettingsError> {
        let memory = MemoryPlan::new(written.memory.limit)?;
        if let Some(admin) = admin(&written.admin) {
            admin.check()?;
        }
        let (pools, sites) = pools_and_sites(written);
        let name = &written.node.name;
        let cdn_id = written.node.cdn_id.clone().unwrap_or_else(|| own_id.to_owned());
        let mut settings = Self {
            listen: written.listeners.iter().map(listen).collect(),
            admin: admin(&written.admin),
            shown: written.with_secrets_hidden().to_toml().into(),
            access_log: access_log(written),
            memory,
            spill: Spill { directory: SPILL.into(), limit: written.spill.limit.0 },
            workers: written.node.workers.map_or_else(one_per_core, usize::from),
            drain: written.node.drain,
            watch: written.node.watch,
            log_level: written.log.level,
            listener: listener(written),
            tls: tls(written, &memory),
            request: request::Settings {
                node: name.clone(),
                cdn_id: cdn_id.clone(),
                max_loops: written.node.max_loops,
                max_target: bytes(written.client.max_target.0),
                max_connections: written.client.max_connections,
                peers: written.fleet.peers.clone(),
                purge: purge(written),
            },
            cache: cache::Settings {
                memory: memory.tier,
                max_markers: memory.markers,
                ledger: memory.ledger,
                marker_life: written.cache.marker_life,
                disk: None,
            },
            fetch: fetch::Settings {
                node: name.clone(),
                cdn_id,
                max_fetches: written.fetch.max_fetches,
                max_refreshes: written.fetch.max_refreshes,
                backoff: written.fetch.refresh_backoff,
                max_backoff: written.fetch.max_refresh_backoff,
                max_object: memory.tier / LARGEST,
                max_spool: written.fetch.max_spool.0,
            },
            pools,
            sites,
        };
        let spill_directory = written.spill.directory.clone();
        if let Some(directory) = &written.disk.directory {
            let (limit, admission) = (written.disk.limit, written.disk.admission);
            settings.use_disk(Disk { directory: directory.clone(), limit, admission }, spill_directory)?;
        } else if let Some(directory) = spill_directory {
            settings.spill.directory = directory;
        }
        if let Some(max_object) = written.fetch.max_object {
            settings.fetch.max_object = settings.fetch.max_object.min(max_object.0);
        }
        Ok(settings)
    }
}

/// The admin listener, if there is to be one.
pub(super) fn admin(written: &Admin) -> Option<admin::Settings> {
    Some(admin::Settings {
        address: written.address?,
        // The file's reader took none that is no token.
        token: written.token.as_ref().and_then(|token| token.expose().parse().ok()),
        names: written.names.clone(),
        certificate: written.certificate.clone(),
        key: written.key.clone(),
        client_ca: written.client_ca.clone(),
    })
}

/// An id for `CDN-Loop` that no other process has: the name would not do, because every node has the same that was given
/// none, and they may well stand behind each other.
pub fn unmistakable_id() -> String {
    // Its keys come from the system, which is more than a guess at the time of the start.
    let random = RandomState::new();
    format!("forebay-{:016x}{:016x}", random.hash_one(0_u8), random.hash_one(1_u8))
}

/// None, unless it was said who may and what they show.
fn purge(written: &Configuration) -> Option<request::PurgeRules> {
    let token = written.purge.token.as_ref()?.expose().parse().ok()?;
    let from = written.purge.from.clone();
    (!from.is_empty()).then_some(request::PurgeRules { from, token })
}

fn one_per_core() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn bytes(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

fn listen(written: &Listener) -> Listen {
    let Listener { address, mode, tls, http2, early_data, proxy_protocol } = written.clone();
    let (address, http2) = (address.with_mode(mode), http2.unwrap_or(tls));
    Listen { address, tls, http2, early_data: early_data && tls, proxies: proxy_protocol }
}

fn listener(written: &Configuration) -> listener::Settings {
    let client = &written.client;
    listener::Settings {
        header_timeout: client.header_timeout,
        idle_timeout: client.idle_timeout,
        body_timeout: client.body_timeout,
        write_timeout: client.write_timeout,
        min_rate: listener::MinRate { bytes: client.min_rate.0, window: client.min_rate_window },
        max_head: bytes(client.max_head.0),
        max_fields: client.max_fields,
        max_streams: client.max_streams,
    }
}

fn access_log(written: &Configuration) -> access_log::Settings {
    let log = &written.log;
    access_log::Settings { sink: log.access.clone(), format: log.format, fields: log.fields.clone() }
}
