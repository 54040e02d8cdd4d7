//! `/v1/purge`, `/v1/ledger`: what is taken back, and the order of what was.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{bounded, json};
use crate::admin::audit::{self, Who};
use crate::admin::openapi::{Changing, Guarded, Purging, WithContent};
use crate::admin::problem::{Kind, Problem};
use crate::admin::{View, content};
use crate::cache::ledger::LedgerState;
use crate::cache::tally::{Count, Tally};
use crate::cache::wish::{Fulfilled, Unfulfilled, Wish};

/// The most bytes of a call.
const LONGEST: usize = 4 << 20;

/// More bytes than most calls have: only so many that are longer are read at a time.
const LONG: usize = 64 << 10;

/// The most bytes of names that the audit line of a call tells.
const TOLD: usize = 2000;

/// What purges, by the rules of the sites.
pub trait Purger: Send + Sync {
    /// Purges. Dropped before anything was recorded, nothing holds; after it, everything does.
    fn purge<'a>(
        &'a self,
        wish: &'a Wish,
    ) -> Pin<Box<dyn Future<Output = Result<Fulfilled, Unfulfilled>> + Send + 'a>>;

    /// Blocking, for a second at most: counts what would be purged.
    fn tally(&self, wish: &Wish) -> Result<Tally, Unfulfilled>;

    /// The hosts that are named and that nobody answers for.
    fn unknown_hosts(&self, wish: &Wish) -> Vec<String>;
}

/// What is to be purged. Up to 10,000 things in all.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({ "urls": ["https://www.example.com/post-1"], "tags": ["home"] }))]
struct PurgeWanted {
    /// URLs with their hosts, `//host/path` for both schemes: with all variants, representations and blocks.
    #[serde(deserialize_with = "bounded::texts")]
    urls: Vec<String>,
    /// Tags, as the origin writes them in `Surrogate-Key`, `Cache-Tag` or `Cache-Groups`.
    #[serde(deserialize_with = "bounded::texts")]
    tags: Vec<String>,
    /// Paths and all below them: `host/path`, or with a scheme.
    #[serde(deserialize_with = "bounded::texts")]
    prefixes: Vec<String>,
    /// URLs with `*` for any text: `www.example.com/*.css`.
    #[serde(deserialize_with = "bounded::texts")]
    globs: Vec<String>,
    /// Hosts, with their ports unless these go without saying.
    #[serde(deserialize_with = "bounded::texts")]
    hosts: Vec<String>,
    /// Everything.
    all: bool,
    /// Whether what is purged may still serve as stale; unless it is said, tags are purged softly and all else hard.
    soft: Option<bool>,
    /// Count what would be purged, and purge nothing.
    dry_run: bool,
}

/// What came of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct PurgeTold {
    /// What was purged; none after a `dry_run`.
    purged: Option<PurgedTold>,
    /// What a `dry_run` has counted.
    matched: Option<MatchedTold>,
    /// Hosts that were named and that nobody answers for here: most likely they are misspelt.
    unknown_hosts: Vec<String>,
}

/// A purge that holds.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct PurgedTold {
    /// Its unique id.
    #[schema(example = "0f8fad5bd9cb469fa16570867728950e")]
    id: String,
    /// Its place in the order of purges: (epoch, number).
    #[schema(example = "3.17")]
    sequence: String,
    /// Records that it took in the ledger.
    records: usize,
    /// Whether it outlives the process as what is stored does.
    durable: bool,
}

/// What would be purged.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct MatchedTold {
    /// In memory, of what is on disk as well or is not.
    memory: CountTold,
    /// On disk.
    disk: CountTold,
}

/// Objects of a tier.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct CountTold {
    /// Those that would be purged, of those that were looked at.
    matched: u64,
    /// How many were looked at.
    seen: u64,
    /// Whether there are more that were not looked at.
    cut: bool,
}

/// The order of purges.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct LedgerTold {
    /// The sequence of the latest purge.
    latest: String,
    /// What was born before it counts as purged.
    floor: String,
    /// Records that are held one by one.
    records: usize,
    /// How many there may be before the oldest are folded into the floor.
    most: usize,
    /// Globs among them.
    globs: usize,
    /// Up to which place the purges of the fleet were applied.
    stream: u64,
    /// How often everything was gone through to give back the space of what was purged.
    sweeps: u64,
}

pub(super) fn routes() -> OpenApiRouter<Arc<View>> {
    OpenApiRouter::new().routes(routes!(purge)).routes(routes!(ledger))
}

/// Purge
///
/// Answered once it holds and, with a disk tier, is durable. If anything in it makes no sense, nothing is purged. It is done
/// also if nobody waits for the answer.
#[utoipa::path(
    post, path = "/v1/purge", tag = "cache",
    request_body = PurgeWanted,
    responses(
        (status = 200, description = "it holds, or what would be purged", body = PurgeTold),
        Guarded, Changing, WithContent, Purging
    )
)]
async fn purge(
    State(view): State<Arc<View>>,
    Extension(who): Extension<Who>,
    request: Request,
) -> Result<Response, Problem> {
    let length =
        request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let turn =
        if length.is_none_or(|length: usize| length > LONG) { Some(view.turns.long().await) } else { None };
    let read = match turn.transpose() {
        Ok(turn) => content::json::<PurgeWanted>(request, LONGEST)
            .await
            .map(|(wanted, working)| (wanted, working, turn)),
        Err(problem) => Err(problem),
    };
    let (wanted, _working, turn) =
        read.inspect_err(|problem| audit::note(&who, "purge", "", problem.word()))?;
    let (on, dry_run) = (wanted.told(), wanted.dry_run);
    let wish = wanted.wish();
    // In a task of its own, so that its audit line is written whoever leaves.
    let task = tokio::spawn(async move {
        let _turn = turn;
        if dry_run { tally(view, wish).await } else { purged(&view, &who, &wish, &on).await }
    });
    let told = task.await.unwrap_or_else(|_| Err(Problem::new(Kind::Unusable, "the purge has failed")));
    told.map(|told| json(&told))
}

async fn purged(view: &View, who: &Who, wish: &Wish, on: &str) -> Result<PurgeTold, Problem> {
    let came = view.handles.purger.purge(wish).await;
    let outcome = match &came {
        Ok(fulfilled) => format!("done at {}", fulfilled.sequence),
        Err(Unfulfilled::NotDurable(fulfilled)) => format!("done at {}, not durable", fulfilled.sequence),
        Err(Unfulfilled::Globs(_)) => Kind::TooManyGlobs.word().to_owned(),
        Err(_) => Kind::Unusable.word().to_owned(),
    };
    audit::note(who, "purge", on, &outcome);
    let purged = came.map(PurgedTold::from)?;
    Ok(PurgeTold {
        purged: Some(purged),
        matched: None,
        unknown_hosts: view.handles.purger.unknown_hosts(wish),
    })
}

async fn tally(view: Arc<View>, wish: Wish) -> Result<PurgeTold, Problem> {
    let counted = tokio::task::spawn_blocking(move || {
        let matched = view.handles.purger.tally(&wish)?.into();
        let unknown_hosts = view.handles.purger.unknown_hosts(&wish);
        Ok(PurgeTold { purged: None, matched: Some(matched), unknown_hosts })
    });
    counted.await.unwrap_or_else(|_| Err(Problem::new(Kind::Unusable, "the count has failed")))
}

/// The order of purges
#[utoipa::path(
    get, path = "/v1/ledger", tag = "cache",
    responses((status = 200, description = "how it is", body = LedgerTold), Guarded)
)]
async fn ledger(State(view): State<Arc<View>>) -> Response {
    let cache = &view.handles.cache;
    let LedgerState { latest, floor, records, most, globs, stream } = cache.ledger();
    let (latest, floor) = (latest.to_string(), floor.to_string());
    json(&LedgerTold { latest, floor, records, most, globs, stream, sweeps: cache.sweeps() })
}

impl PurgeWanted {
    fn wish(self) -> Wish {
        let Self { urls, tags, prefixes, globs, hosts, all, soft, dry_run: _ } = self;
        Wish { urls, tags, prefixes, globs, hosts, all, soft }
    }

    /// As its audit line tells it: first what weighs most, then names as far as there is room.
    fn told(&self) -> String {
        let soft = match self.soft {
            None => "default",
            Some(true) => "true",
            Some(false) => "false",
        };
        let lists = [&self.urls, &self.tags, &self.prefixes, &self.globs, &self.hosts];
        let [urls, tags, prefixes, globs, hosts] = lists.map(Vec::len);
        let mut text = format!(
            "all={} soft={soft} urls={urls} tags={tags} prefixes={prefixes} globs={globs} hosts={hosts}:",
            self.all
        );
        let most = text.len() + TOLD;
        for name in lists.into_iter().flatten() {
            if text.len() + name.len() >= most {
                text.push_str(" …");
                break;
            }
            text.push(' ');
            text.push_str(name);
        }
        text
    }
}

impl From<Fulfilled> for PurgedTold {
    fn from(fulfilled: Fulfilled) -> Self {
        let Fulfilled { id, sequence, records, durable } = fulfilled;
        Self { id: format!("{id:032x}"), sequence: sequence.to_string(), records, durable }
    }
}

impl From<Tally> for MatchedTold {
    fn from(tally: Tally) -> Self {
        Self { memory: tally.memory.into(), disk: tally.disk.into() }
    }
}

impl From<Count> for CountTold {
    fn from(Count { matched, seen, is_cut }: Count) -> Self {
        Self { matched, seen, cut: is_cut }
    }
}

impl From<Unfulfilled> for Problem {
    fn from(why: Unfulfilled) -> Self {
        let kind = match why {
            Unfulfilled::Nothing | Unfulfilled::TooMuch(_) | Unfulfilled::Wrong(_) => Kind::Unusable,
            Unfulfilled::Globs(_) => Kind::TooManyGlobs,
            Unfulfilled::NotDurable(_) => Kind::NotDurable,
        };
        Self::new(kind, why.to_string())
    }
}
