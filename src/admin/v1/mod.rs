//! The routes of `/v1`: a file for each group, with what they answer beside them.

mod bounded;
mod config;
mod endpoints;
pub mod explain;
mod health;
mod log_level;
mod node;
mod objects;
mod purge;
mod reload;
mod sites;
mod stats;
mod version;

use std::sync::Arc;

use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;

use super::View;
pub use config::{Complained, Configured, Validated};
pub(super) use health::{CertificateTold, HealthTold};
pub use objects::{Inspect, Inspecting};
pub use purge::Purger;

/// All of them.
pub(super) fn routes() -> OpenApiRouter<Arc<View>> {
    OpenApiRouter::new()
        .merge(version::routes())
        .merge(health::routes())
        .merge(stats::routes())
        .merge(sites::routes())
        .merge(endpoints::routes())
        .merge(objects::routes())
        .merge(purge::routes())
        .merge(explain::routes())
        .merge(config::routes())
        .merge(reload::routes())
        .merge(log_level::routes())
        .merge(node::routes())
}

/// An answer of status 200.
pub(super) fn json(says: &impl Serialize) -> Response {
    // What is told is made of texts, numbers and lists alone.
    let text = serde_json::to_string(says).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], text + "\n").into_response()
}
