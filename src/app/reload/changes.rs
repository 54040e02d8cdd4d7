//! What is another in one configuration than in the one before, in words.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{Configuration, Settings};

/// A configuration as it is written, and what is made of it.
type Both<'a> = (&'a Configuration, &'a Settings);

/// The names of what has changed between `before` and `now`. Listeners tell of themselves.
pub(super) fn between(before: Both<'_>, now: Both<'_>) -> Vec<String> {
    let mut changed = Vec::new();
    let ((old, old_settings), (new, new_settings)) = (before, now);
    named("site", &old.sites, &new.sites, &mut changed);
    named("pool", &old.pools, &new.pools, &mut changed);
    named("certificate", &old.certificates, &new.certificates, &mut changed);
    let mut table = |name: &str, has_changed: bool| {
        if has_changed {
            changed.push(name.to_owned());
        }
    };
    table("memory", old.memory != new.memory);
    table("node", old.node != new.node || old_settings.request.cdn_id != new_settings.request.cdn_id);
    table("tls", old.tls != new.tls);
    table("client", old.client != new.client);
    table("fetch", old.fetch != new.fetch);
    table("cache", old.cache != new.cache);
    table("compression", old.compression != new.compression);
    table("purge", old.purge != new.purge);
    table("fleet", old.fleet != new.fleet);
    table("log", old.log != new.log);
    changed
}

/// What of things with names has come, gone, or changed.
fn named<T: PartialEq>(
    what: &str,
    before: &BTreeMap<String, T>,
    now: &BTreeMap<String, T>,
    changed: &mut Vec<String>,
) {
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    for name in names {
        let became = match (before.get(name), now.get(name)) {
            (Some(before), Some(now)) if before == now => continue,
            (Some(_), Some(_)) => "changed",
            (None, _) => "added",
            (_, None) => "removed",
        };
        changed.push(format!("{what} {name} {became}"));
    }
}
