//! `/v1/node`: whether the node is to be sent requests.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::json;
use crate::admin::View;
use crate::admin::audit::{self, Who};
use crate::admin::openapi::{Changing, Guarded};

/// Whether the node is to be sent requests.
#[derive(Debug, Serialize, ToSchema)]
struct NodeTold {
    /// What `/readyz` says.
    ready: bool,
    /// Why not: `loading`, `drained` or `draining`.
    reason: Option<&'static str>,
    /// Whether an operator has taken it out.
    drained: bool,
}

pub(super) fn routes() -> OpenApiRouter<Arc<View>> {
    OpenApiRouter::new().routes(routes!(node)).routes(routes!(drain)).routes(routes!(undrain))
}

/// Whether the node is to be sent requests
#[utoipa::path(
    get, path = "/v1/node", tag = "node",
    responses((status = 200, description = "whether it is", body = NodeTold), Guarded)
)]
async fn node(State(view): State<Arc<View>>) -> Response {
    json(&view.node())
}

/// Take the node out
///
/// `/readyz` answers 503 from now on, so that load balancers send no more requests. Those that come are served as before: it
/// is not the end of the node. It holds until it is taken back, or the node ends.
#[utoipa::path(
    post, path = "/v1/node/drain", tag = "node",
    responses((status = 200, description = "it is taken out", body = NodeTold), Guarded, Changing)
)]
async fn drain(State(view): State<Arc<View>>, Extension(who): Extension<Who>) -> Response {
    view.readiness.drain(true);
    audit::note(&who, "drain the node", "node", "done");
    json(&view.node())
}

/// Take the node back
#[utoipa::path(
    post, path = "/v1/node/undrain", tag = "node",
    responses((status = 200, description = "it is taken back", body = NodeTold), Guarded, Changing)
)]
async fn undrain(State(view): State<Arc<View>>, Extension(who): Extension<Who>) -> Response {
    view.readiness.drain(false);
    audit::note(&who, "undrain the node", "node", "done");
    json(&view.node())
}

impl View {
    fn node(&self) -> NodeTold {
        let reason = self.hindrance();
        NodeTold { ready: reason.is_none(), reason, drained: self.readiness.is_drained() }
    }
}
