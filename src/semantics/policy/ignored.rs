//! What a site has overheard in responses, against the RFC.

use crate::semantics::cache_control::{CacheControl, Qualified};

/// Directives of responses that a site has overheard, **against the RFC**.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a directive that is heeded or not")]
pub struct IgnoredDirectives {
    /// `no-store`.
    pub no_store: bool,
    /// `no-cache`.
    pub no_cache: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// That `s-maxage` forbids to serve stale (RFC 9111 §5.2.2.10), as it stands beside a `stale-while-revalidate`
    /// that many an origin sends with it.
    pub s_maxage_revalidates: bool,
}

impl IgnoredDirectives {
    /// What is left of `cc`.
    #[must_use]
    pub fn apply(&self, cc: CacheControl) -> CacheControl {
        CacheControl {
            no_store: cc.no_store && !self.no_store,
            no_cache: if self.no_cache { Qualified::No } else { cc.no_cache },
            must_revalidate: cc.must_revalidate && !self.must_revalidate,
            proxy_revalidate: cc.proxy_revalidate && !self.proxy_revalidate,
            ..cc
        }
    }
}
