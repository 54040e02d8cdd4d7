//! A second opinion: the crate `http-cache-semantics`, on what it claims to decide. Every difference must be one of a
//! known kind, and each kind is a line of `docs/conformance-differences.md`.
//!
//! It follows RFC 7234 and knows no site, no targeted fields, no milliseconds and nothing of stale answers beyond
//! `max-stale`; so the policy is the default but for the bound of guessed lifetimes, times are whole seconds, and a
//! response that may answer while it is refreshed counts as one that must be validated.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use forebay::base::clock::Timestamp;
use forebay::semantics::request_directives::RequestDirectives;
use forebay::semantics::reuse::{Decision, decide};
use forebay::semantics::storage::{Judgement, RequestFacts, judge};
use forebay::semantics::vary::VarySet;
use http::{Method, Request, Response, StatusCode};
use http_cache_semantics::{BeforeRequest, CacheOptions, CachePolicy};

use super::generate::Case;
use super::rules::{Exchange, Site};
use super::text::{Message, delta_seconds, directives};
use super::{dates, number, ours};

/// What both sides can say. Seconds. That a response may be kept of which no use can be made without asking the origin
/// is not compared: what to keep for validation is left to each cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Opinion {
    /// For how long it may be used, from the time of receipt on.
    lasts: u64,
    /// Whether it answers the later request as it is.
    answers: bool,
}

/// Some time in the year 8307: beyond 9999 the crate panics.
const LATEST: u64 = 200_000_000_000;

/// A case as both can take it: the default site without bounds, whole seconds, no delay.
fn plain(case: &Case) -> Case {
    let second = |millis: u64| (millis / 1000).min(LATEST) * 1000;
    let received = second(case.exchange.received);
    let exchange = Exchange { sent: received, received, ..case.exchange.clone() };
    let site = Site { longest_guess: 1 << 40, ..Site::default() };
    Case { site, now: second(case.now).max(received), exchange, ..case.clone() }
}

fn ours(case: &Case) -> Opinion {
    let exchange = &case.exchange;
    let (request, response) = (exchange.request.headers(), exchange.response.headers());
    let later = case.later.headers();
    let policy = ours::policy(&case.site);
    let received = Timestamp::from_millis(exchange.received);
    let judgement = judge(
        &RequestFacts { method: &method(exchange), headers: &request },
        StatusCode::from_u16(exchange.status).unwrap(),
        &response,
        &policy,
        received,
        received,
    );
    let Judgement::Store(storable) = judgement else {
        return Opinion { lasts: 0, answers: false };
    };
    let terms = &storable.terms;
    let unusable = terms.reuse == forebay::semantics::reuse::Reuse::Validate;
    let lasts = if unusable {
        Duration::ZERO
    } else {
        terms.freshness.lifetime.saturating_sub(terms.freshness.initial_age)
    };
    let selected = VarySet::of(&response).is_some_and(|vary| vary.selects_same(&request, &later));
    let now = Timestamp::from_millis(case.now);
    let decision = decide(terms, &RequestDirectives::of(&later), &policy.outlasting, now);
    Opinion { lasts: lasts.as_secs(), answers: selected && matches!(decision, Decision::Use(_)) }
}

fn theirs(case: &Case) -> Opinion {
    let exchange = &case.exchange;
    let request = |message: &Message, method: Method| {
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.headers_mut() = message.headers();
        request
    };
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(exchange.status).unwrap();
    *response.headers_mut() = exchange.response.headers();
    let received = time(exchange.received);
    let first = request(&exchange.request, method(exchange));
    let policy = CachePolicy::new_options(&first, &response, received, CacheOptions::default());
    let later = request(&case.later, method(exchange));
    Opinion {
        lasts: policy.time_to_live(received).as_secs(),
        answers: matches!(policy.before_request(&later, time(case.now)), BeforeRequest::Fresh(_)),
    }
}

fn method(exchange: &Exchange) -> Method {
    Method::from_bytes(exchange.method.as_bytes()).unwrap()
}

fn time(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(millis)
}

/// A kind of difference: its name in the document, and whether a case is of it.
type Kind = (&'static str, fn(&Case) -> bool);

/// All that a case can differ by once it is as simple as it can be and still differs. Each looks at the messages only,
/// never at the opinions.
const KINDS: [Kind; 24] = [
    ("statuses", |case| {
        ![200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501]
            .contains(&case.exchange.status)
    }),
    ("methods", |case| case.exchange.method != "GET"),
    ("letters", |case| {
        let loud = |line: &&str| line.chars().any(|c| c.is_ascii_uppercase());
        both(case, |message| {
            ["cache-control", "pragma"].iter().any(|name| message.lines(name).iter().any(loud))
        })
    }),
    ("quotes", |case| {
        both(case, |message| message.lines("cache-control").iter().any(|line| line.contains('"')))
    }),
    ("not-ascii", |case| {
        let odd = |message: &Message| message.0.iter().any(|(_, value)| !value.is_ascii());
        odd(&case.exchange.response) || both(case, odd)
    }),
    ("overflow", |case| {
        numbers(case).iter().any(|text| text.len() > 9 && text.chars().all(|c| c.is_ascii_digit()))
    }),
    ("numbers", |case| {
        numbers(case).iter().any(|text| text.is_empty() || !text.chars().all(|c| c.is_ascii_digit()))
    }),
    ("no-number", |case| {
        both(case, |message| {
            said(message).iter().any(|(name, argument)| is_number(name) && argument.is_none())
        })
    }),
    ("spaces", |case| {
        let spaced = |line: &&str| [" =", "\t=", "= ", "=\t"].iter().any(|spaced| line.contains(spaced));
        both(case, |message| message.lines("cache-control").iter().any(spaced))
    }),
    ("repeated", |case| {
        both(case, |message| {
            let said = said(message);
            let again = |place: usize| said[..place].iter().any(|(name, _)| *name == said[place].0);
            (0..said.len()).any(again)
        })
    }),
    ("age", |case| {
        case.exchange.response.lines("age").iter().any(|age| delta_seconds(age).is_none() || age.len() > 9)
            || case.exchange.response.lines("age").len() > 1
    }),
    ("apparent-age", |case| {
        let date = case.exchange.response.first("date").and_then(dates::seconds);
        date.is_some_and(|date| date * 1000 < i128::from(case.exchange.received))
    }),
    ("targeted", |case| case.site.targets.iter().any(|target| case.exchange.response.has(target))),
    ("qualified", |case| {
        let said = said(&case.exchange.response);
        said.iter().any(|(name, argument)| (name == "no-cache" || name == "private") && argument.is_some())
    }),
    ("set-cookie", |case| case.exchange.response.has("set-cookie")),
    ("proxy-revalidate", |case| response_says(case, "proxy-revalidate")),
    ("must-understand", |case| response_says(case, "must-understand")),
    ("dates", |case| {
        let response = &case.exchange.response;
        ["date", "expires", "last-modified"].iter().any(|name| {
            let lines = response.lines(name);
            lines.len() > 1 || lines.iter().any(|line| !is_plain_date(line))
        })
    }),
    ("reload", |case| {
        said(&case.later).iter().any(|(name, number)| name == "max-age" && number.as_deref() == Some("0"))
    }),
    ("tenth", |case| case.exchange.response.has("last-modified")),
    ("immutable", |case| response_says(case, "immutable")),
    ("pragma", |case| case.exchange.response.has("pragma") || case.later.has("pragma")),
    ("vary", |case| case.exchange.response.has("vary")),
    ("max-stale", |case| said(&case.later).iter().any(|(name, _)| name == "max-stale")),
];

fn both(case: &Case, is: impl Fn(&Message) -> bool) -> bool {
    is(&case.exchange.response) || is(&case.later) || is(&case.exchange.request)
}

fn said(message: &Message) -> Vec<(String, Option<String>)> {
    directives(message, "cache-control").into_iter().map(|said| (said.name, said.argument)).collect()
}

fn is_number(name: &str) -> bool {
    ["max-age", "s-maxage", "min-fresh", "max-stale", "stale-while-revalidate", "stale-if-error"]
        .contains(&name)
}

fn numbers(case: &Case) -> Vec<String> {
    let of = |message: &Message| {
        said(message).into_iter().filter(|(name, _)| is_number(name)).filter_map(|(_, text)| text)
    };
    of(&case.exchange.response).chain(of(&case.later)).collect()
}

fn response_says(case: &Case, name: &str) -> bool {
    said(&case.exchange.response).iter().any(|(said, _)| said == name)
}

fn is_plain_date(text: &str) -> bool {
    dates::seconds(text).is_some_and(|at| {
        let at = UNIX_EPOCH + Duration::from_secs(u64::try_from(at).unwrap_or(0));
        httpdate::fmt_http_date(at) == text
    })
}

fn difference(case: &Case) -> Option<String> {
    let (ours, theirs) = (ours(case), theirs(case));
    (ours != theirs).then(|| format!("ours {ours:?}, theirs {theirs:?}"))
}

fn kinds(case: &Case) -> Vec<&'static str> {
    KINDS.iter().filter(|(_, is)| is(case)).map(|(name, _)| *name).collect()
}

/// Like the case, with less in it: fewer lines, members or capital letters, or a plainer status.
fn simpler(case: &Case) -> Vec<Case> {
    let mut all: Vec<Case> = case.simpler().map(|simpler| plain(&simpler)).collect();
    all.push(Case {
        exchange: Exchange { status: 200, method: "GET", ..case.exchange.clone() },
        ..case.clone()
    });
    let parts: [fn(&mut Case) -> &mut Message; 3] =
        [|case| &mut case.exchange.request, |case| &mut case.exchange.response, |case| &mut case.later];
    for part in parts {
        let mut copy = case.clone();
        for (place, (name, value)) in part(&mut copy).0.clone().into_iter().enumerate() {
            if ["date", "expires", "last-modified"].contains(&name.as_str()) {
                continue;
            }
            let members: Vec<&str> = value.split(',').collect();
            let without = |member: usize| {
                let left =
                    members.iter().enumerate().filter(|(at, _)| *at != member).map(|(_, member)| *member);
                left.collect::<Vec<_>>().join(",")
            };
            let shorter = (0..members.len())
                .map(without)
                .chain([value.to_ascii_lowercase(), value.replace(['\t', ' '], "")]);
            for text in shorter {
                let mut simpler = case.clone();
                part(&mut simpler).0[place].1 = text;
                all.push(simpler);
            }
        }
    }
    let much = size(case);
    all.retain(|simpler| size(simpler) < much);
    all
}

fn size(case: &Case) -> usize {
    let capitals = |text: &str| text.chars().filter(char::is_ascii_uppercase).count();
    let weigh =
        |message: &Message| message.0.iter().map(|(_, text)| 1 + text.len() + capitals(text)).sum::<usize>();
    let Exchange { status, method, request, response, .. } = &case.exchange;
    weigh(request)
        + weigh(response)
        + weigh(&case.later)
        + weigh(&case.not_modified)
        + usize::from(*status != 200)
        + usize::from(*method != "GET")
}

fn simplest(mut case: Case) -> Case {
    while let Some(simpler) = simpler(&case).into_iter().find(|simpler| difference(simpler).is_some()) {
        case = simpler;
    }
    case
}

/// Of 8,000 cases about every third differs; `--no-capture` tells by what.
#[test]
fn the_second_opinion_differs_only_where_it_is_known_to() {
    let mut seen: BTreeMap<Vec<&str>, u64> = BTreeMap::new();
    let first = number("FOREBAY_SEED", 0);
    for seed in first..first.saturating_add(number("FOREBAY_CASES", 8_000)) {
        let case = plain(&Case::numbered(seed));
        if difference(&case).is_none() {
            continue;
        }
        let case = simplest(case);
        let kinds = kinds(&case);
        assert!(
            !kinds.is_empty(),
            "case {seed} is of no known kind: {case:#?}\n{}",
            difference(&case).unwrap()
        );
        *seen.entry(kinds).or_default() += 1;
    }
    for (kinds, count) in &seen {
        println!("{count:>8}  {}", kinds.join(", "));
    }
    assert!(seen.len() > 20, "hardly any differences: is anything compared?");
}

#[test]
fn every_kind_of_difference_is_listed() {
    let listed = include_str!("../../../docs/conformance-differences.md");
    for (name, _) in KINDS {
        assert!(
            listed.contains(&format!("| `{name}` |")),
            "{name} is not in docs/conformance-differences.md"
        );
    }
}
