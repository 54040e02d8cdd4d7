//! Pools.

use std::collections::BTreeSet;

use super::super::reader::Reader;
use super::super::tables::{Configuration, Pool, Tls};
use super::complain_of_repeats;
use crate::origin::HttpVersion;

pub(super) fn check(configuration: &Configuration, reader: &mut Reader) {
    let used: BTreeSet<&String> =
        configuration.sites.values().filter_map(|site| site.pool.as_ref()).collect();
    for (name, pool) in &configuration.pools {
        let path = format!("pools.{name}");
        endpoints(&path, pool, reader);
        shown(&path, &pool.tls, reader);
        backoff(&path, pool, reader);
        if reader.is_sound("sites") && !used.contains(name) {
            let hint = format!("a site says pool = {name:?} to use it");
            reader.doubt(&path, format!("no site uses the pool {name:?}"), Some(hint));
        }
    }
}

fn endpoints(path: &str, pool: &Pool, reader: &mut Reader) {
    let endpoints = format!("{path}.endpoints");
    if !reader.is_sound(&endpoints) {
        return;
    }
    let name = path.split('.').nth(1).unwrap_or("");
    if pool.endpoints.is_empty() {
        let hint = "such as endpoints = [\"http://10.0.0.1:3000\", \"http://10.0.0.2:3000\"]".to_owned();
        return reader.object_to_key(path, format!("the pool {name:?} has no endpoints"), Some(hint));
    }
    let named = pool.endpoints.iter().enumerate();
    let named = named.map(|(nth, endpoint)| (endpoint.url.to_string(), format!("{endpoints}[{nth}]")));
    complain_of_repeats(named, |url, _, _| format!("the endpoint {url} is named twice"), reader);
    if pool.endpoints.iter().any(|endpoint| endpoint.url.is_tls()) {
        return;
    }
    let without = format!("has no effect: the pool {name:?} has no https:// endpoint");
    if pool.tls != Tls::default() {
        reader.doubt(&format!("{path}.tls"), format!("tls {without}"), None);
    }
    if pool.http == HttpVersion::Auto {
        let hint = "http = \"2\" speaks it without TLS, to endpoints that are known to".to_owned();
        reader.doubt(&format!("{path}.http"), format!("auto {without}"), Some(hint));
    }
}

/// What is shown to endpoints that ask who asks.
fn shown(path: &str, tls: &Tls, reader: &mut Reader) {
    let (certificate, key) = (format!("{path}.tls.certificate"), format!("{path}.tls.key"));
    if !reader.is_sound(&certificate) || !reader.is_sound(&key) {
        return;
    }
    match (&tls.certificate, &tls.key) {
        (Some(_), None) => {
            let hint = "such as key = \"/etc/forebay/node.key.pem\"".to_owned();
            reader.object(&certificate, "a certificate is shown with its key, and there is none", Some(hint));
        }
        (None, Some(_)) => {
            let hint = "such as certificate = \"/etc/forebay/node.pem\"".to_owned();
            reader.object(&key, "there is no certificate that it would be the key of", Some(hint));
        }
        _ => {}
    }
}

fn backoff(path: &str, pool: &Pool, reader: &mut Reader) {
    let (least, most) = (format!("{path}.backoff"), format!("{path}.max_backoff"));
    if reader.is_sound(&least) && reader.is_sound(&most) && pool.backoff > pool.max_backoff {
        let (least_text, most_text) =
            (humantime::format_duration(pool.backoff), humantime::format_duration(pool.max_backoff));
        let at = if reader.is_said(&least) { least } else { most };
        reader.object(&at, format!("backoff ({least_text}) is more than max_backoff ({most_text})"), None);
    }
}
