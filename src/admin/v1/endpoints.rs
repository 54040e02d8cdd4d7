//! `/v1/endpoints`: how the endpoints of origins are, and which of them are asked.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::json;
use crate::admin::View;
use crate::admin::audit::{self, Who};
use crate::admin::openapi::{Changing, Guarded, NamesEndpoint};
use crate::admin::problem::{Kind, Problem};
use crate::telemetry::endpoints::EndpointState;

/// All endpoints.
#[derive(Debug, Serialize, ToSchema)]
struct Endpoints {
    /// Pool by pool.
    endpoints: Vec<EndpointTold>,
}

/// One endpoint.
#[derive(Debug, Serialize, ToSchema)]
struct EndpointTold {
    /// The pool's name.
    pool: String,
    /// What it is called in its pool: its URL.
    endpoint: String,
    /// What is to be known of it in one word.
    state: EndpointWord,
    /// Whether it is well, as far as requests have shown. That is counted whether it is drained or not.
    up: bool,
    /// Whether an operator has drained it.
    drained: bool,
    /// Exchanges that are under way.
    active: u64,
    /// Connections that are kept for the next exchange.
    idle: u64,
    /// Requests that were sent to it.
    requests: u64,
    /// Those that failed before a head.
    failures: u64,
    /// Those that had failed elsewhere before.
    retries: u64,
    /// Those whose content had been sent before, and was sent again.
    replays: u64,
    /// Connections that were opened.
    opened: u64,
    /// Requests that wait for a connection of the pool.
    pool_queued: u64,
    /// Requests that the pool has refused.
    pool_refused: u64,
}

/// What an endpoint is good for.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum EndpointWord {
    /// It is asked.
    Up,
    /// It failed, and is left alone for a while.
    Down,
    /// It is drained, and exchanges are still under way.
    Draining,
    /// It is drained, and nothing is under way.
    Drained,
}

impl From<EndpointState> for EndpointTold {
    fn from(state: EndpointState) -> Self {
        let word = match (state.drained, state.active, state.up) {
            (true, 0, _) => EndpointWord::Drained,
            (true, ..) => EndpointWord::Draining,
            (false, _, true) => EndpointWord::Up,
            (false, _, false) => EndpointWord::Down,
        };
        Self {
            pool: state.pool,
            endpoint: state.endpoint,
            state: word,
            up: state.up,
            drained: state.drained,
            active: state.active,
            idle: state.idle,
            requests: state.requests,
            failures: state.failures,
            retries: state.retries,
            replays: state.replays,
            opened: state.opened,
            pool_queued: state.queued,
            pool_refused: state.refused,
        }
    }
}

pub(super) fn routes() -> OpenApiRouter<Arc<View>> {
    OpenApiRouter::new().routes(routes!(endpoints)).routes(routes!(drain)).routes(routes!(enable))
}

/// How the endpoints are
#[utoipa::path(
    get, path = "/v1/endpoints", tag = "origins",
    responses((status = 200, description = "all of them", body = Endpoints), Guarded)
)]
async fn endpoints(State(view): State<Arc<View>>) -> Response {
    let endpoints = (view.handles.endpoints)().into_iter().map(EndpointTold::from).collect();
    json(&Endpoints { endpoints })
}

/// Send no more requests to an endpoint
///
/// Exchanges that are under way end as they would, and connections that are kept are closed. If all endpoints of a pool are
/// drained, its requests are answered with 503, or with what is stored where that may be. It holds until the endpoint is
/// enabled, or the node ends.
#[utoipa::path(
    post, path = "/v1/endpoints/{pool}/{endpoint}/drain", tag = "origins",
    params(
        ("pool" = String, Path, description = "the pool's name"),
        ("endpoint" = String, Path, description = "its URL, as /v1/endpoints tells it, with %2F for each slash; or that without the scheme"),
    ),
    responses((status = 200, description = "it is drained", body = EndpointTold), Guarded, Changing, NamesEndpoint)
)]
async fn drain(
    State(view): State<Arc<View>>,
    Extension(who): Extension<Who>,
    named: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    view.steer(&who, "drain an endpoint", named, true)
}

/// Send requests to an endpoint again
#[utoipa::path(
    post, path = "/v1/endpoints/{pool}/{endpoint}/enable", tag = "origins",
    params(
        ("pool" = String, Path, description = "the pool's name"),
        ("endpoint" = String, Path, description = "its URL, as /v1/endpoints tells it, with %2F for each slash; or that without the scheme"),
    ),
    responses((status = 200, description = "it is asked again", body = EndpointTold), Guarded, Changing, NamesEndpoint)
)]
async fn enable(
    State(view): State<Arc<View>>,
    Extension(who): Extension<Who>,
    named: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    view.steer(&who, "enable an endpoint", named, false)
}

impl View {
    fn steer(
        &self,
        who: &Who,
        what: &'static str,
        named: Result<Path<(String, String)>, PathRejection>,
        drained: bool,
    ) -> Result<Response, Problem> {
        let Path((pool, endpoint)) = named.map_err(|_| {
            audit::note(who, what, "", Kind::Malformed.word());
            Problem::new(Kind::Malformed, "the names in the path are no text in UTF-8")
        })?;
        let on = format!("{pool} {endpoint}");
        let Some(state) = (self.handles.drain_endpoint)(&pool, &endpoint, drained) else {
            let why = format!("there is no endpoint {endpoint:?} in a pool {pool:?}: see /v1/endpoints");
            let problem = Problem::new(Kind::NoSuchEndpoint, why);
            audit::note(who, what, &on, problem.word());
            return Err(problem);
        };
        audit::note(who, what, &on, "done");
        Ok(json(&EndpointTold::from(state)))
    }
}
