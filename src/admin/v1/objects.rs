//! `/v1/objects`: what is stored under a URL, and what is asked for most.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderName, LAST_MODIFIED};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::json;
use crate::admin::openapi::{Guarded, Queried};
use crate::admin::problem::Problem;
use crate::admin::question::{Question, Refused};
use crate::admin::{View, query};
use crate::base::clock::Timestamp;
use crate::cache::hot::{Hot, MOST, SAMPLED};
use crate::cache::inspect::{Inspection, VariantStored};
use crate::cache::object::{Object, Place};

/// How many keys are told if nobody says how many.
const USUAL: usize = 20;

/// Tells what is stored for a request that nobody makes.
pub type Inspect = Arc<dyn Fn(Question) -> Inspecting + Send + Sync>;

/// That on its way.
pub type Inspecting = Pin<Box<dyn Future<Output = Result<Inspection, Refused>> + Send>>;

/// What is stored under a URL.
#[derive(Debug, Serialize, ToSchema)]
struct Stored {
    /// The URL of the key: without what the site ignores of it.
    url: String,
    /// The key's hash, as logs tell it.
    key: String,
    /// The fields that variants are known to differ by: each list is one `Vary`.
    vary: Vec<Vec<String>>,
    /// That answers were not for sharing, if they were not (hit-for-miss).
    marker: Option<MarkerTold>,
    /// What is stored, first what the request would be given. Of variants those that were stored since the node started, and
    /// the one that the request selects.
    variants: Vec<VariantTold>,
    /// Whether there are more than are told.
    cut: bool,
}

/// Why answers are not for sharing.
#[derive(Debug, Serialize, ToSchema)]
struct MarkerTold {
    /// In a word.
    reason: &'static str,
    /// Since when.
    since_seconds: u64,
}

/// One object.
#[derive(Debug, Serialize, ToSchema)]
#[allow(clippy::struct_excessive_bools, reason = "each is told by a name of its own")]
struct VariantTold {
    /// Whether it is what the request selects.
    selected: bool,
    /// The fields that selected it, and what its request said in them. What tells who somebody is, is not told.
    vary: BTreeMap<String, Vec<String>>,
    /// Its status.
    status: u16,
    /// Which store it came from: a number, too large for some programs to read as one.
    generation: String,
    /// The sequence of the ledger when it was born: the epoch, a dot, and the number in it.
    born: String,
    /// Whether no purge has killed it.
    alive: bool,
    /// Since when it is stale by a soft purge, if it is.
    softly_purged_seconds: Option<u64>,
    /// How many tags it has. Of tags their digests are kept, not their names.
    tags: usize,
    /// How old it is, and for how long it is fresh.
    lifetime: LifetimeTold,
    /// Its content. There is one representation so far: as the origin sent it.
    representations: Vec<RepresentationTold>,
    /// Its entity tag.
    etag: Option<String>,
    /// Its date of change.
    last_modified: Option<String>,
    /// Whether its head is in memory.
    head_in_memory: bool,
    /// Whether it is on disk, or waits to be written there.
    on_disk: bool,
}

/// How old something is.
#[derive(Debug, Serialize, ToSchema)]
struct LifetimeTold {
    /// Its age.
    age_seconds: u64,
    /// The age up to which it is fresh.
    fresh_seconds: u64,
    /// What is left of that; negative once it is stale.
    left_seconds: i64,
    /// Whether it is fresh.
    fresh: bool,
    /// How long ago it came, or was last confirmed.
    since_seconds: u64,
    /// Whether it does not change while it is fresh (RFC 8246).
    immutable: bool,
}

/// One coding of a content.
#[derive(Debug, Serialize, ToSchema)]
struct RepresentationTold {
    /// Its coding: `identity`, or what `Content-Encoding` says.
    coding: String,
    /// Its type.
    content_type: Option<String>,
    /// Its length.
    bytes: u64,
    /// Whether it is kept with its head.
    inline: bool,
    /// Whether its blocks come and go one by one.
    divided: bool,
    /// How many blocks of 1 MiB it has, the last one shorter; 0 if it is kept with its head.
    blocks: u32,
    /// How many of them are in memory; of very many, of the first 4,096.
    blocks_in_memory: u32,
    /// How many of them are on disk; of very many, of the first 4,096.
    blocks_on_disk: u32,
}

/// What is asked for most of late.
#[derive(Debug, Serialize, ToSchema)]
struct HotTold {
    /// One look-up in so many is counted.
    sampled_one_in: u32,
    /// Most of them first.
    keys: Vec<HotKey>,
}

/// A key that is asked for much.
#[derive(Debug, Serialize, ToSchema)]
struct HotKey {
    /// Its URL.
    url: String,
    /// Its hash, as logs tell it.
    key: String,
    /// The name of its site.
    site: Option<String>,
    /// Requests of late, about: what was sampled, times what one sample stands for.
    requests_about: u64,
    /// How many samples there are of it, at most.
    samples: u64,
    /// How many of them may have been of other keys.
    uncertain: u64,
}

pub(super) fn routes() -> OpenApiRouter<Arc<View>> {
    OpenApiRouter::new().routes(routes!(objects)).routes(routes!(hot))
}

/// What is stored under a URL
///
/// Nothing is fetched, counted or moved by it. `header` says what a request has in its fields, for the variant that it would
/// be given.
#[utoipa::path(
    get, path = "/v1/objects", tag = "cache",
    params(
        ("url" = String, Query, description = "the whole URL", example = "http://shop.example/a"),
        ("method" = Option<String>, Query, description = "the method; GET if none is said"),
        ("header" = Option<Vec<String>>, Query, description = "a field, NAME: VALUE; may be given more than once"),
    ),
    responses((status = 200, description = "what there is; maybe nothing", body = Stored), Guarded, Queried)
)]
async fn objects(State(view): State<Arc<View>>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let question = Question::read(query.as_deref())?;
    let inspection = (view.handles.inspect)(question).await?;
    Ok(json(&Stored::of(&inspection, view.handles.clock.now())))
}

/// What is asked for most of late
///
/// One look-up in 64 is counted, of 512 keys at a time, and all counts are halved now and then: the first of the list are
/// right, their numbers about.
#[utoipa::path(
    get, path = "/v1/objects/hot", tag = "cache",
    params(("limit" = Option<u16>, Query, description = "how many; 20 if none is said", minimum = 1, maximum = 512)),
    responses((status = 200, description = "most of them first", body = HotTold), Guarded, Queried)
)]
async fn hot(State(view): State<Arc<View>>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let limit = limit(query.as_deref())?;
    let sites = (view.handles.sites)();
    let told = |hot: Hot| HotKey {
        url: hot.key.readable(),
        key: format!("{:?}", hot.key.hash()),
        site: sites.iter().find(|site| site.id == hot.key.site()).map(|site| site.name.clone()),
        requests_about: (hot.count - hot.uncertain / 2).saturating_mul(SAMPLED.into()),
        samples: hot.count,
        uncertain: hot.uncertain,
    };
    let keys = view.handles.cache.hot(limit).into_iter().map(told).collect();
    Ok(json(&HotTold { sampled_one_in: SAMPLED, keys }))
}

fn limit(query: Option<&str>) -> Result<usize, Problem> {
    let mut limit = None;
    for (name, value) in query::pairs(query)? {
        let number = value.parse().ok().filter(|number| (1..=MOST).contains(number));
        match (name, number) {
            ("limit", Some(number)) if limit.is_none() => limit = Some(number),
            ("limit", _) => return Err(query::wrong(format!("limit is one number from 1 to {MOST}"))),
            (other, _) => return Err(query::wrong(format!("{other:?} is not known: say limit"))),
        }
    }
    Ok(limit.unwrap_or(USUAL))
}

impl Stored {
    fn of(inspection: &Inspection, now: Timestamp) -> Self {
        let names = |set: &[HeaderName]| set.iter().map(ToString::to_string).collect();
        let marker = |(reason, since): (&'static str, Timestamp)| MarkerTold {
            reason,
            since_seconds: now.since(since).as_secs(),
        };
        Self {
            url: inspection.key.readable(),
            key: format!("{:?}", inspection.key.hash()),
            vary: inspection.vary.iter().map(|set| names(set.names())).collect(),
            marker: inspection.marker.map(marker),
            variants: inspection.variants.iter().map(|variant| VariantTold::of(variant, now)).collect(),
            cut: inspection.cut,
        }
    }
}

impl VariantTold {
    fn of(variant: &VariantStored, now: Timestamp) -> Self {
        let object = &*variant.object;
        Self {
            selected: variant.selected,
            vary: variant.vary_values().into_iter().collect(),
            status: object.head.status.as_u16(),
            generation: object.generation.0.to_string(),
            born: object.born.to_string(),
            alive: variant.alive,
            softly_purged_seconds: object.checked.stale_since().map(|since| now.since(since).as_secs()),
            tags: object.tags.iter().len(),
            lifetime: LifetimeTold::of(object, now),
            representations: vec![RepresentationTold::of(variant)],
            etag: first(object, &ETAG),
            last_modified: first(object, &LAST_MODIFIED),
            head_in_memory: variant.head_in_memory,
            on_disk: variant.on_disk,
        }
    }
}

impl LifetimeTold {
    fn of(object: &Object, now: Timestamp) -> Self {
        let terms = object.terms();
        let freshness = &terms.freshness;
        let age = freshness.age(now);
        Self {
            age_seconds: age.as_secs(),
            fresh_seconds: freshness.lifetime.as_secs(),
            left_seconds: freshness.left(now),
            fresh: age < freshness.lifetime,
            since_seconds: now.since(freshness.response_time).as_secs(),
            immutable: terms.immutable,
        }
    }
}

impl RepresentationTold {
    fn of(variant: &VariantStored) -> Self {
        let object = &*variant.object;
        let place = &object.representation.place;
        Self {
            coding: first(object, &CONTENT_ENCODING).unwrap_or_else(|| "identity".to_owned()),
            content_type: first(object, &CONTENT_TYPE),
            bytes: object.representation.length,
            inline: matches!(place, Place::Inline(_)),
            divided: matches!(place, Place::Blocks { divided: true, .. }),
            blocks: variant.blocks,
            blocks_in_memory: variant.blocks_in_memory,
            blocks_on_disk: variant.blocks_on_disk,
        }
    }
}

fn first(object: &Object, name: &HeaderName) -> Option<String> {
    object.head.values(name).next().map(|value| String::from_utf8_lossy(value).into_owned())
}
