//! `/v1/config`: what the node runs with, and whether another text would do.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::json;
use crate::admin::openapi::{Changing, Guarded, WithContent};
use crate::admin::problem::{Kind, Problem};
use crate::admin::{View, content};

/// The most bytes of a text that is to be checked: more than a file of a configuration may have, as JSON.
const LONGEST: usize = 3 << 20;

/// What the node is configured with, and how texts are checked.
#[derive(Clone)]
pub struct Configured {
    /// All that holds, as TOML, without secrets.
    pub shown: Arc<dyn Fn() -> Arc<str> + Send + Sync>,
    /// Checks a text. Blocking.
    pub validate: Arc<dyn Fn(&str) -> Validated + Send + Sync>,
}

/// What came of a check.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Validated {
    /// Whether a node could be started with it.
    pub valid: bool,
    /// Everything that is wrong, and what is doubtful.
    pub complaints: Vec<Complained>,
    /// What is wrong as `forebay check` tells it; empty if nothing is.
    pub text: String,
}

/// One thing that is wrong, or doubtful.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Complained {
    /// Whether it is only doubtful.
    pub warning: bool,
    /// What it is.
    pub message: String,
    /// The line, from 1, if it is about one.
    pub line: Option<usize>,
    /// The column in it, from 1.
    pub column: Option<usize>,
    /// What to do about it, if there is something to say.
    pub what_to_do: Option<String>,
}

/// A text that is to be checked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ValidateWanted {
    /// The text of a configuration.
    #[schema(example = "[node]\nworkers = 2\n")]
    toml: String,
}

pub(super) fn routes() -> OpenApiRouter<Arc<View>> {
    OpenApiRouter::new().routes(routes!(config)).routes(routes!(validate))
}

/// The configuration that holds
///
/// As TOML, with every key, defaults and what was said on the command line. Secrets are told as where they are kept, or not
/// at all.
#[utoipa::path(
    get, path = "/v1/config", tag = "configuration",
    responses((status = 200, description = "all of it", body = String, content_type = "application/toml"), Guarded)
)]
async fn config(State(view): State<Arc<View>>) -> Response {
    let shown = (view.handles.config.shown)();
    ([(header::CONTENT_TYPE, "application/toml")], shown.to_string()).into_response()
}

/// Check a configuration
///
/// Nothing changes by it. It may not include files; whether those are there that it names is looked at, on this node.
#[utoipa::path(
    post, path = "/v1/config/validate", tag = "configuration",
    request_body = ValidateWanted,
    responses((status = 200, description = "what is wrong with it", body = Validated), Guarded, Changing, WithContent)
)]
async fn validate(State(view): State<Arc<View>>, request: Request) -> Result<Response, Problem> {
    let (ValidateWanted { toml }, _working) = content::json(request, LONGEST).await?;
    let check = Arc::clone(&view.handles.config.validate);
    // It looks at files.
    let validated = tokio::task::spawn_blocking(move || check(&toml)).await;
    let validated = validated.map_err(|_| Problem::new(Kind::Unusable, "the text could not be checked"))?;
    Ok(json(&validated))
}
