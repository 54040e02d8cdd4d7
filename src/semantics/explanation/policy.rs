//! Which site a request is for, and what it adds to the rules of HTTP.

use super::{Step, listed, seconds};
use crate::semantics::patterns::Names;
use crate::semantics::policy::{Heuristic, Lifetimes, Outlasting, Policy};

/// The site that answers for `host`, and its rules as far as they differ from the defaults.
pub fn site(name: &str, host: &str, policy: &Policy) -> Step {
    let mut step = Step::new("Site", None);
    step.say(format!("{host:?} is answered for by the site {name:?}."));
    let rules: Vec<String> =
        [of_keys(policy), of_passes(policy), of_lifetimes(policy), against_rfc(policy)].concat();
    if rules.is_empty() {
        step.say("It adds nothing to the rules of HTTP.");
    }
    step.says.extend(rules);
    step
}

fn names(names: &Names) -> String {
    listed(&names.written())
}

fn of_keys(policy: &Policy) -> Vec<String> {
    let Policy { query, cookies, .. } = policy;
    let fields: Vec<&str> = policy.variant_fields.iter().map(http::HeaderName::as_str).collect();
    let (ignored, variant) = (names(&cookies.ignored), names(&cookies.variant));
    said([
        (
            !query.ignored.is_empty(),
            format!("Of queries it ignores {} (ignored_query).", names(&query.ignored)),
        ),
        (
            query.kept.is_some(),
            format!(
                "Of queries it keeps {} alone (kept_query).",
                query.kept.as_ref().map(names).unwrap_or_default()
            ),
        ),
        (query.sort, "It sorts queries by name (sort_query).".into()),
        (!cookies.ignored.is_empty(), format!("It ignores the cookies {ignored} (ignored_cookies).")),
        (!cookies.variant.is_empty(), format!("The cookies {variant} are in its keys (variant_cookies).")),
        (!fields.is_empty(), format!("The fields {} are in its keys (variant_fields).", listed(&fields))),
        (policy.ignore_no_vary_search, "It does not heed No-Vary-Search.".into()),
    ])
}

fn of_passes(policy: &Policy) -> Vec<String> {
    let bypass = &policy.cookies.bypass;
    said([
        (!bypass.is_empty(), format!("The cookies {} pass by the cache (bypass_cookies).", names(bypass))),
        (!policy.bypass_paths.is_empty(), "Some paths pass by the cache (bypass_paths).".into()),
        (
            !policy.personal_cookies.is_empty(),
            format!(
                "The cookies {} make a request personal (personal_cookies).",
                listed(&policy.personal_cookies)
            ),
        ),
        (policy.methods.query, "Answers to QUERY may be stored (cacheable_methods).".into()),
        (policy.methods.post, "Answers to POST may be stored for GETs (cacheable_methods).".into()),
        (!policy.request_directives, "Of clients' directives it heeds no-store alone.".into()),
    ])
}

fn of_lifetimes(policy: &Policy) -> Vec<String> {
    let Lifetimes { by_status, default, heuristic, max, .. } = &policy.lifetimes;
    let Outlasting { grace, while_revalidate, keep } = policy.outlasting;
    let plain = Outlasting::default();
    let statuses: Vec<String> = by_status
        .iter()
        .map(|(range, lifetime)| format!("{}-{} for {}", range.first, range.last, seconds(*lifetime)))
        .collect();
    let Heuristic { percent, max: cap } = heuristic;
    said([
        (!statuses.is_empty(), format!("By status, what states no lifetime lasts: {}.", listed(&statuses))),
        (
            default.is_some(),
            format!("What states no lifetime lasts for {}.", seconds(default.unwrap_or_default())),
        ),
        (max.is_some(), format!("Nothing lasts longer than {}.", seconds(max.unwrap_or_default()))),
        (
            *heuristic != Heuristic::default(),
            format!("Guessed lifetimes are {percent} % of the time unchanged, at most {}.", seconds(*cap)),
        ),
        (grace != plain.grace, format!("Stale answers bridge failures for {}.", seconds(grace))),
        (
            while_revalidate != plain.while_revalidate,
            format!("Stale answers are used for {} while they are refreshed.", seconds(while_revalidate)),
        ),
        (keep.is_some(), format!("Beyond that they are kept for {}.", seconds(keep.unwrap_or_default()))),
        (
            policy.refresh_ahead > 0,
            format!(
                "What is asked for often is refreshed in the last {} % of its lifetime.",
                policy.refresh_ahead
            ),
        ),
    ])
}

fn against_rfc(policy: &Policy) -> Vec<String> {
    let Lifetimes { forced, min, .. } = &policy.lifetimes;
    let ignored = policy.ignored;
    let directives: Vec<&str> = [
        (ignored.no_store, "no-store"),
        (ignored.no_cache, "no-cache"),
        (ignored.must_revalidate, "must-revalidate"),
        (ignored.proxy_revalidate, "proxy-revalidate"),
        (ignored.s_maxage_revalidates, "that s-maxage forbids stale use"),
    ]
    .into_iter()
    .filter_map(|(ignored, name)| ignored.then_some(name))
    .collect();
    said([
        (
            forced.is_some(),
            format!("Against the RFC, every usual answer lasts for {}.", seconds(forced.unwrap_or_default())),
        ),
        (
            min.is_some(),
            format!("Against the RFC, nothing lasts shorter than {}.", seconds(min.unwrap_or_default())),
        ),
        (!directives.is_empty(), format!("Against the RFC, it does not heed {}.", listed(&directives))),
        (policy.methods.reuse_post, "Against the RFC, a POST is answered from the cache.".into()),
        (policy.store_set_cookie, "Answers that set cookies are stored.".into()),
        (policy.store_until_close, "Answers that end with their connection are stored.".into()),
    ])
}

fn said<const N: usize>(rules: [(bool, String); N]) -> Vec<String> {
    rules.into_iter().filter_map(|(applies, rule)| applies.then_some(rule)).collect()
}
