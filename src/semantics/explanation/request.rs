//! What a request wishes of caches.

use super::{Step, seconds};
use crate::semantics::request_directives::RequestDirectives;

/// The directives of a request that are `heeded`, among those that it `said`; whether it is for one person.
pub fn directives(said: &RequestDirectives, heeded: &RequestDirectives, personal: bool) -> Step {
    let mut step = Step::new("Request", Some("RFC 9111 §5.2.1"));
    for (sentence, applies) in [
        ("no-cache: nothing stored may be used without asking the origin.", heeded.no_cache),
        ("no-store: it waits for nobody, and nothing of its answer is kept.", heeded.no_store),
        ("only-if-cached: the origin may not be asked.", heeded.only_if_cached),
    ] {
        if applies {
            step.say(sentence);
        }
    }
    for (limit, name, means) in [
        (heeded.max_age, "max-age", "nothing older is wanted"),
        (heeded.min_fresh, "min-fresh", "it has to stay fresh for so long"),
        (heeded.max_stale, "max-stale", "stale for so long is welcome"),
        (heeded.stale_if_error, "stale-if-error", "stale for so long will do if the origin fails"),
    ] {
        if let Some(limit) = limit {
            step.say(format!("{name} of {}: {means}.", seconds(limit)));
        }
    }
    if said != heeded {
        step.say("The site does not heed what else the request asks of caches.");
    }
    if personal {
        step.say("It has credentials, or a cookie that the site calls personal: it shares no fetch, unless what is stored says that it is for others too (RFC 9111 §3.5).");
    }
    if step.says.is_empty() {
        step.say("It asks nothing of caches.");
    }
    step
}
