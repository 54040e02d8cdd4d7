//! `/v1/health`, and the same at `/healthz`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::json;
use crate::admin::View;
use crate::admin::openapi::Guarded;

/// How the node and its parts are.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct HealthTold {
    /// `ok`: the process answers. How its parts are is no reason to restart it.
    pub(in crate::admin) status: &'static str,
    /// The version of the node.
    pub(in crate::admin) version: &'static str,
    /// Since it started.
    pub(in crate::admin) uptime_seconds: u64,
    /// Whether requests may be sent here: what `/readyz` says.
    pub(in crate::admin) ready: bool,
    /// Why not: `loading`, `drained` or `draining`.
    pub(in crate::admin) reason: Option<&'static str>,
    /// Whether it is about to end (SIGTERM).
    pub(in crate::admin) draining: bool,
    /// Whether an operator has taken it out.
    pub(in crate::admin) drained: bool,
    /// The state of the disk tier, in a word; `none` without one.
    pub(in crate::admin) disk: String,
    /// The certificates that clients are shown, by name.
    pub(in crate::admin) certificates: BTreeMap<String, CertificateTold>,
    /// The files of keys of session tickets: `none`, `ok` or `refused`.
    pub(in crate::admin) ticket_keys: &'static str,
}

/// How a certificate is.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct CertificateTold {
    /// Whole days until it ends.
    pub(in crate::admin) days_left: u64,
    /// Whether it has ended.
    pub(in crate::admin) expired: bool,
    /// Whether what is in its files cannot be used, so that the one from before is shown.
    pub(in crate::admin) refused: bool,
}

pub(super) fn routes() -> OpenApiRouter<Arc<View>> {
    OpenApiRouter::new().routes(routes!(health))
}

/// How the node and its parts are
#[utoipa::path(
    get, path = "/v1/health", tag = "node",
    responses((status = 200, description = "how it is", body = HealthTold), Guarded)
)]
async fn health(State(view): State<Arc<View>>) -> Response {
    json(&view.health())
}
