//! Which site a request is for, and the rules of that site. So far one site answers for every host.

use crate::base::ids::{KeyRules, SiteId};

/// A site as a request sees it.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its identity in keys.
    pub id: SiteId,
    /// The generation of its key rules.
    pub key_rules: KeyRules,
}

/// Finds the site of a host.
#[derive(Clone, Debug)]
pub struct Router {
    only: Site,
}

impl Router {
    /// Every host is the same site.
    pub fn single() -> Self {
        Self { only: Site { id: SiteId(0), key_rules: KeyRules(0) } }
    }

    /// The site of a canonical host.
    pub fn site(&self, _host: &str) -> &Site {
        &self.only
    }
}
