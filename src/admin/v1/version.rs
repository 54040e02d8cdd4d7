//! `/v1/version`.

use std::sync::Arc;

use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::json;
use crate::admin::View;
use crate::admin::openapi::Guarded;

/// What is running.
#[derive(Debug, Serialize, ToSchema)]
struct VersionTold {
    /// `forebay`.
    name: &'static str,
    /// The version of the node.
    version: &'static str,
    /// The versions of this interface that it speaks.
    api: [&'static str; 1],
}

pub(super) fn routes() -> OpenApiRouter<Arc<View>> {
    OpenApiRouter::new().routes(routes!(version))
}

/// Which version is running
#[utoipa::path(
    get, path = "/v1/version", tag = "node",
    responses((status = 200, description = "what is running", body = VersionTold), Guarded)
)]
async fn version() -> Response {
    json(&VersionTold { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION"), api: ["v1"] })
}
