//! What a request wants of a cache, and what comes of it for a stored response (RFC 9111 §4, §5.2.1; RFC 5861; RFC 8246).

use super::rules::{FOREVER, SECOND, Site, Stored};
use super::text::{Message, directives};

/// The directives of a request. Spans are nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    pub no_cache: bool,
    pub no_store: bool,
    pub only_if_cached: bool,
    pub max_age: Option<i128>,
    pub min_fresh: Option<i128>,
    pub max_stale: Option<i128>,
    pub stale_if_error: Option<i128>,
}

impl Wishes {
    pub fn of(request: &Message) -> Self {
        let mut wishes = Self::default();
        if !request.has("cache-control") {
            wishes.no_cache = directives(request, "pragma").iter().any(|said| said.name == "no-cache");
            return wishes;
        }
        for said in directives(request, "cache-control") {
            let number = said.seconds().map(|seconds| seconds * SECOND);
            let less = |before: Option<i128>, new: i128| Some(before.map_or(new, |before| before.min(new)));
            match said.name.as_str() {
                "no-cache" => wishes.no_cache = true,
                "no-store" => wishes.no_store = true,
                "only-if-cached" => wishes.only_if_cached = true,
                "max-age" => wishes.max_age = less(wishes.max_age, number.unwrap_or(0)),
                "min-fresh" => {
                    let new = number.unwrap_or(FOREVER);
                    wishes.min_fresh = Some(wishes.min_fresh.map_or(new, |before| before.max(new)));
                }
                "max-stale" if said.argument.is_none() => wishes.max_stale = less(wishes.max_stale, FOREVER),
                "max-stale" => {
                    wishes.max_stale = number.map_or(wishes.max_stale, |new| less(wishes.max_stale, new));
                }
                "stale-if-error" => {
                    wishes.stale_if_error =
                        number.map_or(wishes.stale_if_error, |new| less(wishes.stale_if_error, new));
                }
                _ => {}
            }
        }
        wishes
    }

    /// What a site that does not heed its clients leaves of them.
    pub fn heeded_by(self, site: &Site) -> Self {
        if site.heeds_requests { self } else { Self { no_store: self.no_store, ..Self::default() } }
    }
}

/// What is to be done with a stored response at `now`.
pub fn decide(stored: &Stored, wishes: &Wishes, site: &Site, now: i128) -> &'static str {
    let age = stored.age(now);
    let fresh = age < stored.lifetime;
    let stale_by = age - stored.lifetime;
    if !stored.shared {
        return if fresh { "validate: always" } else { "validate: stale" };
    }
    if wishes.no_cache {
        return "validate: request";
    }
    if let Some(most) = wishes.max_age {
        // RFC 9111 §5.2.1.1: no older, and not stale either unless `max-stale` says so. A reload (`max-age=0`) always
        // asks, but for what does not change while it is fresh (RFC 8246 §2).
        let reload = most == 0 || age > most || (!fresh && wishes.max_stale.is_none());
        if reload && !(stored.immutable && fresh) {
            return "validate: request";
        }
    }
    if let Some(least) = wishes.min_fresh
        && stored.lifetime < age + least
    {
        return "validate: request";
    }
    if fresh {
        return "use: fresh";
    }
    let Some((window, _)) = stored.stale else { return "validate: stale" };
    if wishes.max_stale.is_some_and(|most| stale_by <= most) {
        return "use: max-stale";
    }
    if stale_by < window.unwrap_or(site.while_revalidate * SECOND) {
        return "use and refresh";
    }
    "validate: stale"
}

/// Whether it may stand in for an origin that fails (RFC 9111 §4.2.4, RFC 5861 §4).
pub fn may_use_on_error(stored: &Stored, wishes: &Wishes, site: &Site, now: i128) -> bool {
    let fresh = stored.age(now) < stored.lifetime;
    if wishes.no_cache {
        return false;
    }
    match stored.stale {
        None => stored.shared && fresh,
        Some((window, if_error)) => {
            let window = window.unwrap_or(site.while_revalidate * SECOND);
            let asked = if_error.or(wishes.stale_if_error).unwrap_or(site.grace * SECOND);
            stored.age(now) <= stored.lifetime + window.max(asked)
        }
    }
}

/// Whether the operator has it kept at `now`.
pub fn is_kept(stored: &Stored, site: &Site, now: i128) -> bool {
    let Some(keep) = site.keep else { return true };
    let own = stored.stale.map_or(0, |(window, if_error)| {
        window.unwrap_or(site.while_revalidate * SECOND).max(if_error.unwrap_or(site.grace * SECOND))
    });
    let age = stored.age(now);
    age < stored.lifetime || age <= stored.lifetime + own + keep * SECOND
}

/// Whether it is in the last so many percent of its lifetime.
pub fn is_due_ahead(stored: &Stored, site: &Site, now: i128) -> bool {
    let left = stored.lifetime - stored.age(now);
    site.ahead > 0 && left > 0 && left < stored.lifetime * i128::from(site.ahead) / 100
}
