//! What the operator says becomes what the node runs: each module gets the settings that are its own.

use std::hash::{BuildHasher, RandomState};

use http::{HeaderName, HeaderValue};

use super::file::{
    Admin, AgainstRfcPolicy, CachePolicy, CacheableMethod, Configuration, IgnoredDirective, Listener, Pool,
    SiteTls,
};
use super::{Disk, DiskError, Listen, MemoryError, MemoryPlan, Settings, Spill};
use crate::base::ids::{ClientPolicy, PoolId};
use crate::listener::tls::authorities::Authorities;
use crate::listener::tls::certificate::Files;
use crate::listener::tls::gate::{Asked, ClientCertificates, Told};
use crate::listener::tls::keeper::Named;
use crate::origin::TlsSettings;
use crate::route::Clients;
use crate::semantics::cookies::CookieRules;
use crate::semantics::patterns::{Names, Paths};
use crate::semantics::policy::{
    CacheableMethods, Heuristic, IgnoredDirectives, Lifetimes, MaxVariants, Outlasting, Policy,
};
use crate::semantics::query::QueryRules;
use crate::semantics::tags::TagRules;
use crate::semantics::targeted::TargetList;
use crate::telemetry::access_log;
use crate::{admin, cache, fetch, listener, origin, request, route};

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
        max_head: bytes(client.max_head.0),
        max_fields: client.max_fields,
        max_streams: client.max_streams,
    }
}

/// None, if nobody speaks it.
fn tls(written: &Configuration, memory: &MemoryPlan) -> Option<listener::tls::Settings> {
    if !written.listeners.iter().any(|listener| listener.tls) {
        return None;
    }
    let certificates = written.certificates.iter().map(|(name, certificate)| Named {
        name: name.clone(),
        // The file's reader took none without either.
        files: Files {
            chain: certificate.chain.clone().unwrap_or_default(),
            key: certificate.key.clone().unwrap_or_default(),
        },
        is_default: written.tls.default_certificate.as_ref() == Some(name),
    });
    let takes_early_data = written.listeners.iter().any(|listener| listener.tls && listener.early_data);
    Some(listener::tls::Settings {
        certificates: certificates.collect(),
        policies: (1..).map(ClientPolicy).zip(policies(written)).collect(),
        minimum: written.tls.minimum_version,
        ticket_keys: written.tls.ticket_keys.clone(),
        early_data_sessions: takes_early_data
            .then(|| written.tls.early_data_sessions.unwrap_or_else(|| bytes(memory.sessions))),
        handshake_timeout: written.tls.handshake_timeout,
        reload_every: written.tls.reload_every,
    })
}

/// What is asked of clients, each once, in the order of the sites.
fn policies(written: &Configuration) -> Vec<Asked> {
    let mut policies = Vec::new();
    for asked in written.sites.values().filter_map(|site| asked(&site.tls)) {
        if !policies.contains(&asked) {
            policies.push(asked);
        }
    }
    policies
}

/// What a site asks of its clients, if it asks for anything.
fn asked(tls: &SiteTls) -> Option<Asked> {
    let is_required = match tls.client_certificates {
        ClientCertificates::Off => return None,
        ClientCertificates::Optional => false,
        ClientCertificates::Required => true,
    };
    // The file's reader took none without.
    let ca = tls.client_ca.clone().unwrap_or_default();
    let authorities = Authorities { ca, crl: tls.client_revocations.clone() };
    Some(Asked { is_required, authorities, told: tls.tell_client_certificate })
}

/// The same as its requests are held against it: the first policy is the one that asks for nothing.
fn clients(tls: &SiteTls, policies: &[Asked]) -> Clients {
    let Some(asked) = asked(tls) else { return Clients::default() };
    let nth = (1..).zip(policies).find_map(|(nth, policy)| (*policy == asked).then_some(nth));
    Clients {
        policy: nth.map_or(ClientPolicy::NONE, ClientPolicy),
        need_certificate: asked.is_required,
        are_told: asked.told != Told::Off,
    }
}

fn access_log(written: &Configuration) -> access_log::Settings {
    let log = &written.log;
    access_log::Settings { sink: log.access.clone(), format: log.format, fields: log.fields.clone() }
}

/// The pools of the file, then those that sites have to themselves, and the sites, which name theirs by its place.
fn pools_and_sites(written: &Configuration) -> (Vec<origin::Settings>, Vec<route::Settings>) {
    let mut pools: Vec<origin::Settings> =
        written.pools.iter().map(|(name, pool)| pool_of(name, pool)).collect();
    let mut sites = Vec::with_capacity(written.sites.len());
    let policies = policies(written);
    for (name, site) in &written.sites {
        let shared = site.pool.as_ref().and_then(|pool| written.pools.keys().position(|name| name == pool));
        let pool = shared.unwrap_or_else(|| {
            pools.push(pool_of(name, &written.pool_of(site).unwrap_or_default()));
            pools.len() - 1
        });
        sites.push(route::Settings {
            name: name.clone(),
            hosts: site.hosts.clone(),
            pool: PoolId(pool),
            policy: Policy {
                strict_transport: strict_transport(&site.tls),
                ..policy(&written.cache_of(site), &written.against_rfc_of(site))
            },
            max_body: site.max_body.unwrap_or(written.client.max_body).0,
            tls_port: site.tls.redirect,
            clients: clients(&site.tls, &policies),
        });
    }
    (pools, sites)
}

/// RFC 6797 §6.1.
fn strict_transport(tls: &SiteTls) -> Option<HeaderValue> {
    let below = if tls.strict_below { "; includeSubDomains" } else { "" };
    let strict = tls.strict?;
    // Less than a second is not none, by which clients forget.
    let seconds = if strict.is_zero() { 0 } else { strict.as_secs().max(1) };
    HeaderValue::from_str(&format!("max-age={seconds}{below}")).ok()
}

fn policy(cache: &CachePolicy, against: &AgainstRfcPolicy) -> Policy {
    // The file's reader took nothing that is no name of a field.
    let targets = cache.targeted_fields.iter().filter_map(|name| name.parse().ok());
    let ignores = |directive| against.ignored_directives.contains(&directive);
    let chosen = |method| cache.cacheable_methods.contains(&method);
    Policy {
        targets: TargetList::new(targets),
        request_directives: cache.request_directives,
        refresh_ahead: cache.refresh_ahead,
        ignored: IgnoredDirectives {
            no_store: ignores(IgnoredDirective::NoStore),
            no_cache: ignores(IgnoredDirective::NoCache),
            must_revalidate: ignores(IgnoredDirective::MustRevalidate),
            proxy_revalidate: ignores(IgnoredDirective::ProxyRevalidate),
            s_maxage_revalidates: ignores(IgnoredDirective::SMaxageRevalidates),
        },
        store_set_cookie: cache.store_set_cookie,
        store_until_close: cache.store_until_close,
        personal_cookies: cache.personal_cookies.clone(),
        tell_key: cache.tell_key,
        ignore_no_vary_search: !cache.no_vary_search,
        max_variants: MaxVariants(cache.max_variants),
        lifetimes: Lifetimes {
            forced: against.lifetime,
            by_status: cache.status_lifetimes.iter().map(|(status, time)| (status.range(), *time)).collect(),
            default: cache.default_lifetime,
            heuristic: Heuristic { percent: cache.heuristic_percent, max: cache.max_heuristic },
            min: against.min_lifetime,
            max: cache.max_lifetime,
        },
        outlasting: Outlasting {
            grace: cache.grace,
            while_revalidate: cache.stale_while_revalidate,
            keep: cache.keep,
        },
        query: QueryRules {
            ignored: names(&cache.ignored_query),
            kept: cache.kept_query.as_deref().map(names),
            sort: cache.sort_query,
        },
        cookies: CookieRules {
            ignored: names(&cache.ignored_cookies),
            variant: names(&cache.variant_cookies),
            bypass: names(&cache.bypass_cookies),
        },
        variant_fields: field_names(&cache.variant_fields),
        bypass_paths: Paths::new(cache.bypass_paths.iter().map(String::as_str)),
        methods: CacheableMethods {
            query: chosen(CacheableMethod::Query),
            post: chosen(CacheableMethod::Post),
            reuse_post: against.reuse_post,
        },
        hide_clients: cache.hide_clients,
        max_ranges: cache.max_ranges,
        tags: TagRules {
            fields: cache.tag_fields.iter().filter_map(|name| name.parse().ok()).collect(),
            are_shown: cache.show_tags,
            heeds_groups: cache.cache_groups,
        },
        strict_transport: None,
    }
}

fn names(patterns: &[String]) -> Names {
    Names::new(patterns.iter().map(String::as_str))
}

/// In order and each once, so that the same fields make the same keys.
fn field_names(names: &[String]) -> Vec<HeaderName> {
    let mut names: Vec<HeaderName> = names.iter().filter_map(|name| name.parse().ok()).collect();
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    names
}

fn pool_of(name: &str, pool: &Pool) -> origin::Settings {
    origin::Settings {
        name: name.to_owned(),
        endpoints: pool.endpoints.clone(),
        max_connections: pool.max_connections,
        queue: pool.queue,
        queue_timeout: pool.queue_timeout,
        max_idle: pool.idle_connections,
        idle_timeout: pool.idle_timeout,
        connect_timeout: pool.connect_timeout,
        first_byte_timeout: pool.first_byte_timeout,
        between_bytes_timeout: pool.between_bytes_timeout,
        total_timeout: pool.total_timeout,
        continue_timeout: pool.continue_timeout,
        max_head: bytes(pool.max_head.0),
        retries: pool.retries,
        down_after: pool.down_after,
        backoff: pool.backoff,
        max_backoff: pool.max_backoff,
        resolve_every: pool.resolve_every,
        http_version: pool.http,
        keep_alive: pool.keep_alive,
        chunked: pool.chunked,
        tls: TlsSettings {
            verify: pool.tls.verify,
            ca: pool.tls.ca.clone(),
            server_name: pool.tls.server_name.clone(),
            client: pool.tls.certificate.clone().zip(pool.tls.key.clone()),
        },
        send_fields: pool.headers(),
        is_shield: pool.shield,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::file::{Listener, Site};
    use crate::listener::address::Address;
    use crate::route::HostPattern;

    fn compile(change: impl FnOnce(&mut Configuration)) -> Settings {
        let mut written = Configuration::default();
        change(&mut written);
        Settings::compile(&written).expect("settings")
    }

    fn site(hosts: &str, pool: Option<&str>, origin: &[&str]) -> Site {
        Site {
            hosts: vec![hosts.parse().expect("a pattern")],
            pool: pool.map(str::to_owned),
            origins: origin.iter().map(|url| url.parse().expect("an origin")).collect(),
            ..Site::default()
        }
    }

    #[test]
    fn the_defaults_of_the_file_are_those_of_the_modules() {
        let settings = compile(|_| {});
        let debug = |listener: &listener::Settings| format!("{listener:?}");
        assert_eq!(debug(&settings.listener), debug(&listener::Settings::default()));
        assert_eq!(settings.access_log, access_log::Settings::default());
        let pool = compile(|written| written.only_site(vec!["http://a".parse().expect("an origin")]));
        let usual = origin::Settings::new(
            "default",
            vec!["http://a".parse::<crate::config::OriginUrl>().expect("an origin").into()],
        );
        assert_eq!(format!("{:?}", pool.pools), format!("{:?}", [usual]));
        assert_eq!(pool.sites.first().map(|site| &site.policy), Some(&Policy::default()));
    }

    #[test]
    fn sites_share_the_pool_that_they_name_and_have_one_for_their_own_origins() {
        let settings = compile(|written| {
            written.pools.insert("app".into(), Pool { retries: 7, ..Pool::default() });
            written.pools.insert("other".into(), Pool::default());
            written.sites.insert("a".into(), site("a.example", Some("app"), &[]));
            written.sites.insert("b".into(), site("*", None, &["http://b", "http://c"]));
            written.sites.insert("c".into(), site("c.example", Some("app"), &[]));
        });
        let pool_of = |index: usize| settings.pools.get(settings.sites[index].pool.0).expect("a pool");
        assert_eq!([0, 2].map(|site| (pool_of(site).name.as_str(), pool_of(site).retries)), [("app", 7); 2]);
        assert_eq!((pool_of(1).name.as_str(), pool_of(1).endpoints.len()), ("b", 2));
        assert_eq!(settings.sites[1].hosts, [HostPattern::Any]);
    }

    #[test]
    fn sites_that_ask_the_same_of_clients_have_one_policy() {
        use ClientCertificates::{Off, Optional, Required};
        let asks = [
            (Off, "", Told::Off),
            (Required, "a.pem", Told::Off),
            (Required, "b.pem", Told::Off),
            (Required, "a.pem", Told::Off),
            (Required, "a.pem", Told::Chain),
            (Optional, "a.pem", Told::Chain),
            (Optional, "a.pem", Told::Chain),
        ];
        let settings = compile(|written| {
            written.listeners = vec![Listener { tls: true, ..Listener::default() }];
            for (nth, (client_certificates, ca, told)) in asks.into_iter().enumerate() {
                let client_ca = (!ca.is_empty()).then(|| ca.into());
                let tls = SiteTls {
                    client_certificates,
                    client_ca,
                    tell_client_certificate: told,
                    ..SiteTls::default()
                };
                let site = site(&format!("{nth}.test"), None, &["http://a"]);
                written.sites.insert(nth.to_string(), Site { tls, ..site });
            }
        });
        let clients: Vec<Clients> = settings.sites.iter().map(|site| site.clients).collect();
        assert_eq!(clients.iter().map(|clients| clients.policy.0).collect::<Vec<_>>(), [0, 1, 2, 1, 3, 4, 4]);
        let need: Vec<bool> = clients.iter().map(|clients| clients.need_certificate).collect();
        assert_eq!(need, [false, true, true, true, true, false, false]);
        let policies = settings.tls.expect("TLS").policies;
        assert_eq!(policies.len(), 4);
        for (clients, (asked, ca, told)) in clients.iter().zip(asks).filter(|(_, (asked, ..))| *asked != Off)
        {
            let (number, policy) = &policies[clients.policy.0 as usize - 1];
            assert_eq!(*number, clients.policy);
            assert_eq!((policy.is_required, policy.told), (asked == Required, told));
            assert_eq!(policy.authorities.ca.as_path(), std::path::Path::new(ca));
        }
    }

    #[test]
    fn a_site_says_otherwise_than_all_sites() {
        let settings = compile(|written| {
            written.cache.grace = Duration::from_secs(1);
            written.cache.max_lifetime = Some(Duration::from_secs(2));
            written.client.max_body = crate::base::units::ByteSize(10);
            let mut other = site("a.example", None, &["http://a"]);
            other.cache.grace = Some(Duration::from_secs(3));
            other.max_body = Some(crate::base::units::ByteSize(20));
            written.sites.insert("a".into(), other);
            written.sites.insert("b".into(), site("b.example", None, &["http://b"]));
        });
        let of = |index: usize| {
            let site: &route::Settings = &settings.sites[index];
            (site.policy.outlasting.grace.as_secs(), site.policy.lifetimes.max, site.max_body)
        };
        let max = Some(Duration::from_secs(2));
        assert_eq!([of(0), of(1)], [(3, max, 20), (1, max, 10)]);
    }

    #[test]
    fn every_listener_is_listened_on() {
        let address: Address = "127.0.0.1:81".parse().expect("an address");
        let listener = Listener { address: address.clone(), ..Listener::default() };
        let settings = compile(|written| written.listeners.push(listener));
        assert_eq!(settings.listen.len(), 2);
        assert_eq!(
            settings.listen.last(),
            Some(&Listen { address, tls: false, http2: false, early_data: false, proxies: Vec::new() })
        );
    }
}
