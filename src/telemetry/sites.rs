//! What can be told of a site at one moment, for people.

use crate::base::ids::SiteId;

/// One site as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteState {
    /// Its identity in keys.
    pub id: SiteId,
    /// What the operator calls it.
    pub name: String,
    /// The hosts that it answers for.
    pub hosts: Vec<String>,
    /// The name of its pool.
    pub pool: String,
}
