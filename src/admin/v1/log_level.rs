//! `/v1/log-level`: what is told on standard error.

use std::sync::Arc;

use axum::Extension;
use axum::extract::Request;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::json;
use crate::admin::audit::{self, Who};
use crate::admin::openapi::{Changing, Guarded, NotHere, WithContent};
use crate::admin::problem::{Kind, Problem};
use crate::admin::{View, content};
use crate::telemetry::human::{self, NoLog};

/// The most bytes of what is said of a level.
const LONGEST: usize = 4 << 10;

/// What is told.
#[derive(Debug, Serialize, ToSchema)]
struct LogLevelTold {
    /// A level, or what `FOREBAY_LOG` said when the node started.
    level: String,
}

/// What is to be told.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LogLevelWanted {
    /// A level.
    level: Level,
}

/// A level; each tells what the one before it tells, and more.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Level {
    /// What went wrong.
    Error,
    /// What may go wrong.
    Warn,
    /// What people should know.
    Info,
    /// What helps to find a fault.
    Debug,
    /// Every step.
    Trace,
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

pub(super) fn routes() -> OpenApiRouter<Arc<View>> {
    OpenApiRouter::new().routes(routes!(log_level, put_log_level))
}

/// What is told on standard error
#[utoipa::path(
    get, path = "/v1/log-level", tag = "node",
    responses((status = 200, description = "what is told", body = LogLevelTold), Guarded, NotHere)
)]
async fn log_level() -> Result<Response, Problem> {
    let level = human::told().map_err(no_log)?;
    Ok(json(&LogLevelTold { level }))
}

/// Tell more or less on standard error
///
/// It takes effect at once, and holds until the node ends. Lines about what operators change are told at any level.
#[utoipa::path(
    put, path = "/v1/log-level", tag = "node",
    request_body = LogLevelWanted,
    responses((status = 200, description = "what is told now", body = LogLevelTold), Guarded, Changing, WithContent, NotHere)
)]
async fn put_log_level(Extension(who): Extension<Who>, request: Request) -> Result<Response, Problem> {
    let what = "set the log level";
    let wanted = content::json::<LogLevelWanted>(request, LONGEST).await;
    let (LogLevelWanted { level }, _working) =
        wanted.inspect_err(|problem| audit::note(&who, what, "", problem.word()))?;
    let level = level.name();
    let set = human::tell(level).map_err(no_log);
    audit::note(&who, what, level, set.as_ref().err().map_or("done", Problem::word));
    set?;
    Ok(json(&LogLevelTold { level: level.to_owned() }))
}

fn no_log(error: NoLog) -> Problem {
    Problem::new(Kind::NotHere, error.to_string())
}
