//! The law once more, slowly: a model of HTTP caching written from the RFCs, on lines of text, without a call into
//! `semantics`. Random exchanges must have the same outcome in both, and in a third implementation but for
//! differences that are listed and explained (`docs/conformance-differences.md`).
//!
//! `FOREBAY_CASES` sets how many cases are run, `FOREBAY_SEED` the number of the first (see `docs/proofs.md`). Each
//! has a number that makes it again.

mod dates;
mod dictionary;
mod generate;
mod ours;
mod properties;
mod rules;
mod second;
mod text;
mod variants;
mod wishes;

use generate::Case;
use rules::{Said, Stored};
use variants::Fields;
use wishes::Wishes;

/// All that is compared.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    stored: Option<Stored>,
    later: Option<Later>,
    /// Fields that are not to be stored or handed to others.
    unshared: Vec<String>,
    wishes: Wishes,
    vary: Option<Vec<String>>,
    same: Option<bool>,
    client_knows: bool,
    confirms: bool,
    updated: Fields,
}

/// What becomes of a stored response later. Spans are nanoseconds.
#[derive(Debug, PartialEq, Eq)]
struct Later {
    age: i128,
    /// Negative if it is stale.
    fresh_for: i128,
    decision: &'static str,
    on_error: bool,
    kept: bool,
    due_ahead: bool,
}

/// What the model says, and every reason against storing.
fn expected(case: &Case) -> (Outcome, Vec<&'static str>) {
    let site = &case.site;
    let (request, response) = (&case.exchange.request, &case.exchange.response);
    let (stored, reasons) = match rules::judge(&case.exchange, site) {
        Ok(stored) => (Some(stored), Vec::new()),
        Err(reasons) => (None, reasons),
    };
    let wishes = Wishes::of(&case.later).heeded_by(site);
    let now = i128::from(case.now) * 1_000_000;
    let later = stored.as_ref().map(|stored| Later {
        age: stored.age(now),
        fresh_for: stored.lifetime - stored.age(now),
        decision: wishes::decide(stored, &wishes, site, now),
        on_error: wishes::may_use_on_error(stored, &wishes, site, now),
        kept: wishes::is_kept(stored, site, now),
        due_ahead: wishes::is_due_ahead(stored, site, now),
    });
    let mut unshared = Said::by(response, site).named;
    unshared.sort();
    unshared.dedup();
    let vary = variants::names(response);
    let outcome = Outcome {
        stored,
        later,
        unshared,
        wishes,
        same: vary.as_ref().map(|names| variants::same(names, request, &case.later)),
        vary,
        client_knows: variants::client_knows(&case.later, response),
        confirms: variants::confirms(&case.not_modified, response),
        updated: variants::updated(response, &case.not_modified),
    };
    (outcome, reasons)
}

fn difference(case: &Case) -> Option<String> {
    let (expected, reasons) = expected(case);
    let (found, refusal) = ours::outcome(case);
    if expected != found {
        return Some(format!("model  {expected:#?}\nagainst  {found:#?} {refusal:?}"));
    }
    let reason_is_one = refusal.is_none_or(|refusal| reasons.contains(&refusal));
    (!reason_is_one).then(|| format!("refused for {refusal:?}, which is none of {reasons:?}"))
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Runs all cases, and shows the first on which there is something to say as simply as it can be.
fn run(default: u64, wrong: impl Fn(&Case) -> Option<String>) {
    let first = number("FOREBAY_SEED", 0);
    for seed in first..first.saturating_add(number("FOREBAY_CASES", default)) {
        let mut case = Case::numbered(seed);
        let Some(mut why) = wrong(&case) else { continue };
        loop {
            let smaller: Vec<Case> = case.simpler().filter(|simpler| size(simpler) < size(&case)).collect();
            let found = smaller.into_iter().find_map(|simpler| wrong(&simpler).map(|why| (simpler, why)));
            let Some(found) = found else { break };
            (case, why) = found;
        }
        panic!("case {seed}: {case:#?}\n{why}");
    }
}

fn size(case: &Case) -> usize {
    let messages = [&case.exchange.request, &case.exchange.response, &case.later, &case.not_modified];
    let lines: usize = messages.iter().map(|message| message.0.len()).sum();
    lines
        + usize::from(case.site != rules::Site::default())
        + usize::from(case.exchange.sent != case.exchange.received)
}

#[test]
fn the_model_and_the_code_are_of_one_mind() {
    run(30_000, difference);
}
