//! A configuration as TOML.

use std::fmt::Write as _;

use super::kinds::Secret;
use super::policy::{AgainstRfcPolicy, CachePolicy, CompressionPolicy};
use super::table::{Shown, Table as _};
use super::tables::{Configuration, Pool, Site};
use crate::config::OriginUrl;
use crate::route::HostPattern;

/// The site of a node that was told of no other.
const ONLY_SITE: &str = "default";

impl Configuration {
    /// Everything that holds, as TOML that reads back to the same configuration. A secret that is kept elsewhere is
    /// shown as where it is kept.
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        write_table(&mut out, "", &self.show());
        out
    }

    /// The same without any secret, also where one is written plainly: to be shown to whom the files are not.
    #[must_use]
    pub fn with_secrets_hidden(&self) -> Self {
        let mut shown = self.clone();
        let sent = shown.pools.values_mut().flat_map(|pool| pool.send_fields.values_mut());
        for value in sent.chain(shown.purge.token.as_mut()).filter(|value| value.is_plain()) {
            *value = Secret::plain("(hidden)");
        }
        shown
    }

    /// Serves one site for every host, from these origins, in place of all that were said.
    pub fn only_site(&mut self, origins: Vec<OriginUrl>) {
        let site = Site { hosts: vec![HostPattern::Any], origins, ..Site::default() };
        self.sites = [(ONLY_SITE.to_owned(), site)].into();
    }

    /// What is stored of a site, and for how long.
    pub fn cache_of(&self, site: &Site) -> CachePolicy {
        site.cache.over(&self.cache)
    }

    /// What of that HTTP forbids.
    pub fn against_rfc_of(&self, site: &Site) -> AgainstRfcPolicy {
        site.cache.against_rfc.over(&self.cache.against_rfc)
    }

    /// What of a site is coded.
    pub fn compression_of(&self, site: &Site) -> CompressionPolicy {
        site.compression.over(&self.compression)
    }

    /// The pool of a site: the one that it names, or one of its own made of its origins. `None` only for a site that is
    /// in no configuration that was read.
    pub fn pool_of(&self, site: &Site) -> Option<Pool> {
        match &site.pool {
            Some(name) => self.pools.get(name).cloned(),
            None => Some(Pool {
                endpoints: site.origins.iter().cloned().map(Into::into).collect(),
                ..Pool::default()
            }),
        }
    }
}

/// Writes a table's values, then the tables below it, each under its path.
pub(super) fn write_table(out: &mut String, path: &str, keys: &[(String, Shown)]) {
    for (name, shown) in keys {
        if let Shown::Value(value) = shown {
            let _ = writeln!(out, "{name} = {value}");
        }
    }
    for (name, shown) in keys {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match shown {
            Shown::Value(_) => {}
            Shown::Table(keys) => {
                // The tables of names have none of their own.
                if keys.iter().any(|(_, shown)| matches!(shown, Shown::Value(_))) {
                    let _ = writeln!(out, "\n[{path}]");
                }
                write_table(out, &path, keys);
            }
            Shown::Tables(tables) => {
                for keys in tables {
                    let _ = writeln!(out, "\n[[{path}]]");
                    write_table(out, &path, keys);
                }
            }
        }
    }
}

impl Pool {
    /// The fields that requests to its endpoints get. Those that are kept elsewhere are marked as sensitive.
    pub fn headers(&self) -> http::HeaderMap {
        let fields = self.send_fields.iter().filter_map(|(name, value)| {
            let name = http::HeaderName::from_bytes(name.as_bytes()).ok()?;
            let mut header = http::HeaderValue::from_str(value.expose()).ok()?;
            header.set_sensitive(!value.is_plain());
            Some((name, header))
        });
        fields.collect()
    }
}
