//! Sites with their rules, and the pools that they come from.

use http::{HeaderName, HeaderValue};

use super::super::file::{
    AgainstRfcPolicy, CachePolicy, CacheableMethod, CodingName, CompressionPolicy, Configuration,
    IgnoredDirective, Pool, SiteTls,
};
use super::bytes;
use super::tls::{clients, policies};
use crate::base::ids::PoolId;
use crate::origin::TlsSettings;
use crate::semantics::coding::Coding;
use crate::semantics::compression::{Compression, Levels};
use crate::semantics::cookies::CookieRules;
use crate::semantics::patterns::{Names, Paths};
use crate::semantics::policy::{
    CacheableMethods, Heuristic, IgnoredDirectives, Lifetimes, MaxVariants, Outlasting, Policy,
};
use crate::semantics::query::QueryRules;
use crate::semantics::tags::TagRules;
use crate::semantics::targeted::TargetList;
use crate::{origin, route};

/// The pools of the file, then those that sites have to themselves, and the sites, which name theirs by its place.
pub(super) fn pools_and_sites(written: &Configuration) -> (Vec<origin::Settings>, Vec<route::Settings>) {
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
                compression: compression(&written.compression_of(site)),
                ..policy(&written.cache_of(site), &written.against_rfc_of(site))
            },
            max_body: site.max_body.unwrap_or(written.client.max_body).0,
            max_buffered_body: site.max_buffered_body.unwrap_or(written.client.max_buffered_body).0,
            streamed_paths: Paths::new(site.streamed_paths.iter().map(String::as_str)),
            tls_port: site.tls.redirect,
            clients: clients(&site.tls, &policies),
        });
    }
    (pools, sites)
}

fn compression(written: &CompressionPolicy) -> Compression {
    let coding = |name: &CodingName| match name {
        CodingName::Brotli => Coding::Brotli,
        CodingName::Zstd => Coding::Zstd,
        CodingName::Gzip => Coding::Gzip,
    };
    Compression {
        codings: written.codings.iter().map(coding).collect(),
        from_origin: written.from_origin.iter().map(coding).collect(),
        max_decoded: written.max_decoded.0,
        max_ratio: written.max_ratio.into(),
        // The file's reader took none that is no pattern.
        types: written.types.iter().filter_map(|pattern| pattern.parse().ok()).collect(),
        least: written.min_length.0,
        personal: written.personal,
        fast: Levels { brotli: written.fast_br, zstd: written.fast_zstd, gzip: written.fast_gzip },
        dense: Levels { brotli: written.dense_br, zstd: written.dense_zstd, gzip: written.dense_gzip },
        print: 0,
    }
    .sealed()
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
        compression: Compression::default(),
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
