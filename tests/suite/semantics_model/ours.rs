//! What the code under test says of a case, in the model's words.

use std::time::Duration;

use forebay::base::clock::Timestamp;
use forebay::semantics::cache_control::qualified_fields;
use forebay::semantics::freshness::State;
use forebay::semantics::policy::{
    Basis, Heuristic, IgnoredDirectives, Lifetimes, Outlasting, Policy, StatusRange,
};
use forebay::semantics::request_directives::RequestDirectives;
use forebay::semantics::reuse::{self, Because, Cause, Decision, Reuse, Stale, Terms};
use forebay::semantics::storage::{self, Judgement, RequestFacts, Storable};
use forebay::semantics::targeted::TargetList;
use forebay::semantics::validation::{self, Precondition};
use forebay::semantics::vary::VarySet;
use http::{HeaderMap, HeaderName, Method, StatusCode};

use super::generate::Case;
use super::rules::{FOREVER, Site, Stored};
use super::variants::Fields;
use super::wishes::Wishes;
use super::{Later, Outcome};

pub fn policy(site: &Site) -> Policy {
    let span = |seconds: i128| Duration::from_secs(u64::try_from(seconds).unwrap());
    let ranges = site.by_status.iter();
    Policy {
        store_set_cookie: site.store_set_cookie,
        personal_cookies: site.personal_cookies.iter().map(|name| (*name).to_owned()).collect(),
        lifetimes: Lifetimes {
            forced: site.forced.map(span),
            by_status: ranges
                .map(|(first, last, of)| (StatusRange { first: *first, last: *last }, span(*of)))
                .collect(),
            default: site.default.map(span),
            heuristic: Heuristic { percent: site.percent, max: span(site.longest_guess) },
            min: site.min.map(span),
            max: site.max.map(span),
        },
        outlasting: Outlasting {
            grace: span(site.grace),
            while_revalidate: span(site.while_revalidate),
            keep: site.keep.map(span),
        },
        targets: TargetList::new(site.targets.iter().map(|name| HeaderName::from_static(name))),
        request_directives: site.heeds_requests,
        refresh_ahead: site.ahead,
        ignored: IgnoredDirectives {
            no_store: site.ignores.no_store,
            no_cache: site.ignores.no_cache,
            must_revalidate: site.ignores.must_revalidate,
            proxy_revalidate: site.ignores.proxy_revalidate,
            s_maxage_revalidates: site.ignores.s_maxage_revalidates,
        },
        ..Policy::default()
    }
}

fn nanos(span: Duration) -> i128 {
    if span == Duration::MAX { FOREVER } else { i128::try_from(span.as_nanos()).unwrap() }
}

/// The outcome, and why it was refused if it was.
pub fn outcome(case: &Case) -> (Outcome, Option<&'static str>) {
    let policy = policy(&case.site);
    let exchange = &case.exchange;
    let (request, response) = (exchange.request.headers(), exchange.response.headers());
    let (later, not_modified) = (case.later.headers(), case.not_modified.headers());
    let wanted = RequestDirectives::of(&later);
    let wanted = if policy.request_directives { wanted } else { wanted.unheeded() };
    let method = Method::from_bytes(exchange.method.as_bytes()).unwrap();
    let judgement = storage::judge(
        &RequestFacts { method: &method, headers: &request },
        StatusCode::from_u16(exchange.status).unwrap(),
        &response,
        &policy,
        Timestamp::from_millis(exchange.sent),
        Timestamp::from_millis(exchange.received),
    );
    let vary = VarySet::of(&response);
    let same = vary.as_ref().map(|vary| vary.selects_same(&request, &later));
    let same_values = vary.as_ref().map(|vary| vary.values(&request) == vary.values(&later));
    assert_eq!(same, same_values, "selects_same and values must agree");
    let mut unshared: Vec<String> =
        qualified_fields(&response, &policy.targets).iter().map(HeaderName::to_string).collect();
    unshared.sort();
    unshared.dedup();
    let (stored, refusal) = match judgement {
        Judgement::Store(storable) => (Some(storable), None),
        Judgement::Refuse(refusal) => (None, Some(refusal.name())),
    };
    let outcome = Outcome {
        later: stored
            .map(|stored| later_use(&stored.terms, &wanted, &policy, Timestamp::from_millis(case.now))),
        stored: stored.map(in_the_models_words),
        unshared,
        wishes: wishes(&wanted),
        vary: vary.map(|vary| vary.names().iter().map(HeaderName::to_string).collect()),
        same,
        client_knows: validation::evaluate(&later, &response) == Precondition::NotModified,
        confirms: validation::confirms(&not_modified, &response),
        updated: fields(&validation::update_stored(&response, &not_modified)),
    };
    (outcome, refusal)
}

fn in_the_models_words(Storable { terms, basis, .. }: Storable) -> Stored {
    Stored {
        received: i128::from(terms.freshness.response_time.as_millis()) * 1_000_000,
        initial_age: nanos(terms.freshness.initial_age),
        lifetime: nanos(terms.freshness.lifetime),
        basis: match basis {
            Basis::Stated => "stated",
            Basis::Forced => "forced",
            Basis::ByStatus => "by-status",
            Basis::Default => "default",
            Basis::Heuristic => "heuristic",
            Basis::None => "none",
        },
        shared: terms.reuse == Reuse::Shared,
        stale: match terms.stale {
            Stale::Forbidden => None,
            Stale::Allowed { while_revalidate, if_error } => {
                Some((while_revalidate.map(nanos), if_error.map(nanos)))
            }
        },
        immutable: terms.immutable,
    }
}

fn later_use(terms: &Terms, wanted: &RequestDirectives, policy: &Policy, now: Timestamp) -> Later {
    let fresh_for = match terms.freshness.state(now) {
        State::Fresh { ttl } => nanos(ttl),
        State::Stale { by } => -nanos(by),
    };
    assert_eq!(terms.freshness.is_fresh(now), fresh_for > 0);
    Later {
        age: nanos(terms.freshness.age(now)),
        fresh_for,
        decision: match reuse::decide(terms, wanted, &policy.outlasting, now) {
            Decision::Use(Because::Fresh) => "use: fresh",
            Decision::Use(Because::MaxStale) => "use: max-stale",
            Decision::UseAndRefresh => "use and refresh",
            Decision::Validate(Cause::Always) => "validate: always",
            Decision::Validate(Cause::Stale) => "validate: stale",
            Decision::Validate(Cause::Request) => "validate: request",
        },
        on_error: reuse::may_use_on_error(terms, wanted, &policy.outlasting, now),
        kept: reuse::is_kept(terms, &policy.outlasting, now),
        due_ahead: reuse::is_due_ahead(terms, policy.refresh_ahead, now),
    }
}

fn wishes(wanted: &RequestDirectives) -> Wishes {
    Wishes {
        no_cache: wanted.no_cache,
        no_store: wanted.no_store,
        only_if_cached: wanted.only_if_cached,
        max_age: wanted.max_age.map(nanos),
        min_fresh: wanted.min_fresh.map(nanos),
        max_stale: wanted.max_stale.map(nanos),
        stale_if_error: wanted.stale_if_error.map(nanos),
    }
}

fn fields(headers: &HeaderMap) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in headers {
        let text = value.as_bytes().iter().map(|byte| char::from(*byte)).collect();
        fields.entry(name.to_string()).or_default().push(text);
    }
    fields
}
