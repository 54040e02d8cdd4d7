//! Sites, and what they name.

use std::collections::BTreeMap;

use super::super::near::nearest;
use super::super::reader::Reader;
use super::super::tables::{Configuration, Site};
use super::complain_of_repeats;
use crate::base::ids::SiteId;

/// As many pools as a name is compared with.
const MOST_COMPARED: usize = 1000;

pub(super) fn check(configuration: &Configuration, reader: &mut Reader) {
    hosts(configuration, reader);
    identities(configuration, reader);
    for (name, site) in &configuration.sites {
        origins(&format!("sites.{name}"), site, configuration, reader);
    }
}

fn hosts(configuration: &Configuration, reader: &mut Reader) {
    for (name, site) in &configuration.sites {
        let path = format!("sites.{name}");
        if site.hosts.is_empty() && reader.is_sound(&format!("{path}.hosts")) {
            let hint =
                "such as hosts = [\"example.com\", \"*.example.com\"], or [\"*\"] for every host".to_owned();
            reader.object_to_key(&path, format!("the site {name:?} has no hosts"), Some(hint));
        }
    }
    let named = configuration.sites.iter().flat_map(|(name, site)| {
        let path = format!("sites.{name}.hosts");
        site.hosts.iter().enumerate().map(move |(nth, host)| (host.clone(), format!("{path}[{nth}]")))
    });
    let what = |host: &_, first: &str, again: &str| {
        let (site, other) = (site_of(first), site_of(again));
        if site == other {
            format!("the host {host} is named twice")
        } else {
            format!("the host {host} belongs to the site {site:?} already")
        }
    };
    complain_of_repeats(named, what, reader);
}

/// What is stored is told apart by identities that follow from the names of sites.
fn identities(configuration: &Configuration, reader: &mut Reader) {
    let mut known: BTreeMap<SiteId, &String> = BTreeMap::new();
    for name in configuration.sites.keys() {
        let Some(other) = known.insert(SiteId::of(name), name) else { continue };
        let mut pair = [other, name];
        pair.sort_by_key(|name| reader.order(&format!("sites.{name}")));
        let [first, again] = pair;
        let message =
            format!("the sites {first:?} and {again:?} would share their cache: their names have one hash");
        let hint = format!(
            "give one of them another name; {first:?} is at {}",
            reader.where_is(&format!("sites.{first}"))
        );
        reader.object_to_key(&format!("sites.{again}"), message, Some(hint));
    }
}

/// The name in `sites.NAME.hosts[0]`.
fn site_of(path: &str) -> &str {
    path.split('.').nth(1).unwrap_or("")
}

fn origins(path: &str, site: &Site, configuration: &Configuration, reader: &mut Reader) {
    let (origins, pool) = (format!("{path}.origins"), format!("{path}.pool"));
    if !reader.is_sound(&origins) || !reader.is_sound(&pool) {
        return;
    }
    let name = path.split('.').nth(1).unwrap_or("");
    if !site.origins.is_empty() && site.pool.is_none() && configuration.pools.contains_key(name) {
        let message =
            format!("the origins of the site {name:?} are a pool of its name, and there is another one");
        let hint =
            format!("it is at {}; give one of them another name", reader.where_is(&format!("pools.{name}")));
        reader.object_to_key(&origins, message, Some(hint));
    }
    match (&site.pool, site.origins.is_empty()) {
        (None, true) => {
            let hint = "such as origins = [\"http://127.0.0.1:3000\"], or pool = \"NAME\"".to_owned();
            reader.object_to_key(path, format!("the site {name:?} has no origins and no pool"), Some(hint));
        }
        (Some(_), false) => {
            let message = format!("the site {name:?} has both origins and a pool");
            reader.object_to_key(&pool, message, Some("leave one of them out".into()));
        }
        (Some(pool), true) if !configuration.pools.contains_key(pool) => {
            dangling(&format!("{path}.pool"), pool, configuration, reader);
        }
        _ => {}
    }
    let named = site.origins.iter().enumerate();
    let named = named.map(|(nth, origin)| (origin.to_string(), format!("{origins}[{nth}]")));
    complain_of_repeats(named, |origin, _, _| format!("{origin} is named twice"), reader);
}

fn dangling(path: &str, pool: &str, configuration: &Configuration, reader: &mut Reader) {
    // It may be one whose own name is wrong.
    if !reader.is_sound("pools") && configuration.pools.is_empty() {
        return;
    }
    if !reader.has_room() {
        return reader.object(path, format!("there is no pool {pool:?}"), None);
    }
    let hint = match nearest(pool, configuration.pools.keys().map(String::as_str).take(MOST_COMPARED)) {
        Some((_, near)) => format!("did you mean {near:?}?"),
        None if configuration.pools.is_empty() => format!("write [pools.{pool}] with its endpoints"),
        None => {
            let names: Vec<&str> = configuration.pools.keys().map(String::as_str).take(10).collect();
            format!("there is {}", names.join(", "))
        }
    };
    reader.object(path, format!("there is no pool {pool:?}"), Some(hint));
}
