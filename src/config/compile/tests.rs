use std::time::Duration;

use super::*;
use crate::config::file::{Listener, Pool, Site, SiteTls};
use crate::listener::address::Address;
use crate::listener::tls::gate::{ClientCertificates, Told};
use crate::route::Clients;
use crate::route::HostPattern;
use crate::semantics::policy::Policy;
use crate::{origin, route};

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
    for (clients, (asked, ca, told)) in clients.iter().zip(asks).filter(|(_, (asked, ..))| *asked != Off) {
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
