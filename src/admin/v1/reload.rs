//! `/v1/config/reload`: the files of the configuration, read anew.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Complained, json};
use crate::admin::audit::{self, Who};
use crate::admin::openapi::{Changing, Guarded, Reloading};
use crate::admin::problem::{Kind, Problem};
use crate::admin::{Fault, NotReloaded, Reload, Reloaded, View};

/// What a reload has changed, or would change.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct ReloadTold {
    /// What is another now, in words.
    #[schema(example = json!(["site shop", "listener 127.0.0.1:8080 added"]))]
    changed: Vec<String>,
    /// Keys whose new value counts after a restart only.
    #[schema(example = json!(["node.workers"]))]
    needs_restart: Vec<String>,
    /// What is hardly meant so.
    warnings: Vec<Complained>,
    /// What a reload would do beside that and was not tried, in words; empty after a reload.
    not_tried: Vec<&'static str>,
}

pub(super) fn routes() -> OpenApiRouter<Arc<View>> {
    OpenApiRouter::new().routes(routes!(reload)).routes(routes!(preview))
}

/// Read the configuration anew
///
/// All of it is put in place as one, or nothing is changed and what is wrong is told. Requests that run go on by what they began
/// with.
#[utoipa::path(
    post, path = "/v1/config/reload", tag = "configuration",
    responses((status = 200, description = "it is in place", body = ReloadTold), Guarded, Changing, Reloading)
)]
async fn reload(State(view): State<Arc<View>>, Extension(who): Extension<Who>) -> Result<Response, Problem> {
    // In a task of its own, so that its audit line is written whoever leaves.
    let task = tokio::spawn(async move {
        let came = asked(&view, |reload| reload.reload()).await;
        let outcome = came.as_ref().err().map_or("done", Problem::word);
        audit::note(&who, "reload the configuration", "configuration", outcome);
        came
    });
    task.await.unwrap_or_else(|_| Err(failed())).map(|told| json(&told))
}

/// What a reload would change
///
/// The files are read and checked, pools and TLS are made of them and thrown away, and nothing is changed.
#[utoipa::path(
    get, path = "/v1/config/reload", tag = "configuration",
    responses((status = 200, description = "what would be another", body = ReloadTold), Guarded, Reloading)
)]
async fn preview(State(view): State<Arc<View>>) -> Result<Response, Problem> {
    asked(&view, |reload| reload.validate()).await.map(|told| json(&told))
}

/// Asks who reads files, on the blocking pool.
async fn asked(
    view: &View,
    ask: impl FnOnce(&Reload) -> Result<Reloaded, NotReloaded> + Send + 'static,
) -> Result<ReloadTold, Problem> {
    let none = || Problem::new(Kind::NotHere, "this node was started without a file of configuration");
    let reload = view.handles.reload.clone().ok_or_else(none)?;
    let turn = view.turns.files().await?;
    let asked = tokio::task::spawn_blocking(move || {
        let came = ask(&reload);
        drop(turn);
        came
    });
    let came = asked.await.map_err(|_| failed())?;
    came.map(ReloadTold::from).map_err(|NotReloaded { text, complaints }| {
        Problem::new(Kind::NotReloaded, text).with(complaints.into_iter().map(Complained::from).collect())
    })
}

fn failed() -> Problem {
    Problem::new(Kind::NotReloaded, "the reload has failed; the log says more")
}

impl From<Reloaded> for ReloadTold {
    fn from(Reloaded { changed, needs_restart, warnings, not_tried }: Reloaded) -> Self {
        let warnings = warnings.into_iter().map(Complained::from).collect();
        Self { changed, needs_restart, warnings, not_tried }
    }
}

impl From<Fault> for Complained {
    fn from(fault: Fault) -> Self {
        let (line, column) = fault.position.unzip();
        let message = format!("{}: {}", fault.file, fault.message);
        Self { warning: fault.is_warning, message, line, column, what_to_do: fault.what_to_do }
    }
}
