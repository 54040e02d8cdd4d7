//! What would happen to a request now, without anything happening.
//!
//! The way of a request is walked by the functions that walk it for clients: `classify::sort` makes its key,
//! `ClientMachine::known` and `Fetcher::decide` decide about what is stored, `goes_alone` and [`Fetcher::prospect`] say
//! what comes then. Only what has effects is left out, or asked of a twin that has none (`Cache::peek`).
//!
//! [`Fetcher::prospect`]: crate::fetch::Fetcher::prospect

use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderMap, Method};

use super::ClientMachine;
use super::begun::Begun;
use super::classify::{self, Bypass, Way};
use super::imagined::{Imagined, Unexplained};
use super::steps::{DISK, HIT_FOR_MISS, Known, NO_VARY_SEARCH, detail_of, goes_alone, hit_status};
use super::turn::Turn;
use crate::base::clock::Timestamp;
use crate::cache::lookup::{Held, Hit, Lookup, Missing};
use crate::fetch::ask::Ask;
use crate::fetch::foresee::Prospect;
use crate::fetch::{Hindrance, Why};
use crate::route::Site;
use crate::semantics::cache_status::CacheStatus;
use crate::semantics::explanation::{self, Explanation, Kept, Keyed, Outcome, Step, Verdict};
use crate::semantics::invalidation;
use crate::semantics::request_directives::RequestDirectives;
use crate::semantics::reuse::{self, Decision};
use crate::semantics::storage;

/// What was found out on the way.
struct Walk<'a> {
    turn: Turn,
    site: &'a Site,
    steps: Vec<Step>,
}

impl ClientMachine {
    /// What would happen now to a request with this method, URL and these fields (names and values), and no content.
    ///
    /// Nothing is fetched, stored, refreshed, joined, logged or counted; what the disk would be asked for is read from it.
    /// The tiers' and lists' own sense of what is asked for often or of late takes notice of a read, as of any: the store
    /// has none that leaves it. Cancel-safe.
    pub async fn explain(
        &self,
        method: &str,
        url: &str,
        fields: &[(String, String)],
    ) -> Result<Explanation, Unexplained> {
        let begun = Begun::now(&self.clock);
        let Imagined { ask, way, site, target, headers } = self.imagine(method, url, fields).await?;
        let mut steps = vec![explanation::site(&site.name, ask.host(), &site.policy)];
        steps.push(keyed(&ask, &target, &headers));
        let mut walk = Walk { turn: classify::start(ask, &way, begun), site, steps };
        let verdict = match way {
            Way::Cache => self.foresee(&mut walk).await,
            Way::Through => self.foresee_through(&walk),
            Way::Pass(bypass) => self.foresee_pass(&walk, bypass),
        };
        Ok(Explanation { steps: walk.steps, verdict })
    }

    /// The way of a request that asks the cache, as [`ClientMachine::lookup`] goes it.
    async fn foresee(&self, walk: &mut Walk<'_>) -> Verdict {
        let (ask, now) = (Arc::clone(&walk.turn.ask), walk.turn.time());
        let (found, purged) = self.cache.peek(&ask.key, &ask.headers);
        let mut shown = match &found {
            Lookup::Found(hit) => Some(hit.clone()),
            Lookup::Miss(_) => None,
        };
        let equivalent =
            |fresh: &dyn Fn(&Hit) -> bool| self.cache.peek_equivalent(&ask.key, &ask.headers, fresh);
        let known = self.known(&ask, found, now, equivalent);
        // What memory cannot answer is looked for on the disk first, whoever asks.
        let on_disk = match &known {
            Known::Ask(_, None) => self.cache.peek_disk(&ask.key, &ask).await,
            _ => None,
        };
        if let Known::Equivalent(_, hit) = &known {
            shown = Some(hit.clone());
        }
        self.tell_stored(walk, shown.as_ref().or(on_disk.as_ref()), on_disk.is_some(), purged);
        match known {
            Known::Use(hit, decision) => self.foresee_hit(walk, &hit, decision),
            Known::Equivalent(_, hit) => {
                walk.turn.detail = Some(NO_VARY_SEARCH);
                let says = "What is stored under another URL says that this is the same one, and answers.";
                let status = hit_status(&walk.turn, &hit);
                self.verdict(walk, Outcome::Hit, status, vec![says.into()], Some("No-Vary-Search (draft)"))
            }
            Known::Ask(why, stale) => {
                walk.turn.note(why);
                if ask.directives.only_if_cached {
                    return self.foresee_only_if_cached(walk, on_disk);
                }
                self.foresee_fetch(walk, why, stale.as_ref(), on_disk.as_ref())
            }
        }
    }

    /// As [`ClientMachine::hit`].
    fn foresee_hit(&self, walk: &mut Walk<'_>, hit: &Hit, decision: Decision) -> Verdict {
        let (ask, now) = (Arc::clone(&walk.turn.ask), walk.turn.time());
        walk.turn.detail = detail_of(decision).or(walk.turn.detail);
        let (outcome, says, rfc) = explanation::decided(decision, &hit.object.terms());
        let mut says = vec![says];
        let ahead = walk.site.policy.refresh_ahead;
        if decision == Decision::UseAndRefresh {
            says.push(refresh_in_words(self.fetcher.refresh_hindrance(&ask, hit, now)).to_owned());
            if let Some(failing) = self.fetcher.failing(&ask, hit) {
                let (times, rest) = (failing.failures, failing.until.since(now).as_secs());
                says.push(format!(
                    "Its refresh has failed {times} times in a row; it rests for {rest} s more."
                ));
            }
        } else if reuse::is_due_ahead(&hit.object.terms(), ahead, now) {
            says.push(format!(
                "It is in the last {ahead} % of its lifetime: if it is asked for often it is refreshed behind the answer."
            ));
        }
        let status = hit_status(&walk.turn, hit);
        self.verdict(walk, outcome, status, says, Some(rfc))
    }

    /// As [`ClientMachine::disk`].
    fn foresee_only_if_cached(&self, walk: &mut Walk<'_>, on_disk: Option<Hit>) -> Verdict {
        let (ask, now) = (Arc::clone(&walk.turn.ask), walk.turn.time());
        match on_disk.map(|hit| (self.fetcher.decide(&ask, &hit, now), hit)) {
            Some((decision, hit)) if !matches!(decision, Decision::Validate(_)) => {
                walk.turn.detail = Some(DISK);
                self.foresee_hit(walk, &hit, decision)
            }
            _ => {
                let status = walk.turn.not_stored(&self.settings.node).cache;
                let says =
                    "Only what is stored is wanted (only-if-cached), and nothing stored may be used: 504.";
                self.verdict(walk, Outcome::NotStored, status, vec![says.into()], Some("RFC 9111 §5.2.1.7"))
            }
        }
    }

    /// The way of a request that needs a fetch, as [`ClientMachine::join`] and the fetch's own task go it.
    fn foresee_fetch(
        &self,
        walk: &mut Walk<'_>,
        why: Why,
        stale: Option<&Hit>,
        on_disk: Option<&Hit>,
    ) -> Verdict {
        let (ask, now) = (Arc::clone(&walk.turn.ask), walk.turn.time());
        let prospect = self.fetcher.prospect(&ask, now);
        let alone = goes_alone(&ask, stale);
        let (outcome, mut says) = missed(why, stale);
        let mut outcome = outcome;
        if alone {
            says.push("It is fetched for this request alone: nobody else waits for it.".into());
        } else if let Some(marker) = prospect.marker {
            walk.turn.detail = Some(HIT_FOR_MISS);
            says.push(format!(
                "The last answer was not for sharing ({}), {} s ago: it is fetched for this request alone, without \
                 waiting for others (hit-for-miss).",
                marker.reason,
                now.since(marker.since).as_secs()
            ));
        } else if prospect.under_way {
            let status = CacheStatus { collapsed: true, ..walk.turn.forwarded() };
            says.push("A fetch for it is under way, which this request would join.".into());
            return self.verdict(walk, Outcome::Joins, status, says, Some("RFC 9111 §4"));
        }
        // The fetch asks the disk before it asks the origin.
        if let Some(hit) = on_disk {
            if !matches!(ask.decide(&hit.object.terms(), now), Decision::Validate(_)) {
                walk.turn.detail = Some(DISK);
                let decision = self.fetcher.decide(&ask, hit, now);
                return self.foresee_hit(walk, hit, decision);
            }
            if hit.is_kept(&ask.policy.outlasting, now) {
                walk.turn.note_stored();
                let (on_disk, reason, _) =
                    explanation::decided(ask.decide(&hit.object.terms(), now), &hit.object.terms());
                (outcome, says) = (on_disk, vec![reason]);
            }
        }
        let confirmed = stale.or(on_disk).filter(|hit| hit.is_kept(&ask.policy.outlasting, now));
        Self::tell_fetch(&ask, confirmed, prospect, now, &mut says);
        let status = walk.turn.forwarded();
        let rfc = if confirmed.is_some() { "RFC 9111 §4.3" } else { "RFC 9111 §4" };
        self.verdict(walk, outcome, status, says, Some(rfc))
    }

    /// Tells with what the origin is asked, and what comes if it fails.
    fn tell_fetch(
        ask: &Ask,
        stale: Option<&Hit>,
        prospect: Prospect,
        now: Timestamp,
        says: &mut Vec<String>,
    ) {
        if let Some(hit) = stale {
            says.push(explanation::validators(&hit.object.head.headers()));
            says.push(if ask.may_use_on_error(&hit.object.terms(), now) {
                "If the origin fails, what is stored answers (RFC 9111 §4.2.4).".into()
            } else {
                "If the origin fails, so does the request: what is stored may not answer then.".into()
            });
        }
        if prospect.full {
            says.push(
                "As many fetches are running as may: now it would be refused with 503 (max_fetches).".into(),
            );
        }
    }

    fn foresee_through(&self, walk: &Walk<'_>) -> Verdict {
        let says = vec![
            "The origin gets this very request; its answer is stored for later GETs if it says that it may be.".into(),
            takes_back(&walk.turn.ask.method),
        ];
        self.verdict(walk, Outcome::Pass, walk.turn.forwarded(), says, Some("RFC 9110 §9.3.3"))
    }

    fn foresee_pass(&self, walk: &Walk<'_>, bypass: Bypass) -> Verdict {
        let (why, rfc) = bypass.explained();
        let mut says = vec![format!("It passes by the cache: {why}.")];
        says.push("The origin gets this very request, and its answer is for this client alone.".into());
        says.push(takes_back(&walk.turn.ask.method));
        self.verdict(walk, Outcome::Pass, walk.turn.forwarded(), says, rfc)
    }

    /// Tells what is stored, if anything, and what the request wants of it.
    fn tell_stored(&self, walk: &mut Walk<'_>, hit: Option<&Hit>, on_disk: bool, purged: bool) {
        let (ask, now) = (Arc::clone(&walk.turn.ask), walk.turn.time());
        let known = self.cache.known_vary(&ask.key);
        let object = hit.map(|hit| &*hit.object);
        let headers = object.map(|object| object.head.headers()).unwrap_or_default();
        let selected = object.map(|object| (&object.vary, &headers));
        walk.steps.push(explanation::variant(&known, selected, &ask.headers));
        let in_memory = hit.is_some_and(|hit| matches!(hit.content, Held::Memory(_))) && !on_disk;
        let kept = object.map(|object| Kept {
            tier: if in_memory { "memory" } else { "disk" },
            generation: object.generation,
            born: object.born,
            status: object.head.status,
            headers: &headers,
            length: object.representation.length,
            since: now.since(object.terms().freshness.response_time),
        });
        walk.steps.push(explanation::stored(kept.as_ref(), purged));
        if let Some(object) = object {
            let head = (object.head.status, &headers);
            let fresh = explanation::freshness(head, &object.terms(), ask.fetch_method(), &ask.policy, now);
            walk.steps.push(fresh);
            if !reuse::is_kept(&object.terms(), &ask.policy.outlasting, now) {
                let outlasted =
                    "It has been stale for longer than it is kept (keep): it counts as not there.";
                if let Some(step) = walk.steps.last_mut() {
                    step.say(outlasted);
                }
            }
        }
        let said = RequestDirectives::of(&ask.headers);
        let personal = storage::is_personal(&ask.headers, &ask.policy);
        walk.steps.push(explanation::directives(&said, &ask.directives, personal));
    }

    fn verdict(
        &self,
        walk: &Walk<'_>,
        outcome: Outcome,
        status: CacheStatus,
        says: Vec<String>,
        rfc: Option<&'static str>,
    ) -> Verdict {
        let ask = &walk.turn.ask;
        let key = ask.policy.tell_key.then(|| ask.key.readable());
        let says = says.into_iter().filter(|sentence| !sentence.is_empty()).collect();
        Verdict { outcome, cache_status: status.text(&self.settings.node, key.as_deref()), says, rfc }
    }
}

fn keyed(ask: &Ask, asked: &PathAndQuery, came: &HeaderMap) -> Step {
    let keyed = Keyed {
        url: &ask.key.readable(),
        hash: &format!("{:?}", ask.key.hash()),
        asked,
        normal: ask.normal_target(),
        came,
        left: &ask.headers,
        content: ask.content.as_ref().map(bytes::Bytes::len),
    };
    explanation::key(&keyed, &ask.policy)
}

/// Why memory does not answer, in words.
fn missed(why: Why, stale: Option<&Hit>) -> (Outcome, Vec<String>) {
    let says = match (why, stale) {
        (Why::Validate(cause), Some(hit)) => {
            let (outcome, says, _) = explanation::decided(Decision::Validate(cause), &hit.object.terms());
            return (outcome, vec![says]);
        }
        (Why::Missing(Missing::Variant), _) => {
            "Something is stored for the URL, but not for what this request says in the fields that it varies by."
        }
        _ => "Nothing is stored that may be used: the origin is asked.",
    };
    (Outcome::Miss, vec![says.to_owned()])
}

fn refresh_in_words(hindrance: Option<Hindrance>) -> &'static str {
    match hindrance {
        None => "The refresh would begin now.",
        Some(Hindrance::Alone) => {
            "It is not refreshed for this request, which is for one person or leaves no trace."
        }
        Some(Hindrance::Resting) => {
            "It is not refreshed now: the origin has failed, and rests before it is asked again."
        }
        Some(Hindrance::UnderWay) => "The refresh is under way already.",
        Some(Hindrance::TooMany) => {
            "It is refreshed later: as many refreshes are running as may (max_refreshes)."
        }
    }
}

/// What an answer without error to this method would take back.
fn takes_back(method: &Method) -> String {
    if invalidation::is_due(method, http::StatusCode::OK) {
        "An answer without error takes back what is stored under this URL (RFC 9111 §4.4).".to_owned()
    } else {
        String::new()
    }
}
